#!/usr/bin/env bats
# Which stack, which job: units and fingerprints, what a stack is known to run, affinity, refreshes.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance --set request_grace_seconds="$GRACE"
}

teardown_file()
{
    stop_instance
}

# furnish UNITS ...: a new project whose stacks run these units (JSON), one each; all idle, the first
# for longest.
furnish()
{
    local units
    local -a leases=()

    new_project --max-stacks $#
    for units; do
        # If none is idle, a new one is created.
        take "{\"branch\":\"b$((${#leases[@]} + 1))\",\"units\":$units}"
        mark "c-$STACK"
        leases+=("$STACK $LEASE")
    done
    for units in "${leases[@]}"; do
        read -r STACK LEASE <<<"$units"
        give '"outcome":"success"'
    done
}

# changed_for UNITS: sets CHANGED to what a job with these units would have to deploy.
changed_for()
{
    post /requestStack "{\"units\":$1,\"waitSeconds\":0}"
    expect 200 || return 1
    lease_from_answer
    CHANGED=$(value '.changedUnits | sort | join(",")')
    give '"outcome":"notDeployed"'
}

# ask NAME UNITS: asks in the background, and returns once it waits.
ask()
{
    later "$1" POST /requestStack "{\"branch\":\"$1\",\"units\":$2}"
    eventually sees /status "any(.queue[]; .branch == \"$1\" and .connected)"
}

granted()
{
    answer_of "$1"
    expect 200 || return 1
    lease_from_answer
}

@test "the stack with the fewest differing units is chosen" {
    furnish '{"a":"1","b":"1","c":"1"}' '{"a":"2","b":"2","c":"1"}' '{"a":"2","b":"2","c":"2"}'
    take '{"units":{"a":"2","b":"2","c":"9"}}'
    expect 200 '.stackName == "test-2" and .changedUnits == ["c"] and .lastDeployedCommit == "c-test-2"'
    give '"outcome":"notDeployed"'
    take '{"units":{"a":"2","b":"2","c":"2"}}'
    expect 200 '.stackName == "test-3" and .changedUnits == [] and .removedUnits == []'
    take '{"units":{"a":"1","b":"2","c":"1"}}'
    # Both that are left differ in one.
    expect 200 '.changedUnits | length == 1'
}

@test "units decide, not the branch" {
    furnish '{"a":"1"}' '{"a":"2"}'
    take '{"branch":"b1","units":{"a":"2"}}'
    [[ $STACK == test-2 ]]
    give '"outcome":"notDeployed"'
    take '{"branch":"b1","units":{"a":"1"}}'
    [[ $STACK == test-1 ]]
}

@test "on a tie the one idle longest is chosen" {
    # Main has asked for nothing, and the branch that displaces none of the others is the last one.
    furnish '{"a":"1","x":"1"}' '{"a":"1","x":"1"}' '{"a":"1","x":"1"}'
    for name in test-1 test-2 test-3 test-1; do
        take '{"branch":"b4","units":{"a":"1","x":"0"}}'
        [[ $STACK == "$name" ]]
        give '"outcome":"notDeployed"'
    done
}

@test "a unit that is missing on either side differs" {
    furnish '{"a":"1","b":"1","c":"1","d":"1"}' '{"a":"1","b":"9"}'
    # test-1: c and d are too many; test-2: b differs.
    take '{"units":{"a":"1","b":"1"}}'
    expect 200 '.stackName == "test-2" and .changedUnits == ["b"] and .removedUnits == []'
    give '"outcome":"notDeployed"'
    take '{"units":{"a":"1","b":"1","c":"1"}}'
    expect 200 '.stackName == "test-1" and .changedUnits == [] and .removedUnits == ["d"]'
    give '"outcome":"notDeployed"'
    take '{"units":{"a":"1","b":"1","c":"1","d":"1","e":"1"}}'
    expect 200 '.stackName == "test-1" and .changedUnits == ["e"] and .removedUnits == []'
}

