#!/usr/bin/env bats
# The queue: who waits, how long, in which order, and what happens to those who leave.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    # Room for 12 waiting requests, two seconds to come back to a place.
    start_instance --set max_waiting_per_project=12 --set request_grace_seconds="$GRACE"
}

teardown_file()
{
    stop_instance
}

# ask NAME [JSON_MEMBERS]: asks in the background, and returns once the request waits.
ask()
{
    local members=${2:-}

    later "$1" POST /requestStack "{\"branch\":\"$1\"${members:+,$members}}"
    eventually sees /status "any(.queue[]; .branch == \"$1\" and .connected)"
}

# granted NAME: it has got a stack: sets STACK, LEASE, FENCE.
granted()
{
    answer_of "$1"
    expect 200 || return 1
    lease_from_answer
}

queue_of()
{
    peek /status | jq -r '[.queue[].branch] | join(" ")'
}

ended_as()
{
    eventually sees "/history?branch=$1" ".requests[0].state == \"$2\""
}

@test "a waiting request is answered as soon as a stack is given back" {
    new_project --max-stacks 1
    take
    ask a
    no_answer_yet a
    give
    granted a
    expect 200 '.stackName == "test-1"' '.fence == 2' '.waitedSeconds > 0' '.isNew == false'
}

@test "waiting requests are granted in the order in which they came, one for each release" {
    new_project --max-stacks 1
    take
    for name in a b c d; do
        ask $name
    done
    [[ $(queue_of) == 'a b c d' ]]
    for name in a b c d; do
        give
        granted $name
        waiting "$(($(printf %d "'d") - $(printf %d "'$name")))"
    done
    sees /status '.queue == []'
}

@test "12 callers on 3 stacks: 3 leases at once, then each release serves the next in line" {
    new_project --max-stacks 3
    for ((i = 0; i < 12; i++)); do
        later "c$i" POST /requestStack
    done
    waiting 9
    eventually sees /status '[.stacks[] | select(.state == "leased")] | length == 3'
    served=0
    while ((served < 12)); do
        for ((i = 0; i < 12; i++)); do
            [[ ! -e $BATS_TEST_TMPDIR/done-$i ]] && has_answer "c$i" || continue
            granted "c$i"
            sees /status '[.stacks[] | select(.state == "leased")] | length <= 3'
            give
            touch "$BATS_TEST_TMPDIR/done-$i"
            served=$((served + 1))
        done
        ((SECONDS < 100))
    done
    peek /history | jq --exit-status '.requests | sort_by(.requestNumber) | map(.grantedAt) | . == sort'
    sees /status '(.stacks | length == 3 and all(.[]; .state == "available")) and .queue == []'
}

@test "a release comes in and is answered at once while the queue is full" {
    new_project --max-stacks 1
    take
    for ((i = 0; i < 12; i++)); do
        later "w$i" POST /requestStack
    done
    waiting 12
    post /requestStack
    expect_error 503 queueFull
    start=$(date +%s%N)
    give
    ((($(date +%s%N) - start) / 1000000 < PATIENCE * 100))
    waiting 11
    later one-more POST /requestStack
    waiting 12
    sees /status '[.stacks[].state] == ["leased"]'
}

@test "a request that finds the queue full gets 503 queueFull; those who wait stay" {
    new_project --max-stacks 0
    for ((i = 0; i < 12; i++)); do
        later "w$i" POST /requestStack "{\"requestId\":\"full-$i\"}"
    done
    waiting 12
    for body in '' '{"requestId":"full-new"}' '{"priority":10}'; do
        post /requestStack "$body"
        expect_error 503 queueFull
    done
    # The same request again is not a new one.
    later again POST /requestStack '{"requestId":"full-3"}'
    answer_of w3
    expect_error 409 replaced
    waiting 12
}

@test "waitSeconds 0 is answered at once: 503 with position, estimate and requestId" {
    new_project --max-stacks 1 --lease-seconds 100
    take
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable '.error | .position == 1 and .requestId == null and .estimatedWaitSeconds >= 1'
    sees /status '.queue == []'
    post /requestStack '{"waitSeconds":0,"requestId":"zero-1"}'
    expect_error 503 noStackAvailable '.error | .position == 1 and .requestId == "zero-1"'
    post /requestStack '{"waitSeconds":0,"requestId":"zero-2"}'
    expect_error 503 noStackAvailable '.error | .position == 2 and .requestId == "zero-2"'
}

