#!/usr/bin/env bats
# What a stack really runs, unit by unit, and whether it is well: cancelled deploys, failed units, broken
# copies, holds.

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

# units UNITS: marks these of the stack that was taken last.
units()
{
    post /markUnits "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",$1}"
    expect 200 ".message == \"Units of stack $STACK marked\""
}


# fail_deploy BRANCH [REST]
fail_deploy()
{
    take "{\"branch\":\"$1\",\"units\":{\"a\":\"$1\"},\"job\":{\"url\":\"https://ci.example.org/$1\"}}"
    give "\"outcome\":\"deployFailed\"${2:+,$2}"
}

@test "a mark without the leaseId says nothing of what runs: the next job deploys everything" {
    new_project --max-stacks 1
    take '{"units":{"a":"1"}}'
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"late"}'
    expect 200
    give '"outcome":"success"'
    take '{"units":{"a":"1"}}'
    expect 200 '.changedUnits == ["a"]' '.lastDeployedCommit == "late"'
}

@test "one of four units failed: the next push deploys that one only, and what was to be removed is not forgotten" {
    new_project --max-stacks 1
    take '{"units":{"a":"1","b":"1","c":"1","old":"1"}}'
    mark
    give '"outcome":"success"'
    take '{"units":{"a":"2","b":"2","c":"1"}}'
    expect 200 '.changedUnits == ["a","b"]' '.removedUnits == ["old"]'
    units '"units":{"a":null}'
    units '"units":{"a":"2"},"seconds":{"a":12}'
    units '"units":{"b":null}'
    give '"outcome":"deployFailed"'
    take '{"units":{"a":"2","b":"2","c":"1"}}'
    expect 200 '.changedUnits == ["b"]' '.removedUnits == ["old"]'
    units '"removed":["old"],"units":{"b":"2"}'
    post /setLastDeployedCommit "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"lastDeployedCommit\":\"c2\",\"content\":\"asMarked\"}"
    expect 200
    give '"outcome":"success"'
    take '{"units":{"a":"2","b":"2","c":"1"}}'
    expect 200 '.changedUnits == []' '.removedUnits == []' '.lastDeployedCommit == "c2"'
}

@test "a stack on which all that a job needs was deployed is well, though more runs there" {
    new_project --max-stacks 1
    take '{"units":{"a":"1","old":"1"}}'
    mark
    give '"outcome":"success"'
    fail_deploy one
    take '{"units":{"a":"1"}}'
    expect 200 '.removedUnits == ["old"]'
    units '"units":{"a":"1","old":null}'
    post /setLastDeployedCommit "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"lastDeployedCommit\":\"c2\",\"content\":\"asMarked\"}"
    expect 200
    give '"outcome":"success"'
    sees /status '.stacks[0].failedDeploys == 0'
    take '{"units":{"a":"1"}}'
    expect 200 '.changedUnits == []' '.removedUnits == ["old"]'
}

@test "a lease that ends in the middle of a deploy leaves what it was told to change unknown, and the rest known" {
    new_project --max-stacks 1
    take '{"units":{"a":"1","b":"1"}}'
    mark
    give '"outcome":"success"'
    take '{"units":{"a":"2","b":"1"},"leaseSeconds":1}'
    eventually is_in_state test-1 available
    sees /status '.stacks[0] | .unsettled and .failedDeploys == 1 and .failedBranches == 0 and .unsettledSince == .failedSince'
    take '{"units":{"a":"1","b":"1"}}'
    expect 200 '.changedUnits == ["a"]' .unsettled
    mark
    sees /status '.stacks[0] | (.unsettled | not) and .failedDeploys == 0 and .failedSince == null'
}

@test "a stack on which a deploy was cut off is nobody's first choice: another is created" {
    new_project --max-stacks 2
    take
    give '"outcome":"deployFailed","interrupted":true'
    take
    expect 200 '.stackName == "test-2"' '.unsettled | not'
    take
    expect 200 '.stackName == "test-1"' .unsettled
}

@test "settleSeconds: nobody gets an unsettled stack before; whoever waits gets it then" {
    new_project --max-stacks 1
    post /updateProject '{"settleSeconds":2}'
    expect 200
    take
    give '"outcome":"deployFailed","interrupted":true'
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.unsettled == 1'
    take '{"waitSeconds":30}'
    expect 200 '.stackName == "test-1"' .unsettled '.waitedSeconds <= 3'
}

@test "a broken copy is quarantined after deploys of two branches, while others deploy well" {
    new_project --max-stacks 2
    take '{"branch":"good"}' # test-1
    good=$LEASE
    fail_deploy one # test-2
    post /setLastDeployedCommit "{\"stackName\":\"test-1\",\"leaseId\":\"$good\",\"lastDeployedCommit\":\"c\"}"
    expect 200
    fail_deploy two
    sees /status '.stacks[1] | .state == "quarantined" and .hold.owner == "stack-orchestrator" and
        (.hold.reason | contains("https://ci.example.org/one") and contains("two"))'
    post /reinstateStack '{"stackName":"test-2"}'
    expect 200
    sees /status '.stacks[1] | .state == "available" and .failedDeploys == 0'
}

