#!/usr/bin/env bats
# Two programs write to one project in turns. What one reads of the other's changes makes of its memory what
# reading the whole project would. See follow.c.

load ../lib/api

setup_file()
{
    start_instance
}

teardown_file()
{
    stop_instance
}

is_alone()
{
    [[ $(query 'SELECT COUNT(*) FROM instance') == 0 ]]
}

@test "reading what another program changed comes to the same as reading all" {
    new_project --max-stacks 6
    kill "$(local_instance pid program)" # its place is taken by those of the test
    eventually is_alone
    "${BUILD:-$ROOT/build}/tests/race/follow" "$VAR/etc/stack-orchestrator.conf" "$PROJECT" "${FOLLOW_STEPS:-1500}"
}
