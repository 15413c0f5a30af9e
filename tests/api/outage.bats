#!/usr/bin/env bats
# Parts that stop, die and come back: nothing is half done, nothing is lost, nobody hangs.

# shellcheck disable=SC2030,SC2031,SC2034,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance
}

teardown_file()
{
    stop_instance
}

# Each test finds everything running.
teardown()
{
    start_database
    local_instance start >"$BATS_TEST_TMPDIR/start.log"
    eventually is_ready
}

is_not_ready()
{
    AS='' call GET /readyz
    [[ $STATUS == 503 ]]
}

# ask NAME [JSON_MEMBERS]: in the background; returns once it waits.
ask()
{
    later "$1" POST /requestStack "{\"branch\":\"$1\",\"requestId\":\"$PROJECT-$1\"${2:+,$2}}"
    eventually sees /status "any(.queue[]; .branch == \"$1\" and .connected)"
}

granted()
{
    answer_of "$1"
    expect 200 || return 1
    lease_from_answer
}

milliseconds()
{
    printf '%s\n' "$((${EPOCHREALTIME/[.,]/} / 1000))"
}

@test "database gone: every call gets 503 databaseUnavailable with Retry-After, soon; nothing is half done" {
    new_project --max-stacks 2
    take '{"requestId":"kept"}'
    pid=$(local_instance pid program)
    before=$(peek /status | jq -c '.stacks, .queue' | sed 's/"expiresInSeconds":[0-9]*//')
    stop_database
    eventually is_not_ready
    expect_error 503 databaseUnavailable
    start=$(milliseconds)
    post /requestStack
    expect_error 503 databaseUnavailable
    for path in /releaseStack /extendLease; do
        post $path "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\"}"
        expect_error 503 databaseUnavailable
    done
    post /setLastDeployedCommit "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"lastDeployedCommit\":\"c\"}"
    expect_error 503 databaseUnavailable
    post /addStacks '{"count":1}'
    expect_error 503 databaseUnavailable
    for path in /listStacks /status /history /actions; do
        get $path
        expect_error 503 databaseUnavailable
    done
    (($(milliseconds) - start < PATIENCE * 1000))
    # What needs no database is answered as ever.
    post /releaseStack '{'
    expect_error 400 invalidJson
    call GET /healthz
    expect 200 '.status == "ok"'
    start_database
    eventually is_ready
    [[ $(local_instance pid program) == "$pid" ]]
    [[ $(peek /status | jq -c '.stacks, .queue' | sed 's/"expiresInSeconds":[0-9]*//') == "$before" ]]
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\"}"
    expect 200
    mark
    give
}

@test "/healthz says that the program lives, /readyz that it can serve" {
    AS=
    call GET /readyz
    expect 200 '.status == "ready"'
    stop_database
    eventually is_not_ready
    expect_error 503 databaseUnavailable
    call GET /healthz
    expect 200 '.status == "ok"'
    start_database
    eventually is_ready
}

@test "requests that wait go on waiting while the database is away, and are granted afterwards" {
    new_project --max-stacks 1
    take
    ask a
    later plain POST /requestStack
    waiting 2
    stop_database
    eventually is_not_ready
    no_answer_yet a
    no_answer_yet plain
    start_database
    eventually is_ready
    give
    granted a
    no_answer_yet plain
    give
    answer_of plain
    expect 200
}

@test "a wait that ends while the database is away: 503, and the place can be taken again" {
    new_project --max-stacks 1
    take
    ask a '"waitSeconds":2'
    stop_database
    answer_of a
    expect_error 503 databaseUnavailable
    start_database
    eventually is_ready
    later again POST /requestStack "{\"branch\":\"a\",\"requestId\":\"$PROJECT-a\"}"
    waiting 1
    give
    granted again
}

@test "a program that hangs: monitoring hears of it in seconds" {
    local pid
    pid=$(local_instance pid program)
    kill -STOP "$pid"
    AS='' call GET /healthz '' --max-time 15
    kill -CONT "$pid"
    expect_error 504 gatewayTimeout
    eventually is_ready
}

@test "the program starts before its database, says so, and serves once it is there" {
    new_project
    end_program TERM
    stop_database
    local_instance restart program
    call GET /healthz
    expect 200
    is_not_ready
    post /requestStack
    expect_error 503 databaseUnavailable
    pid=$(local_instance pid program)
    start_database
    eventually is_ready
    take
    [[ $(local_instance pid program) == "$pid" ]]
}

@test "the program is stopped: 502 in JSON with Retry-After; nginx answers what it can itself" {
    new_project
    end_program TERM
    for path in /requestStack /releaseStack; do
        post $path '{}'
        expect_error 502 badGateway
    done
    get /listStacks
    expect_error 502 badGateway
    AS='' call GET /healthz
    expect_error 502 badGateway
    AS='' call GET /listStacks
    expect_error 401 unauthorized
    head -c 300000 /dev/zero >"$BATS_TEST_TMPDIR/large"
    post /requestStack '' --data-binary "@$BATS_TEST_TMPDIR/large"
    expect_error 413 bodyTooLarge
    AS='' call PUT / x
    expect_error 405 methodNotAllowed
    AS='' call GET /
    expect 200
    local_instance restart program
    eventually is_ready
    take
    give
}

