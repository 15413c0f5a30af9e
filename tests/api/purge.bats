#!/usr/bin/env bats
# What is older than history_days, or more than history_rows, is deleted, a little at a time, and nobody waits for it.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance --set history_days=30 --set history_rows=110000
}

teardown_file()
{
    stop_instance
}

# ended COUNT DAYS FIRST: so many leases of $PROJECT, numbered from FIRST, that ended so many days ago.
ended()
{
    query "INSERT INTO history (project_id, lease_no, state, key_name, branch, purpose, asked_at, ended_at)
        WITH RECURSIVE numbers AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 999)
        SELECT project_id, $3 + 1000 * a.n + b.n, 'released', 'ci', 'main', 'test', NOW() - INTERVAL $2 DAY, NOW(6) - INTERVAL $2 DAY + INTERVAL 1000 * a.n + b.n MICROSECOND
        FROM project, numbers a, numbers b WHERE name = '$PROJECT' AND 1000 * a.n + b.n < $1"
}

has_ended()
{
    [[ $(query "SELECT COUNT(*) FROM history WHERE project_id = (SELECT project_id FROM project WHERE name = '$PROJECT')") == "$1" ]]
}

@test "leases, idempotency keys and actions are kept as long as they should be, and no longer" {
    new_project
    ended 3 31 1000
    ended 3 29 2000
    ended 1 0 3000
    query "SET @p = (SELECT project_id FROM project WHERE name = '$PROJECT');
        INSERT INTO request_key (project_id, request_id, lease_no, created)
            VALUES (@p, 'old', 1, NOW() - INTERVAL 4 DAY), (@p, 'young', 2, NOW() - INTERVAL 2 DAY),
                (@p, 'ended late', 3000, NOW() - INTERVAL 4 DAY), (@p, 'live', 9, NOW() - INTERVAL 4 DAY);
        INSERT INTO lease (project_id, lease_no, state, key_name, branch, purpose, lease_s, asked_at, place_until)
            VALUES (@p, 9, 'waiting', 'ci', 'main', 'test', 60, NOW() - INTERVAL 4 DAY, NOW() + INTERVAL 1 DAY);
        INSERT INTO action (project_id, at, key_name, verb)
            VALUES (@p, NOW() - INTERVAL 31 DAY, 'old', 'holdStack'), (@p, NOW() - INTERVAL 29 DAY, 'young', 'holdStack');
        INSERT INTO event (project_id, event_no, at, kind)
            VALUES (@p, 1, NOW() - INTERVAL 15 DAY, 'held'), (@p, 2, NOW() - INTERVAL 13 DAY, 'returned')"
    eventually has_ended 4
    [[ $(query "SELECT GROUP_CONCAT(request_id ORDER BY request_id) FROM request_key") == 'ended late,live,young' ]]
    [[ $(query "SELECT GROUP_CONCAT(key_name) FROM action") == young ]]
    [[ $(query "SELECT GROUP_CONCAT(event_no) FROM event") == 2 ]]
    get /history
    expect 200
}

# keys: a requestId for each ended lease of $PROJECT.
keys()
{
    query "UPDATE history JOIN project USING (project_id) SET request_id = CONCAT('key ', lease_no) WHERE name = '$PROJECT';
        INSERT INTO request_key (project_id, request_id, lease_no, created)
            SELECT project_id, request_id, lease_no, asked_at FROM history JOIN project USING (project_id) WHERE name = '$PROJECT'"
}

how_many()
{
    query "SELECT COUNT(*) FROM $1 JOIN project USING (project_id) WHERE name = '$PROJECT'"
}

# The bench's peak is 9,000 leases a second. A slow machine may take its time, but not ten times as long.
@test "old rows go faster than they come, in small pieces, and their keys with them; calls go on meanwhile" {
    local began slowest=0 millis

    new_project
    ended 90000 40 1000
    keys
    began=$EPOCHREALTIME
    while [[ $(query "SELECT COUNT(*) FROM history JOIN project USING (project_id) WHERE name = '$PROJECT' AND lease_no >= 1000") != 0 ]]; do
        millis=${EPOCHREALTIME/./}
        take
        give
        millis=$(((${EPOCHREALTIME/./} - millis) / 1000))
        ((millis <= slowest)) || slowest=$millis
        ((${EPOCHREALTIME%.*} - ${began%.*} < 60))
    done
    echo "gone within $((${EPOCHREALTIME%.*} - ${began%.*})) s; the slowest lease took $slowest ms" >&2
    ((slowest < 1000))
    eventually has_no_keys
}

has_no_keys()
{
    [[ $(how_many request_key) == 0 ]]
}

@test "of each project history_rows are kept at most, the latest; a key that names a later request stays" {
    local own

    new_project
    own=$PROJECT
    ended 115000 1 1000
    query "INSERT INTO history (project_id, lease_no, state, key_name, branch, purpose, asked_at, ended_at, request_id)
        SELECT project_id, 200000 + n, 'released', 'ci', 'main', 'test', NOW(), NOW() - INTERVAL 2 DAY, CONCAT('old ', n)
        FROM project, (SELECT 1 AS n UNION ALL SELECT 2) AS two WHERE name = '$PROJECT';
        INSERT INTO request_key (project_id, request_id, lease_no, created)
            SELECT project_id, CONCAT('old ', n), 200000 + IF(n = 1, 1, 900), NOW() FROM project, (SELECT 1 AS n UNION ALL SELECT 2) AS two
            WHERE name = '$PROJECT';
        UPDATE project SET next_lease_no = 300000 WHERE name = '$PROJECT'"
    NAME=small new_project
    ended 1000 1 1
    PROJECT=$own
    eventually has_ended 110000
    [[ $(query "SELECT request_id FROM request_key JOIN project USING (project_id) WHERE name = '$PROJECT'") == 'old 2' ]]
    PROJECT=small
    has_ended 1000
}

@test "rows that stay aren't looked at, however many there are" {
    local before

    new_project
    ended 100000 5 1000
    take
    give
    query "INSERT INTO action (project_id, at, key_name, verb)
        SELECT project_id, asked_at, 'ci', 'holdStack' FROM history WHERE lease_no >= 1000"
    before=$(rows_read)
    NAME=other new_project
    query "INSERT INTO history (project_id, lease_no, state, key_name, branch, purpose, asked_at, ended_at)
        SELECT project_id, 1, 'released', 'ci', 'main', 'test', NOW() - INTERVAL 31 DAY, NOW() - INTERVAL 31 DAY
        FROM project WHERE name = 'other'"
    eventually has_ended 0
    # A look at each row would be 100,000.
    (($(rows_read) - before < 20000))
}
