#!/usr/bin/env bats
# What reading costs once there is ten times as much: rows that the server looks at, not times.

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

# 50,000 leases of $PROJECT, one a second, the latest a minute ago, on 10 stacks, of 5 branches. One in 100 expired; a branch and
# a stack have few, long ago. Numbers rise while times do, but for each pair, which ended the other way round.
long_history()
{
    query "INSERT INTO history (project_id, lease_no, state, key_name, branch, purpose, stack_no, fence, asked_at, granted_at, ended_at)
        WITH RECURSIVE few AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM few WHERE n < 249)
        SELECT project_id, n + 1, IF(n % 100 = 7, 'expired', 'released'), 'ci', IF(n < 500, 'rare', CONCAT('branch-', n % 5)), 'test',
            IF(n < 700, 11, 1 + n % 10), n + 1, ended - INTERVAL 9 SECOND, ended - INTERVAL 5 SECOND, ended
        FROM (SELECT 250 * a.n + b.n AS n, NOW(6) - INTERVAL 60 + 50000 - (250 * a.n + b.n ^ 1) SECOND AS ended
            FROM few a, few b WHERE a.n < 200) AS numbers, project WHERE name = '$PROJECT'"
    query 'ANALYZE TABLE history' >/dev/null
}

# looks QUERY: calls it, and sets LOOKED to how many rows the server looked at for that.
looks()
{
    local before

    before=$(rows_read)
    get "$1" && expect 200 || return 1
    LOOKED=$(($(rows_read) - before))
}

@test "a page of history costs a page, whatever it is filtered by and however far back it is" {
    local filter since old

    new_project
    long_history
    since=$(date --utc --date '-9000 seconds' +%FT%TZ)
    old=$(date --utc --date '-45000 seconds' +%FT%TZ)
    for filter in '' stackName=test-4 branch=branch-3 branch=rare state=expired "since=$since" "until=$old" "since=$old&until=$since" \
        'branch=rare&state=released' 'stackName=test-11&branch=rare' 'stackName=test-4&state=released' "branch=branch-2&until=$old" \
        branch=nobody stackName=test-12 stackName=other-1 stackName=test-4x state=timedOut; do
        for _ in 1 2; do
            looks "/history?limit=20&$filter"
            echo "$filter: $LOOKED" >&2
            # Those of other tables, of the server's own and of the heartbeat among them.
            ((LOOKED < 1500))
            filter+="&before=$(value .next)"
            [[ $filter != *null ]] || break
        done
    done
}

@test "history: what ended last comes first, page after page, and none twice" {
    local pages=() next=''

    new_project
    long_history
    for _ in 1 2 3; do
        get "/history?limit=3&stackName=test-4$next"
        next="&before=$(value .next)"
        pages+=("$(value '[.requests[].endedAt]')")
    done
    jq -es 'add | . == (unique | reverse) and length == 9' <<<"${pages[*]}"
    get '/history?limit=4'
    expect 200 '[.requests[].requestNumber] == [49999, 50000, 49997, 49998]'
    get '/history?limit=2&before=50000'
    expect 200 '[.requests[].requestNumber] == [49997, 49998]'
    get '/history?before=50001'
    expect 200 '.requests == [] and .next == null'
}

# held_up NUMBER: so many statements of the program wait for a table.
held_up()
{
    [[ $(query "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '$(setting database_user)' AND info LIKE 'SELECT t.lease_no%'") == "$1" ]]
}

sleeps()
{
    [[ $(query "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'") == 1 ]]
}

@test "a query that takes too long ends on the server, too: 503; the next one is answered" {
    local locker

    new_project
    query 'LOCK TABLES history WRITE; SELECT SLEEP(60)' >/dev/null 2>&1 &
    locker=$!
    eventually sleeps
    curl_to "$BATS_TEST_TMPDIR" --header "@$AS" "$URL/history" &
    eventually held_up 1
    eventually held_up 0
    wait $!
    take_answer "$BATS_TEST_TMPDIR"
    expect_error 503 databaseUnavailable '.error.message | contains("too long")'
    query "SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)%' AND id <> CONNECTION_ID()" | administrate
    wait "$locker" || true
    get /history
    expect 200
}