@test "a failed deploy counts, whatever its job makes of the stack: a broken copy that branches hold is counted, and ranked down" {
    new_project --max-stacks 2
    post /updateProject '{"quarantineAfter":3}'
    expect 200
    take '{"branch":"good"}' # test-1
    good=$LEASE
    take '{"branch":"one","units":{"a":"1"}}'
    mark
    give '"outcome":"hold","deployFailed":true'
    expect 200 .held
    is_in_state test-2 held
    sees /status '.stacks[1] | .failedDeploys == 1 and .failedBranches == 1 and (.unsettled | not)'
    take '{"branch":"one","units":{"a":"1"}}'
    expect 200 '.stackName == "test-2"' '.changedUnits == ["a"]' # a whole mark isn't trusted
    give '"outcome":"notDeployed"'
    post /updateProject '{"maxHeld":0}'
    expect 200
    take '{"branch":"two","units":{"a":"1"}}'
    expect 200 '.stackName == "test-2"'
    post /releaseStack "{\"stackName\":\"test-2\",\"leaseId\":\"$LEASE\",\"outcome\":\"hold\",\"deployFailed\":true}"
    expect 200 '.held | not'
    sees /status '.stacks[1] | .state == "available" and .failedDeploys == 2 and .failedBranches == 2'
    post /setLastDeployedCommit "{\"stackName\":\"test-1\",\"leaseId\":\"$good\",\"lastDeployedCommit\":\"c\"}"
    expect 200
    post /releaseStack "{\"stackName\":\"test-1\",\"leaseId\":\"$good\",\"outcome\":\"success\"}"
    expect 200
    take '{"branch":"three"}' # the healthy one, though test-2 has been available for longer
    expect 200 '.stackName == "test-1"'
    take '{"branch":"three"}'
    expect 200 '.stackName == "test-2"'
    post /releaseStack "{\"stackName\":\"test-2\",\"leaseId\":\"$LEASE\",\"outcome\":\"hold\",\"deployFailed\":true}"
    expect 200 '.held | not'
    is_in_state test-2 quarantined
    sees /status '.stacks[1].hold.owner == "stack-orchestrator"'
}

@test "interrupted and deployFailed: it was cut off, which doesn't speak against the stack" {
    new_project --max-stacks 1
    take
    give '"outcome":"quarantine","deployFailed":true,"interrupted":true'
    sees /status '.stacks[0] | .failedDeploys == 1 and .failedBranches == 0 and .unsettled'
}

@test "a restart keeps the order of failures, though the first one's request came last" {
    new_project --max-stacks 2
    post /updateProject '{"quarantineAfter":3}'
    expect 200
    take '{"branch":"good"}' # test-1
    good=$LEASE
    take '{"branch":"before"}' # test-2
    later second POST /requestStack '{"branch":"second","priority":-10}'
    eventually waiting 1
    later first POST /requestStack '{"branch":"first"}'
    eventually waiting 2
    give '"outcome":"notDeployed"'
    answer_of first
    lease_from_answer
    give '"outcome":"deployFailed"'
    post /setLastDeployedCommit "{\"stackName\":\"test-1\",\"leaseId\":\"$good\",\"lastDeployedCommit\":\"c\"}"
    expect 200
    answer_of second
    lease_from_answer
    give '"outcome":"deployFailed"'
    local_instance restart program
    eventually is_ready
    fail_deploy third
    is_in_state test-2 quarantined
}

@test "leases that fall silent never speak against a stack: whatever their branches, it stays in the pool" {
    new_project --max-stacks 2
    take '{"branch":"good"}' # test-1
    good=$LEASE
    for branch in one two three; do
        take "{\"branch\":\"$branch\",\"units\":{\"a\":\"1\"}}"
        [[ $STACK == test-2 ]]
        give '"outcome":"deployFailed","interrupted":true'
        post /setLastDeployedCommit "{\"stackName\":\"test-1\",\"leaseId\":\"$good\",\"lastDeployedCommit\":\"c\"}"
        expect 200
    done
    sees /status '.stacks[1] | .state == "available" and .failedDeploys == 3 and .failedBranches == 0 and .unsettled'
}

@test "a broken main empties no pool: where nothing deploys well, nothing is quarantined" {
    new_project --max-stacks 2
    for branch in one two three; do
        fail_deploy "$branch"
        fail_deploy "$branch"
    done
    sees /status '[.stacks[].state] == ["available","available"]'
}

@test "a branch whose own deploy failed gets its stack again; others get the healthy one" {
    new_project --max-stacks 2
    post /updateProject '{"quarantineAfter":0}'
    expect 200
    take '{"branch":"good"}'
    fail_deploy bad
    post /releaseStack '{"stackName":"test-1","outcome":"notDeployed"}'
    expect 200
    take '{"branch":"other"}'
    expect 200 '.stackName == "test-1"'
    take '{"branch":"bad"}'
    expect 200 '.stackName == "test-2"'
}

