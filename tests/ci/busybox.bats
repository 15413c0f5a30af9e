#!/usr/bin/env bats
# ci-stack in a small image, as Alpine's with bash, curl, jq and git: all other tools are BusyBox's, and no language is set.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup_file()
{
    local tool
    start_service
    export BOX=$BATS_FILE_TMPDIR/box
    mkdir "$BOX"
    busybox --list | while read -r tool; do [[ $tool == busybox ]] || ln -s "$(command -v busybox)" "$BOX/$tool"; done
    for tool in bash curl jq git; do ln -sf "$(command -v "$tool")" "$BOX/$tool"; done
}

teardown_file() { stop_service; }

setup()
{
    new_app
    new_project 1
}

in_box() { run env -u LANG -u LC_ALL -u LC_CTYPE PATH="$BOX" "$ci_stack" "$@"; }

@test "a whole job: all, one unit, none; reports and an .env file" {
    mkdir 'services/ü b'
    touch 'services/ü b/code'
    commit_all name
    in_box run --units 'migrations services/*/ !services/mail' --migrate-units migrations --shared .gitignore --jobs 2 \
        --deploy-unit 'echo "DEPLOY {} $STACK_UNIT"' --from-command 'echo "{\"URL\": \"a b\"}"' --env-file .env.test \
        --migrate 'echo MIGRATE' --test 'echo "test $STACK_NAME"' --report-json report.log --report-junit junit.log
    [ "$status" = 0 ]
    contains "services/ü b"
    contains "4 of 4 units"
    contains "test test-1"
    [ "$(grep -c '^URL=' .env.test)" = 1 ]
    jq -e '.status == 0' report.log
    change services/users
    in_box run --units 'migrations services/*/ !services/mail' --migrate-units migrations --shared .gitignore \
        --deploy 'echo DEPLOY $STACK_CHANGED_UNITS' --migrate 'echo MIGRATE'
    contains "DEPLOY services/users"
    lacks MIGRATE
    git rm -qr services/orders
    commit_all 'no orders'
    in_box run --units 'migrations services/*/ !services/mail' --shared .gitignore --deploy-unit false --remove-unit 'echo "REMOVE {}"'
    contains "REMOVE services/orders"
    contains "nothing changed"
    nobody_leases
}

@test "uncommitted changes: refused, or deployed as they are; --units-from" {
    printf 'services/mail\tservices/users\nservices/orders\n' >graph.log
    in_box run --units-from 'cat graph.log' --deploy true
    [ "$status" = 0 ]
    echo dirty >>services/users/code
    in_box run --units-from 'cat graph.log' --deploy true
    [ "$status" = 64 ]
    contains services/users/code
    in_box run --units-from 'cat graph.log' --allow-dirty --deploy 'echo DEPLOY $STACK_CHANGED_UNITS'
    [ "$status" = 0 ]
    contains "DEPLOY services/mail"
    contains "1 of 2 units"
    in_box run --units-from 'cat graph.log' --allow-dirty --deploy true
    contains "nothing changed"
    git clone -q . ../sub
    git -c protocol.file.allow=always submodule --quiet add ../sub services/sub
    git checkout -q services/users
    commit_all sub
    git submodule --quiet deinit services/sub
    in_box run --units 'services/*/' --deploy true
    [ "$status" = 64 ]
    contains "services/sub (submodule)"
}

@test "step by step, renewed meanwhile; cancelled, and killed" {
    in_box request "${units[@]}" --keep $$
    [ "$status" = 0 ]
    in_box deploy --deploy 'echo DEPLOY'
    contains DEPLOY
    in_box test -- sh -c 'exit 3'
    [ "$status" = 3 ]
    in_box status
    contains leased
    in_box release
    [ "$status" = 0 ]
    nobody_leases
    local signal
    for signal in TERM KILL; do
        PATH=$BOX setsid "$(command -v bash)" "$ci_stack" run --state "$signal" --test 'touch step.log; sleep 300' >job.log 2>&1 </dev/null 3>&- &
        job=$!
        await 20 test -e step.log
        kill -"$signal" "$job"
        end_job
        await 20 nobody_leases
        rm step.log
    done
}
