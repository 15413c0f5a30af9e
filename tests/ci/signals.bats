#!/usr/bin/env bats
# ci-stack: however a job ends, the step in the foreground is ended first and the stack comes back.
# shellcheck disable=SC2154,SC2016,SC2028,SC2030,SC2031 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup_file() { start_service; }
teardown_file() { stop_service; }
setup() { new_app; }

# A step that tells its pid, and ends only when it is told to.
busy='echo $$ >step.log; sleep 300 & wait'

step_pid() { cat step.log; }

ended_within() # SECONDS SINCE(EPOCHREALTIME)
{
    local took
    took=$(echo "$2 $EPOCHREALTIME" | awk '{ print $2 - $1 }')
    awk -v took="$took" -v most="$1" 'BEGIN { exit took > most }' || { echo "took $took s"; return 1; }
}

cancel_in() # STEP SIGNAL STATUS OUTCOME
{
    local -a steps=(--deploy true --migrate true --test true)
    case $1 in
        deploy) steps+=(--deploy "$busy") ;;
        migrate) steps+=(--migrate "$busy") ;;
        test) steps+=(--test "$busy") ;;
    esac
    new_project 1
    start_job run "${units[@]}" "${steps[@]}" --on-failure hold
    await 20 test -s step.log
    begun=$EPOCHREALTIME
    kill "-$2" "$job"
    end_job
    ended_within 4 "$begun" # a cancelled job has about five seconds in all
    [ "$status" = "$3" ]
    gone "$(step_pid)"
    nobody_leases
    [ "$(last_outcome)" = "$4" ] # a cancelled job's stack is not held
    contains "ended by a signal"
}

# For TERM in every step, see tests/e2e/pipelines.bats.
@test "TERM while it deploys" { cancel_in deploy TERM 143 deployFailed; }
@test "TERM while it migrates" { cancel_in migrate TERM 143 deployFailed; }
@test "TERM while it tests" { cancel_in test TERM 143 failed; }
@test "INT while it tests" { cancel_in test INT 130 failed; }
@test "HUP while it deploys" { cancel_in deploy HUP 129 deployFailed; }

@test "TERM while it waits in the queue" {
    new_project 1
    "$ci_stack" request --state one
    start_job run --state two --test true
    await 10 someone_waits
    begun=$EPOCHREALTIME
    kill -TERM "$job"
    end_job
    ended_within 4 "$begun"
    [ "$status" = 143 ]
    [ "$(waiting)" = 0 ]
    [ "$(leased)" = 1 ]
}

@test "a step that ignores TERM is killed, with what it started" {
    new_project 1
    start_job run --grace 1s --test 'trap "" TERM; echo $$ >step.log; sleep 300; sleep 300'
    await 20 test -s step.log
    for _ in {1..50}; do # the second one and all others disturb nothing
        kill -TERM "$job" || break
        sleep 0.001
    done
    end_job
    [ "$status" = 143 ]
    gone "$(step_pid)"
    nobody_leases
}

@test "TERM while what a step left behind is being ended" {
    new_project 1
    start_job run --grace 3s --test 'echo $$ >leader.log
        (trap "" TERM; exec sleep 300) & echo $! >step.log'
    await 20 test -s step.log
    await 10 gone "$(<leader.log)"
    kill -TERM "$job"
    end_job
    [ "$status" = 143 ]
    gone "$(step_pid)"
    nobody_leases
}

@test "what a step leaves behind ends with it" {
    new_project 1
    run timeout 20 "$ci_stack" run --test 'sleep 300 & echo $! >step.log'
    [ "$status" = 0 ]
    gone "$(step_pid)"
}

@test "KILL: the keeper ends the step and gives the stack back" {
    new_project 1
    start_job run "${units[@]}" --deploy "$busy"
    await 20 test -s step.log
    kill -KILL "$job"
    end_job
    await 10 nobody_leases
    await 10 gone "$(step_pid)"
    [ "$(last_outcome)" = deployFailed ]
}

@test "a lost lease ends the running step, with a status of its own" {
    new_project 1
    start_job run "${units[@]}" --lease 5s --deploy "$busy"
    await 20 test -s step.log
    api POST /revokeLease '{"stackName": "test-1", "reason": "needed elsewhere"}'
    end_job
    [ "$status" = 76 ]
    contains "the lease of test-1 is lost"
    gone "$(step_pid)"
}

@test "a service out of reach: the step ends before the lease does" {
    new_project 1
    start_job run "${units[@]}" --lease 5s --deploy "$busy"
    await 20 test -s step.log
    begun=$EPOCHREALTIME
    "$ROOT/scripts/local" kill nginx --var "$VAR" 3>&-
    end_job
    [ "$status" = 76 ]
    contains "the lease of test-1 could not be renewed: curl: (7)"
    contains "not renewed in time"
    gone "$(step_pid)"
    ended_within 8 "$begun" # renewed at most once after `begun`
    "$ROOT/scripts/local" start --var "$VAR" 3>&- >/dev/null 2>&1
}

@test "heartbeats keep a lease that is shorter than its job" {
    new_project 1
    start_job run --lease 5s --test 'for i in $(seq 70); do sleep 0.1; done; echo FINISHED'
    end_job
    [ "$status" = 0 ]
    contains FINISHED
}

