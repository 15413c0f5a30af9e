#!/usr/bin/env bats
# What jobs live through, with the real osls against a slow cloud: cancelled deploys, failed units, broken
# copies, holds, late marks.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load ../ci/helpers
load npm

setup_file()
{
    install_npm_packages
    start_service
    export TOOLS=$BATS_FILE_TMPDIR/tools
    mkdir "$TOOLS"
    # osls speaks to AWS by a library that knows no other address by itself.
    cat >"$TOOLS/endpoint.js" <<'EOF'
require(process.env.AWS_SDK).config.update({ endpoint: process.env.CLOUD_URL, s3ForcePathStyle: true, maxRetries: 0 });
EOF
    cat >"$TOOLS/osls" <<EOF
#!/bin/sh
AWS_SDK=${npm_bin%/.bin}/aws-sdk NODE_OPTIONS="--require $TOOLS/endpoint.js --no-deprecation" exec "$npm_bin/osls" "\$@"
EOF
    cat >"$TOOLS/aws" <<'EOF'
#!/bin/sh
exec /usr/bin/aws --endpoint-url "$CLOUD_URL" "$@"
EOF
    chmod +x "$TOOLS/osls" "$TOOLS/aws"
}

teardown_file() { stop_service; }

setup()
{
    export CLOUD=$BATS_TEST_TMPDIR/cloud HOME=$BATS_TEST_TMPDIR PATH=$TOOLS:$PATH
    export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=eu-west-1
    export SLS_TELEMETRY_DISABLED=1 SLS_NOTIFICATIONS_MODE=off SLS_AWS_MONITORING_FREQUENCY=200
    mkdir "$CLOUD"
    "$BATS_TEST_DIRNAME/../doubles/cloud.py" "$CLOUD" >"$CLOUD/log" 2>&1 3>&- &
    cloud=$!
    await 20 test -s "$CLOUD/port"
    CLOUD_URL=http://127.0.0.1:$(<"$CLOUD/port")
    export CLOUD_URL
    new_app
    rm -rf services/* migrations
    echo .serverless/ >>.gitignore
    new_service users
    new_service orders
}

teardown()
{
    kill "$cloud"
}

new_service() # NAME
{
    mkdir -p "services/$1"
    cat >"services/$1/serverless.yml" <<EOF
service: $1
provider: {name: aws, region: eu-west-1, deploymentMethod: direct, deploymentBucket: {name: deploys}}
resources: {Resources: {Table: {Type: "AWS::DynamoDB::Table", Properties: {TableName: "1"}}}}
EOF
    commit_all "new $1"
}

change_service() # NAME
{
    sed -i "s/TableName: .*}}}}/TableName: \"$RANDOM$RANDOM\"}}}}/" "services/$1/serverless.yml"
    commit_all "change $1"
}

options=(--units 'services/*' --deploy-unit 'cd {} && osls deploy --stage "$STACK_NAME"' --jobs 2)

job() # BRANCH [OPTION...]
{
    run "$ci_stack" run "${options[@]}" --branch "$1" --test "${test_command:-echo \"tests on \$STACK_NAME\"}" "${@:2}"
}

green() { [ "$status" = 0 ] || { echo "$output" && return 1; }; }
red() { [ "$status" != 0 ] || { echo "$output" && return 1; }; }
changes() { sort "$CLOUD/changes"; }
forget_changes() { : >"$CLOUD/changes"; }

# A job of the branch `one` that is cancelled while the cloud is at work.
cancel_a_deploy()
{
    echo 8 >"$CLOUD/seconds" # of this one change
    start_job run "${options[@]}" --branch one --state cancelled --test true
    await 120 grep -q users-test-1 "$CLOUD/changes"
    rm "$CLOUD/seconds"
    kill -TERM "$job"
    end_job
    [ "$status" = 143 ]
    nobody_leases
}

@test "a deploy is cancelled in the middle of a cloud update: the next job gets another stack, and is green" {
    new_project 2
    cancel_a_deploy
    job two
    green
    contains "tests on test-2"
}

@test "… or, where there is no other, waits until the cloud is at rest" {
    new_project 1
    cancel_a_deploy
    job two --settle cloudformation --settle-wait 1m
    green
    contains "tests on test-1"
}

@test "one broken copy takes no more than two jobs: it is set aside, with their names" {
    new_project 2
    touch "$CLOUD/broken-test-1"
    job one
    red
    job two # the one that failed is not given to another branch while there is a better one
    green
    contains "tests on test-2"
    job three
    green
    contains "tests on test-2"
    "$ci_stack" request --state busy # test-2 is lent
    job four
    red
    is_state test-1 quarantined
    [[ $(api GET /status | jq -r '.stacks[0].hold.reason') == *one*four* || $(api GET /status | jq -r '.stacks[0].hold.reason') == *four*one* ]]
    "$ci_stack" release --state busy
    job four
    green
    contains "tests on test-2"
}

@test "one unit of three failed: the next push deploys that one alone, and the deleted service leaves the cloud" {
    new_project 1
    new_service mail
    job one
    green
    [ "$(changes)" = $'CREATE mail-test-1\nCREATE orders-test-1\nCREATE users-test-1' ]
    forget_changes
    git rm -qr services/mail
    change_service orders
    change_service users
    touch "$CLOUD/broken-orders-test-1"
    remove=(--remove-unit 'aws cloudformation delete-stack --stack-name "$(basename {})-$STACK_NAME"')
    job one
    red
    contains "services/mail"
    [ "$(changes)" = "UPDATE users-test-1" ]
    rm "$CLOUD/broken-orders-test-1"
    forget_changes
    job one "${remove[@]}"
    green
    [ "$(changes)" = $'DELETE mail-test-1\nUPDATE orders-test-1' ]
    forget_changes
    job one "${remove[@]}"
    green
    [ ! -s "$CLOUD/changes" ]
}

@test "red pushes that hold their stacks leave half of the pool; the fix gets its own" {
    new_project 2
    test_command=false
    hold=(--on-failure hold=1h)
    job one "${hold[@]}"
    is_state test-1 held
    job two "${hold[@]}"
    contains "not held"
    is_state test-2 available
    job one "${hold[@]}" # a second red push of the same branch
    is_state test-1 held
    is_state test-2 available
    test_command=
    change_service users
    forget_changes
    job one
    green
    contains "tests on test-1"
    [ "$(changes)" = "UPDATE users-test-1" ]
    is_state test-1 available
}

@test "a late mark without a leaseId: the next job deploys everything, since nobody knows what is there" {
    new_project 1
    job one
    green
    forget_changes
    api POST /setLastDeployedCommit '{"stackName": "test-1", "lastDeployedCommit": "late"}'
    change_service users
    change_service orders
    job one
    green
    [ "$(changes)" = $'UPDATE orders-test-1\nUPDATE users-test-1' ]
}

@test "outputs that no stack exports: the variables come from the stacks that were just deployed" {
    new_project 1
    test_command='cat .env' job one --from-stack 'users-{stack} orders-{stack}'
    green
    contains SERVERLESS_DEPLOYMENT_BUCKET_NAME=deploys
}
