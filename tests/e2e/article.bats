#!/usr/bin/env bats
# The article's script, verbatim but for host and key, and the same script made safe.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load ../ci/helpers

setup_file()
{
    start_service
    export CLOUD=$BATS_FILE_TMPDIR
    jq -n '[range(1; 4) | {key: "table-name-test-\(.)", value: "t\(.)"}, {key: "bus-name-test-\(.)", value: "b\(.)"}] | from_entries' >"$CLOUD/exports.json"
    "$BATS_TEST_DIRNAME/../doubles/cloudformation.py" "$CLOUD/exports.json" "$CLOUD/port" "$CLOUD/calls" >"$CLOUD/double.log" 2>&1 3>&- &
    echo $! >"$CLOUD/pid"
    await 20 test -s "$CLOUD/port"
    mkdir "$CLOUD/bin"
    # `yarn` is whatever the app has: here it tells what it was called with, and fails when told to.
    cat >"$CLOUD/bin/yarn" <<'EOF'
#!/bin/sh
echo "$*" >>yarn.log
[ ! -e "pause-$1" ] || { echo $$ >paused.log; sleep 300; }
[ ! -e "fail-$1" ]
EOF
    cat >"$CLOUD/bin/aws" <<EOF
#!/usr/bin/env bash
# without the article's --profile test-profile, which this machine doesn't have
args=()
while [ \$# -gt 0 ]; do case \$1 in --profile) shift ;; *) args+=("\$1") ;; esac; shift; done
exec /usr/bin/aws --endpoint-url "http://127.0.0.1:$(cat "$CLOUD/port")" "\${args[@]}"
EOF
    chmod +x "$CLOUD"/bin/*
}

teardown_file()
{
    kill "$(cat "$CLOUD/pid")"
    stop_service
}

setup()
{
    new_project 3
    new_app
    echo LEVEL=info >.env.ci.test
    export PATH=$CLOUD/bin:$PATH GIT_BRANCH=feature CURL_CA_BUNDLE=$ORCHESTRATOR_CACERT HOME=$BATS_TEST_TMPDIR
    export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=eu-west-1
}

# Every line as the article prints it; only the host differs.
article()
{
    sed "s|https://stack-orchestrator.theodo.org|$ORCHESTRATOR_URL|" "$BATS_TEST_DIRNAME/article.sh" >article.sh
    bash article.sh
}

@test "the article's script works verbatim but for host and key" {
    run article
    [ "$status" = 0 ]
    contains "test-1 will be used"
    contains "Last commit of stack test-1 updated"
    contains "Stack test-1 released"
    [ "$(cat .env.test)" = "LEVEL=info
STAGE=test-1
TABLE_NAME=t1
BUS_NAME=b1" ]
    grep -q '^sls deploy --stage test-1$' yarn.log
    [ "$(api GET /listStacks | jq -c '.stacks[0] | [.lastDeployedCommit, .isAvailable, .branch]')" = "[\"$(git rev-parse HEAD)\",true,\"feature\"]" ]
    # its second run gets the stack that its branch used last
    run article
    contains "test-1 will be used"
    # a failed deploy releases the stack
    touch fail-sls
    run article
    [ "$status" = 1 ]
    contains "Deploy failed"
    nobody_leases
}

@test "the article's script made safe: deploys and migrates what changed, and releases" {
    run "$ROOT/scripts/ci/article"
    [ "$status" = 0 ]
    contains "test-1 will be used"
    [ "$(cat yarn.log)" = "sls deploy --stage test-1
migrate --stage test-1
test:integration" ]
    grep -qx TABLE_NAME=t1 .env.test
    [ "$(last_outcome)" = success ]
    rm yarn.log
    run "$ROOT/scripts/ci/article"
    [ "$status" = 0 ]
    [ "$(cat yarn.log)" = test:integration ]
    touch fail-migrate
    change migrations
    run "$ROOT/scripts/ci/article"
    [ "$status" = 1 ]
    [ "$(last_outcome)" = deployFailed ]
    rm fail-migrate yarn.log
    run "$ROOT/scripts/ci/article"
    grep -q migrate yarn.log # again: it was not marked
}

@test "the article's script made safe goes on when the program is away for a moment" {
    "$ROOT/scripts/local" kill program --var "$VAR"
    env --default-signal setsid "$ROOT/scripts/ci/article" >job.log 2>&1 3>&- &
    job=$!
    was_refused() { grep "\"project\":\"$project\".*/requestStack.*\"status\":502" "$VAR"/log/nginx-access.log; }
    await 20 was_refused
    "$ROOT/scripts/local" restart program --var "$VAR" 3>&-
    end_job
    [ "$status" = 0 ]
    contains "test-1 will be used"
    [ "$(last_outcome)" = success ]
}

@test "the article's script made safe gives the stack back when it is cancelled" {
    touch pause-test:integration
    env --default-signal setsid "$ROOT/scripts/ci/article" >job.log 2>&1 3>&- &
    job=$!
    await 60 test -s paused.log
    kill -TERM "$job"
    end_job
    [ "$status" = 143 ]
    nobody_leases
    [ "$(last_outcome)" = failed ]
    gone "$(cat paused.log)"
    lacks "$ORCHESTRATOR_KEY"
}
