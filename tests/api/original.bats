#!/usr/bin/env bats
# The five calls of the original service, for scripts that know nothing else.

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

export ROLE=ci

stack_names()
{
    peek /listStacks | jq -r '[.stacks[].stackName] | join(" ")'
}

# give_back NAME ...: by name, as old scripts do.
give_back()
{
    local name

    for name; do
        post /releaseStack "{ \"stackName\": \"$name\" }"
        says "Stack $name released"
    done
}

@test "requestStack without a body lends a new stack test-1 whose last commit is null" {
    new_project
    post /requestStack
    expect 200 '.stackName == "test-1"' 'has("lastDeployedCommit") and .lastDeployedCommit == null' '.isNew' \
        '.leaseId | test("^[0-9a-f]{32}$")' '.fence == 1' '.expiresInSeconds == 3600' '.requestNumber >= 1' \
        '.expiresAt | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z$")' '.waitedSeconds < 5' \
        '(has("changedUnits") or has("removedUnits") or has("requestId")) | not'
    [[ $(header content-type) == application/json && $(header cache-control) == no-store ]]
}

@test "the article's request and release lines work word for word, with its Content-Type" {
    new_project
    ORCHESTRATOR_KEY=$(sed 's/.*: //' "$AS") GIT_BRANCH=main
    # As in the article, but for host and authority; the key comes from a file, since argv is public.
    requestStackResult=$(curl --silent --location --request POST "$URL/requestStack" --cacert "$VAR/tls/ca.pem" \
        --header @<(printf 'X-API-Key: %s\n' "$ORCHESTRATOR_KEY") \
        --header "Content-Type: application/json" \
        --data-raw "{
     \"branch\": \"$GIT_BRANCH\"
   }")
    stackName=$(echo "$requestStackResult" | jq -r .stackName)
    [[ $stackName == test-1 ]]
    answer=$(curl --silent --location --request POST "$URL/setLastDeployedCommit" --cacert "$VAR/tls/ca.pem" \
        --header @<(printf 'X-API-Key: %s\n' "$ORCHESTRATOR_KEY") \
        --header "Content-Type: application/json" \
        --data-raw "{
      \"stackName\": \"$stackName\",
      \"lastDeployedCommit\": \"0a1b2c3\"
  }")
    [[ $answer == '{"message":"Last commit of stack test-1 updated"}' ]]
    answer=$(curl --silent --location --request POST "$URL/releaseStack" --cacert "$VAR/tls/ca.pem" \
        --header @<(printf 'X-API-Key: %s\n' "$ORCHESTRATOR_KEY") \
        --header "Content-Type: application/json" \
        --data-raw "{ \"stackName\": \"$stackName\" }")
    [[ $answer == '{"message":"Stack test-1 released"}' ]]
    sees /listStacks '.stacks[0] | .isAvailable and .lastDeployedCommit == "0a1b2c3" and .branch == "main"'
}

@test "a body is read as JSON whatever its Content-Type says, or without one" {
    new_project
    for type in 'Content-Type: application/x-www-form-urlencoded' 'Content-Type: text/plain' 'Content-Type;' 'Content-Type:' \
        'Content-Type: application/json; charset=utf-8' 'Content-Type: multipart/form-data'; do
        post /requestStack '{"branch":"of-this-type"}' --header "$type"
        expect 200 '.stackName == "test-1"'
        sees /listStacks '.stacks[0].branch == "of-this-type"'
        give_back test-1
        take && give_back test-1
    done
}

@test "an empty body, white space and {} mean the same: branch main" {
    new_project
    for body in '' ' ' $'\r\n\t ' '{}' '{"branch":null}'; do
        post /requestStack "$body"
        expect 200 '.stackName == "test-1"'
        sees /listStacks '.stacks[0].branch == "main"'
        give_back test-1
        take '{"branch":"other"}'
        give
    done
}

@test "fields that nobody knows are ignored, and named in the answer" {
    new_project --max-stacks 1
    post /requestStack '{"branch":"b","colour":{"red":[1,2,{"x":null}]},"stackname":7,"job":{"name":"n","nmae":1}}'
    expect 200 '.stackName == "test-1"' '.ignoredFields == ["job.nmae","colour","stackname"]'
    later waits POST /requestStack '{"count":2}'
    waiting 1
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"c","commit":"d"}'
    expect 200 '.message == "Last commit of stack test-1 updated"' '.ignoredFields == ["commit"]'
    post /releaseStack '{"stackName":"test-1","why":null}'
    expect 200 '.message == "Stack test-1 released"' '.ignoredFields == ["why"]'
    answer_of waits
    expect 200 '.stackName == "test-1"' '.ignoredFields == ["count"]'
    give_back test-1
    post /deleteLastStack '{"stackName":"test-9"}'
    expect 200 '.message == "Stack test-1 deleted"' '.ignoredFields == ["stackName"]'
    post /deleteLastStack '{"stackName":null}'
    expect 200 '.message == "No more stack"' '.ignoredFields == ["stackName"]'
}

