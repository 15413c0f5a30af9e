#!/usr/bin/env bats
# ci-stack: what a stack is said to run, unit by unit, however its deploys end.
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

# What a stack has of a commit is known: each run deploys only the rest.

@test "one unit failed: the next push deploys that one only" {
    run "$ci_stack" run "${units[@]}" --jobs 3 --deploy-unit '[ {} != services/users ]' --migrate true --test true
    [ "$status" = 1 ]
    [ "$(last_outcome)" = deployFailed ]
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --migrate 'echo MIGRATE' --test true
    [ "$status" = 0 ]
    [ "$(deployed)" = "DEPLOY services/users" ]
    contains MIGRATE # it was not reached
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --migrate 'echo MIGRATE' --test true
    lacks DEPLOY
    lacks MIGRATE
}

@test "the log says how long the deploy should take, by what earlier ones took, and how long it took" {
    run "$ci_stack" run "${units[@]}" --deploy-unit 'sleep 2' --jobs 3
    lacks estimated
    change services/users
    run "$ci_stack" run "${units[@]}" --deploy-unit true --report-json result.json
    contains 'one unit after the other'
    grep -E 'deploy +[0-9]s +ok +1 of 3 units, estimated [23]s' <<<"$output"
    jq -e '.estimatedDeploySeconds | . == 2 or . == 3' result.json
}

@test "a deploy that failed costs what it was to change; forced, it costs everything" {
    "$ci_stack" run "${units[@]}" --deploy true
    change services/users
    run "$ci_stack" run "${units[@]}" --deploy 'exit 37'
    [ "$status" = 37 ]
    run "$ci_stack" run "${units[@]}" --deploy 'echo $STACK_CHANGED_UNITS'
    contains "1 of 3 units"
    run "$ci_stack" run "${units[@]}" --deploy 'exit 37' --force-deploy
    [ "$status" = 37 ]
    run "$ci_stack" run "${units[@]}" --deploy true
    contains "3 of 3 units"
}

@test "a failed migration forgets the migrations only; so does one that is cut off" {
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOY' --migrate 'exit 4'
    [ "$status" = 4 ]
    [ "$(last_outcome)" = deployFailed ]
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOY' --migrate true
    [ "$status" = 0 ]
    lacks DEPLOY
    change migrations
    start_job run "${units[@]}" --deploy 'echo DEPLOY' --migrate 'touch step.log; sleep 300'
    await 20 test -e step.log
    kill -TERM "$job"
    end_job
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOY' --migrate 'echo MIGRATE'
    lacks DEPLOY
    contains MIGRATE
}

