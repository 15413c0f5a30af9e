#!/usr/bin/env bats
# The administrator's hand: every verb, every legal and illegal step of a stack's life, and the record.
#
#                 request        release, expiry, revoke
#   available ─────────────▶ leased ─────────────────────▶ available
#       │ ▲                    │ ▲
#  hold │ │ reinstate,         │ │ reinstate               hold, quarantine of a leased one: when it is
#       ▼ │ end of the hold    ▼ │                         given back, or at once with `revoke`
#     held, quarantined      draining ──given back──▶ deleted

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

# act PATH [JSON_MEMBERS]: on test-1.
act()
{
    post "$1" "{\"stackName\":\"test-1\"${2:+,$2}}"
}

# stack_has JQ_CONDITION: of test-1 in /status.
stack_has()
{
    sees /status ".stacks[] | select(.stackName == \"test-1\") | $1"
}

# A project with stacks test-1, test-2 …, all available.
stacks()
{
    new_project
    post /addStacks "{\"count\":$1}"
    expect 200
}

# latest_action JQ_CONDITION
latest_action()
{
    get /actions?limit=1
    expect 200 ".actions[0] | $1"
}

@test "available → held: nobody gets it; its status says who, why and until when; → available by reinstateStack" {
    new_project --max-stacks 1
    post /addStacks '{"count":1}'
    act /holdStack '"seconds":1000,"reason":"look","owner":"ada"'
    says 'Stack test-1 held'
    stack_has '.state == "held" and .hold.owner == "ada" and .hold.reason == "look" and (.hold.until | test("Z$"))'
    sees /listStacks '.stacks[0].isAvailable == false'
    latest_action ".action == \"holdStack\" and .stackName == \"test-1\" and .reason == \"look\" and .keyName == \"$PROJECT-admin\" and (.at | test(\"Z\$\"))"
    later waiter POST /requestStack
    waiting 1
    act /reinstateStack '"reason":"done"'
    says 'Stack test-1 reinstated'
    answer_of waiter
    expect 200 '.stackName == "test-1"'
    latest_action '.action == "reinstateStack" and .reason == "done"'
}

@test "a hold ends by itself after its seconds; without an owner it is the key's" {
    new_project --max-stacks 1
    post /addStacks '{"count":1}'
    act /holdStack '"seconds":1'
    expect 200
    stack_has ".hold.owner == \"$PROJECT-admin\""
    eventually is_in_state test-1 available
    stack_has 'has("hold") | not'
    act /holdStack
    stack_has '.state == "held" and (.hold.until | test("Z$"))'
}

@test "held again: the new owner, reason and end count" {
    stacks 1
    act /holdStack '"seconds":1,"owner":"ada"'
    act /holdStack '"seconds":1000,"owner":"bob","reason":"longer"'
    expect 200
    stack_has '.state == "held" and .hold.owner == "bob" and .hold.reason == "longer"'
}

@test "available → quarantined, for ever, until reinstateStack" {
    stacks 1
    act /quarantineStack '"reason":"broken"'
    says 'Stack test-1 quarantined'
    stack_has '.state == "quarantined" and .hold.reason == "broken" and .hold.until == null'
    act /reinstateStack
    is_in_state test-1 available
    stack_has 'has("hold") | not'
}

@test "texts come back as they were sent: letters of several bytes, spaces at the end, full length" {
    local reason
    printf -v reason "é' %.0s" {1..250} # 1,000 bytes
    new_project --max-stacks 1
    take '{"branch":"größe/1 "}'
    mark 'ab c '
    give
    act /holdStack "\"reason\":\"$reason\",\"owner\":\"Zoë \""
    stack_has ".hold.reason == \"$reason\" and .hold.owner == \"Zoë \""
    stack_has '.branch == "größe/1 " and .lastDeployedCommit == "ab c "'
    sees /listStacks '.stacks[0] | .branch == "größe/1 " and .lastDeployedCommit == "ab c "'
}