@test "SIGTERM: those who wait get 503 shuttingDown, the program ends with status 0, the places stay" {
    new_project --max-stacks 1
    take
    ask a
    ask b
    later plain POST /requestStack '{"branch":"plain"}'
    waiting 3
    end_program TERM
    for name in a b plain; do
        answer_of $name
        expect_error 503 shuttingDown
    done
    grep -q 'stopped$' "$VAR/log/program.log"
    local_instance restart program
    eventually is_ready
    # They come back in another order.
    for name in b a; do
        later "$name-again" POST /requestStack "{\"branch\":\"$name\",\"requestId\":\"$PROJECT-$name\"}"
        eventually sees /status "any(.queue[]; .branch == \"$name\" and .connected)"
    done
    give
    granted a-again
    no_answer_yet b-again
    give
    granted b-again
    sees /history 'any(.requests[]; .branch == "plain" and .state == "abandoned")'
}

@test "kill -9 of the program: leases stay, requestIds keep their places, plain waits are given up" {
    new_project --max-stacks 1
    take '{"requestId":"holder"}'
    ask a
    ask b
    later plain POST /requestStack '{"branch":"plain"}'
    waiting 3
    local_instance kill program
    for name in a b plain; do
        answer_of $name
        expect_error 502 badGateway
    done
    local_instance restart program
    eventually is_ready
    post /requestStack '{"requestId":"holder"}'
    expect 200 ".leaseId == \"$LEASE\""
    for name in b a; do
        later "$name-again" POST /requestStack "{\"branch\":\"$name\",\"requestId\":\"$PROJECT-$name\"}"
    done
    waiting 2
    eventually sees /history 'any(.requests[]; .branch == "plain" and .state == "abandoned")'
    give
    granted a-again
    no_answer_yet b-again
    give
    granted b-again
}

@test "a restart of the program forgets nothing of what a stack is and is to become" {
    local before
    new_project --max-stacks 2
    take '{"branch":"first"}'
    mark c1
    give
    take '{"branch":"second"}'
    mark c2
    give '"outcome":"hold"'
    post /holdStack "{\"stackName\":\"$STACK\",\"owner\":\"ada\",\"reason\":\"look\"}"
    take '{"branch":"third"}'
    give
    post /deleteStack "{\"stackName\":\"$STACK\"}"
    expect 200
    before=$(peek /status | jq -S .stacks)

    end_program KILL
    local_instance restart program
    eventually is_ready
    # What is said next finds everything as it was, the deleted stack, too.
    post /addStacks '{"count":1}'
    expect 200
    get /status
    expect 200 '.stacks | length == 2 and (.[1] | .state == "available" and .branch == null and .lastDeployedCommit != "c2")'
    [ "$(jq -S '[.stacks[0]]' <<<"$BODY")" = "$before" ]
    post /reinstateStack '{"stackName":"test-1"}'
    take '{"branch":"second"}'
    [ "$STACK" = test-1 ]
    sees /status '.stacks[0] | .branch == "second" and .lastDeployedCommit == "c2" and (has("hold") | not)'
    give
}

@test "kill -9 of the database: what was answered is there afterwards" {
    new_project
    for n in 1 2 3; do
        take "{\"requestId\":\"kill-$n\"}"
        printf '%s %s\n' "$n" "$LEASE" >>"$BATS_TEST_TMPDIR/leases"
        mark "c$n"
    done
    stop_database
    start_database
    eventually is_ready
    while read -r n lease; do
        post /requestStack "{\"requestId\":\"kill-$n\"}"
        expect 200 ".leaseId == \"$lease\" and .stackName == \"test-$n\""
    done <"$BATS_TEST_TMPDIR/leases"
    sees /listStacks '[.stacks[].lastDeployedCommit] == ["c1","c2","c3"]'
}

@test "kill -9 of nginx: leases and places stay, those who waited without a requestId are given up" {
    new_project --max-stacks 1
    take
    ask a
    later plain POST /requestStack '{"branch":"plain"}'
    waiting 2
    local_instance kill nginx
    answer_of plain
    expect 000
    local_instance restart nginx
    URL=$(<"$VAR/url")
    eventually is_ready
    eventually sees /status '[.queue[] | [.branch, .connected]] == [["a",false]]'
    later a-again POST /requestStack "{\"branch\":\"a\",\"requestId\":\"$PROJECT-a\"}"
    waiting 1
    give
    granted a-again
}

@test "a lease that ran out while the program was away is free once it is back" {
    new_project --max-stacks 1
    take '{"leaseSeconds":1}'
    local_instance kill program
    local_instance restart program
    eventually is_ready
    later next POST /requestStack
    answer_of next
    expect 200 '.fence == 2'
}

@test "with a grace at the start, a heartbeat saves a lease that ran out while the program was away" {
    new_project --max-stacks 1
    take '{"leaseSeconds":2,"requestId":"grace"}'
    until=$(($(milliseconds) + 2100))
    local_instance kill program
    past() { (($(milliseconds) > until)); }
    eventually past
    local_instance start --set startup_grace_seconds=600
    eventually is_ready
    post /requestStack '{"waitSeconds":1}'
    expect_error 503 noStackAvailable
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"seconds\":500}"
    expect 200 '.expiresInSeconds == 500'
    give
    local_instance start --set startup_grace_seconds=0
    eventually is_ready
    take
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
