#!/usr/bin/env bats
# A lease: how long it lasts, who may end it, and what a retried request gets.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance
}

teardown_file()
{
    stop_instance
}

# lease_call PATH [LEASEID]: for STACK; without a leaseId if none is given.
lease_call()
{
    local commit=
    [[ $1 != /setLastDeployedCommit ]] || commit=',"lastDeployedCommit":"c"'
    post "$1" "{\"stackName\":\"$STACK\"$commit${2:+,\"leaseId\":\"$2\"}}"
}

ended_as()
{
    eventually sees /history "any(.requests[]; .requestNumber == $1 and .state == \"$2\")"
}

still_leased()
{
    sees /status "any(.stacks[]; .stackName == \"$STACK\" and .state == \"leased\" and .lease.fence == $FENCE)"
}

@test "a lease ends by itself after its leaseSeconds, and frees the stack" {
    new_project --max-stacks 1
    take '{"leaseSeconds":1}'
    expect 200 '.expiresInSeconds == 1'
    later next POST /requestStack
    answer_of next
    expect 200 '.stackName == "test-1"' '.fence == 2' '.waitedSeconds <= 10'
    ended_as 1 expired
    sees /history '.requests[] | select(.requestNumber == 1) | .heldSeconds >= 1 and .outcome == null'
}

@test "it ends without any caller's doing" {
    new_project --lease-seconds 1
    take
    expect 200 '.expiresInSeconds == 1'
    eventually is_in_state test-1 available
}

@test "leaseSeconds is the project's default, the caller's wish, never more than the project's maximum" {
    new_project --lease-seconds 50 --max-lease-seconds 100
    take
    expect 200 '.expiresInSeconds == 50'
    take '{"leaseSeconds":99}'
    expect 200 '.expiresInSeconds == 99'
    take '{"leaseSeconds":86400}'
    expect 200 '.expiresInSeconds == 100'
}

@test "expiresAt is expiresInSeconds from now by the service's clock" {
    new_project
    take '{"leaseSeconds":500}'
    expires=$(value .expiresAt)
    get /status
    expect 200 "(.now | sub(\"\\\\.[0-9]+Z\"; \"Z\") | fromdate) as \$now | (\"$expires\" | sub(\"\\\\.[0-9]+Z\"; \"Z\") | fromdate) - \$now
        | . <= 500 and . > 440" ".stacks[0].lease.expiresAt == \"$expires\"" '.stacks[0].lease.expiresInSeconds | . <= 500 and . > 440'
}

@test "extendLease sets the end anew and answers the time left" {
    new_project
    take '{"leaseSeconds":300}'
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"seconds\":1000}"
    expect 200 '.stackName == "test-1"' '.fence == 1' '.expiresInSeconds == 1000' '.expiresAt | test("Z$")'
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\"}"
    expect 200 '.expiresInSeconds == 300'
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"${LEASE^^}\",\"seconds\":5}"
    expect 200 '.expiresInSeconds == 5'
}

@test "a heartbeat keeps a lease beyond its first end" {
    new_project
    take '{"leaseSeconds":2}'
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"seconds\":600}"
    expect 200
    # Another lease that began later and is as long ends first.
    post /requestStack '{"leaseSeconds":2}'
    expect 200 '.stackName == "test-2"'
    eventually is_in_state test-2 available
    still_leased
    give
}

@test "extensions never go beyond the project's largest lifetime" {
    new_project --lease-seconds 2 --max-lease-seconds 3
    take
    for _ in 1 2; do
        post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"seconds\":86400}"
        expect 200 '.expiresInSeconds <= 3'
    done
    eventually is_in_state test-1 available
    ended_as 1 expired
    lease_call /extendLease "$LEASE"
    expect_error 410 leaseLost
}

@test "an ended lease can't be extended or marked: 410 leaseLost, also once another holds the stack" {
    new_project --max-stacks 1
    take '{"leaseSeconds":1}'
    lost=$LEASE
    eventually is_in_state test-1 available
    for path in /extendLease /setLastDeployedCommit; do
        lease_call $path "$lost"
        expect_error 410 leaseLost
    done
    take
    for path in /extendLease /setLastDeployedCommit; do
        lease_call $path "$lost"
        expect_error 410 leaseLost
    done
    still_leased
    sees /listStacks '.stacks[0].lastDeployedCommit == null'
}

@test "releasing an ended lease with its own leaseId: 200 without effect, whoever has the stack" {
    new_project --max-stacks 1
    take
    ended=$LEASE
    give
    lease_call /releaseStack "$ended"
    says 'Stack test-1 released'
    sees /status '[.stacks[].state] == ["available"]'
    for body in '' '{"requestId":"owner"}'; do
        take "$body"
        lease_call /releaseStack "$ended"
        says 'Stack test-1 released'
        still_leased
        give
    done
}

