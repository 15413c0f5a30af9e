#!/usr/bin/env bats
# The program remembers its projects. What others (the administrator's tool, another host) change in the
# database still counts at once: from the very next call, not from the next time that the program looks.

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

# set_state STATE [PROJECT]: another changes stack 1, and says so, as every writer does.
set_state()
{
    query "START TRANSACTION;
        SELECT project_id INTO @p FROM project WHERE name = '${2:-$PROJECT}' FOR UPDATE;
        UPDATE stack SET state = '$1' WHERE project_id = @p AND stack_no = 1;
        UPDATE project SET version = version + 1 WHERE project_id = @p;
        COMMIT"
}

# The number of the connection that holds the lock below.
locking()
{
    administrate "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(%'"
}

is_locking()
{
    [[ -n $(locking) ]]
}

# By what the program remembers, this has no effect, and nothing would be written.
reinstate()
{
    post /reinstateStack '{"stackName":"test-1"}'
    expect 200 && is_in_state test-1 available
}

@test "a stack that another took out of the pool is not lent, one that another freed is" {
    new_project --max-stacks 1
    take
    give
    for _ in {1..8}; do
        set_state quarantined
        post /requestStack '{"waitSeconds":0}'
        expect_error 503 noStackAvailable
        set_state available
        take '{"waitSeconds":0}'
        give
    done
}

@test "a call that changes nothing is answered by what another has changed" {
    new_project --max-stacks 1
    take
    give
    for _ in {1..8}; do
        set_state quarantined
        reinstate
    done
    take '{"waitSeconds":0}'
    give
}

# change_until FILE NAME: changes one stack of the project over and over, until the file is there.
change_until()
{
    local calls=() number

    BATS_TEST_TMPDIR+=/$2
    take
    for number in {1..100}; do
        calls+=("/setLastDeployedCommit {\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"lastDeployedCommit\":\"c$number\"}")
    done
    while [[ ! -e $1 ]]; do
        expect_each POST 200 true "${calls[@]}"
    done
}

@test "the same holds in one batch with another project that changes" {
    local changes=() name

    NAME=quiet new_project --max-stacks 1
    NAME=busy new_project --max-stacks 3
    for name in a b c; do
        change_until "$BATS_TEST_TMPDIR/enough" "$name" &
        changes+=($!)
    done
    as admin quiet
    take
    give
    for _ in {1..20}; do
        set_state quarantined
        reinstate
    done
    touch "$BATS_TEST_TMPDIR/enough"
    for name in "${changes[@]}"; do
        wait "$name"
    done
}

@test "a deleted project is gone at once, even if another one gets its name" {
    new_project --max-stacks 1
    take
    give
    ctl project delete "$PROJECT"
    post /requestStack '{"waitSeconds":0}'
    expect_error 401 unauthorized
    new_project --max-stacks 1
    get /status
    expect 200
    [[ $(value '.stacks | length') == 0 ]]
    take '{"waitSeconds":0}'
    [[ $(value .isNew) == true ]]
    give
}

@test "settings count at once" {
    new_project --max-stacks 1
    take
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 noStackAvailable
    ctl project update "$PROJECT" --max-stacks 2
    take '{"waitSeconds":0}'
    give
}

@test "a project whose row another has locked holds up nobody else, and loses nothing" {
    local before under

    NAME=locked new_project --max-stacks 1
    take
    give
    NAME=free new_project --max-stacks 1
    before=$SECONDS
    for _ in {1..5}; do
        take
        give
    done
    before=$((SECONDS - before))
    query "START TRANSACTION;
        SELECT project_id FROM project WHERE name = 'locked' FOR UPDATE;
        SELECT SLEEP(300);
        COMMIT" >/dev/null 2>&1 &
    eventually is_locking
    as admin locked
    later held POST /requestStack '{"waitSeconds":0}'
    as admin free
    under=$SECONDS
    for _ in {1..5}; do
        take
        give
    done
    # A wait of a second for the lock at each of the ten calls would show.
    ((SECONDS - under <= 2 * before + 4))
    is_locking
    no_answer_yet held
    administrate "KILL $(locking)"
    answer_of held
    expect 200
    wait
}

# was_tried TIMES: the program tried to read what is damaged.
was_tried()
{
    (($(grep -c 'has no stack' "$VAR/log/program.log") >= $1))
}

@test "a project whose rows are damaged fails alone" {
    local changes=() name

    NAME=sound new_project --max-stacks 3
    NAME=damaged new_project --max-stacks 1
    take
    query "UPDATE lease SET stack_no = NULL WHERE project_id = (SELECT project_id FROM project WHERE name = 'damaged')"
    query "UPDATE project SET version = version + 1 WHERE name = 'damaged'"
    as admin sound
    for name in a b c; do
        change_until "$BATS_TEST_TMPDIR/enough" "$name" &
        changes+=($!)
    done
    eventually was_tried 10
    touch "$BATS_TEST_TMPDIR/enough"
    for name in "${changes[@]}"; do
        wait "$name"
    done
    as admin damaged
    post /requestStack '{"waitSeconds":0}'
    expect_error 503 databaseUnavailable
    ctl project delete damaged --force
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}

waits_at()
{
    [ "$(query "SELECT instance_id FROM lease WHERE branch = 'elsewhere'")" = "$1" ]
}

@test "a program that starts takes a living one for dead on no account, though its host has the same name; a dead one soon" {
    local host
    new_project --max-stacks 1
    take
    host=$(query 'SELECT host FROM instance')
    later elsewhere POST /requestStack '{"branch":"elsewhere","requestId":"elsewhere"}'
    waiting 1
    # The caller is at another host of this name, which beats its heart in the time to come.
    query "INSERT INTO instance (instance_id, host, last_batch, heartbeat, started)
        VALUES (4711, '$host', 0, UTC_TIMESTAMP(6) + INTERVAL 1 HOUR, UTC_TIMESTAMP(6))"
    local_instance kill program
    query "UPDATE lease SET instance_id = 4711 WHERE branch = 'elsewhere'; UPDATE project SET version = version + 1"
    local_instance restart program
    eventually is_ready
    # It has looked at the rows for longer than a dead one would be spared.
    eventually watched_for 3
    waits_at 4711
    query "UPDATE instance SET heartbeat = UTC_TIMESTAMP(6) - INTERVAL 3 SECOND WHERE instance_id = 4711"
    eventually waits_at NULL
    query 'DELETE FROM instance WHERE instance_id = 4711'
}

# Whether this run of the program has been at it for $1 seconds.
watched_for()
{
    [ "$(query "SELECT COUNT(*) FROM instance WHERE instance_id <> 4711
        AND heartbeat > started + INTERVAL $1 SECOND AND heartbeat > UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")" = 1 ]
}
