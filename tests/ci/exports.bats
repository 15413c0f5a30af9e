#!/usr/bin/env bats
# ci-stack exports: the real aws client against a CloudFormation double, and a .env file that reads right.
# shellcheck disable=SC2154,SC2016,SC2028,SC2030,SC2031 # variables come from helpers; steps expand their own

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
    rm -f "$exports".*
    : >"$BATS_FILE_TMPDIR/calls"
    # As `ci-stack request` leaves it.
    echo '{"version": 1, "phase": "leased", "stackName": "test-1", "leaseId": "0123456789abcdef0123456789abcdef"}' >.ci-stack-state.json
}

# The .env file's variables, without the marks around them.
written() { grep -v "^# ci-stack" .env; }

# What a shell reads from the file.
sourced() # VARIABLE
{
    # shellcheck disable=SC2086 # `busybox sh` is two words
    ${2:-sh} -c '. ./.env; eval "printf %s \"\$$1\""' sh "$1"
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
    printf '# ci-stack begin\nOLD=1\n# ci-stack end\n' >.env.test
    run "$ci_stack" exports --exports exports.map --env-template .env.ci.test --env-file .env.test
    [ "$status" = 0 ]
    [ "$(cat .env.test)" = "# ci-stack begin
FIRST=1
LEVEL=info
STAGE=test-1
TABLE_NAME='Table One'
BUS=bus
LAST='last page'
# ci-stack end" ]
    [ "$(stat -c %a .env.test)" = 600 ]
    [ "$(wc -l <"$BATS_FILE_TMPDIR/calls")" = 3 ] # three pages
    [ "$(ls)" = exports.map ]
}

@test "by rule: every export that ends in the stack's name" {
    jq -n '{"table-name-test-1": "t", "busName-test-1": "b", "table-name-test-11": "wrong", "test-1": "x", "other": "x"}' >"$exports"
    run "$ci_stack" exports --exports-rule --stage-var STACK
    [ "$status" = 0 ]
    [ "$(written | sort)" = "BUS_NAME=b
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
    printf '# ci-stack begin\nBEFORE=1\n# ci-stack end\n' >.env
    run "$ci_stack" exports --exports exports.map
    [ "$status" = 65 ]
    contains "bus-test-1 (for B) is missing"
    contains "queue-test-1 (for C) is missing"
    lacks "for A"
    [ "$(written)" = BEFORE=1 ]
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

@test "any value, in sh: exact in dash, bash and BusyBox" {
    hard_values >values.json
    run "$ci_stack" exports --from-command 'cat values.json' --format sh
    [ "$status" = 0 ]
    for shell in dash bash 'busybox sh'; do
        for name in $(jq -r 'keys[]' values.json); do
            [ "$(sourced "$name" "$shell"; echo .)" = "$(jq -j --arg n "$name" '.[$n]' values.json; echo .)" ]
        done
    done
}

@test "any value, for other readers: a shell reads it exactly or not at all, and runs nothing of it" {
    hard_values | jq '. + {RUN_1: "it'\''s \"`touch ran`\"", RUN_2: "\\n'\''$(touch ran)", RUN_3: "a\n;touch ran #", RUN_4: "x `touch ran`"}' >values.json
    for format in dotenv python docker; do
        jq --arg format "$format" 'map_values(select($format != "docker" or (contains("\n") | not)))' values.json >held.json
        run "$ci_stack" exports --from-command 'cat held.json' --format "$format"
        [ "$status" = 0 ]
        compared=0
        for shell in dash bash 'busybox sh'; do
            [ -z "$(eval "$shell -eu" <<<'. ./.env' 2>&1)" ]
            for name in $(jq -r 'keys[]' held.json); do
                if [[ $output == *"note: $name: sh leaves it out"* ]]; then [ -z "$(sourced "$name" "$shell")" ]
                else
                    [ "$(sourced "$name" "$shell"; echo .)" = "$(jq -j --arg n "$name" '.[$n]' held.json; echo .)" ]
                    compared=$((compared + 1))
                fi
            done
        done
        [ ! -e ran ]
        [ "$format" = docker ] || [ "$compared" -ge 50 ]
    done
}

@test "dotenv takes backticks only where nothing else is exact" {
    run "$ci_stack" exports --from-command "jq -n '{A: \"it\\u0027s \\\"x\\\"\", B: \"it\\u0027s \\\"x\\\" # y\"}'"
    [ "$status" = 0 ]
    grep -qxF "A=it's \"x\"" .env
    grep -qxF "B=\`it's \"x\" # y\`" .env
}

@test "what a format can't hold is refused by name, and nothing is written" {
    refuses() # FORMAT VALUE
    {
        jq '{GOOD: "x", BAD: .}' <<<"$2" >values.json
        run "$ci_stack" exports --format "$1" --from-command 'cat values.json'
        [ "$status" = 65 ] || { echo "$1 ${2::99}: $status ${output::999}" && return 1; }
        contains "BAD: --format $1 can't hold its value"
        [ ! -e .env ]
    }
    refuses dotenv '"a\r\nb"'
    refuses dotenv '"\u0027\"`\n"'
    for format in dotenv python docker sh; do refuses "$format" '"a\u0000b"'; done
    refuses docker '"a\nb"'
    refuses docker '"a\r"'
    refuses docker "$(printf '"%070000d"' 0)"
    for format in python sh; do
        "$ci_stack" exports --format "$format" --from-command "jq -n '{GOOD: \"a\\r\\nb\"}'"
    done
}

@test "python-dotenv reads every value exactly" {
    hard_values | jq '. + {R_1: "a\rb\r\n", R_2: "${HOME}\\", R_3: "\\", R_4: "\\\\", R_5: "\u0027\\\u0027", R_6: "${X:-y}${", R_7: "$${A}", R_8: "\u2028 \u00a0"}' >values.json
    run "$ci_stack" exports --format python --from-command 'cat values.json'
    [ "$status" = 0 ]
    /usr/bin/python3 -c 'import dotenv, json; print(json.dumps(dotenv.dotenv_values(".env")))' >read.json
    jq -n --slurpfile want values.json --slurpfile got read.json '$want[0] | to_entries[] | select($got[0][.key] != .value)' >wrong.json
    [ ! -s wrong.json ] || { cat wrong.json .env; return 1; }
}

@test "a file that ci-stack didn't write is left as it is: known before anything is asked for" {
    export ORCHESTRATOR_URL=https://127.0.0.1:1 ORCHESTRATOR_KEY=0123456789
    jq -n '{"table-name-test-1": "t"}' >"$exports"
    echo 'SECRET=of a developer' >.env
    for command in exports 'run --deploy true --exports-rule' 'env CI_STACK_EXPORTS_RULE=yes request'; do
        # shellcheck disable=SC2086
        run $(case $command in env*) echo "env CI_STACK_EXPORTS_RULE=yes $ci_stack request" ;; *) echo "$ci_stack $command" ;; esac)
        [ "$status" = 64 ] || { echo "$command: $status $output" && return 1; }
        contains ".env wasn't written by ci-stack"
        contains "# ci-stack begin"
        [ "$(cat .env)" = 'SECRET=of a developer' ]
    done
    # With the marks, all else in it stays.
    printf 'A=1\r\n# ci-stack begin\r\nold\n# ci-stack end\nB=2\n' >.env
    for _ in 1 2; do
        run "$ci_stack" exports
        [ "$status" = 0 ]
        [ "$(cat .env)" = $'A=1\r\n# ci-stack begin\nSTAGE=test-1\nTABLE_NAME=t\n# ci-stack end\nB=2' ]
    done
    printf '# ci-stack end\n# ci-stack begin\n' >.env
    run "$ci_stack" exports
    [ "$status" = 64 ]
    rm .env
    ln -s other .env
    run "$ci_stack" exports
    [ "$status" = 64 ]
    run "$ci_stack" exports --env-file missing/.env
    [ "$status" = 64 ]
    contains "can't write into missing"
    touch empty # as good as none
    "$ci_stack" exports --env-file empty
}

