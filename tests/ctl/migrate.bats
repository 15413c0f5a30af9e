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

@test "every column of the schema has a comment" {
    [ -z "$(query "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND column_comment = ''")" ]
}