@test "waitSeconds 0 gets a free stack all the same" {
    new_project --max-stacks 1
    take '{"waitSeconds":0}'
    give
    take '{"waitSeconds":0}'
}

@test "the wait ends after waitSeconds with 503, and the request leaves the queue" {
    new_project --max-stacks 1
    take
    start=$(date +%s%N)
    post /requestStack '{"waitSeconds":1,"branch":"brief"}'
    expect_error 503 noStackAvailable
    ((($(date +%s%N) - start) / 1000000 >= 990))
    ended_as brief timedOut
    give
    sees /status '[.stacks[].state] == ["available"] and .queue == []'
}

@test "without waitSeconds the project's default applies" {
    new_project --max-stacks 1 --wait-seconds 1
    take
    post /requestStack
    expect_error 503 noStackAvailable
    post /updateProject '{"waitSeconds":0}'
    post /requestStack
    expect_error 503 noStackAvailable
    sees /history '[.requests[].waitedSeconds] | .[0] == 0 and .[1] >= 1'
}

@test "the estimate follows the project's own holds" {
    new_project --max-stacks 1 --lease-seconds 1000
    take
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.estimatedWaitSeconds == 1000'
    give
    take
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.estimatedWaitSeconds < 60'
}

@test "status shows the queue: position, who, since when, whether connected" {
    new_project --max-stacks 1
    take
    ask a '"commit":"c1","job":{"url":"https://ci.example/7","name":"test","user":"ada"},"requestId":"status-a"'
    ask b '"priority":3'
    get /status
    expect 200 '[.queue[] | [.position, .branch]] == [[1,"b"],[2,"a"]]' \
        '.queue[1] | .commit == "c1" and .job == {"url":"https://ci.example/7","name":"test","user":"ada"} and .connected and .priority == 0
            and .purpose == "test" and .waitedSeconds >= 0 and .passedOver == 0 and .estimatedWaitSeconds >= 0 and (.askedAt | test("Z$"))' \
        ".queue[0].keyName == \"$PROJECT-admin\"" '[.. | objects | has("requestId") or has("leaseId")] | any | not'
}

@test "higher priority goes first, equal ones in order" {
    new_project --max-stacks 1
    take
    ask low '"priority":-1'
    ask first
    ask high '"priority":5'
    ask second
    ask highest '"priority":10'
    [[ $(queue_of) == 'highest high first second low' ]]
    for name in highest high first second low; do
        give
        granted $name
    done
}

@test "stackName: waits for that one stack, and the queue goes on behind it" {
    new_project --max-stacks 2
    take && first=$LEASE
    take && second=$LEASE
    ask picky '"stackName":"test-2"'
    ask any
    post /releaseStack "{\"stackName\":\"test-1\",\"leaseId\":\"$first\"}"
    granted any
    [[ $STACK == test-1 ]]
    no_answer_yet picky
    sees /status '[.queue[] | .stackName] == ["test-2"]'
    ask other
    post /releaseStack "{\"stackName\":\"test-2\",\"leaseId\":\"$second\"}"
    granted picky
    [[ $STACK == test-2 ]]
    no_answer_yet other
    # A repeat of a request that has it gets it again, for another one it is another request.
    post /requestStack '{"stackName":"test-2","waitSeconds":0,"requestId":"again"}'
    expect_error 503 noStackAvailable '.error.message | endswith("test-2 did not become available within the wait: it is leased")'
    post /requestStack '{"stackName":"test-1","waitSeconds":0,"requestId":"again"}'
    expect_error 422 requestMismatch '.error.field == "stackName"'
}

