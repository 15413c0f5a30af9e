#!/usr/bin/env bats
# ci-stack exports: the real aws client against a CloudFormation double, and a .env file that reads right.
# shellcheck disable=SC2154,SC2016,SC2028 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup_file()
{
    local dir=$BATS_FILE_TMPDIR
    "$BATS_TEST_DIRNAME/../doubles/cloudformation.py" "$dir/exports.json" "$dir/port" "$dir/calls" 2 >"$dir/double.log" 2>&1 3>&- &
    echo $! >"$dir/pid"
    await 20 test -s "$dir/port"
    mkdir "$dir/bin"
    # The distribution's client, which may be too old to take its endpoint from a variable.
    printf '#!/bin/sh\nexec /usr/bin/aws --endpoint-url "http://127.0.0.1:%s" "$@"\n' "$(cat "$dir/port")" >"$dir/bin/aws"
    chmod +x "$dir/bin/aws"
}

teardown_file() { kill "$(cat "$BATS_FILE_TMPDIR/pid")"; }

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
    export PATH=$BATS_FILE_TMPDIR/bin:$PATH HOME=$BATS_TEST_TMPDIR
    export AWS_ACCESS_KEY_ID=AKDEFAULT AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=eu-west-1
    exports=$BATS_FILE_TMPDIR/exports.json
    : >"$BATS_FILE_TMPDIR/calls"
    # As `ci-stack request` leaves it.
    echo '{"version": 1, "phase": "leased", "stackName": "test-1", "leaseId": "0123456789abcdef0123456789abcdef"}' >.ci-stack-state.json
}

# What a shell reads from the file.
sourced() # VARIABLE
{
    "${2:-sh}" -c '. ./.env; eval "printf %s \"\$$1\""' sh "$1"
}

# Values that are hard to quote; each also on several lines.
hard_values()
{
    jq -n '["a b", "$HOME ${HOME} `id` $(id)", "# no comment", "a=b", "  spaces  ", "it'\''s", "it'\''s $HOME", "\"quoted\"", "back\\slash\\n", "é✓",
        "line 1\nline 2\n\nline 4", "\n", "", "-n", "~/x", "a;b&c|d>e", "*?[a]", "!history", "a'\''\"$`\\", "{\"json\": [1, \"x\"]}",
        "-----BEGIN KEY-----\nabc\n-----END KEY-----\n", "%s", "a\tb", "trailing\\"]
        | to_entries | map({key: "VALUE_\(.key)", value}) | from_entries'
}