@test "held → quarantined → held" {
    stacks 1
    act /holdStack
    act /quarantineStack
    says 'Stack test-1 quarantined'
    is_in_state test-1 quarantined
    act /holdStack '"seconds":1000'
    says 'Stack test-1 held'
    is_in_state test-1 held
}

@test "holding or quarantining a leased stack takes effect when it is given back; the job goes on" {
    stacks 1
    for verb in hold:held quarantine:quarantined; do
        take '{"requestId":"'$verb'"}'
        act "/${verb%:*}Stack" '"reason":"later"'
        says "Stack test-1 is ${verb#*:} once its job gives it back"
        stack_has ".state == \"leased\" and .nextState == \"${verb#*:}\""
        post /extendLease "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
        expect 200
        mark
        give
        stack_has ".state == \"${verb#*:}\" and .hold.reason == \"later\""
        latest_action ".action == \"${verb%:*}Stack\" and (.detail | test(\"given back\"))"
        act /reinstateStack
        is_in_state test-1 available
    done
}

@test "with revoke it takes effect at once; the job learns that its lease is lost" {
    stacks 1
    for verb in hold:held quarantine:quarantined; do
        take '{"requestId":"'$verb'"}'
        act "/${verb%:*}Stack" '"revoke":true,"reason":"now"'
        says "Stack test-1 ${verb#*:}"
        is_in_state test-1 "${verb#*:}"
        post /extendLease "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
        expect_error 410 leaseLost
        post /releaseStack "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
        expect 200
        is_in_state test-1 "${verb#*:}"
        sees /history '.requests[0].state == "revoked"'
        act /reinstateStack
    done
}

@test "reinstating a leased stack cancels the hold that was asked for" {
    stacks 1
    take
    act /holdStack
    act /reinstateStack
    expect 200
    stack_has '.state == "leased" and .nextState == null'
    give
    is_in_state test-1 available
}

@test "reinstating an available stack: 200 without effect" {
    stacks 1
    before=$(peek /status | jq -c .stacks)
    act /reinstateStack
    says 'Stack test-1 reinstated'
    [[ $(peek /status | jq -c .stacks) == "$before" ]]
}

@test "revokeLease frees the stack for the next; only the lease of that fence, if one is named" {
    new_project --max-stacks 1
    take
    later next POST /requestStack
    waiting 1
    act /revokeLease '"fence":7'
    expect_error 409 invalidState '.error.state == "leased"'
    no_answer_yet next
    act /revokeLease "\"fence\":$FENCE,\"reason\":\"stuck\""
    says 'Lease of stack test-1 revoked'
    answer_of next
    expect 200 '.fence == 2'
    sees /history '.requests[0].state == "revoked"'
    latest_action '.action == "revokeLease" and .stackName == "test-1" and .reason == "stuck"'
    act /revokeLease
    expect 200
}

@test "revokeLease of a stack that is not leased: 409 with its state" {
    stacks 1
    act /revokeLease
    expect_error 409 invalidState '.error.state == "available"'
    act /holdStack
    act /revokeLease
    expect_error 409 invalidState '.error.state == "held"'
    act /quarantineStack
    act /revokeLease
    expect_error 409 invalidState '.error.state == "quarantined"'
}

@test "deleteStack: available, held and quarantined ones go at once" {
    stacks 3
    post /holdStack '{"stackName":"test-2"}'
    post /quarantineStack '{"stackName":"test-3"}'
    for n in 1 2 3; do
        post /deleteStack "{\"stackName\":\"test-$n\",\"reason\":\"torn down\"}"
        says "Stack test-$n deleted"
        latest_action ".action == \"deleteStack\" and .stackName == \"test-$n\" and .reason == \"torn down\""
        post /deleteStack "{\"stackName\":\"test-$n\"}"
        expect_error 404 unknownStack
    done
    sees /status '.stacks == []'
}