@test "stackName of a stack that is not there, or deleted meanwhile: 404; nothing is created" {
    new_project --max-stacks 3
    for name in test-1 test-99 other-1 ''; do
        post /requestStack "{\"stackName\":\"$name\"}"
        expect_error 404 unknownStack
    done
    sees /status '.stacks == []'
    post /requestStack '{"stackName":"test-1","purpose":"refresh"}'
    expect_error 400 invalidField '.error.field == "stackName"'
    take
    ask picky '"stackName":"test-1"'
    post /deleteStack '{"stackName":"test-1"}'
    no_answer_yet picky
    give
    answer_of picky
    expect_error 404 unknownStack
    sees /status '.queue == [] and .stacks == []'
    ended_as picky cancelled
}

@test "a waiting request is moved: by its caller with another priority, or by prioritizeRequest" {
    new_project --max-stacks 1
    take
    ask a '"requestId":"a","priority":1'
    ask b '"requestId":"b"'
    ask c
    later again POST /requestStack '{"branch":"b","requestId":"b","priority":3}'
    answer_of b
    expect_error 409 replaced
    eventually sees /status '[.queue[].branch] == ["b","a","c"]'
    number=$(peek /status | jq '.queue[2].requestNumber')
    post /prioritizeRequest "{\"requestNumber\":$number,\"priority\":5,\"reason\":\"a release\"}"
    says "Request $number has priority 5"
    number=$(peek /status | jq '.queue[1].requestNumber')
    post /prioritizeRequest "{\"requestNumber\":$number,\"priority\":-1}"
    # A repeat of the old wish doesn't undo it.
    later back POST /requestStack '{"branch":"b","requestId":"b","priority":3}'
    answer_of again
    expect_error 409 replaced
    eventually sees /status '[.queue[] | [.branch, .priority]] == [["c",5],["a",1],["b",-1]]'
    sees /actions '.actions[1] | .action == "prioritizeRequest" and .reason == "a release" and (.detail | endswith("priority 5"))'
    give
    granted c
    post /prioritizeRequest "{\"requestNumber\":$(value .requestNumber),\"priority\":5}"
    expect_error 409 invalidState '.error.state == "active"'
    post /prioritizeRequest '{"requestNumber":99,"priority":5}'
    expect_error 404 unknownRequest
}

@test "/free tells whether a stack is free, and takes none" {
    new_project --max-stacks 2
    get /free
    expect 200 '.free == 2'
    sees /status '.stacks == []'
    take
    get /free
    expect 200 '.free == 1'
    take '{"branch":"other"}'
    get /free
    expect_error 503 noneFree '.error.waiting == 0'
    ask picky '"stackName":"test-1"'
    ask any
    get /free
    expect_error 503 noneFree '.error.waiting == 1'
    post /updateProject '{"maxStacks":5}'
    granted any
    get /free
    expect 200 '.free == 2' # whoever wants one particular stack takes none of them
    post /updateProject '{"paused":true}'
    get /free
    expect_error 503 noneFree '.error.message == "The project is paused"'
    # A stack whose deploy was cut off rests.
    post /updateProject '{"paused":false,"maxStacks":3,"settleSeconds":3600}'
    get /free
    expect_error 503 noneFree
    give '"interrupted":true'
    get /free
    expect_error 503 noneFree
    post /updateProject '{"settleSeconds":0}'
    get /free
    expect 200 '.free == 1'
}

@test "paused: nobody gets a stack, who waits is told why; leases go on, and resuming serves the queue" {
    new_project --max-stacks 2
    take
    post /updateProject '{"paused":true,"reason":"The account is being cleaned"}'
    says "Project $PROJECT updated"
    sees /status ".project.pause | .by == \"$PROJECT-admin\" and .reason == \"The account is being cleaned\" and .since"
    ask patient
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.message == "The project is paused: The account is being cleaned"' \
        ".error.pause | .by == \"$PROJECT-admin\" and .reason == \"The account is being cleaned\""
    post /requestStack '{"purpose":"refresh"}'
    expect_error 503 notNow '.error.pause.reason == "The account is being cleaned"'
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\"}"
    expect 200
    give
    no_answer_yet patient
    post /updateProject "{\"paused\":true,\"reason\":\"$(printf 'x%.0s' {1..256})\"}"
    expect_error 400 invalidField '.error.field == "reason"'
    post /updateProject '{"paused":false}'
    granted patient
    sees /status '.project | has("pause") | not'
    sees /actions '[.actions[].detail | capture("paused=(?<is>\\w+)").is] == ["false", "true"]'
}

