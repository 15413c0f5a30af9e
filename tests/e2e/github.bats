#!/usr/bin/env bats
# The GitHub action: its description is valid, and its JavaScript does what the runner asks of it.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load ../ci/helpers
load npm

setup_file()
{
    install_npm_packages
    start_service
}

teardown_file() { stop_service; }

setup()
{
    new_project 1
    new_app
    action=$ROOT/scripts/ci/github
    export RUNNER_TEMP=$BATS_TEST_TMPDIR/temp
    mkdir "$RUNNER_TEMP"
    for file in STATE OUTPUT ENV STEP_SUMMARY; do
        export "GITHUB_$file=$RUNNER_TEMP/$file"
        : >"$RUNNER_TEMP/$file"
    done
    export GITHUB_ACTIONS=true GITHUB_REF_NAME=main GITHUB_HEAD_REF='' GITHUB_SERVER_URL=https://github.example.org \
        GITHUB_REPOSITORY=team/app GITHUB_RUN_ID=7 GITHUB_WORKFLOW=ci GITHUB_JOB=integration GITHUB_ACTOR=ann
    inputs=("INPUT_URL=$ORCHESTRATOR_URL" "INPUT_KEY=$ORCHESTRATOR_KEY" "INPUT_CACERT=$ORCHESTRATOR_CACERT" INPUT_STATE=
        INPUT_WORKING-DIRECTORY=. 'INPUT_UNITS=services/*' INPUT_MIGRATE-UNITS=migrations 'INPUT_DEPLOY=echo "deploy $STACK_NAME"; env'
        'INPUT_MIGRATE=echo "migrate $STACK_NAME"' INPUT_SUPERSEDE=false INPUT_ON-FAILURE=hold=1h)
    unset ORCHESTRATOR_KEY ORCHESTRATOR_URL
}

step() # NAME=VALUE... main|post
{
    env "${inputs[@]}" "${@:1:$#-1}" node "$action/${*: -1}.js"
}

# What the runner remembers from GITHUB_STATE.
saved_state() { echo "STATE_state=$(sed -n 2p "$GITHUB_STATE")"; }
output_of() { awk -v name="$1" '$0 ~ "^" name "<<" { end = substr($0, length(name) + 3); on = 1; next } $0 == end { on = 0 } on' "$GITHUB_OUTPUT"; }

@test "the action's description is valid" {
    cd "$action"
    run "$npm_bin/action-validator" action.yml
    [ "$status" = 0 ]
    # What ci-stack calls its options is what the action calls its inputs.
    run "$ci_stack" run --help
    while read -r input; do
        case $input in url | key | cacert | state | working-directory | job-status) continue ;; esac
        contains "--$input"
    done < <(sed -n '/^inputs:/,/^outputs:/s/^  \([a-z-]*\):$/\1/p' action.yml)
}

@test "the whole job in one step, with outputs; the post step finds nothing to do" {
    run step 'INPUT_TEST=echo "test $STACK_NAME"' main
    [ "$status" = 0 ]
    contains "deploy test-1"
    contains "migrate test-1"
    contains "test test-1"
    contains "::group::test"
    [[ $output != *"${inputs[1]#INPUT_KEY=}"* ]]
    [ "$(output_of stack-name)" = test-1 ]
    [ "$(output_of changed-units)" = "services/mail
services/orders
services/users" ]
    run step "$(saved_state)" INPUT_JOB-STATUS=success post
    [ "$status" = 0 ]
    contains "given back already"
    [ "$(grep '^###' "$GITHUB_STEP_SUMMARY")" = '### test-1: all well' ]
    api GET /history | jq -e '.requests[0] | .outcome == "success" and .job.url == "https://github.example.org/team/app/actions/runs/7"'
    run step 'INPUT_TEST=exit 4' main
    [ "$status" = 4 ]
    is_state test-1 held
}

@test "later steps test: the lease is kept until the post step, which knows how the job went" {
    # This shell is in the place of the runner's worker: the lease is renewed for as long as it lives.
    run step INPUT_LEASE=5s main
    [ "$status" = 0 ]
    [ "$(leased)" = 1 ]
    contains "migrate test-1"
    [ "$(output_of is-new)" = true ]
    grep -q STACK_NAME "$GITHUB_ENV"
    [ ! -s "$GITHUB_STEP_SUMMARY" ]
    run step "$(saved_state)" INPUT_JOB-STATUS=failure post
    [ "$status" = 0 ]
    is_state test-1 held
    [ "$(grep '^###' "$GITHUB_STEP_SUMMARY")" = '### test-1: the job failed' ]
}

@test "a cancelled job: the step is ended at once, and a cancelled job's stack is not held" {
    env --default-signal env "${inputs[@]}" 'INPUT_TEST=echo $$ >step.log; sleep 300 & wait' node "$action/main.js" >job.log 2>&1 3>&- &
    job=$!
    await 60 test -s step.log
    kill -INT "$job" # only the node process gets it
    end_job
    [ "$status" = 143 ]
    gone "$(cat step.log)"
    run step "$(saved_state)" INPUT_JOB-STATUS=cancelled post
    [ "$status" = 0 ]
    is_state test-1 available
}

@test "a main step that was killed leaves it to the post step" {
    # As a runner's last resort does: node first, then all that it started.
    env --default-signal setsid env "${inputs[@]}" 'INPUT_TEST=echo $$ >step.log; sleep 300' node "$action/main.js" >job.log 2>&1 3>&- &
    job=$!
    await 60 test -s step.log
    # shellcheck disable=SC2046
    kill -KILL $(ps -o pid= -s "$job")
    end_job
    [ "$(leased)" = 1 ]
    run step "$(saved_state)" INPUT_JOB-STATUS=cancelled post
    [ "$status" = 0 ]
    is_state test-1 available
}

@test "no stack: the post step has nothing to do" {
    run step INPUT_KEY=0000 'INPUT_TEST=true' main
    [ "$status" = 77 ]
    run step "$(saved_state)" INPUT_JOB-STATUS=failure post
    [ "$status" = 0 ]
    run step INPUT_JOB-STATUS=failure post
    [ "$status" = 0 ]
}