@test "leased → draining: the job goes on; deleted when it gives the stack back" {
    stacks 1
    take '{"requestId":"drain"}'
    act /deleteStack
    says 'Stack test-1 is deleted once its job gives it back'
    is_in_state test-1 draining
    sees /listStacks '.stacks[0].isAvailable == false'
    mark
    post /extendLease "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
    expect 200
    act /deleteStack
    says 'Stack test-1 is deleted once its job gives it back'
    post /deleteLastStack
    expect_error 409 stackLeased
    post /releaseStack "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
    says 'Stack test-1 released'
    sees /status '.stacks == []'
    post /releaseStack "{\"stackName\":\"test-1\",\"leaseId\":\"$LEASE\"}"
    expect_error 404 unknownStack
}

@test "a draining stack is deleted when its lease expires or is revoked, whatever the job's outcome" {
    new_project
    take '{"leaseSeconds":1}'
    act /deleteStack
    eventually is_in_state test-1 none
    take
    act /deleteStack
    act /revokeLease
    expect 200
    is_in_state test-1 none
    take
    act /deleteStack
    give '"outcome":"hold"'
    is_in_state test-1 none
}

@test "draining → leased by reinstateStack; holding a draining stack: 409" {
    stacks 1
    take
    act /deleteStack
    for path in /holdStack /quarantineStack; do
        act $path
        expect_error 409 invalidState '.error.state == "draining"'
        act $path '"revoke":true'
        expect_error 409 invalidState '.error.state == "draining"'
    done
    act /reinstateStack
    expect 200
    is_in_state test-1 leased
    give
    is_in_state test-1 available
}

@test "a draining stack makes no room for a new one before it is gone" {
    new_project --max-stacks 1
    take
    act /deleteStack
    later next POST /requestStack
    waiting 1
    no_answer_yet next
    give
    answer_of next
    expect 200 '.stackName == "test-1"' .isNew '.fence == 2'
}

@test "deleteLastStack leaves a held or quarantined stack to its person: 409" {
    stacks 1
    act /holdStack
    post /deleteLastStack
    expect_error 409 invalidState '.error.state == "held"'
    act /quarantineStack
    post /deleteLastStack
    expect_error 409 invalidState '.error.state == "quarantined"'
    act /reinstateStack
    post /deleteLastStack
    says 'Stack test-1 deleted'
    latest_action '.action == "deleteLastStack" and .stackName == "test-1"'
}

@test "addStacks creates the lowest free numbers, ready for use, and no more than maxStacks" {
    new_project --max-stacks 4
    post /addStacks '{"count":2,"reason":"monday"}'
    expect 200 '.stacks == ["test-1","test-2"] and (.message | length > 0)'
    latest_action '.action == "addStacks" and .stackName == null and .reason == "monday" and (.detail | test("2"))'
    act /deleteStack
    post /addStacks '{"count":4}'
    expect_error 409 tooManyStacks
    sees /status '[.stacks[].stackName] == ["test-2"]'
    post /addStacks '{"count":3}'
    expect 200 '.stacks == ["test-1","test-3","test-4"]'
    post /addStacks '{"count":1}'
    expect_error 409 tooManyStacks
    take
    expect 200 '.isNew == false'
}

@test "lowering maxStacks takes no stack from a job, and none out of the pool" {
    new_project
    take && take && take
    post /updateProject '{"maxStacks":1}'
    expect 200
    sees /status '[.stacks[].state] == ["leased","leased","leased"] and .project.maxStacks == 1'
    post /extendLease "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\"}"
    expect 200
    mark
    give
    take
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable
    give
    post /deleteLastStack
    says 'Stack test-3 deleted'
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable
}

@test "updateProject changes what it names and leaves the rest; it is recorded" {
    new_project
    post /updateProject '{"initialCommit":"first","maxStacks":3,"leaseSeconds":100,"maxLeaseSeconds":200,"waitSeconds":0,"reason":"quarter"}'
    says "Project $PROJECT updated"
    sees /status '.project | .initialCommit == "first" and .maxStacks == 3 and .leaseSeconds == 100 and .maxLeaseSeconds == 200 and .waitSeconds == 0 and .prefix == "test-"'
    latest_action ".action == \"updateProject\" and .reason == \"quarter\" and (.detail | test(\"maxStacks\")) and .keyName == \"$PROJECT-admin\""
    post /updateProject '{"waitSeconds":5}'
    sees /status '.project | .initialCommit == "first" and .maxStacks == 3 and .waitSeconds == 5'
    take
    expect 200 '.lastDeployedCommit == "first" and .expiresInSeconds == 100'
    post /updateProject '{"initialCommit":null}'
    expect 200
    sees /status '.project.initialCommit == null'
    [[ $(ctl project list --json | jq ".[] | select(.name == \"$PROJECT\") | .maxStacks") == 3 ]]
}

