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