@test "changedUnits and removedUnits compare the request with what the stack runs" {
    furnish '{"kept":"1","changed":"1","gone":"1","gone/too":"1"}'
    post /requestStack '{"units":{"kept":"1","changed":"2","new":"1"}}'
    expect 200 '.changedUnits | sort == ["changed","new"]' '.removedUnits | sort == ["gone","gone/too"]'
    sees /status '.stacks[0].lease.changedUnits == 4'
}

@test "a new stack, and one whose content is unknown, differs in every unit" {
    new_project --max-stacks 1
    take '{"units":{"a":"1","b":"1"}}'
    expect 200 '.changedUnits | sort == ["a","b"]' '.removedUnits == []'
    give
    take '{"units":{"a":"1","b":"1"}}'
    expect 200 '.changedUnits | sort == ["a","b"]'
}

@test "a known stack is chosen before an unknown one, a free one before a new one" {
    furnish '{"a":"1","b":"1"}' '{"a":"1","b":"1"}'
    take '{"branch":"spoil","units":{"a":"1","b":"1"}}'
    [[ $STACK == test-1 ]]
    give
    # test-2 is idle longer and known.
    take '{"units":{"a":"1","b":"2"}}'
    expect 200 '.stackName == "test-2" and .changedUnits == ["b"]'
    post /updateProject '{"maxStacks":3}'
    take '{"units":{"a":"1","b":"2"}}'
    expect 200 '.stackName == "test-1" and .isNew == false'
}

@test "a mark records the lease's units: the next job of the same content deploys nothing" {
    new_project --max-stacks 1
    take '{"units":{"a":"1","migrations":"1"}}'
    mark
    give '"outcome":"success"'
    changed_for '{"a":"1","migrations":"1"}'
    [[ $CHANGED == '' ]]
    changed_for '{"a":"1","migrations":"2"}'
    [[ $CHANGED == migrations ]]
}

@test "a mark of a lease without units leaves the content unknown and the commit known" {
    furnish '{"a":"1"}'
    take
    mark plain
    give '"outcome":"success"'
    post /requestStack '{"units":{"a":"1"}}'
    expect 200 '.changedUnits == ["a"] and .lastDeployedCommit == "plain"'
}

@test "a mark without the leaseId says nothing of what runs: the next job deploys everything" {
    furnish '{"a":"1"}'
    take '{"units":{"a":"2"}}'
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"late"}'
    says 'Last commit of stack test-1 updated'
    give '"outcome":"success"'
    changed_for '{"a":"2"}'
    [[ $CHANGED == a ]]
    sees /listStacks '.stacks[0].lastDeployedCommit == "late"'
}

@test "success and failed keep what was marked; deployFailed doesn't" {
    furnish '{"a":"1"}'
    for outcome in success failed; do
        take '{"units":{"a":"2"}}'
        mark
        give "\"outcome\":\"$outcome\""
        changed_for '{"a":"2"}'
        [[ $CHANGED == '' ]]
    done
    take '{"units":{"a":"2"}}'
    mark
    give
    changed_for '{"a":"2"}'
    [[ $CHANGED == '' ]]
    take '{"units":{"a":"3"}}'
    mark
    give '"outcome":"deployFailed"'
    changed_for '{"a":"3"}'
    [[ $CHANGED == a ]]
    sees /listStacks '.stacks[0].lastDeployedCommit == "c1"'
}

@test "a lease that ends without a mark leaves the content unknown, unless it says notDeployed" {
    for outcome in success failed deployFailed; do
        NAME=unmarked-$outcome furnish '{"a":"1"}'
        take '{"units":{"a":"2"}}'
        give "\"outcome\":\"$outcome\""
        changed_for '{"a":"1"}'
        [[ $CHANGED == a ]]
        # Its latest mark stays.
        sees /listStacks '.stacks[0].lastDeployedCommit == "c-test-1"'
    done
    NAME=unmarked furnish '{"a":"1"}'
    take '{"units":{"a":"2"}}'
    give '"outcome":"notDeployed"'
    changed_for '{"a":"1"}'
    [[ $CHANGED == '' ]]
    take '{"units":{"a":"2"}}'
    post /releaseStack "{\"stackName\":\"$STACK\"}"
    changed_for '{"a":"1"}'
    [[ $CHANGED == a ]]
}