@test "leaseSeconds above maxLeaseSeconds: a lease never gets more than the maximum" {
    new_project --max-lease-seconds 4000
    post /updateProject '{"leaseSeconds":5000}'
    if [[ $STATUS != 200 ]]; then
        expect_error 400 invalidField '.error.field == "leaseSeconds"'
    fi
    take
    expect 200 '.expiresInSeconds <= 4000'
}

@test "updateProject refuses a leaseSeconds above maxLeaseSeconds, be it in one call or in two" {
    new_project
    post /updateProject '{"leaseSeconds":300,"maxLeaseSeconds":200}'
    expect_error 400 invalidField '.error.field == "leaseSeconds"'
    post /updateProject '{"maxLeaseSeconds":3599}'
    expect_error 400 invalidField '.error.field == "leaseSeconds"'
    post /updateProject '{"leaseSeconds":200,"maxLeaseSeconds":200}'
    expect 200
    ctl project update "$PROJECT" --max-stacks 3
}

@test "the prefix changes only while the project has no stacks" {
    new_project
    post /updateProject '{"prefix":"pre-"}'
    expect 200
    take
    [[ $STACK == pre-1 ]]
    post /updateProject '{"prefix":"other-","maxStacks":2}'
    expect_error 409 stacksExist
    sees /status '.project | .prefix == "pre-" and .maxStacks == 10'
    post /updateProject '{"prefix":"pre-","maxStacks":2}'
    expect 200
    give
    post /deleteLastStack
    post /updateProject '{"prefix":"other-"}'
    expect 200
    take
    [[ $STACK == other-1 && $FENCE == 2 ]]
}

@test "what orchestratorctl changes counts at once for the running program" {
    new_project --max-stacks 1
    take
    later waiter POST /requestStack
    waiting 1
    ctl project update "$PROJECT" --max-stacks 2 --initial-commit changed
    answer_of waiter
    expect 200 '.stackName == "test-2" and .lastDeployedCommit == "changed"'
}

@test "every verb on an unknown stack: 404, nothing is recorded" {
    new_project
    expect_each POST 404 '.error.code == "unknownStack"' \
        /{holdStack,quarantineStack,reinstateStack,revokeLease,deleteStack}' {"stackName":"test-1"}'
    sees /actions '.actions == [] and .next == null'
}

@test "a job's releaseStack, extendLease and setLastDeployedCommit on a held stack change nothing of the hold" {
    stacks 1
    act /holdStack '"owner":"ada"'
    post /releaseStack '{"stackName":"test-1"}'
    says 'Stack test-1 released'
    post /extendLease '{"stackName":"test-1","leaseId":"00112233445566778899aabbccddeeff"}'
    expect_error 410 leaseLost
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"by-hand"}'
    expect 200
    stack_has '.state == "held" and .hold.owner == "ada" and .lastDeployedCommit == "by-hand"'
}

@test "GET /actions: newest first, in pages, by stack and time" {
    new_project
    for n in 1 2 3 4 5; do
        post /addStacks '{"count":1}'
    done
    post /holdStack '{"stackName":"test-3"}'
    get /actions
    expect 200 '.actions | length == 6' '[.actions[].actionNumber] | . == (sort | reverse)' '.next == null' \
        'all(.actions[]; keys_unsorted == ["actionNumber","at","keyName","action","stackName","detail","reason"])'
    first=$(value '.actions[-1].at')
    get '/actions?limit=4'
    expect 200 '.actions | length == 4' '.next == .actions[-1].actionNumber'
    get "/actions?limit=4&before=$(value .next)"
    expect 200 '.actions | length == 2' '.next == null'
    get '/actions?stackName=test-3'
    expect 200 '[.actions[].action] == ["holdStack"]'
    get "/actions?until=$first"
    expect 200 '.actions == []'
    get "/actions?since=$first"
    expect 200 '.actions | length == 6'
}

