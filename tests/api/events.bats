#!/usr/bin/env bats
# /events: what happened, in order, and never one left out.

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

# happened AFTER: what did, one word each.
happened()
{
    peek "/events?after=$1" | jq -r '[.events[] | .event + (.state // .action // "" | if . == "" then "" else ":" + . end)] | join(" ")'
}

@test "grants, ends, holds, quarantines and actions are told in their order, with who and why" {
    new_project --max-stacks 2
    get /events
    expect 200 '. == {"latest":0,"events":[],"next":0,"missed":0}'
    take '{"branch":"fix","job":{"url":"https://ci.example.org/7","name":"test"}}'
    give '"outcome":"hold","reason":"look at it"'
    post /reinstateStack "{\"stackName\":\"$STACK\",\"reason\":\"seen\"}"
    post /quarantineStack "{\"stackName\":\"$STACK\",\"owner\":\"ann\",\"reason\":\"broken\"}"
    [[ $(happened 0) == 'granted ended:released held returned action:reinstateStack quarantined action:quarantineStack' ]]
    get /events
    expect 200 '[.events[].eventNumber] == [1,2,3,4,5,6,7]' '.latest == 7 and .next == 7 and .missed == 0' \
        '.events[0] | .requestNumber == 1 and .stackName == "test-1" and .branch == "fix" and .job == {"url":"https://ci.example.org/7","name":"test"}' \
        ".events[1] | .who == \"$PROJECT-admin\" and .outcome == \"hold\" and .stackName == \"test-1\"" \
        '.events[2] | .reason == "look at it"' '.events[5] | .who == "ann" and .reason == "broken"' \
        ".events[4] | .who == \"$PROJECT-admin\" and .reason == \"seen\""
    get '/events?after=5&limit=1'
    expect 200 '[.events[].eventNumber] == [6]' '.next == 6 and .latest == 7'
    get '/events?after=7'
    expect 200 '.events == [] and .next == 7'
    for query in after=x after=-1 limit=0 limit=101 before=3; do
        get "/events?$query"
        expect_error 400 invalidField
    done
}

@test "waits that end are told, also those of a key that is revoked" {
    new_project --max-stacks 1
    take
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable
    later first POST /requestStack '{"branch":"first"}'
    waiting 1
    post /cancelRequest "{\"requestNumber\":$(peek /status | jq '.queue[0].requestNumber')}"
    [[ $(happened 0) == 'granted ended:timedOut ended:cancelled' ]]
    new_key ci leaver
    for name in a b; do
        later "$name" POST /requestStack "{\"branch\":\"$name\"}"
    done
    waiting 2
    as admin
    ctl key revoke leaver
    [[ $(happened 3) == 'ended:cancelled ended:cancelled' ]]
    get '/events?after=3'
    expect 200 '[.events[] | [.eventNumber, .branch, .who]] | sort == [[4,"a","leaver"],[5,"b","leaver"]] or sort == [[4,"b","leaver"],[5,"a","leaver"]]'
    give
    [[ $(happened 5) == 'ended:released' ]]
}

# borrow COUNT: so many leases, one after the other.
borrow()
{
    local number answer

    for ((number = 0; number < $1; number++)); do
        answer=$(curl --silent --max-time 60 --cacert "$VAR/tls/ca.pem" --header "@$AS" --request POST "$URL/requestStack" | jq -c '{stackName, leaseId}')
        curl --silent --max-time 60 --cacert "$VAR/tls/ca.pem" --header "@$AS" --request POST --data-raw "$answer" "$URL/releaseStack" >"$BATS_TEST_TMPDIR/released"
    done
}

@test "who reads while others work misses none, and sees each stack granted and given back in turn" {
    local callers=() next=0 seen=$BATS_TEST_TMPDIR/seen

    new_project --max-stacks 2
    for _ in 1 2 3 4; do
        borrow 12 3>&- &
        callers+=("$!")
    done
    : >"$seen"
    while ((next < 96)); do
        get "/events?after=$next&limit=7"
        expect 200 '.missed == 0'
        value '.events[] | [.eventNumber, .event, .stackName] | @tsv' >>"$seen"
        next=$(value .next)
    done
    wait "${callers[@]}"
    [[ $(cut -f 1 "$seen") == "$(seq 96)" ]]
    for stack in test-1 test-2; do
        [[ $(awk -F '\t' -v stack="$stack" '$3 == stack && $2 == last { print } $3 == stack { last = $2 }' "$seen") == '' ]]
    done
}

@test "what is kept no more is told as missed" {
    new_project --max-stacks 1
    take
    give
    take
    query "DELETE FROM event WHERE project_id = (SELECT project_id FROM project WHERE name = '$PROJECT') AND event_no < 3"
    get /events
    expect 200 '.missed == 2 and .events[0].eventNumber == 3'
    get '/events?after=2'
    expect 200 '.missed == 0'
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