@test "of many ignored fields ten are named, of a long name the first 64 bytes" {
    new_project
    post /requestStack "$(jq -n '[range(100) | {key: "f\(.)é\("é" * 500)", value: .}] | from_entries')"
    expect 200 '.ignoredFields | length == 10 and all(.[]; utf8bytelength | . >= 62 and . <= 64)' '.ignoredFields[0][0:4] == "f0éé"'
}

@test "other calls refuse fields that nobody knows, and filters; updateProject wants a setting" {
    ROLE='admin' new_project
    take
    for call in markUnits extendLease; do
        post /$call "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"units\":{},\"second\":5}"
        expect_error 400 invalidField
    done
    for call in cancelRequest holdStack quarantineStack reinstateStack revokeLease deleteStack; do
        post /$call '{"stackName":"test-1","requestNumber":1,"reasn":"x"}'
        expect_error 400 invalidField '.error.field == "reasn" or .error.field == "stackName" or .error.field == "requestNumber"'
    done
    post /addStacks '{"count":1,"number":7}'
    expect_error 400 invalidField '.error.field == "number"' '.error.message | endswith("is not a field of this call")'
    post /updateProject '{"maxStack":7}'
    expect_error 400 invalidField '.error.field == "maxStack"'
    for body in '' '{"reason":"x"}' '{"maxStacks":null}'; do
        post /updateProject "$body"
        expect_error 400 missingField '.error.field == "maxStacks"'
    done
    for path in '/history?brnach=x' '/actions?limits=1' '/capacity?target=3'; do
        get "$path"
        expect_error 400 invalidField
    done
    sees /status '(.stacks | length == 1) and .project.maxStacks == 10'
    sees /actions '.actions == []'
}

@test "stacks are created one after the other up to maxStacks, then callers wait" {
    new_project --max-stacks 3
    for name in test-1 test-2 test-3; do
        post /requestStack
        expect 200 ".stackName == \"$name\"" .isNew
    done
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable
    later fourth POST /requestStack
    waiting 1
    give_back test-2
    answer_of fourth
    expect 200 '.stackName == "test-2"' '.isNew == false'
}

@test "a free stack last used by the same branch comes first" {
    new_project
    for branch in a b c; do
        take "{\"branch\":\"$branch\"}"
    done
    give_back test-1 test-2 test-3
    take '{"branch":"b"}'
    [[ $STACK == test-2 ]]
    take '{"branch":"c"}'
    [[ $STACK == test-3 ]]
}

@test "of several that the branch used it gets a free one, never a leased one" {
    new_project
    take '{"branch":"b"}' && take '{"branch":"b"}' && take '{"branch":"a"}'
    give_back test-3 test-2
    take '{"branch":"b"}'
    [[ $STACK == test-2 ]]
    take '{"branch":"b"}'
    [[ $STACK == test-3 ]]
    give_back test-2 test-1
    take '{"branch":"b"}' # the latest of its two
    [[ $STACK == test-1 ]]
}

@test "without one of its branch comes the free stack unchanged for longest" {
    new_project
    take '{"branch":"a"}' && take '{"branch":"b"}' && take '{"branch":"c"}'
    give_back test-3 test-1 test-2
    take '{"branch":"new"}'
    [[ $STACK == test-3 ]]
    take '{"branch":"newer"}'
    [[ $STACK == test-1 ]]
}

@test "a free stack of any branch is taken before a new one is created" {
    new_project
    take '{"branch":"a"}'
    give_back test-1
    take '{"branch":"b"}'
    [[ $STACK == test-1 ]]
    take '{"branch":"b"}'
    [[ $STACK == test-2 ]]
}

@test "a new stack gets the lowest free number" {
    NAME=lowest ROLE=admin new_project
    take && take && take
    give_back test-1
    post /deleteStack '{"stackName":"test-1"}'
    expect 200
    take
    [[ $STACK == test-1 && $FENCE == 2 ]]
    take
    [[ $STACK == test-4 ]]
}

@test "a stack that never had a commit has the project's initialCommit" {
    new_project --initial-commit 4b825dc
    post /requestStack
    expect 200 '.lastDeployedCommit == "4b825dc"'
    sees /listStacks '.stacks[0].lastDeployedCommit == "4b825dc"'
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"c2"}'
    give_back test-1
    post /requestStack
    expect 200 '.lastDeployedCommit == "c2"' '.isNew == false'
}

@test "the next caller learns what setLastDeployedCommit said, also when the job failed" {
    new_project
    take
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"c1"}'
    says 'Last commit of stack test-1 updated'
    give '"outcome":"failed"'
    take
    expect 200 '.lastDeployedCommit == "c1"'
    give
    take
    expect 200 '.lastDeployedCommit == "c1"'
}

@test "setLastDeployedCommit of a stack that nobody has works as before" {
    new_project
    take
    give_back test-1
    post /setLastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":"by-hand"}'
    expect 200 '.message == "Last commit of stack test-1 updated"'
    sees /listStacks '.stacks[0] | .lastDeployedCommit == "by-hand" and .isAvailable'
}