@test "a deploy that ended well is known, though the exports after it failed" {
    runs_head() { [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$(git rev-parse HEAD)" ]; }
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOY' --from-command 'exit 9' --test true
    [ "$status" = 9 ]
    [ "$(last_outcome)" = failed ]
    runs_head
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOY' --test true
    lacks DEPLOY
    # Without units the commit says it all.
    change services/users
    run "$ci_stack" run --deploy true --from-command 'exit 9'
    [ "$status" = 9 ]
    runs_head
    # Not while the migrations are still to come.
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    change services/users
    run "$ci_stack" run "${units[@]}" --deploy true --migrate true --from-command 'exit 9'
    runs_head
    change migrations
    run "$ci_stack" run "${units[@]}" --deploy true --migrate true --from-command 'exit 9'
    run ! runs_head
}

@test "step by step: what the deploy did is known, though the migration failed" {
    "$ci_stack" request "${units[@]}"
    "$ci_stack" deploy --deploy true
    run "$ci_stack" migrate --migrate false
    [ "$status" = 1 ]
    "$ci_stack" release
    run --separate-stderr "$ci_stack" request "${units[@]}" --json
    jq -e '.changedUnits == []' <<<"$output"
}

@test "step by step: with --no-mark, what was deployed is known only after ci-stack mark" {
    local mark
    for mark in false true; do
        "$ci_stack" request "${units[@]}"
        "$ci_stack" deploy --no-mark "${one_by_one[@]}"
        if "$mark"; then "$ci_stack" mark; fi
        "$ci_stack" release
        run "$ci_stack" run "${units[@]}" --deploy 'exit 1' # which units it would deploy
        if "$mark"; then contains "nothing changed"; else contains "3 of 3 units"; fi
    done
}

@test "a unit that the commit no longer has: told each time while it is left in the cloud, then removed once" {
    "$ci_stack" run "${units[@]}" "${one_by_one[@]}"
    git rm -qr services/mail
    commit_all 'no mail'
    for _ in 1 2; do
        run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --report-json report.log
        [ "$status" = 0 ]
        contains "left in the cloud"
        contains "services/mail"
        jq -e '.leftUnits == ["services/mail"] and .marked' report.log
    done
    change services/users
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --remove-unit 'echo "REMOVE {} $STACK_UNIT"'
    [ "$status" = 0 ]
    contains "REMOVE services/mail services/mail"
    [[ $output == *REMOVE*"DEPLOY services/users"* ]] # removed first
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --remove-unit 'echo REMOVE'
    lacks REMOVE
    lacks DEPLOY
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$(git rev-parse HEAD)" ]
}

@test "a unit that was left in the cloud still runs there: a branch that has it deploys nothing" {
    "$ci_stack" run "${units[@]}" "${one_by_one[@]}"
    git rm -qr services/mail
    commit_all 'no mail'
    "$ci_stack" run "${units[@]}" "${one_by_one[@]}"
    git checkout -q HEAD~1
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}"
    contains "nothing changed"
    lacks DEPLOY
}

@test "a removal that failed is tried again by the next push, and nothing else is" {
    "$ci_stack" run "${units[@]}" "${one_by_one[@]}"
    git rm -qr services/mail
    commit_all 'no mail'
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --remove-unit 'exit 5'
    [ "$status" = 5 ]
    contains "remove failed with status 5"
    run "$ci_stack" run "${units[@]}" "${one_by_one[@]}" --remove-unit 'echo "REMOVE {}"'
    [ "$status" = 0 ]
    contains "REMOVE services/mail"
    lacks DEPLOY
}

@test "a job that only tests leaves what is known of the stack" {
    "$ci_stack" run "${units[@]}" --deploy true
    run "$ci_stack" run --test true
    [ "$status" = 0 ]
    [ "$(last_outcome)" = notDeployed ]
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOY'
    lacks DEPLOY
}

@test "where everything counts as changed, the log says why" {
    run "$ci_stack" run "${units[@]}" --deploy 'exit 1'
    contains "that is everything: test-1 is new"
    run "$ci_stack" run "${units[@]}" --deploy true
    contains "that is everything: nothing is known to have been deployed there"
    run "$ci_stack" run "${units[@]}" --deploy true
    lacks "that is everything"
    "$ci_stack" request
    "$ci_stack" release # it may have deployed whatever it liked
    run "$ci_stack" run "${units[@]}" --deploy true
    contains "that is everything: nobody said what test-1 runs"
    run "$ci_stack" run "${units[@]}" --force-deploy --deploy true
    contains "that is everything: --force-deploy says so"
}

@test "--deploy-retries runs a failed command again, each unit's by itself" {
    fails_once='echo "RUN {}"; [ -e $(basename {}).log ] || { touch $(basename {}).log; exit 3; }'
    run "$ci_stack" run "${units[@]}" --deploy-retries 1 --deploy-unit "$fails_once"
    [ "$status" = 0 ]
    [ "$(grep -c '^RUN' <<<"$output")" = 6 ]
    contains "deploy of services/mail failed with status 3; try 2 of 2"
    rm -f ./*.log
    run "$ci_stack" run "${units[@]}" --force-deploy --deploy-retries 1 --deploy 'echo "RUN"; exit 3'
    [ "$status" = 3 ]
    [ "$(grep -c '^RUN' <<<"$output")" = 2 ]
}

cut_off() # SIGNAL: a deploy in its middle
{
    start_job run "${units[@]}" --state cut --deploy 'touch step.log; sleep 300'
    await 20 test -e step.log
    kill "-$1" "$job"
    end_job
    await 20 nobody_leases
    api GET /status | jq -e '.stacks[0] | .unsettled and .failedDeploys == 1'
}

@test "where a deploy was cut off, --settle runs before the next one until it succeeds" {
    cut_off TERM
    run "$ci_stack" run "${units[@]}" --settle 'echo "SETTLE $STACK_NAME"; [ -e rest.log ] || { touch rest.log; exit 1; }' --deploy 'echo DEPLOY'
    [ "$status" = 0 ]
    contains "a deploy was cut off on test-1"
    [ "$(grep -c '^SETTLE test-1' <<<"$output")" = 2 ]
    [[ $output == *SETTLE*DEPLOY* ]]
    change services/users
    run "$ci_stack" run "${units[@]}" --settle 'echo SETTLE' --deploy 'echo DEPLOY'
    contains DEPLOY
    lacks SETTLE
}

@test "a deploy whose ci-stack was killed counts as cut off, too; a stack that doesn't come to rest is not deployed to" {
    cut_off KILL
    run "$ci_stack" run "${units[@]}" --settle 'exit 7' --settle-wait 1s --deploy 'echo DEPLOY'
    [ "$status" = 7 ]
    contains "not at rest within 1s"
    lacks DEPLOY
    [ "$(last_outcome)" = notDeployed ]
    run "$ci_stack" status
    contains "unsettled, failed deploys: 1"
}

@test "--settle cloudformation waits for this stack's own CloudFormation stacks" {
    local aws='{"StackSummaries": [{"StackName": "shop-test-10", "StackStatus": "UPDATE_IN_PROGRESS"}'
    cut_off TERM
    mkdir double
    # Busy at the first call only.
    cat >double/aws <<END
#!/bin/sh
echo "\$*" >>aws.log
[ \$(wc -l <aws.log) = 1 ] && busy=', {"StackName": "orders-test-1", "StackStatus": "UPDATE_IN_PROGRESS"}'
printf '%s%s]}' '$aws' "\$busy"
END
    chmod +x double/aws
    PATH=$PWD/double:$PATH run "$ci_stack" run "${units[@]}" --settle cloudformation --region eu-west-1 --deploy 'echo DEPLOY'
    [ "$status" = 0 ]
    contains "orders-test-1 is UPDATE_IN_PROGRESS"
    lacks "test-10"
    [ "$(wc -l <aws.log)" = 2 ]
    grep -q 'cloudformation list-stacks .*UPDATE_IN_PROGRESS.*--region eu-west-1' aws.log
    contains DEPLOY
}
