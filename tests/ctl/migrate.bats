#!/usr/bin/env bats
# orchestratorctl migrate, with migrations of this test's own in a copy of the tree.

load helpers

setup_file()
{
    start_instance_in "$instance"
    mkdir "$VAR/copy"
    cp -r "$ROOT/scripts" "$ROOT/sql" "$VAR/copy"
    number=$(find "$ROOT/sql" -name '[0-9]*.sql' | wc -l)
    export number
}

teardown_file()
{
    stop_instance
}

setup()
{
    ROOT=$VAR/copy
    first=$((number + 1))
    second=$((number + 2))
}

teardown()
{
    rm -f "$VAR/copy/sql/"*_test_*.sql
    query "DELETE FROM schema_version WHERE version > $number; DROP TABLE IF EXISTS one, two"
}

# migration NUMBER TEXT
migration()
{
    printf '%s\n' "$2" >"$VAR/copy/sql/$(printf %04d "$1")_test_x.sql"
}

applied()
{
    query "SELECT COALESCE(GROUP_CONCAT(version ORDER BY version SEPARATOR ' '), '') FROM schema_version WHERE finished IS NOT NULL AND version > $number"
}

@test "applied in order, once" {
    migration "$first" 'CREATE TABLE one (a INT);'
    migration "$second" 'ALTER TABLE one ADD COLUMN b INT; INSERT INTO one VALUES (1, 2);'
    ctl migrate
    run ctl migrate
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ "$(applied)" = "$first $second" ]
    [ "$(query 'SELECT * FROM one')" = $'1\t2' ]
}

@test "two at once apply it once" {
    local a b
    migration "$first" 'DO SLEEP(1); CREATE TABLE one (a INT);'
    ctl migrate 3>&- & a=$!
    ctl migrate 3>&- & b=$!
    wait "$a"
    wait "$b"
    [ "$(applied)" = "$first" ]
}

@test "a newer database is refused" {
    migration "$first" 'CREATE TABLE one (a INT);'
    ctl migrate
    rm "$VAR/copy/sql/"*_test_*
    run ctl migrate
    [ "$status" -eq 1 ]
    [[ $output == *"has schema $first, newer than this orchestratorctl knows ($number)"* ]]
}

@test "a newer database that works with older programs is left alone" {
    migration "$first" $'-- Oldest program: schema 1.\nCREATE TABLE one (a INT);'
    ctl migrate
    rm "$VAR/copy/sql/"*_test_*
    run ctl migrate
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(applied)" = "$first" ]
}

@test "one that fails is never run again by itself" {
    migration "$first" 'CREATE TABLE one (a INT); CREATE TABLE nonsense;'
    migration "$second" 'CREATE TABLE two (a INT);'
    run ctl migrate
    [ "$status" -eq 1 ]
    [[ $output == *'half done'*'--again'*'--finished'* ]]
    run ctl migrate
    [ "$status" -eq 1 ]
    [[ $output == *'begun and never finished'* ]]
    [ -z "$(applied)" ]
    query 'DROP TABLE one'
    migration "$first" 'CREATE TABLE one (a INT);'
    ctl migrate --again "$first"
    [ "$(applied)" = "$first $second" ]
}

@test "one that was killed half-way is noticed, and can be finished by hand" {
    local pid
    migration "$first" 'CREATE TABLE one (a INT); DO SLEEP(2); CREATE TABLE two (a INT);'
    # A killed one leaves its scratch directory.
    TMPDIR=$BATS_TEST_TMPDIR "$ROOT/scripts/orchestratorctl" -c "$VAR/etc/stack-orchestrator.conf" migrate 3>&- & pid=$!
    eventually query 'SELECT a FROM one' 2>/dev/null
    kill -KILL "$pid"
    # The client goes on with what it was sent; the lock makes the next one wait for it.
    run ctl migrate
    [ "$status" -eq 1 ]
    [[ $output == *'begun and never finished'* ]]
    ctl migrate --finished "$first"
    ctl migrate
    [ "$(applied)" = "$first" ]
}

@test "a migration says which programs it leaves working" {
    migration "$first" $'-- Oldest program: schema 1.\nCREATE TABLE one (a INT);'
    migration "$second" 'CREATE TABLE two (a INT);'
    ctl migrate
    [ "$(query "SELECT oldest_program FROM schema_version WHERE version = $first")" = 1 ]
    [ "$(query "SELECT oldest_program FROM schema_version WHERE version = $second")" = "$second" ]
}

# old TEXT: in a database that has the first schema only.
old()
{
    query "USE old; $1"
}

# The kind of the first page of a table's rows: 45bf; or 0012, if columns were added without writing the
# rows anew. Those would get longer when they change (see sql/0001_initial.sql).
kind_of_root()
{
    old "FLUSH TABLES $1 FOR EXPORT; UNLOCK TABLES"
    od -A n -t x1 -j $((3 * 16384 + 24)) -N 2 "$(find "$VAR" -path "*/old/$1.ibd")" | tr -d ' '
}

@test "the later schemas keep what the first one holds" {
    local live='SELECT s.*, l.*, m.* FROM
        (SELECT stack_no, state, fence, branch, last_deployed_commit, content, modified FROM stack) s,
        (SELECT lease_no, state AS lease_state, HEX(lease_id), branch AS lease_branch, units, expires_at FROM lease) l,
        (SELECT manifest_no, units AS text FROM manifest) m'
    local before file

    query 'CREATE DATABASE old'
    old "$(<"$ROOT/sql/0001_initial.sql")"
    old "INSERT INTO project (name, max_stacks, created, modified) VALUES ('shop', 7, '2026-01-01', '2026-01-02');
        INSERT INTO manifest VALUES (1, 1, '{\"a\":\"1\"}');
        INSERT INTO stack (project_id, stack_no, state, fence, branch, last_deployed_commit, content, lease_no, created, modified)
            VALUES (1, 3, 'leased', 9, 'main', 'c0ffee', 1, 5, '2026-01-01', '2026-01-03');
        INSERT INTO lease (project_id, lease_no, state, key_name, branch, units, purpose, lease_s, asked_at, lease_id, stack_no, fence, expires_at)
            VALUES (1, 5, 'active', 'key', 'main', 1, 'test', 60, '2026-01-03', REPEAT('k', 16), 3, 9, '2026-01-04')"
    before=$(old "$live")
    [[ $before == *leased*active* ]]
    for file in "$ROOT"/sql/0*.sql; do
        [[ $file == */0001_* ]] || old "$(<"$file")"
    done
    [[ $(old "$live") == "$before" ]]
    [[ $(old "SELECT max_stacks, quarantine_after, settle_s, max_held FROM project") == $'7\t2\t0\tNULL' ]]
    [[ $(old "SELECT failed_deploys, held_by_job, failed_since, unsettled_since FROM stack") == $'0\t0\tNULL\tNULL' ]]
    [[ $(old "SELECT marked, whole, wont_resume FROM lease") == $'0\t0\t0' ]]
    for table in project stack lease; do
        [[ $(kind_of_root "$table") == 45bf ]]
    done
    query 'DROP DATABASE old'
}

@test "every column of the schema has a comment" {
    [ -z "$(query "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND column_comment = ''")" ]
}