@test "a stack that a job holds is its branch's: the next push gets it, however long the queue is" {
    new_project --max-stacks 2
    take '{"branch":"fix"}'
    give '"outcome":"hold","reason":"look"'
    expect 200 .held
    take '{"branch":"other"}'
    later next POST /requestStack '{"branch":"other"}'
    eventually waiting 1
    take '{"branch":"fix"}'
    expect 200 '.stackName == "test-1"'
}

@test "a hold that is released again, since its answer was lost, is still said to be held; once resumed it is over" {
    new_project --max-stacks 2
    take '{"branch":"fix"}'
    give '"outcome":"hold","reason":"look"'
    expect 200 .held
    give '"outcome":"hold","reason":"look"'
    expect 200 .held
    take '{"branch":"fix"}'
    sees /status '.stacks[0] | .state == "leased" and has("hold") == false'
    give '"outcome":"success"'
    give '"outcome":"hold"'
    expect 200 '.held | not'
}

@test "resume: false leaves the hold, and the holder may end it" {
    new_project --max-stacks 2
    new_key ci
    take '{"branch":"fix"}'
    held=$LEASE
    give '"outcome":"hold"'
    take '{"branch":"fix","resume":false}'
    expect 200 '.stackName == "test-2"'
    post /reinstateStack '{"stackName":"test-1"}'
    expect_error 403 leaseIdRequired
    post /reinstateStack '{"stackName":"test-1","leaseId":"00112233445566778899aabbccddeeff"}'
    expect_error 403 wrongLeaseId
    post /reinstateStack "{\"stackName\":\"test-1\",\"leaseId\":\"$held\"}"
    expect 200
    is_in_state test-1 available
    post /reinstateStack "{\"stackName\":\"test-1\",\"leaseId\":\"$held\"}" # again
    expect 200
    take '{"branch":"other"}'
    [[ $STACK == test-1 ]]
    post /reinstateStack "{\"stackName\":\"test-1\",\"leaseId\":\"$held\"}"
    expect_error 410 leaseLost
}

@test "a hold or quarantine by an administrator is not the job's to end" {
    new_project --max-stacks 1
    new_key ci
    take
    give '"outcome":"hold"'
    for verb in hold quarantine; do
        as admin
        post "/${verb}Stack" '{"stackName":"test-1"}'
        expect 200
        as ci
        post /reinstateStack "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
        expect_error 409 invalidState
    done
}

# A job gives its stack back with the outcome hold.
hold_one()
{
    take
    post /releaseStack "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"outcome\":\"hold\"}"
}

@test "jobs hold half of the pool at most; whoever waits hears who has the rest" {
    new_project --max-stacks 3
    take '{"branch":"one","job":{"name":"deploy","url":"https://ci.example.org/1"}}'
    first=$LEASE
    take '{"branch":"two"}'
    give '"outcome":"hold"'
    expect 200 .held
    post /releaseStack "{\"stackName\":\"test-1\",\"leaseId\":\"$first\",\"outcome\":\"hold\"}"
    expect 200 '.held | not' '.message | contains("not held")'
    take '{"branch":"three"}'
    take '{"branch":"four","job":{"name":"e2e"}}'
    post /requestStack '{"branch":"five","waitSeconds":0}'
    expect_error 503 noStackAvailable '.error | .held == 1 and .quarantined == 0 and (.holders | length) == 2 and
        any(.holders[]; .branch == "four" and .job.name == "e2e" and .expiresInSeconds > 0)'
}

@test "maxHeld: null is half of the pool again" {
    new_project --max-stacks 2
    post /updateProject '{"maxHeld":0}'
    expect 200
    hold_one
    expect 200 '.held | not'
    post /updateProject '{"maxHeld":null}'
    expect 200
    sees /status '.project.maxHeld == 1'
    local_instance restart program
    eventually is_ready
    hold_one
    expect 200 .held
}

@test "seconds of units are numbers within a day, fractions too" {
    new_project
    take
    units '"units":{"a":"1"},"seconds":{"a":0.25,"b":86400}'
    for seconds in -0.1 86400.5 1e400 '"1"' true; do
        post /markUnits "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"units\":{\"a\":\"1\"},\"seconds\":{\"a\":$seconds}}"
        expect_error 400 invalidField '.error.field == "seconds"'
    done
}

@test "a ci key's deleteLastStack leaves a quarantined stack alone" {
    new_project
    take
    give '"outcome":"quarantine"'
    post /deleteLastStack
    expect_error 409 invalidState '.error.state == "quarantined"'
}

@test "a maximum that was lowered under a lease takes nothing away, and its end is told" {
    new_project --lease-seconds 100
    take
    post /updateProject '{"maxLeaseSeconds":50,"leaseSeconds":50}'
    expect 200
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"seconds\":1000}"
    expect 200 '.atMaximum' '.expiresInSeconds > 90 and .expiresInSeconds <= 100'
}