@test "releasing a stack that is not leased: 200, same message, no effect" {
    new_project
    take
    give_back test-1
    before=$(peek /listStacks)
    give_back test-1 test-1
    [[ $(peek /listStacks) == "$before" ]]
}

@test "listStacks has the original's fields, by stack number" {
    new_project --max-stacks 11
    peek /listStacks | jq --exit-status '. == {"stacks":[]}'
    for ((i = 0; i < 11; i++)); do
        take
    done
    give_back test-10 test-2
    get /listStacks
    expect 200 '[.stacks[].stackName] == [range(1; 12) | "test-\(.)"]' \
        'all(.stacks[]; keys_unsorted == ["stackName","lastDeployedCommit","isAvailable","branch","created","modified","entity"])' \
        'all(.stacks[]; .entity == "Stack" and .branch == "main" and .lastDeployedCommit == null)' \
        '[.stacks[] | select(.isAvailable).stackName] == ["test-2","test-10"]' \
        'all(.stacks[]; (.created, .modified) | test("^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z$"))' \
        'all(.stacks[]; .created <= .modified)'
}

@test "deleteLastStack takes the one with the highest number, then says that there is no more" {
    new_project
    take && take
    give_back test-1 test-2
    post /deleteLastStack
    says 'Stack test-2 deleted'
    [[ $(stack_names) == test-1 ]]
    post /deleteLastStack
    says 'Stack test-1 deleted'
    post /deleteLastStack
    says 'No more stack'
    post /deleteLastStack '{}'
    says 'No more stack'
}

@test "deleteLastStack on a leased stack: 409, and nothing changes" {
    new_project
    take && take
    give_back test-1
    before=$(peek /listStacks)
    post /deleteLastStack
    expect_error 409 stackLeased
    [[ $(peek /listStacks) == "$before" ]]
    give
    post /deleteLastStack
    says 'Stack test-2 deleted'
}

@test "a deleted and re-created stack knows nothing of its former commit" {
    new_project --initial-commit first
    take
    mark old
    give
    post /deleteLastStack
    post /requestStack
    expect 200 '.stackName == "test-1"' '.lastDeployedCommit == "first"' .isNew '.fence == 2'
}

@test "a prefix of the project's own names its stacks" {
    new_project --prefix pr_stage.
    post /requestStack
    expect 200 '.stackName == "pr_stage.1"'
    post /releaseStack '{"stackName":"test-1"}'
    expect_error 404 unknownStack
    give_back pr_stage.1
}

@test "a stack name is exact: other spellings of its number are unknown" {
    new_project
    take
    for name in test-01 'test- 1' test-+1 test-1x TEST-1 test- test 1 '' test-0 test--1 test-2 test-99999999999999999999 'test-1 '; do
        for path in /releaseStack /setLastDeployedCommit; do
            post $path "{\"stackName\":\"$name\",\"lastDeployedCommit\":\"c\"}"
            expect_error 404 unknownStack
        done
    done
    sees /listStacks '.stacks | length == 1 and (.[0] | .isAvailable == false and .lastDeployedCommit == null)'
}

@test "projects see only their own stacks, also where one's name begins with the other's" {
    NAME=shop new_project --initial-commit shop
    take
    NAME=shop-eu new_project --initial-commit eu
    get /listStacks
    expect 200 '.stacks == []'
    take && take
    post /requestStack
    expect 200 '.stackName == "test-3"' '.lastDeployedCommit == "eu"'
    as ci shop
    get /listStacks
    expect 200 '[.stacks[].stackName] == ["test-1"]' '.stacks[0].lastDeployedCommit == "shop"'
    post /releaseStack '{"stackName":"test-2"}'
    expect_error 404 unknownStack
    give_back test-1
    as ci shop-eu
    get /listStacks
    expect 200 '[.stacks[].isAvailable] == [false,false,false]'
}

@test "branch and commit keep every character of theirs" {
    new_project
    # shellcheck disable=SC2016 # no expansion is meant
    for text in "'; DROP TABLE stack; --" 'größe/✓/🚀' '\\ \" % _ \n' '$(id)`id`' '<script>'; do
        body=$(jq -cn --arg text "$text" '{branch: $text}')
        post /requestStack "$body"
        expect 200
        post /setLastDeployedCommit "$(jq -cn --arg text "$text" '{stackName: "test-1", lastDeployedCommit: $text}')"
        expect 200
        get /listStacks
        [[ $(value '.stacks[0].branch') == "$text" && $(value '.stacks[0].lastDeployedCommit') == "$text" ]]
        give_back test-1
    done
}

@test "many callers at once, all stacks free: everyone gets a stack of their own" {
    new_project --max-stacks 12
    for ((i = 0; i < 12; i++)); do
        later "caller-$i" POST /requestStack
    done
    for ((i = 0; i < 12; i++)); do
        answer_of "caller-$i"
        expect 200
        value .stackName >>"$BATS_TEST_TMPDIR/names"
    done
    [[ $(sort -u "$BATS_TEST_TMPDIR/names" | wc -l) == 12 ]]
    sees /listStacks '.stacks | length == 12 and all(.[]; .isAvailable | not)'
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