@test "GET /history: newest first, in pages, by stack, branch, state and time" {
    new_project --max-stacks 2
    for branch in a b a; do
        take "{\"branch\":\"$branch\",\"commit\":\"c\",\"job\":{\"url\":\"https://ci.example/1\",\"name\":\"n\",\"user\":\"u\"}}"
        mark
        give '"outcome":"success"'
    done
    take '{"branch":"b"}'
    take '{"branch":"d"}'
    give '"outcome":"failed"'
    post /revokeLease '{"stackName":"test-1"}'
    get /history
    expect 200 '.requests | length == 5' '[.requests[].endedAt] | . == (sort | reverse)' '.next == null' \
        '.requests[-1] | .state == "released" and .outcome == "success" and .stackName == "test-1" and .fence == 1 and .branch == "a" and .commit == "c"
            and .purpose == "test" and .job == {"url":"https://ci.example/1","name":"n","user":"u"} and .isNew and .waitedSeconds >= 0 and .heldSeconds > 0' \
        ".requests[-1].keyName == \"$PROJECT-admin\"" '.requests[-1] | .askedAt <= .grantedAt and .grantedAt <= .deployedAt and .deployedAt <= .endedAt' \
        '.requests[] | select(.state == "revoked") | .branch == "b" and .outcome == null and .deployedAt == null'
    middle=$(value '.requests[2].endedAt')
    get '/history?limit=2'
    expect 200 '.requests | length == 2' '.next == .requests[-1].requestNumber'
    get "/history?limit=2&before=$(value .next)"
    expect 200 '.requests | length == 2' '.next != null'
    get '/history?branch=a'
    expect 200 '[.requests[].branch] == ["a","a"]'
    get '/history?stackName=test-2'
    expect 200 '[.requests[].branch] == ["d"]'
    get '/history?state=revoked'
    expect 200 '[.requests[].branch] == ["b"]'
    get "/history?since=$middle"
    expect 200 '.requests | length == 3'
    get "/history?until=$middle"
    expect 200 '.requests | length == 2'
    get '/history?branch=a&state=expired'
    expect 200 '.requests == []'
}

@test "GET /status shows the pool, the leases with their jobs, and the day's figures" {
    new_project --max-stacks 3 --initial-commit zero
    take
    mark
    give
    take '{"branch":"topic","commit":"c","job":{"url":"https://ci.example/9","name":"it","user":"ada"},"units":{"a":"1"}}'
    mark deployed
    get /status
    expect 200 '(.now | test("Z$")) and .queue == [] and (.stacks | length == 1)' \
        ".project == {\"name\":\"$PROJECT\",\"prefix\":\"test-\",\"initialCommit\":\"zero\",\"maxStacks\":3,\"leaseSeconds\":3600,\"maxLeaseSeconds\":86400,\"waitSeconds\":600,\"quarantineAfter\":2,\"settleSeconds\":0,\"maxHeld\":1,\"mainBranch\":null}" \
        '.stacks[0] | .stackName == "test-1" and .state == "leased" and .nextState == null and .branch == "topic" and .lastDeployedCommit == "deployed" and .fence == 2' \
        ".stacks[0].lease | .fence == 2 and .keyName == \"$PROJECT-admin\" and .branch == \"topic\" and .commit == \"c\" and .purpose == \"test\" and .changedUnits == 1" \
        '.stacks[0].lease | .job == {"url":"https://ci.example/9","name":"it","user":"ada"} and .askedAt <= .grantedAt and .grantedAt <= .deployedAt and .deployedAt < .expiresAt' \
        '.last24Hours | .requests >= 1 and .granted >= 1 and .released == 1 and (.waitSeconds | has("mean") and has("p50") and has("p95")) and .holdSeconds.mean > 0'
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