@test "supersede ends older waiting requests of the same branch only, and never a lease" {
    new_project --max-stacks 1
    take '{"branch":"topic"}'
    later old POST /requestStack '{"branch":"topic","commit":"1"}'
    waiting 1
    later old-with-id POST /requestStack '{"branch":"topic","commit":"2","requestId":"superseded"}'
    waiting 2
    ask other
    later new POST /requestStack '{"branch":"topic","commit":"3","supersede":true}'
    answer_of old
    expect_error 409 superseded
    answer_of old-with-id
    expect_error 409 superseded
    [[ $(queue_of) == 'other topic' ]]
    post /requestStack '{"branch":"topic","commit":"2","requestId":"superseded"}'
    expect_error 409 requestEnded '.error | .state == "superseded" and .outcome == null and (.endedAt | test("Z$"))'
    sees /status '[.stacks[].state] == ["leased"]'
    give
    granted other
    give
    granted new
}

@test "cancelRequest ends a waiting request by its requestId or its number; its caller gets 409" {
    new_project --max-stacks 1
    take
    ask a '"requestId":"cancel-a"'
    ask b
    post /cancelRequest '{"requestId":"cancel-a"}'
    says 'Request cancelled'
    answer_of a
    expect_error 409 cancelled
    number=$(peek /status | jq '.queue[0].requestNumber')
    post /cancelRequest "{\"requestNumber\":$number}"
    expect 200
    answer_of b
    expect_error 409 cancelled
    ended_as a cancelled
    ended_as b cancelled
    # Again: it is done already.
    post /cancelRequest '{"requestId":"cancel-a"}'
    expect 200
    post /requestStack '{"branch":"a","requestId":"cancel-a"}'
    expect_error 409 requestEnded '.error.state == "cancelled"'
    sees /status '.queue == []'
}

@test "cancelRequest of a lease in use: 409; of one that never was: 404" {
    new_project --max-stacks 1
    take '{"requestId":"active"}'
    number=$(value .requestNumber)
    for body in '{"requestId":"active"}' "{\"requestNumber\":$number}"; do
        post /cancelRequest "$body"
        expect_error 409 invalidState '.error.state == "active"'
    done
    post /cancelRequest '{"requestId":"never"}'
    expect_error 404 unknownRequest
    post /cancelRequest '{"requestNumber":999999}'
    expect_error 404 unknownRequest
    sees /status '[.stacks[].state] == ["leased"]'
}

@test "a client that hangs up while it waits is never granted a stack" {
    new_project --max-stacks 1
    take
    ask gone
    ask next
    hang_up gone
    ended_as gone abandoned
    give
    granted next
    sees /history 'all(.requests[]; .branch != "gone" or .stackName == null)'
    give
    eventually is_in_state test-1 available
}

@test "a hang-up just before the release: the stack goes to the one who is still there" {
    new_project --max-stacks 1
    for round in 1 2 3; do
        take
        ask "gone-$round"
        ask "next-$round"
        hang_up "gone-$round"
        give
        granted "next-$round"
        give
    done
    eventually sees /status '.queue == [] and [.stacks[].state] == ["available"]'
}

@test "a requestId keeps its place between two calls" {
    new_project --max-stacks 1
    take
    post /requestStack '{"branch":"mine","requestId":"place","waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.position == 1'
    number=$(value .error.requestNumber)
    ask other
    [[ $(queue_of) == 'mine other' ]]
    sees /status '[.queue[].connected] == [false,true]'
    later mine POST /requestStack '{"branch":"mine","requestId":"place"}'
    waiting 2
    give
    granted mine
    expect 200 ".requestNumber == $number and .requestId == \"place\""
    no_answer_yet other
}

@test "a place whose caller isn't connected is passed over, without counting, and not lost" {
    new_project --max-stacks 1
    take
    post /requestStack '{"branch":"mine","requestId":"away","waitSeconds":0}'
    expect_error 503 noStackAvailable
    ask other
    give
    granted other
    sees /status '.queue | length == 1 and (.[0] | .branch == "mine" and (.connected | not) and .passedOver == 0)'
    ask late
    later mine POST /requestStack '{"branch":"mine","requestId":"away"}'
    waiting 2
    give
    granted mine
}