@test "an expired or revoked lease leaves the content unknown" {
    furnish '{"a":"1"}'
    take '{"units":{"a":"2"},"leaseSeconds":1}'
    eventually is_in_state test-1 available
    changed_for '{"a":"1"}'
    [[ $CHANGED == a ]]
    take '{"units":{"a":"1"}}'
    mark
    give
    take '{"units":{"a":"2"}}'
    post /revokeLease "{\"stackName\":\"$STACK\"}"
    expect 200
    changed_for '{"a":"1"}'
    [[ $CHANGED == a ]]
}

@test "a job may mark several times; the content is its own units" {
    new_project --max-stacks 1
    take '{"units":{"a":"1"}}'
    mark one
    mark two
    give
    post /requestStack '{"units":{"a":"1"}}'
    expect 200 '.changedUnits == [] and .lastDeployedCommit == "two"'
}

@test "outcome hold keeps the stack for the job's person, with reason and end" {
    new_project --max-stacks 1
    take '{"job":{"user":"ada"},"units":{"a":"1"}}'
    mark
    give '"outcome":"hold","reason":"look at the table","holdSeconds":3000'
    get /status
    expect 200 '.stacks[0] | .state == "held" and .hold.owner == "ada" and .hold.reason == "look at the table" and (.hold.until | test("Z$"))'
    post /requestStack '{"branch":"other","waitSeconds":0}'
    expect_error 503 noStackAvailable '.error.held == 1'
    sees /listStacks '.stacks[0].isAvailable == false'
    sees /history '.requests[] | select(.outcome == "hold") | .state == "released"'
}

@test "a hold ends at its time, and whoever waits gets the stack" {
    new_project --max-stacks 1
    take
    give '"outcome":"hold","holdSeconds":1'
    later next POST /requestStack '{"branch":"other"}'
    answer_of next
    expect 200 '.stackName == "test-1"'
}

@test "outcome quarantine takes the stack out of the pool until it is reinstated" {
    new_project --max-stacks 1
    take
    give '"outcome":"quarantine","reason":"half deployed"'
    sees /status '.stacks[0] | .state == "quarantined" and .hold.reason == "half deployed"'
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable
    post /reinstateStack '{"stackName":"test-1"}'
    expect 200
    take
}

@test "a refresh gets the idle stack that is furthest from its units" {
    furnish '{"a":"0","b":"0"}' '{"a":"1","b":"0"}' '{"a":"1","b":"1"}'
    take '{"purpose":"refresh","units":{"a":"1","b":"1"}}'
    expect 200 '.stackName == "test-1"' '.changedUnits | sort == ["a","b"]'
    sees /status '.stacks[0].lease.purpose == "refresh"'
    mark refreshed
    give '"outcome":"success"'
    # Two run that now.
    post /requestStack '{"purpose":"refresh","units":{"a":"1","b":"1"}}'
    expect_error 503 notNow .error.fresh
}

@test "a refresh leaves alone what jobs had while the other stacks were granted" {
    furnish '{"a":"1"}' '{"a":"2"}' '{"a":"3"}'
    take '{"branch":"b1","units":{"a":"1"}}'
    [[ $STACK == test-1 ]]
    give '"outcome":"success"'
    take '{"purpose":"refresh","units":{"a":"4"}}'
    [[ $STACK == test-2 ]]
}

# near_and_far MAIN: a new project's test-1 and test-3 run what branch MAIN asked for last, test-2 is far from
# that; test-1 is idle for longest. For $BETWEEN two units differ on each.
near_and_far()
{
    local main="{\"branch\":\"$1\",\"units\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\"}}"
    local other='{"branch":"other","units":{"a":"9","b":"9","c":"1"}}' body
    local -a leases=()

    BETWEEN='{"branch":"other","units":{"a":"5","b":"5","c":"1"}}'
    new_project --max-stacks 3 "${@:2}"
    for body in "$main" "$other" "$main"; do
        take "$body"
        mark
        leases+=("$LEASE")
    done
    for body in 1 3 2; do
        STACK=test-$body LEASE=${leases[body - 1]}
        give '"outcome":"success"'
    done
}

