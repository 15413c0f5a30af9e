#!/usr/bin/env bats
# What scheduled pipelines and administrators do with ci-stack: refresh, warm, destroy.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load ../ci/helpers

setup_file() { start_service; }
teardown_file() { stop_service; }
setup() { new_app; }

@test "refresh deploys main to the stack that is furthest from it, and says when there is none to give" {
    new_project 3
    api POST /addStacks '{"count": 3}'
    run "$ci_stack" refresh "${units[@]}" --deploy 'echo "deploy $STACK_NAME"' --count 10
    [ "$status" = 0 ]
    contains "enough stacks run this commit already"
    contains "3 refreshed"
    change services/mail
    run "$ci_stack" refresh "${units[@]}" --deploy 'echo "deploy $STACK_NAME" $STACK_CHANGED_UNITS'
    contains "1 refreshed"
    contains "services/mail"
    for name in a b; do "$ci_stack" request --state "$name"; done
    run "$ci_stack" refresh "${units[@]}" --deploy 'echo DEPLOYED'
    [ "$status" = 0 ]
    lacks DEPLOYED
    contains "no stack to refresh now"
    run "$ci_stack" refresh "${units[@]}" --deploy 'exit 5'
    [ "$status" = 0 ]
    for name in a b; do "$ci_stack" release --state "$name"; done
    run "$ci_stack" refresh "${units[@]}" --deploy 'exit 5'
    [ "$status" = 5 ]
    nobody_leases
}

@test "warm adds stacks and deploys them before a job needs them" {
    new_project 3
    "$ci_stack" run "${units[@]}" --deploy true
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" warm --add 2 "${units[@]}" --deploy 'echo "deploy $STACK_NAME"'
    [ "$status" = 0 ]
    contains "deploy test-2"
    contains "deploy test-3"
    lacks "deploy test-1"
    contains "2 warmed"
    run "$ci_stack" warm --count 5 "${units[@]}" --deploy 'echo DEPLOYED'
    [ "$status" = 0 ]
    lacks DEPLOYED
    nobody_leases
}

@test "warm deploys to what is new, though nothing is known of an older stack either" {
    new_project 3
    "$ci_stack" request --state older # who had it may have deployed whatever it liked
    "$ci_stack" release --state older
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" warm --add 1 "${units[@]}" --deploy 'echo "deploy $STACK_NAME"'
    [ "$status" = 0 ]
    contains "deploy test-2"
    lacks "deploy test-1"
    contains "1 warmed"
    nobody_leases
}

@test "warm deploys to an older stack that is further from the commit first, then to the new one" {
    new_project 3
    mkdir services/{a,b,c}
    touch services/{a,b,c}/f
    commit_all 'more services'
    "$ci_stack" run --units 'services/*' --deploy true
    git rm -qr services/{a,b,c}
    for unit in mail orders users; do echo 2 >"services/$unit/code"; done
    commit_all 'fewer services'
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" warm --add 1 --units 'services/*' --deploy 'echo "deploy $STACK_NAME"'
    [ "$status" = 0 ]
    contains "deploy test-2"
    contains "1 warmed"
}

@test "destroy: --verify says whether anything is left; of a stack that no job ever had nothing is removed" {
    new_project 2
    "$ci_stack" run --test true
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" destroy test-1 --destroy 'echo "remove $STACK_NAME"' --verify 'echo "is $STACK_NAME gone?"; exit 3'
    [ "$status" = 3 ]
    contains "is test-1 gone?"
    contains "verify of test-1 failed with status 3; test-1 stays quarantined"
    is_state test-1 quarantined
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" destroy test-1 --destroy true --verify true
    [ "$status" = 0 ]
    [ -z "$(stack_state test-1)" ]
    api POST /addStacks '{"count": 2}'
    # test-1 was lent before: there may be something in the cloud.
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" destroy test-1 test-2 --destroy 'echo "remove $STACK_NAME"'
    [ "$status" = 0 ]
    contains "remove test-1"
    contains "no job ever had test-2"
    lacks "remove test-2"
    [ -z "$(stack_state test-2)" ]
}

@test "destroy waits for the job, removes the stack from the cloud, then gives up its name" {
    new_project 2
    "$ci_stack" request --state one
    ORCHESTRATOR_KEY=$admin_key start_job destroy test-1 --wait 30s --destroy 'echo "remove $STACK_NAME"; touch removed.log'
    await 10 grep -q 'waiting for its job' job.log
    [ ! -e removed.log ]
    "$ci_stack" release --state one
    end_job
    [ "$status" = 0 ]
    contains "remove test-1"
    [ -z "$(stack_state test-1)" ]

    # What could not be removed stays out of the pool.
    "$ci_stack" run --test true
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" destroy test-1 --destroy 'exit 6'
    [ "$status" = 6 ]
    is_state test-1 quarantined
    ORCHESTRATOR_KEY=$admin_key run "$ci_stack" destroy test-1 --destroy true
    [ "$status" = 0 ]
    [ -z "$(stack_state test-1)" ]

    # A draining stack would be forgotten while it is still in the cloud.
    "$ci_stack" request --state one
    api POST /deleteStack '{"stackName": "test-1"}'
    is_state test-1 draining
    ORCHESTRATOR_KEY=$admin_key start_job destroy --draining --wait 30s --destroy 'echo "remove $STACK_NAME"'
    await 10 grep -q 'waiting for its job' job.log
    "$ci_stack" release --state one
    end_job
    [ "$status" = 0 ]
    contains "remove test-1"
    [ -z "$(stack_state test-1)" ]
}
