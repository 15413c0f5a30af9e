#!/usr/bin/env bats
# ci-stack: in what order units are deployed, and what a second deploy of the same job deploys.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup_file() { start_service; }
teardown_file() { stop_service; }

setup()
{
    new_app
    new_project 1
}

@test "units of one glob are deployed side by side, those of the next one after them, and none after a failure" {
    both_began() { [ -e mail.log ] && [ -e orders.log ]; }
    export -f await eventually both_began
    # mail and orders end only together; users would end at once.
    run "$ci_stack" run --units 'services/mail services/orders' --jobs 3 --deploy-unit true # another order, for the names below
    run "$ci_stack" run --units 'migrations services/[mo]* services/*' --jobs 3 --force-deploy --deploy-unit '
        [ {} = migrations ] || [ -e migrations.log ]
        case {} in services/mail | services/orders) touch $(basename {}).log; await 20 both_began ;; services/users) [ -e done.log ] ;; esac
        [ {} != services/orders ] || touch done.log
        touch $(basename {}).log'
    [ "$status" = 0 ]
    run "$ci_stack" run --units 'services/users services/*' --jobs 3 --force-deploy \
        --deploy-unit 'echo "began {}"; [ {} != services/users ]'
    [ "$status" = 1 ]
    contains "began services/users"
    lacks "began services/mail"
}

@test "STACK_CHANGED_UNITS has the order of the globs" {
    run "$ci_stack" run --units 'services/users migrations services/*' --deploy 'echo DEPLOY $STACK_CHANGED_UNITS'
    [ "$(deployed)" = 'DEPLOY services/users migrations services/mail services/orders' ]
}

@test "--units-from: an empty line between units separates what is deployed one after the other" {
    printf 'services/users\tservices/orders\n\nservices/mail\n' >graph.log
    run "$ci_stack" run --units-from 'cat graph.log' --jobs 2 \
        --deploy-unit 'case {} in services/mail) [ -e users.log ] ;; *) sleep 0.3; touch users.log ;; esac'
    [ "$status" = 0 ]
    change services/orders
    run "$ci_stack" run --units-from 'cat graph.log' "${one_by_one[@]}"
    [ "$(deployed)" = 'DEPLOY services/users' ]
}

@test "--force-deploy counts and names everything" {
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    run "$ci_stack" run "${units[@]}" --force-deploy --deploy 'echo DEPLOY $STACK_CHANGED_UNITS' --migrate 'echo MIGRATE' --report-json report.log
    [ "$status" = 0 ]
    contains "3 of 3 units"
    contains "that is everything: --force-deploy says so"
    contains MIGRATE
    [ "$(deployed)" = 'DEPLOY services/mail services/orders services/users' ]
    jq -e '.changedUnits == ["services/mail", "services/orders", "services/users"]' report.log
}

request_of_a_laptop() { "$ci_stack" request "${units[@]}" --allow-dirty --keep $$; }
deploy_again() # OPTION...
{
    run "$ci_stack" deploy "${@:-${one_by_one[@]}}"
    [ "$status" = 0 ]
}

@test "--allow-dirty: each deploy of the same lease deploys what was edited since the last one" {
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    first=$(git rev-parse HEAD)
    echo edit >>services/users/code
    request_of_a_laptop
    jq -e '.changed.deploy == ["services/users"]' .ci-stack-state.json
    deploy_again
    [ "$(deployed)" = 'DEPLOY services/users' ]
    deploy_again
    contains "nothing changed"
    echo edit >services/mail/new
    git mv services/orders services/sales
    deploy_again
    [ "$(deployed)" = 'DEPLOY services/mail DEPLOY services/sales' ]
    contains "left in the cloud"
    contains "services/orders"
    deploy_again "${one_by_one[@]}" --remove-unit 'echo "REMOVE {}"'
    contains "REMOVE services/orders"
    contains "nothing changed"
    deploy_again "${one_by_one[@]}" --remove-unit 'echo "REMOVE {}"'
    lacks REMOVE
    deploy_again --force-deploy "${one_by_one[@]}"
    contains "services/sales"
    # An edit that is taken back is one, too.
    rm services/mail/new
    deploy_again --deploy 'echo DEPLOY $STACK_CHANGED_UNITS'
    [ "$(deployed)" = 'DEPLOY services/mail' ]
    deploy_again
    contains "nothing changed"
    echo 1 >>migrations/code
    deploy_again
    contains "nothing changed"
    run "$ci_stack" migrate --migrate 'echo MIGRATE'
    contains MIGRATE
    run "$ci_stack" migrate --migrate 'echo MIGRATE'
    lacks MIGRATE
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$first" ]
    "$ci_stack" release
    # The stack is known by what it runs: whoever commits that deploys nothing.
    commit_all edits
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --migrate 'echo MIGRATE'
    contains "nothing changed"
    lacks MIGRATE
    git checkout -q "$first"
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}"
    [ "$(deployed)" = 'DEPLOY services/orders DEPLOY services/users' ]
}

@test "--allow-dirty: what is committed meanwhile is marked as that commit" {
    echo edit >>services/users/code
    request_of_a_laptop
    deploy_again
    commit_all edit
    deploy_again
    contains "nothing changed"
    run "$ci_stack" migrate --migrate true
    contains "test-1 runs $(git rev-parse --short=12 HEAD)"
    "$ci_stack" release
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$(git rev-parse HEAD)" ]
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --migrate true
    contains "nothing changed"
}

@test "--allow-dirty in a subfolder" {
    echo edit >>services/users/code
    mkdir shop.log
    cd services
    "$ci_stack" request --units '*/' --shared ../migrations --allow-dirty --state ../shop.log/state --keep $$
    deploy_again "${one_by_one[@]}" --state ../shop.log/state
    [ "$(deployed)" = 'DEPLOY mail DEPLOY orders DEPLOY users' ]
    echo edit >>users/code
    cd "$app"
    deploy_again "${one_by_one[@]}" --state shop.log/state # the request said which folder
    [ "$(deployed)" = 'DEPLOY users' ]
    "$ci_stack" release --state shop.log/state
    cd services
    run "$ci_stack" run --units '*/' --shared ../migrations --allow-dirty --state ../shop.log/state --deploy false
    contains "nothing changed"
}

@test "--allow-dirty: a unit that failed, or was edited while it was deployed, is deployed again" {
    echo edit >>services/users/code
    request_of_a_laptop
    run "$ci_stack" deploy --deploy-unit 'echo "DEPLOY {}"; [ {} != services/orders ]'
    [ "$status" = 1 ]
    deploy_again --deploy-unit 'echo "DEPLOY {}"; echo edit >>services/users/code'
    [ "$(deployed)" = 'DEPLOY services/orders DEPLOY services/users' ]
    contains "nobody knows what runs: services/users (does"
    deploy_again
    [ "$(deployed)" = 'DEPLOY services/users' ]
    "$ci_stack" release
    run "$ci_stack" run "${units[@]}" --allow-dirty "${one_by_one[@]}" --migrate true
    contains "nothing changed"
}
