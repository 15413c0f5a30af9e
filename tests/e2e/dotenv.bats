#!/usr/bin/env bats
# What ci-stack writes into .env, read by those that it is for: the dotenv package, node, python-dotenv, and Docker's client, which
# reads --env-file itself (the engine that it hands the variables to is a double).
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load ../ci/helpers
load npm

setup_file() { install_npm_packages; }

# 400 values made of the characters that quoting trips over, from a fixed seed.
odd_values()
{
    node -e '
        let seed = 7;
        const next = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 2147483648 * n); };
        const parts = ["a", "B1", " ", "$", "${x}", "`", "\"", "\x27", "\\", "\\n", "#", "=", "\n", "é", "{", "}", "!", ";", "&", "-", "\t", "$(id)", "%", "\r"];
        const values = {};
        for (let i = 0; i < 400; i++) {
            let value = "";
            for (let k = next(9); k > 0; k--) value += parts[next(parts.length)];
            values[`V_${i}`] = value;
        }
        console.log(JSON.stringify(values));'
}

# PROGRAM that prints the parsed file as JSON
check_parser() # FORMAT MOST_REFUSED PROGRAM...
{
    local format=$1 most=$2
    shift 2
    cd "$BATS_TEST_TMPDIR" || return
    echo '{"version": 1, "phase": "leased", "stackName": "test-1", "leaseId": "0123456789abcdef0123456789abcdef"}' >.ci-stack-state.json
    odd_values >values.json
    # What the format can't hold is refused by name; the rest has to read exactly.
    run "$ci_stack" exports --from-command 'cat values.json' --format "$format"
    refused=$(sed -n "s/^ci-stack: \(V_[0-9]*\): --format $format can't hold its value/\1/p" <<<"$output" | jq -nR '[inputs]')
    [ "$(jq length <<<"$refused")" -le "$most" ]
    jq --argjson refused "$refused" 'del(.[$refused[]])' values.json >expected.json
    run "$ci_stack" exports --from-command 'cat expected.json' --format "$format"
    [ "$status" = 0 ]
    "$@" >read.json
    jq -n --slurpfile want expected.json --slurpfile got read.json \
        '[$want[0] | to_entries[] | select($got[0][.key] != .value) | {name: .key, want: .value, got: $got[0][.key]}]' >wrong.json
    [ "$(cat wrong.json)" = '[]' ] || { cat wrong.json .env; return 1; }
}

@test "the dotenv package reads every value exactly" {
    check_parser dotenv 130 env NODE_PATH="$npm_bin/.." node -e 'console.log(JSON.stringify(require("dotenv").parse(require("fs").readFileSync(".env"))))'
}

@test "node --env-file reads every value exactly" {
    check_parser dotenv 130 node --env-file=.env -e 'console.log(JSON.stringify(process.env))'
}

@test "python-dotenv reads every value exactly" {
    check_parser python 0 /usr/bin/python3 -c 'import dotenv, json; print(json.dumps(dotenv.dotenv_values(".env")))'
}

@test "docker --env-file reads every value exactly" {
    docker_reads()
    {
        "$BATS_TEST_DIRNAME/../doubles/engine.py" port container 3>&- &
        engine=$!
        await 20 test -s port
        DOCKER_HOST=tcp://127.0.0.1:$(<port) docker create --env-file .env image >/dev/null
        kill "$engine"
        jq '.Env | map(capture("\\A(?<key>[^=]*)=(?<value>(.|\n)*)\\z")) | from_entries' container
    }
    check_parser docker 130 docker_reads
}