@test "a separate test step is ended too when its lease is lost" {
    new_project 1
    "$ci_stack" request --lease 5s
    start_job test --test "$busy"
    await 20 test -s step.log
    api POST /revokeLease '{"stackName": "test-1"}'
    end_job
    [ "$status" = 76 ]
    gone "$(step_pid)"
    run "$ci_stack" release
    [ "$status" = 0 ]
}

@test "a release that fails is tried again" {
    new_project 1
    "$ci_stack" request
    "$ROOT/scripts/local" kill nginx --var "$VAR" 3>&-
    start_job release
    await 10 grep -q 'trying again' job.log
    "$ROOT/scripts/local" start --var "$VAR" 3>&- >/dev/null 2>&1
    end_job
    [ "$status" = 0 ]
    nobody_leases
}

@test "ci-stack release beside a run that lives ends its deploy first; the run marks nothing and says 76" {
    new_project 1
    start_job run "${units[@]}" --state state --grace 5s --test 'touch tested.log' \
        --deploy 'trap "sleep 0.5; touch unlocked.log; exit 1" TERM; echo $$ >step.log; sleep 300 & wait'
    await 20 test -s step.log
    run "$ci_stack" release --state state
    [ "$status" = 0 ]
    [ -e unlocked.log ]
    gone "$(step_pid)"
    nobody_leases
    end_job
    [ "$status" = 76 ]
    contains "ended by ci-stack release"
    [ ! -e tested.log ]
    [ "$(last_outcome)" = deployFailed ]
}

@test "ci-stack release beside a run that waits ends its request" {
    new_project 1
    "$ci_stack" request --state one
    start_job run --state two --test true
    await 10 someone_waits
    run timeout 20 "$ci_stack" release --state two
    [ "$status" = 0 ]
    [ "$(waiting)" = 0 ]
    end_job
    [ "$status" = 76 ]
}

@test "a run whose lease was given back by others marks nothing, tests nothing and leaves the next job's lease alone" {
    new_project 1
    start_job run "${units[@]}" --state state --test 'touch tested.log' \
        --deploy 'touch step.log; while [ ! -e go.log ]; do sleep 0.05; done'
    await 20 test -e step.log
    jq '{stackName, leaseId}' state >body
    printf 'header = "X-API-Key: %s"\n' "$ORCHESTRATOR_KEY" |
        curl -sS --fail --cacert "$ORCHESTRATOR_CACERT" --config - -d @body "$ORCHESTRATOR_URL/releaseStack"
    jq '.phase = "released" | del(.leaseId)' state >new && mv new state
    "$ci_stack" request --state other
    touch go.log
    end_job
    [ "$status" = 76 ]
    [ ! -e tested.log ]
    [ "$(leased)" = 1 ]
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = null ]
}

@test "ci-stack release of a lease that was revoked says so" {
    new_project 1
    "$ci_stack" request
    api POST /revokeLease '{"stackName": "test-1"}'
    run "$ci_stack" release
    [ "$status" = 0 ]
    contains "no longer ours"
    lacks "is released"
}

@test "… so does a job that fails, and the next one that finds its state file" {
    new_project 1
    start_job run --test 'touch step.log; while [ ! -e go.log ]; do sleep 0.05; done; exit 3'
    await 20 test -e step.log
    api POST /revokeLease '{"stackName": "test-1"}'
    touch go.log
    end_job
    [ "$status" = 3 ]
    contains "no longer ours"
    lacks "is released"
    "$ci_stack" request
    api POST /revokeLease '{"stackName": "test-1"}'
    jq '.owner = {pid: "4194304", host: $host, start: "1"}' --arg host "$(uname -n)" .ci-stack-state.json >new.log
    mv new.log .ci-stack-state.json
    run "$ci_stack" run --test true
    [ "$status" = 0 ]
    contains "no longer ours"
    [ "$(grep -c 'is released' <<<"$output")" = 1 ] # its own
}

@test "a lease that is revoked while the last step runs is no success" {
    new_project 1
    start_job run --test 'touch step.log; while [ ! -e go.log ]; do sleep 0.05; done'
    await 20 test -e step.log
    api POST /revokeLease '{"stackName": "test-1"}'
    touch go.log
    end_job
    contains "no longer ours"
    [ "$status" = 76 ]
    lacks "is released"
}

@test "KILL while it waits: the queue forgets the job, and no process and no file is left" {
    local command
    new_project 1
    own_temporary
    export CI_STACK_TEST=true
    "$ci_stack" request --state one
    for command in run request; do
        start_job "$command" --state two
        await 10 someone_waits
        kill -KILL -- "-$job"
        end_job
        await 10 someone_waits 0
        await 10 nothing_is_left two
        [ "$(leased)" = 1 ]
    done
}

@test "KILL of ci-stack and its keeper at once: what asked for a stack ends with them and takes none, and the queue forgets the job" {
    new_project 1
    own_temporary
    "$ci_stack" request --state one
    start_job run --state two --test true
    await 10 someone_waits
    kill -KILL "$(jq .keeper.pid -r two)" "$job"
    end_job
    await 10 nothing_runs
    await 15 someone_waits 0
    "$ci_stack" release --state two # as a last step does; it removes the files of the killed one
    nothing_is_left two
    [ "$(waiting)" = 0 ]
    "$ci_stack" release --state one
    run timeout 20 "$ci_stack" run --state three --test true
    [ "$status" = 0 ]
}

@test "KILL at any time: nothing is left leased, no process and no file" { # 200 times in tests/e2e/kills.bats
    kill_at_any_time 24
}
