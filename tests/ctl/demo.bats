#!/usr/bin/env bats
# The README's first command, and what it says can be done then.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; printed lines expand their own

load helpers

teardown()
{
    make --silent -C "$root" stop VAR="$instance"
    rm -rf "$instance"
}

@test "make run shows a first lease; what it proposes works as it is printed, and it can be run again" {
    local keys
    run make --silent -C "$root" run VAR="$instance" PORT=0
    [ "$status" = 0 ]
    [[ $output == *'{"stackName":"test-1"'*'"message":"Stack test-1 released"'* ]]
    sed -n '/^Go on by hand:/,/^`make stop`/{/^  /p}' <<<"$output" >"$BATS_TEST_TMPDIR/lines"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/lines")" = 5 ]
    keys=$(<"$instance/demo.env")
    [ "$(stat -c %a "$instance/demo.env")" = 600 ]
    cd "$BATS_TEST_TMPDIR"
    ln -s "$root/scripts" scripts
    run env -u ORCHESTRATOR_URL -u ORCHESTRATOR_KEY bash -eu lines
    [ "$status" = 0 ]
    [[ $output == *'{"stackName":"test-1"'*'Stack test-1 released'*'tests run against test-1'*'demo'* ]]
    make --silent -C "$root" run VAR="$instance" PORT=0
    [ "$(grep KEY "$instance/demo.env")" = "$(grep KEY <<<"$keys")" ]
}