@test "a value that looks like a mark doesn't end what is ours" {
    echo '{"A": "x\n# ci-stack end\n# ci-stack begin\ny"}' >values.json
    for _ in 1 2; do
        run "$ci_stack" exports --from-command 'cat values.json'
        [ "$status" = 0 ]
        [ "$(sourced A)" = $'x\n# ci-stack end\n# ci-stack begin\ny' ]
        [ "$(grep -c '^A=' .env)" = 1 ]
    done
}

@test "a map that is missing, wrong, or sets a name twice is refused before anything is asked for" {
    export ORCHESTRATOR_URL=https://127.0.0.1:1 ORCHESTRATOR_KEY=0123456789
    refuses() # TEXT
    {
        for command in exports 'run --deploy true'; do
            # shellcheck disable=SC2086
            run "$ci_stack" $command --exports exports.map
            [ "$status" = 64 ] || { echo "$command: $status $output" && return 1; }
            contains "$1"
        done
    }
    refuses "can't read exports.map"
    printf 'A=ok\nno line\nB=x\n\nno other\n' >exports.map
    refuses "exports.map:2: not a line of NAME="
    refuses "exports.map:5: not a line of NAME="
    printf 'A=one\nB=two\n# A=three\nA = four\n' >exports.map
    refuses "exports.map:4: A is set in line 1 already"
    printf 'A=one\nSTAGE=two\n' >exports.map
    refuses "exports.map:2: STAGE gets the name of the stack (see --stage-var)"
    rm exports.map
    run "$ci_stack" run --deploy true --env-template missing
    [ "$status" = 64 ]
    contains "can't read missing"
    run "$ci_stack" run --deploy true --from-stack x --from-command y
    [ "$status" = 64 ]
}