@test "a plain lease is released and marked by name" {
    new_project
    take
    lease_call /setLastDeployedCommit
    expect 200
    lease_call /releaseStack
    expect 200
    sees /status '[.stacks[].state] == ["available"]'
}

@test "a plain lease: a wrong leaseId gets 403, and nothing happens" {
    new_project
    take
    for path in /setLastDeployedCommit /releaseStack; do
        lease_call $path "$(tr 0-9a-f 1-9a-f0 <<<"$LEASE")"
        expect_error 403 wrongLeaseId
    done
    still_leased
    # Its protection didn't change.
    lease_call /releaseStack
    expect 200
}

@test "a lease with a requestId is released and marked only with its leaseId" {
    new_project
    take '{"requestId":"mine"}'
    for path in /setLastDeployedCommit /releaseStack; do
        lease_call $path
        expect_error 403 leaseIdRequired
        lease_call $path "$(tr 0-9a-f 1-9a-f0 <<<"$LEASE")"
        expect_error 403 wrongLeaseId
    done
    still_leased
    sees /listStacks '.stacks[0].lastDeployedCommit == null'
    lease_call /setLastDeployedCommit "$LEASE"
    expect 200
    lease_call /releaseStack "$LEASE"
    expect 200
    sees /listStacks '.stacks[0] | .isAvailable and .lastDeployedCommit == "c"'
}

@test "a plain lease that used its leaseId once is protected from then on" {
    new_project
    for path in /extendLease /setLastDeployedCommit; do
        take
        lease_call $path "$LEASE"
        expect 200
        lease_call /releaseStack
        expect_error 403 leaseIdRequired
        still_leased
        give
    done
}

@test "a leaseId of another stack or another project is a wrong one" {
    NAME=other new_project
    take
    foreign=$LEASE
    NAME=mine new_project
    take '{"requestId":"a"}'
    neighbour=$LEASE
    take '{"requestId":"b"}'
    for wrong in "$foreign" "$neighbour"; do
        lease_call /releaseStack "$wrong"
        expect_error 403 wrongLeaseId
        lease_call /setLastDeployedCommit "$wrong"
        expect_error 403 wrongLeaseId
        lease_call /extendLease "$wrong"
        [[ $STATUS == 403 || $STATUS == 410 ]]
    done
    still_leased
}

@test "leaseIds are never used twice, and the fence of a stack rises with every grant" {
    new_project --max-stacks 1
    for ((i = 1; i <= 5; i++)); do
        take
        [[ $FENCE == "$i" ]]
        printf '%s\n' "$LEASE" >>"$BATS_TEST_TMPDIR/ids"
        give
    done
    [[ $(sort -u "$BATS_TEST_TMPDIR/ids" | wc -l) == 5 ]]
}

@test "the fence rises also across deletion and re-creation of a stack's name" {
    new_project
    for fence in 1 2 3; do
        take
        expect 200 "[.stackName, .fence, .isNew] == [\"test-1\",$fence,true]"
        give
        post /deleteLastStack
        expect 200
    done
    post /addStacks '{"count":1}'
    take
    expect 200 '[.stackName, .fence] == ["test-1",4]'
}

@test "the same requestId gets the same lease again, with the time that is left" {
    new_project
    take '{"requestId":"r","branch":"b","leaseSeconds":100}'
    first=$(value '"\(.stackName) \(.leaseId) \(.fence) \(.requestNumber) \(.expiresAt) \(.lastDeployedCommit) \(.isNew)"')
    for _ in 1 2; do
        post /requestStack '{"requestId":"r","branch":"b","leaseSeconds":7,"waitSeconds":0,"priority":3,"job":{"name":"retry"}}'
        expect 200 '.expiresInSeconds <= 100'
        [[ $(value '"\(.stackName) \(.leaseId) \(.fence) \(.requestNumber) \(.expiresAt) \(.lastDeployedCommit) \(.isNew)"') == "$first" ]]
    done
    sees /status '.stacks | length == 1'
}

@test "a retry gets what the first answer said, also after the job has marked the stack" {
    new_project
    take '{"requestId":"r","units":{"a":"1","b":"1"}}'
    mark new
    post /requestStack '{"requestId":"r","units":{"b":"1","a":"1"}}'
    expect 200 '.changedUnits | sort == ["a","b"]' '.lastDeployedCommit == null'
}