# chosen: sets STACK to what $BETWEEN gets; nothing changes by it.
chosen()
{
    take "$BETWEEN"
    give '"outcome":"notDeployed"'
}

@test "a stack that is far from main is taken before one that is near, where both cost the job as much" {
    near_and_far main
    chosen
    [[ $STACK == test-2 ]]
}

@test "which branch is main is a setting; by default it is main or master" {
    NAME=master near_and_far master
    chosen
    [[ $STACK == test-2 ]]
    NAME=by-default near_and_far develop
    chosen
    [[ $STACK == test-1 ]]
    NAME=by-setting near_and_far develop --main-branch develop
    chosen
    [[ $STACK == test-2 ]]
    # What was known of one branch is not known of another.
    ctl project update "$PROJECT" --main-branch trunk
    sees /status '.project.mainBranch == "trunk"'
    chosen
    [[ $STACK == test-1 ]]
    post /updateProject '{"mainBranch":null}'
    expect 200
    sees /status '.project.mainBranch == null'
    post /updateProject '{"mainBranch":""}'
    expect_error 400 invalidField '.error.field == "mainBranch"'
}

@test "choices look ahead as before once the program was restarted" {
    near_and_far main
    for signal in TERM KILL; do
        end_program "$signal"
        local_instance restart program
        eventually is_ready
        chosen
        [[ $STACK == test-2 ]]
    done
}

# measure SECONDS: the job says how long its deploys took.
measure()
{
    post /markUnits "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"units\":$1,\"seconds\":$2}"
    expect 200
}

@test "units cost what jobs measured: one that takes long is left alone for two that don't" {
    furnish '{"slow":"1","a":"2","b":"2"}' '{"slow":"2","a":"1","b":"1"}'
    take '{"branch":"b1","units":{"slow":"1","a":"1","b":"1"}}'
    [[ $STACK == test-1 || $STACK == test-2 ]]
    expect 200 'has("estimatedDeploySeconds") | not'
    sees /status '.stacks[0].lease.estimatedDeploySeconds == null and .deployTimes == []'
    give '"outcome":"notDeployed"'
    for _ in 1 2; do
        take '{"branch":"b1","units":{"slow":"1","a":"2","b":"2"}}'
        measure '{"slow":"1","a":"2","b":"2"}' '{"slow":300,"a":4.5,"b":1,"other":9}'
        give '"outcome":"success"'
    done
    sees /status '.deployTimes == [{"unit":"slow","meanSeconds":300,"deploys":2},{"unit":"a","meanSeconds":4.5,"deploys":2},{"unit":"b","meanSeconds":1,"deploys":2}]'
    take '{"branch":"b3","units":{"slow":"2","a":"2","b":"2","new":"1"}}'
    # One that was never measured is like the others: (300 + 4.5 + 1) / 3.
    expect 200 '.stackName == "test-2" and (.changedUnits | sort) == ["a","b","new"]' '.estimatedDeploySeconds == 107'
    sees /status '.stacks[1].lease.estimatedDeploySeconds == 107'
    give '"outcome":"notDeployed"'
    get /history
    expect 200 '.requests[0].estimatedDeploySeconds == 107'
}

@test "a mean follows what the latest deploys took; what is about to be deployed, or gone, says nothing" {
    new_project --max-stacks 1
    take '{"units":{"a":"1","b":"1"}}'
    measure '{"a":"1"}' '{"a":100}'
    for _ in {1..30}; do
        measure '{"a":"1","b":null}' '{"a":10,"b":60,"c":60}'
    done
    sees /status '.deployTimes | length == 1 and (.[0] | .unit == "a" and .deploys == 31 and .meanSeconds > 10 and .meanSeconds < 12)'
}