@test "a caller that doesn't come back in time loses the place; the requestId may ask again, at the tail" {
    new_project --max-stacks 1
    take
    post /requestStack '{"branch":"mine","requestId":"late","waitSeconds":0}'
    expect_error 503 noStackAvailable
    ask other
    ended_as mine timedOut
    post /requestStack '{"branch":"mine","requestId":"late","waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.position == 2'
    later mine POST /requestStack '{"branch":"mine","requestId":"late"}'
    waiting 2
    give
    granted other
    give
    granted mine
}

@test "a waiting requestId whose client hangs up keeps its place, then is abandoned" {
    new_project --max-stacks 1
    take
    ask mine '"requestId":"dropped"'
    hang_up mine
    waiting 0
    sees /status '[.queue[] | [.branch, .connected]] == [["mine",false]]'
    ended_as mine abandoned
    later mine POST /requestStack '{"branch":"mine","requestId":"dropped"}'
    waiting 1
    give
    granted mine
}

@test "a second connection with the same requestId takes the place; the first gets 409 replaced" {
    new_project --max-stacks 1
    take
    ask first '"requestId":"twice"'
    later second POST /requestStack '{"branch":"first","requestId":"twice"}'
    answer_of first
    expect_error 409 replaced
    sees /status '.queue | length == 1 and .[0].connected'
    give
    granted second
}

@test "a request that is repeated with other contents while it waits: 422, and the place stays" {
    new_project --max-stacks 1
    take
    ask mine '"requestId":"same"'
    post /requestStack '{"branch":"yours","requestId":"same"}'
    expect_error 422 requestMismatch '.error.field == "branch"'
    no_answer_yet mine
    give
    granted mine
}

@test "more stacks by addStacks or a larger maxStacks serve those who wait at once" {
    new_project --max-stacks 1
    take
    ask a
    ask b
    post /updateProject '{"maxStacks":2}'
    expect 200
    granted a
    expect 200 '.stackName == "test-2"' .isNew
    no_answer_yet b
    post /updateProject '{"maxStacks":3}'
    granted b
}

@test "queues of projects don't touch each other" {
    NAME=one new_project --max-stacks 1
    take
    ask a
    NAME=two new_project --max-stacks 1
    take
    [[ $STACK == test-1 ]]
    sees /status '.queue == []'
    ask b
    give
    granted b
    as admin one
    no_answer_yet a
}

@test "what ended in the queue is in history and in the day's figures" {
    new_project --max-stacks 1
    take '{"branch":"holder"}'
    post /requestStack '{"branch":"timed","waitSeconds":0}'
    ask gone
    hang_up gone
    ended_as gone abandoned
    ask served
    give '"outcome":"success"'
    granted served
    get /history
    expect 200 '[.requests[] | [.branch, .state]] | sort == [["gone","abandoned"],["holder","released"],["timed","timedOut"]]' \
        '.requests[] | select(.branch == "holder") | .outcome == "success" and .heldSeconds > 0 and .stackName == "test-1"' \
        '.requests[] | select(.branch == "timed") | .stackName == null and .heldSeconds == null and .grantedAt == null'
    get /status
    expect 200 '.last24Hours | .requests >= 3 and .released == 1 and .timedOut == 1 and .abandoned == 1 and .expired == 0'
}

@test "graceSeconds: who hangs up keeps its place for so long, instead of the usual time" {
    new_project --max-stacks 1
    take
    later short POST /requestStack '{"requestId":"short","graceSeconds":1}'
    waiting 1
    later long POST /requestStack '{"requestId":"long"}'
    waiting 2
    hang_up short
    hang_up long
    waiting 0
    eventually sees /history '.requests[0] | .state == "abandoned"'
    sees /status '[.queue[].requestNumber] == [3]'
    post /requestStack '{"requestId":"none","graceSeconds":0,"waitSeconds":0}'
    expect_error 503 noStackAvailable
    sees /status '[.queue[].requestNumber] == [3]'
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