@test "the header Idempotency-Key is a requestId, quoted or bare" {
    new_project
    post /requestStack '' --header 'Idempotency-Key: abc-1'
    expect 200 '.requestId == "abc-1"'
    lease_from_answer
    for header in 'Idempotency-Key: "abc-1"' 'idempotency-key: abc-1'; do
        post /requestStack '{}' --header "$header"
        expect 200 ".leaseId == \"$LEASE\""
    done
    post /requestStack '{"requestId":"abc-1"}'
    expect 200 ".leaseId == \"$LEASE\""
    post /requestStack '{"requestId":"abc-1"}' --header 'Idempotency-Key: "abc-1"'
    expect 200 ".leaseId == \"$LEASE\""
    lease_call /releaseStack
    expect_error 403 leaseIdRequired
}

@test "a requestId with another branch, commit, units or purpose: 422 that names the field" {
    new_project
    take '{"requestId":"r","branch":"b","commit":"c","units":{"a":"1"}}'
    post /requestStack '{"requestId":"r","branch":"x","commit":"c","units":{"a":"1"}}'
    expect_error 422 requestMismatch '.error.field == "branch"'
    post /requestStack '{"requestId":"r","branch":"b","units":{"a":"1"}}'
    expect_error 422 requestMismatch '.error.field == "commit"'
    for units in '' ',"units":{}' ',"units":{"a":"2"}' ',"units":{"a":"1","b":"1"}'; do
        post /requestStack "{\"requestId\":\"r\",\"branch\":\"b\",\"commit\":\"c\"$units}"
        expect_error 422 requestMismatch '.error.field == "units"'
    done
    post /requestStack '{"requestId":"r","branch":"b","commit":"c","units":{"a":"1"},"purpose":"refresh"}'
    expect_error 422 requestMismatch '.error.field == "purpose"'
    still_leased
    sees /status '.stacks | length == 1'
}

@test "requestIds that differ in a space at the end are two" {
    new_project
    take '{"requestId":"spaced"}'
    give '"outcome":"failed"'
    take '{"requestId":"spaced "}'
    give '"outcome":"success"'
    post /requestStack '{"requestId":"spaced"}'
    expect_error 409 requestEnded '.error.outcome == "failed"'
    post /requestStack '{"requestId":"spaced "}'
    expect_error 409 requestEnded '.error.outcome == "success"'
}

@test "a requestId whose lease has ended: 409 requestEnded that says how and when" {
    new_project
    take '{"requestId":"released"}'
    give '"outcome":"failed"'
    post /requestStack '{"requestId":"released"}'
    expect_error 409 requestEnded '.error | .state == "released" and .outcome == "failed" and (.endedAt | test("Z$"))'
    take '{"requestId":"expired","leaseSeconds":1}'
    eventually is_in_state test-1 available
    post /requestStack '{"requestId":"expired"}'
    expect_error 409 requestEnded '.error | .state == "expired" and .outcome == null'
    take '{"requestId":"revoked"}'
    post /revokeLease "{\"stackName\":\"$STACK\"}"
    post /requestStack '{"requestId":"revoked"}'
    expect_error 409 requestEnded '.error.state == "revoked"'
    # The stack on which a deploy may have been cut off comes last, so there are two by now.
    sees /status '[.stacks[].state] | all(. == "available")'
}

@test "a requestId belongs to its project" {
    NAME=left new_project
    take '{"requestId":"same"}'
    left=$LEASE
    NAME=right new_project
    take '{"requestId":"same","branch":"other"}'
    [[ $LEASE != "$left" ]]
}

@test "callers with one requestId at once: one lease" {
    new_project --max-stacks 10
    for ((i = 0; i < 8; i++)); do
        later "c$i" POST /requestStack '{"requestId":"shared"}'
    done
    for ((i = 0; i < 8; i++)); do
        answer_of "c$i"
        [[ $STATUS == 200 ]] || expect_error 409 replaced
        [[ $STATUS != 200 ]] || value .leaseId >>"$BATS_TEST_TMPDIR/ids"
    done
    [[ $(sort -u "$BATS_TEST_TMPDIR/ids" | wc -l) == 1 ]]
    sees /status '.stacks | length == 1'
}

@test "no GET shows a leaseId or a requestId" {
    new_project --max-stacks 1
    take '{"requestId":"hidden-request"}'
    post /requestStack '{"requestId":"hidden-waiting","waitSeconds":0}'
    expect_error 503 noStackAvailable
    give
    take '{"requestId":"hidden-second"}'
    for path in /status /history /actions /listStacks; do
        get "$path"
        expect 200
        [[ $BODY != *hidden-* && $BODY != *"$LEASE"* && $BODY != *leaseId* && $BODY != *requestId* ]]
    done
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