@test "GET /status in pages, by name, state and text; counts tell of all" {
    local found=0 after='' calls=0

    new_project --max-stacks 30 --initial-commit zero
    post /addStacks '{"count":25}'
    expect 200
    take '{"branch":"Größe/ÄÖ","job":{"name":"it'\''s","user":"Ada"}}'
    post /holdStack '{"stackName":"test-9","reason":"Look at %1 here"}'
    expect 200
    get /status
    expect 200 '.stacks | length == 25' '.next == null' \
        '.counts == {"stacks":25,"available":23,"leased":1,"held":1,"quarantined":0,"draining":0,"foundStacks":25,
            "waiting":0,"longestWaitSeconds":null,"foundWaiting":0}'
    until [[ $after == null ]]; do
        get "/status?limit=10${after:+&stacksAfter=$after}"
        expect 200 ".stacks | map(.stackName) == [range($found + 1; [$found + 11, 26] | min) | \"test-\\(.)\"]" '.counts.foundStacks == 25'
        found=$((found + $(value '.stacks | length')))
        after=$(value .next)
        calls=$((calls + 1))
    done
    ((found == 25 && calls == 3))
    for query in state=held find=LOOK%20AT%20%251 stackName=test-9 'state=aside&find=test-9&limit=1' "state=held&find=$PROJECT-ADMIN"; do
        get "/status?$query"
        expect 200 '[.stacks[].stackName] == ["test-9"]' '.counts.foundStacks == 1 and .counts.stacks == 25' '.next == null'
    done
    for query in state=leased find=ada find=gr%C3%B6sse find=gr%C3%B6%C3%9Fe/%C3%A4 "find=IT's" find=test-2%27; do
        get "/status?$query"
        [[ $query != *sse && $query != *27 ]] || { expect 200 '.stacks == [] and .counts.foundStacks == 0' && continue; }
        expect 200 ".stacks | length == 1 and .[0].stackName == \"$STACK\""
    done
    for query in stackName=other-9 stackName=test-09 stacksAfter=test-25 stacksAfter=nobody state=quarantined; do
        get "/status?$query"
        expect 200 '.stacks == [] and .next == null'
    done
    get '/status?fields=counts,stacks&limit=3'
    expect 200 'keys == ["counts","key","next","now","project","stacks"]'
    get '/status?fields=queue'
    expect 200 'keys == ["key","now","project","queue"]'
    get '/status?fields=last24Hours,deployTimes'
    expect 200 'keys == ["deployTimes","key","last24Hours","now","project"]'
    for query in limit=0 limit=1001 limit=x state=deleted state=broken state= fields=all fields= 'fields=stacks,' find=%ff find=%00 stackName=%c3 nothing=1; do
        expect_each GET 400 ".error | .code == \"invalidField\" and .field == \"${query%%=*}\"" "/status?$query"
    done
}

@test "GET /status: a request keeps its place in a page of the queue that was searched" {
    new_project --max-stacks 1
    take
    for branch in one two three; do
        later "$branch" POST /requestStack "{\"branch\":\"$branch\"}"
        eventually sees /status ".queue[-1].branch == \"$branch\""
    done
    get '/status?find=THREE'
    expect 200 '.queue | length == 1 and .[0].position == 3 and .[0].branch == "three"' '.counts | .waiting == 3 and .foundWaiting == 1' '.stacks == []'
    get '/status?limit=2'
    expect 200 '[.queue[].branch] == ["one","two"]' '.counts | .foundWaiting == 3 and .longestWaitSeconds > 0'
}

@test "a page of /status costs a page, with 10,000 stacks" {
    new_project --max-stacks 10000
    query "INSERT INTO stack (project_id, stack_no, state, created, modified)
        WITH RECURSIVE few AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM few WHERE n < 99)
        SELECT project_id, 100 * a.n + b.n + 1, 'available', NOW(), NOW() FROM few a, few b, project WHERE name = '$PROJECT'"
    query 'ANALYZE TABLE stack' >/dev/null
    looks '/status?fields=stacks&limit=100'
    ((LOOKED < 1500))
    looks '/status?fields=stacks&limit=100&stacksAfter=test-7000'
    expect 200 '.stacks[0].stackName == "test-7001" and .next == "test-7100"'
    ((LOOKED < 1500))
    looks '/status?limit=100'
    expect 200 '.counts.stacks == 10000'
    ((LOOKED < 25000 && ${#BODY} < 60000))
}
