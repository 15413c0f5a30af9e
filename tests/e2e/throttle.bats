#!/usr/bin/env bats
# An account that CloudFormation throttles: the real aws client is patient enough, and a deploy that ended well stays known.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load ../ci/helpers

setup_file()
{
    start_service
    export EXPORTS=$BATS_FILE_TMPDIR/exports.json
    "$BATS_TEST_DIRNAME/../doubles/cloudformation.py" "$EXPORTS" "$BATS_FILE_TMPDIR/port" "$BATS_FILE_TMPDIR/calls" >"$BATS_FILE_TMPDIR/log" 2>&1 3>&- &
    echo $! >"$BATS_FILE_TMPDIR/pid"
    await 20 test -s "$BATS_FILE_TMPDIR/port"
    mkdir "$BATS_FILE_TMPDIR/bin"
    printf '#!/bin/sh\nexec /usr/bin/aws --endpoint-url "http://127.0.0.1:%s" "$@"\n' "$(<"$BATS_FILE_TMPDIR/port")" >"$BATS_FILE_TMPDIR/bin/aws"
    chmod +x "$BATS_FILE_TMPDIR/bin/aws"
}

teardown_file()
{
    kill "$(<"$BATS_FILE_TMPDIR/pid")"
    stop_service
}

@test "twelve times throttled: the job goes on; throttled for ever: it fails, and the next one deploys nothing" {
    new_project 1
    new_app
    export PATH=$BATS_FILE_TMPDIR/bin:$PATH HOME=$BATS_TEST_TMPDIR
    export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=eu-west-1
    jq -n '{"table-name-test-1": "t"}' >"$EXPORTS"
    echo 12 >"$EXPORTS.throttle"
    run "$ci_stack" run "${units[@]}" --deploy true --exports-rule --test '. ./.env; echo "TESTED $TABLE_NAME"'
    [ "$status" = 0 ]
    contains "TESTED t"
    change services/users
    echo 1000 >"$EXPORTS.throttle"
    AWS_MAX_ATTEMPTS=2 run "$ci_stack" run "${units[@]}" --deploy true --exports-rule --test true
    [ "$status" != 0 ]
    contains Throttling
    rm "$EXPORTS.throttle"
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOYED' --exports-rule --test 'echo TESTED'
    [ "$status" = 0 ]
    lacks DEPLOYED
}
