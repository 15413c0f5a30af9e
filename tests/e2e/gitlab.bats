#!/usr/bin/env bats
# The GitLab template under gitlab-ci-local, jobs run by its shell executor.
# shellcheck disable=SC2154,SC2016,SC2034 # variables come from helpers; steps expand their own

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
    git remote add origin git@gitlab.example.org:team/app.git
    mkdir ci
    cp "$ci_stack" "$ROOT/scripts/ci/gitlab.yml" ci
    export HOME=$BATS_TEST_TMPDIR
}

job_file() # TEST_COMMAND
{
    cat >.gitlab-ci.yml <<EOF
include:
  - local: ci/gitlab.yml
integration:
  extends: .ci-stack
  variables:
    CI_STACK_UNITS: services/*
    CI_STACK_MIGRATE_UNITS: migrations
    CI_STACK_DEPLOY: echo "deploy \$\$STACK_NAME"
    CI_STACK_MIGRATE: echo "migrate \$\$STACK_NAME"
    CI_STACK_TEST: $1
refresh:
  extends: .ci-stack-refresh
  variables:
    CI_STACK_UNITS: services/*
    CI_STACK_DEPLOY: echo "deploy \$\$STACK_NAME"
EOF
    commit_all ci
}

gitlab() # JOB
{
    "$npm_bin/gitlab-ci-local" --variable "ORCHESTRATOR_URL=$ORCHESTRATOR_URL" --variable "ORCHESTRATOR_KEY=$ORCHESTRATOR_KEY" \
        --variable "ORCHESTRATOR_CACERT=$ORCHESTRATOR_CACERT" "$@"
}

@test "the template runs a job: deploy, migrate, test, release" {
    job_file 'echo "test $$STACK_NAME"'
    run gitlab integration
    [ "$status" = 0 ]
    contains "deploy test-1"
    contains "migrate test-1"
    contains "test test-1"
    contains "was given back already" # after_script
    contains section_start
    lacks "$ORCHESTRATOR_KEY"
    api GET /history | jq -e '.requests[0] | .outcome == "success" and .branch == "main" and .job.name == "integration"'
    nobody_leases
    [ -s ci-stack-report.xml ] || find . -name ci-stack-report.xml | grep -q .
    find . -path '*artifacts*' -name ci-stack-summary.md -exec cat {} + | grep -qx '### test-1: all well'
}

@test "a failed test fails the job, and its stack is back" {
    job_file 'exit 3'
    run gitlab integration
    [ "$status" != 0 ]
    contains "test failed with status 3"
    [ "$(last_outcome)" = failed ]
    nobody_leases
}

@test "after_script gives the stack back when the job was killed" {
    # the whole of the job's script dies at once, keeper included
    job_file 'echo $$$$ >step.log; sleep 300'
    env --default-signal setsid "$npm_bin/gitlab-ci-local" --variable "ORCHESTRATOR_URL=$ORCHESTRATOR_URL" \
        --variable "ORCHESTRATOR_KEY=$ORCHESTRATOR_KEY" --variable "ORCHESTRATOR_CACERT=$ORCHESTRATOR_CACERT" integration >job.log 2>&1 3>&- &
    job=$!
    await 60 test -s step.log
    [ "$(leased)" = 1 ]
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") in
            *ci/ci-stack\ run*) [ "$(readlink "/proc/$pid/cwd")" != "$app" ] || victims+=("$pid") ;;
        esac
    done
    kill -KILL "${victims[@]}" "$(cat step.log)"
    end_job
    [ "$status" != 0 ]
    contains "left by" || contains "is released"
    nobody_leases
}

@test "the refresh job deploys main to idle stacks" {
    job_file true
    ctl project update "$project" --max-stacks 3
    api POST /addStacks '{"count": 2}'
    run gitlab refresh
    [ "$status" = 0 ]
    contains "deploy test-"
    contains "1 refreshed"
    nobody_leases
}
