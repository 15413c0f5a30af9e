#!/usr/bin/env bats
# What ci-stack writes into .env, read by the parsers that apps use: the dotenv package and node's own.
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
        const next = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % n; };
        const parts = ["a", "B1", " ", "$", "${x}", "`", "\"", "\x27", "\\", "\\n", "#", "=", "\n", "é", "{", "}", "!", ";", "&", "-", "\t", "$(id)", "%"];
        const values = {};
        for (let i = 0; i < 400; i++) {
            let value = "";
            for (let k = next(9); k > 0; k--) value += parts[next(parts.length)];
            values[`V_${i}`] = value;
        }
        console.log(JSON.stringify(values));'
}

# PROGRAM that prints the parsed file as JSON
check_parser()
{
    cd "$BATS_TEST_TMPDIR" || return
    echo '{"version": 1, "phase": "leased", "stackName": "test-1", "leaseId": "0123456789abcdef0123456789abcdef"}' >.ci-stack-state.json
    odd_values >values.json
    # What no quoting can hold is refused by name; the rest has to read exactly.
    run "$ci_stack" exports --from-command 'cat values.json'
    refused=$(grep -o '^ci-stack: V_[0-9]*: no dotenv' <<<"$output" | grep -o 'V_[0-9]*' | jq -nR '[inputs]')
    [ "$(jq length <<<"$refused")" -lt 40 ]
    jq --argjson refused "$refused" 'del(.[$refused[]])' values.json >expected.json
    run "$ci_stack" exports --from-command 'cat expected.json'
    [ "$status" = 0 ]
    "$@" >read.json
    jq -n --slurpfile want expected.json --slurpfile got read.json \
        '[$want[0] | to_entries[] | select($got[0][.key] != .value) | {name: .key, want: .value, got: $got[0][.key]}]' >wrong.json
    [ "$(cat wrong.json)" = '[]' ] || { cat wrong.json .env; return 1; }
}

@test "the dotenv package reads every value exactly" {
    check_parser env NODE_PATH="$npm_bin/.." node -e 'console.log(JSON.stringify(require("dotenv").parse(require("fs").readFileSync(".env"))))'
}

@test "node --env-file reads every value exactly" {
    check_parser node --env-file=.env -e 'console.log(JSON.stringify(process.env))'
}
