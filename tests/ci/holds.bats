#!/usr/bin/env bats
# ci-stack: stacks that a branch keeps, broken ones, and what is told to those who wait.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup_file() { start_service; }
teardown_file() { stop_service; }
setup() { new_app; }

@test "on-success hold keeps a branch's stack for its next job; release --end-hold ends that" {
    new_project 2
    run "$ci_stack" run "${units[@]}" --branch feature --deploy true --test true --on-success hold=24h
    [ "$status" = 0 ]
    contains "test-1 is held for feature, 24h00m"
    is_state test-1 held
    run "$ci_stack" release
    contains "is held (see --end-hold)"
    is_state test-1 held
    # Others get another stack, the branch its own.
    run "$ci_stack" run --branch other --state other --test 'echo "GOT $STACK_NAME"'
    contains "GOT test-2"
    run "$ci_stack" run "${units[@]}" --branch feature --deploy 'echo DEPLOY' --test 'echo "GOT $STACK_NAME"' --on-success hold
    contains "GOT test-1"
    lacks DEPLOY
    is_state test-1 held
    run "$ci_stack" run --branch feature --no-resume --state other --test 'echo "GOT $STACK_NAME"'
    contains "GOT test-2"
    is_state test-1 held
    run "$ci_stack" release --end-hold
    [ "$status" = 0 ]
    is_state test-1 available
    run "$ci_stack" release --end-hold
    [ "$status" = 0 ]
    contains "was given back already"
}

@test "release --end-hold of a hold that has ended meanwhile leaves the stack to whoever has it" {
    new_project 2
    "$ci_stack" run --branch one --test true --on-success hold
    api POST /reinstateStack '{"stackName": "test-1"}'
    "$ci_stack" request --branch two --state other
    run "$ci_stack" release --end-hold
    [ "$status" = 0 ]
    [ "$(leased)" = 1 ]
}

@test "a hold that the pool can't spare is not made, and the log says so" {
    new_project 2
    "$ci_stack" run --branch one --test true --on-success hold
    run "$ci_stack" run --branch two --test 'exit 3' --on-failure hold=1h
    [ "$status" = 3 ]
    contains "test-2 is released, not held"
    is_state test-2 available
    is_state test-1 held
}

@test "step by step: on-success hold, and a cancelled or failed job isn't kept by it" {
    new_project 2
    export CI_STACK_ON_SUCCESS=hold=1h
    "$ci_stack" request
    "$ci_stack" test -- true
    "$ci_stack" release
    is_state test-1 held
    "$ci_stack" request
    run "$ci_stack" test -- false
    "$ci_stack" release
    is_state test-1 available
    start_job run --test 'touch step.log; sleep 300'
    await 20 test -e step.log
    kill -TERM "$job"
    end_job
    is_state test-1 available
}

@test "on-failure quarantine sets a stack aside after a failed deploy, not after failed tests" {
    new_project 2
    run "$ci_stack" run "${units[@]}" --deploy true --test 'exit 3' --on-failure quarantine
    [ "$status" = 3 ]
    is_state test-1 available
    change services/users
    run "$ci_stack" run "${units[@]}" --deploy 'exit 4' --on-failure quarantine
    [ "$status" = 4 ]
    contains "released (quarantine)"
    is_state test-1 quarantined
    api GET /status | jq -e '.stacks[0].hold.reason == "deploy failed with status 4"'
}

@test "a failed deploy is counted though its stack is held or quarantined; failed tests are not" {
    new_project 2
    run "$ci_stack" run "${units[@]}" --branch one --deploy true --test 'exit 3' --on-failure hold
    [ "$status" = 3 ]
    is_state test-1 held
    api GET /status | jq -e '.stacks[0] | .failedDeploys == 0'
    change services/users
    run "$ci_stack" run "${units[@]}" --branch one --deploy 'exit 4' --on-failure hold=1h
    [ "$status" = 4 ]
    contains "test-1 is held for one, 1h00m"
    api GET /status | jq -e '.stacks[0] | .failedDeploys == 1 and .failedBranches == 1 and (.unsettled | not)'
    run "$ci_stack" run "${units[@]}" --branch two --deploy 'exit 4' --on-failure quarantine
    [ "$status" = 4 ]
    is_state test-2 quarantined
    api GET /status | jq -e '.stacks[1] | .failedDeploys == 1 and .failedBranches == 1'
}

@test "whoever waits reads so at once: the place, who has the stacks, and how many are held" {
    new_project 2
    "$ci_stack" run --branch kept --test true --on-success hold
    "$ci_stack" request --branch busy --job-name nightly --job-url https://ci.example.org/7 --state one
    start_job run --branch mine --test true
    await 5 grep -q 'waiting for a stack: place 1.*; 1 held' job.log
    await 5 grep -q 'test-2: busy nightly https://ci.example.org/7' job.log
    "$ci_stack" release --state one
    end_job
    [ "$status" = 0 ]
}

@test "where no job has a stack, nothing is said of when one comes back" {
    new_project 1
    "$ci_stack" run --test true
    api POST /holdStack '{"stackName": "test-1"}'
    run "$ci_stack" run --wait 0 --test true
    [ "$status" = 69 ]
    [ "${lines[0]}" = 'ci-stack: waiting for a stack: place 1; 1 held' ]
}

@test "a lease that ends at the project's maximum says so, and its step ends first" {
    new_project 1
    api POST /updateProject '{"leaseSeconds": 10, "maxLeaseSeconds": 10}'
    start_job run --lease 10s --grace 1s --test 'touch step.log; sleep 300'
    end_job
    [ "$status" = 76 ]
    contains "at the project's maximum"
    contains "the lease of test-1 is lost (it ended at the project's maximum)"
}

@test "step by step, release of a lease that ended at the project's maximum says so" {
    new_project 1
    api POST /updateProject '{"leaseSeconds": 6, "maxLeaseSeconds": 6}'
    CI_STACK_GRACE=1s "$ci_stack" request --lease 5s --keep $$
    await 30 nobody_leases
    run "$ci_stack" release
    [ "$status" = 0 ]
    contains "no longer ours"
    contains "it ended at the project's maximum"
    [ ! -e .ci-stack-state.json.log ]
}