@test "outputs without an export: those of stacks, by a map or by rule" {
    jq -n '{}' >"$exports"
    jq -n '{"orders-test-1": {TableName: "t", Bucket: "b1", Same: "s"}, "mail-test-1": {QueueUrl: "q", Bucket: "b2", Same: "s"}, empty: {}}' >"$exports.stacks"
    printf 'TABLE=TableName\nBUCKET=mail-{stack}.Bucket\nQUEUE=QueueUrl\n' >exports.map
    run "$ci_stack" exports --from-stack 'orders-{stack} mail-{stack}' --exports exports.map
    [ "$status" = 0 ]
    [ "$(written)" = "STAGE=test-1
TABLE=t
BUCKET=b2
QUEUE=q" ]
    [ "$(cut -d ' ' -f 3 "$BATS_FILE_TMPDIR/calls" | paste -sd ' ')" = "orders-test-1 mail-test-1" ]
    run "$ci_stack" exports --from-stack 'orders-{stack}' --from-stack empty
    [ "$status" = 0 ]
    [ "$(written | sort)" = "BUCKET=b1
SAME=s
STAGE=test-1
TABLE_NAME=t" ]
    # Two stacks have a Bucket each; what is the same in both is no question.
    printf 'BUCKET=Bucket\nSAME=Same\n' >exports.map
    run "$ci_stack" exports --from-stack 'orders-{stack} mail-{stack}' --exports exports.map
    [ "$status" = 65 ]
    contains "Bucket (for BUCKET) may be any of orders-test-1.Bucket, mail-test-1.Bucket: say which"
    run "$ci_stack" exports --from-stack 'orders-{stack} mail-{stack}'
    [ "$status" = 65 ]
    contains "BUCKET would be set twice: by "
    lacks "SAME"
    run "$ci_stack" exports --from-stack 'users-{stack}'
    [ "$status" != 0 ]
    contains "Stack with id users-test-1 does not exist"
}

@test "a throttled account: it goes on asking" {
    jq -n '{"table-name-test-1": "t"}' >"$exports"
    echo 4 >"$exports.throttle" # the client alone asks three times
    run "$ci_stack" exports --exports-rule
    [ "$status" = 0 ]
    [ "$(written)" = $'STAGE=test-1\nTABLE_NAME=t' ]
}

@test "without CloudFormation: Terraform's outputs, CDK's outputs file, plain JSON" {
    echo '{"table_name": {"sensitive": false, "type": "string", "value": "t"}, "ports": {"value": [1, 2]}}' >terraform.json
    run "$ci_stack" exports --from-command 'cat terraform.json'
    [ "$(written | sort)" = "PORTS='[1,2]'
STAGE=test-1
TABLE_NAME=t" ]
    echo '{"test-1-orders": {"TableName": "t1"}, "test-1-mail": {"QueueUrl": "q"}}' >cdk.json
    printf 'TABLE={stack}-orders.TableName\nQUEUE_URL=QueueUrl\n' >exports.map
    run "$ci_stack" exports --from-command 'cat cdk.json' --exports exports.map
    [ "$(written | sort)" = "QUEUE_URL=q
STAGE=test-1
TABLE=t1" ]
    run "$ci_stack" exports --from-command 'cat cdk.json'
    [ "$status" = 0 ]
    [ "$(written | sort)" = "QUEUE_URL=q
STAGE=test-1
TABLE_NAME=t1" ]
    run "$ci_stack" exports --from-command 'echo not json'
    [ "$status" = 65 ]
    run "$ci_stack" exports --from-command 'exit 8'
    [ "$status" = 8 ]
}