@test "a map: all pages, the stack's name put in, STAGE, template first, replaced whole" {
    jq -n '{"table-name-test-1": "Table One", "bus-name-test-1": "bus", "table-name-test-11": "wrong", "other": "x", "zz-test-1": "last page"}' >"$exports"
    printf '# names\nTABLE_NAME=table-name-{stack}\n\nBUS = bus-name-{stack}\nLAST=zz-{stack}\n' >exports.map
    printf 'FIRST=1\nLEVEL=info' >.env.ci.test # without an end of line
    printf 'OLD=1\n' >.env.test
    run "$ci_stack" exports --exports exports.map --env-template .env.ci.test --env-file .env.test
    [ "$status" = 0 ]
    [ "$(cat .env.test)" = "FIRST=1
LEVEL=info
STAGE=test-1
TABLE_NAME='Table One'
BUS=bus
LAST='last page'" ]
    [ "$(stat -c %a .env.test)" = 600 ]
    [ "$(wc -l <"$BATS_FILE_TMPDIR/calls")" = 3 ] # three pages
    [ "$(ls)" = exports.map ]
}

@test "by rule: every export that ends in the stack's name" {
    jq -n '{"table-name-test-1": "t", "busName-test-1": "b", "table-name-test-11": "wrong", "test-1": "x", "other": "x"}' >"$exports"
    run "$ci_stack" exports --exports-rule --stage-var STACK
    [ "$status" = 0 ]
    [ "$(sort .env)" = "BUS_NAME=b
STACK=test-1
TABLE_NAME=t" ]
}

@test "profile and region are passed on" {
    mkdir .aws
    printf '[other]\naws_access_key_id = AKOTHER\naws_secret_access_key = secret\n' >.aws/credentials
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    jq -n '{"table-name-test-1": "t"}' >"$exports"
    run "$ci_stack" exports --exports-rule --profile other --region ap-south-1
    [ "$status" = 0 ]
    [ "$(cat "$BATS_FILE_TMPDIR/calls")" = "AKOTHER ap-south-1 0" ]
}

@test "every missing export is named, and the file stays as it was" {
    jq -n '{"table-name-test-1": "t"}' >"$exports"
    printf 'A=table-name-{stack}\nB=bus-{stack}\nC=queue-{stack}\n' >exports.map
    echo before >.env
    run "$ci_stack" exports --exports exports.map
    [ "$status" = 65 ]
    contains "bus-test-1 (for B) is missing"
    contains "queue-test-1 (for C) is missing"
    lacks "for A"
    [ "$(cat .env)" = before ]
    printf 'A=ok\nno line\n' >exports.map
    run "$ci_stack" exports --exports exports.map
    [ "$status" = 65 ]
    contains "exports.map:2:"
    jq -n '{"table-name-test-1": "t", "table_name-test-1": "u"}' >"$exports"
    run "$ci_stack" exports --exports-rule
    [ "$status" = 65 ]
    contains "TABLE_NAME would be set twice"
}

@test "when aws fails, its status and its message come through" {
    rm -f "$exports"
    run "$ci_stack" exports --exports-rule
    [ "$status" != 0 ]
    contains AccessDenied
    [ ! -e .env ]
}

@test "any value, in sh: exact in sh, dash and bash" {
    hard_values >values.json
    run "$ci_stack" exports --from-command 'cat values.json' --format sh
    [ "$status" = 0 ]
    for shell in sh bash; do
        for name in $(jq -r 'keys[]' values.json); do
            [ "$(sourced "$name" "$shell"; echo .)" = "$(jq -j --arg n "$name" '.[$n]' values.json; echo .)" ]
        done
    done
}

@test "any value, for dotenv: exact in sh too, unless the log says otherwise" {
    hard_values >values.json
    run "$ci_stack" exports --from-command 'cat values.json'
    [ "$status" = 0 ]
    told=$(grep -o 'VALUE_[0-9]* reads right in dotenv' <<<"$output" | cut -d ' ' -f 1 | jq -nR '[inputs]')
    [ "$(jq length <<<"$told")" = 2 ] # it's $HOME's neighbours: a ' with one of $ " \ `
    jq --argjson told "$told" 'del(.[$told[]])' values.json >both.json
    run "$ci_stack" exports --from-command 'cat both.json'
    [ "$status" = 0 ]
    lacks "dotenv parsers only"
    compared=0
    for name in $(jq -r 'keys[]' both.json); do
        [ "$(sourced "$name"; echo .)" = "$(jq -j --arg n "$name" '.[$n]' both.json; echo .)" ]
        compared=$((compared + 1))
    done
    [ "$compared" -ge 20 ]
}

@test "what no dotenv quoting can hold is refused by name" {
    run "$ci_stack" exports --from-command "jq -n '{BAD: \"a\\r\\nb\"}'"
    [ "$status" = 65 ]
    contains "BAD: no dotenv quoting"
    echo '{"BAD": "\u0027\"`\n"}' >bad.json
    run "$ci_stack" exports --from-command 'cat bad.json'
    [ "$status" = 65 ]
    run "$ci_stack" exports --format sh --from-command "jq -n '{BAD: \"a\\r\\nb\"}'"
    [ "$status" = 0 ]
}

@test "without CloudFormation: Terraform's outputs, CDK's outputs file, plain JSON" {
    echo '{"table_name": {"sensitive": false, "type": "string", "value": "t"}, "ports": {"value": [1, 2]}}' >terraform.json
    run "$ci_stack" exports --from-command 'cat terraform.json'
    [ "$(sort .env)" = "PORTS='[1,2]'
STAGE=test-1
TABLE_NAME=t" ]
    echo '{"test-1-orders": {"TableName": "t1"}, "test-1-mail": {"QueueUrl": "q"}}' >cdk.json
    printf 'TABLE={stack}-orders.TableName\nQUEUE_URL=QueueUrl\n' >exports.map
    run "$ci_stack" exports --from-command 'cat cdk.json' --exports exports.map
    [ "$(sort .env)" = "QUEUE_URL=q
STAGE=test-1
TABLE=t1" ]
    run "$ci_stack" exports --from-command 'echo not json'
    [ "$status" = 65 ]
    run "$ci_stack" exports --from-command 'exit 8'
    [ "$status" = 8 ]
}