@test "a refresh is refused while fewer than 2 stacks are available: 503 notNow" {
    furnish '{"a":"1"}' '{"a":"1"}'
    take
    for body in '{"purpose":"refresh"}' '{"purpose":"refresh","units":{"a":"2"},"waitSeconds":600}' '{"purpose":"refresh","requestId":"r"}'; do
        post /requestStack "$body"
        expect_error 503 notNow
    done
    sees /status '.queue == []'
    give
    take '{"purpose":"refresh","requestId":"r"}'
}

@test "a refresh never creates a stack, and is refused in an empty project" {
    new_project
    post /requestStack '{"purpose":"refresh"}'
    expect_error 503 notNow
    sees /status '.stacks == []'
}

@test "a refresh with a requestId gets its lease again" {
    furnish '{"a":"1"}' '{"a":"1"}'
    take '{"purpose":"refresh","requestId":"nightly"}'
    post /requestStack '{"purpose":"refresh","requestId":"nightly"}'
    expect 200 ".leaseId == \"$LEASE\""
}

@test "a freed stack goes to the waiting request that it fits best" {
    furnish '{"a":"1","b":"1"}'
    take '{"units":{"a":"1","b":"1"}}'
    ask far '{"a":"2","b":"2"}'
    ask near '{"a":"1","b":"1"}'
    give '"outcome":"notDeployed"'
    granted near
    expect 200 '.changedUnits == []'
    no_answer_yet far
    sees /status '.queue | length == 1 and (.[0] | .branch == "far" and .passedOver == 1)'
    give '"outcome":"notDeployed"'
    granted far
}

@test "nobody is passed over more than 5 times" {
    furnish '{"a":"1"}'
    take '{"units":{"a":"1"}}'
    ask far '{"a":"2"}'
    for ((i = 1; i <= 7; i++)); do
        ask "near-$i" '{"a":"1"}'
    done
    for ((i = 1; i <= 5; i++)); do
        give '"outcome":"notDeployed"'
        granted "near-$i"
        sees /status "[.queue[] | select(.branch == \"far\").passedOver] == [$i]"
    done
    give '"outcome":"notDeployed"'
    granted far
    no_answer_yet near-6
    give '"outcome":"notDeployed"'
    granted near-6
}

@test "only the first 5 of the queue may overtake" {
    furnish '{"a":"1"}'
    take '{"units":{"a":"1"}}'
    for ((i = 1; i <= 5; i++)); do
        ask "far-$i" '{"a":"2"}'
    done
    ask near '{"a":"1"}'
    give '"outcome":"notDeployed"'
    granted far-1
    give '"outcome":"notDeployed"'
    granted near
}

@test "a stack that fits nobody better goes in the order of the queue, and so do requests without units" {
    furnish '{"a":"1"}'
    take '{"units":{"a":"1"}}'
    ask first '{"a":"2"}'
    ask second '{"a":"3"}'
    later plain POST /requestStack '{"branch":"plain"}'
    waiting 3
    give '"outcome":"notDeployed"'
    granted first
    give
    granted second
    give
    answer_of plain
    expect 200
}

@test "a request that isn't connected is passed over without losing its right" {
    furnish '{"a":"1"}'
    take '{"units":{"a":"1"}}'
    post /requestStack '{"branch":"away","requestId":"away","units":{"a":"2"},"waitSeconds":0}'
    expect_error 503 noStackAvailable
    ask near '{"a":"1"}'
    give '"outcome":"notDeployed"'
    granted near
    eventually sees /status 'all(.queue[]; .passedOver == 0)'
}

@test "history and the day's figures say how many units each job changed" {
    furnish '{"a":"1","b":"1"}'
    changed_for '{"a":"1","b":"1"}'
    take '{"branch":"two","units":{"a":"2","b":"2"}}'
    give
    get /history
    expect 200 '.requests[0] | .branch == "two" and .changedUnits == 2' '.requests[1].changedUnits == 0' '.requests[2] | .changedUnits == 2 and .isNew'
    get /status
    expect 200 '.last24Hours.sameContentGrants == 1'
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
