#!/usr/bin/env bats
# ci-stack's settings and help: no service needed.
# shellcheck disable=SC2154,SC2016,SC2028 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
    export ORCHESTRATOR_URL=https://127.0.0.1:1 ORCHESTRATOR_KEY=0123456789
}

@test "help lists every command, and each command its options" {
    run "$ci_stack" --help
    [ "$status" = 0 ]
    for command in run request deploy exports migrate mark test release extend status refresh warm destroy; do
        contains "  $command "
    done
    for command in run request deploy exports migrate mark test release extend status refresh warm destroy; do
        run "$ci_stack" "$command" --help
        [ "$status" = 0 ]
        contains "ci-stack $command: "
        contains "--state" || [[ $command =~ status|destroy ]]
    done
    run "$ci_stack" run --help
    contains "--units GLOBS"
    contains "(default: 30m)"
    run "$ci_stack"
    [ "$status" = 64 ]
    run "$ci_stack" frobnicate
    [ "$status" = 64 ]
    run "$ci_stack" --version
    [ "$status" = 0 ]
}

@test "bash completes commands, and the options of each" {
    completed() # WORD...: what the last one may become
    {
        COMP_WORDS=("$ci_stack" "$@") COMP_CWORD=$# COMPREPLY=()
        _ci_stack
        echo "${COMPREPLY[*]}"
    }
    # shellcheck source=scripts/completion.bash
    . "$ROOT/scripts/completion.bash"
    [ "$(completed re)" = "request release refresh" ]
    [ "$(completed run --settle)" = "--settle --settle-wait" ]
    [ "$(completed release --end)" = --end-hold ]
    [ -z "$(completed run scri)" ] # files, by bash itself
}

@test "wrong options are named, with a status of their own" {
    for arguments in '--nonsense 1' '--wait' '--wait soon' '--wait 25h' '--lease 4s' '--jobs 0' '--jobs 65' '--priority 11' \
        '--on-failure explode' '--on-failure hold=0s' '--on-success hold=721h' '--on-success quarantine' '--deploy-retries 11' '--settle-wait 25h' '--format xml' '--stage-var a-b' '--grace 2m' '--poll 0'; do
        # shellcheck disable=SC2086
        run "$ci_stack" run $arguments --test true
        [ "$status" = 64 ] || { echo "$arguments: $status $output"; return 1; }
        contains ci-stack:
    done
    run "$ci_stack" run
    [ "$status" = 64 ]
    contains "nothing to run"
}

@test "the key is never taken from an argument; a key with odd characters is refused" {
    for flag in '--key abc' '--key=abc'; do
        # shellcheck disable=SC2086
        run "$ci_stack" status $flag
        [ "$status" = 64 ]
        contains "arguments are public"
        lacks abc
    done
    ORCHESTRATOR_KEY=$'abc"\nurl = "https://evil.example.org' run "$ci_stack" status
    [ "$status" = 64 ]
    lacks evil
    ORCHESTRATOR_KEY='' run "$ci_stack" status
    [ "$status" = 64 ]
}

@test "only https, except to this machine" {
    for url in http://stacks.example.org ftp://x 'https://x y' $'https://x\nheader' '' file:///etc/passwd http://127.0.0.1.example.org; do
        ORCHESTRATOR_URL=$url run "$ci_stack" status
        [ "$status" = 64 ] || { echo "$url: $status $output"; return 1; }
    done
    ORCHESTRATOR_URL=http://127.0.0.1:1 run timeout 60 "$ci_stack" request --wait 0
    [ "$status" = 75 ]
}

@test "flag before variable before settings file before default" {
    printf '%s\n' '# a comment' '' 'stage-var = FROM_FILE' 'env-file=out file.env' 'format = sh' >.ci-stack
    state() { echo '{"version": 1, "phase": "leased", "stackName": "test-1", "leaseId": "0123456789abcdef0123456789abcdef"}' >.ci-stack-state.json; }
    state
    run "$ci_stack" exports --from-command 'echo {}'
    [ "$(sed 1d\;\$d "out file.env")" = FROM_FILE=test-1 ]
    CI_STACK_STAGE_VAR=FROM_VARIABLE run "$ci_stack" exports --from-command 'echo {}'
    [ "$(sed 1d\;\$d "out file.env")" = FROM_VARIABLE=test-1 ]
    CI_STACK_STAGE_VAR=FROM_VARIABLE run "$ci_stack" exports --from-command 'echo {}' --stage-var=FROM_FLAG
    [ "$(sed 1d\;\$d "out file.env")" = FROM_FLAG=test-1 ]
    printf 'stage-var = OTHER\n' >other
    run "$ci_stack" exports --settings other --from-command 'echo {}' --env-file b.env
    [ "$(sed 1d\;\$d b.env)" = OTHER=test-1 ]
}

@test "a switch in a variable, or with =, is yes or no" {
    run "$ci_stack" request --supersede=perhaps
    [ "$status" = 64 ]
    contains "--supersede: supersede is yes or no"
    CI_STACK_SUPERSEDE=perhaps run "$ci_stack" request
    [ "$status" = 64 ]
    contains "CI_STACK_SUPERSEDE: supersede is yes or no"
}

@test "a settings file is data: nothing in it runs, and mistakes name the line" {
    printf 'units = $(touch ran)`touch ran`\n' >.ci-stack
    run "$ci_stack" release
    [ ! -e ran ]
    for line in 'nonsense = 1' 'units services' 'settings = x' 'key = 0123'; do
        printf '# first\n%s\n' "$line" >.ci-stack
        run "$ci_stack" release
        [ "$status" = 64 ]
        contains ".ci-stack:2:"
    done
    rm .ci-stack
    run "$ci_stack" release --settings missing
    [ "$status" = 64 ]
}

@test "units: limits and names" {
    cd "$BATS_TEST_TMPDIR" && new_app
    for globs in '/etc' '../x' 'services/**' 'nothing/*'; do
        run "$ci_stack" run --units "$globs" --test true
        [ "$status" = 64 ] || { echo "$globs: $status $output"; return 1; }
    done
    mkdir -p "services/$(printf 'x%.0s' {1..250})"
    touch "services/$(printf 'x%.0s' {1..250})/f"
    commit_all long
    run "$ci_stack" run --units 'services/*' --test true
    [ "$status" = 64 ]
    contains "longer than 255 bytes"
    git reset -q --hard HEAD~1
    mkdir many
    for i in $(seq 2001); do echo "many/$i"; done | xargs touch
    commit_all many
    run "$ci_stack" run --units 'many/*' --test true
    [ "$status" = 64 ]
    contains "2001 units are more than 2000"
    git reset -q --hard HEAD~1
    mkdir "$(printf 'odd\nname')"
    touch "$(printf 'odd\nname')/f"
    commit_all odd
    run "$ci_stack" run --units '*' --test true
    [ "$status" = 64 ]
    contains "control characters"
    cd "$BATS_TEST_TMPDIR"
    run "$ci_stack" run --repo / --units 'services/*' --test true
    [ "$status" = 64 ]
    contains "no git repository"
}

@test "names of units may hold spaces, quotes and dollars" {
    cd "$BATS_TEST_TMPDIR" && new_app
    mkdir 'services/a b' "services/it's \$HOME"
    touch 'services/a b/f' "services/it's \$HOME/f"
    commit_all names
    # Unreachable service: it gets as far as asking, with the units in the state file.
    run timeout 60 "$ci_stack" request --wait 0 --units 'services/*'
    [ "$status" = 75 ]
    jq -e --arg hash "$(git rev-parse 'HEAD:services/a b')" '.body.units["services/a b"] == $hash' .ci-stack-state.json
    jq -e '.body.units | has("services/it'\''s $HOME")' .ci-stack-state.json
}

@test "missing tools are named" {
    mkdir bin
    for tool in bash sed grep awk mktemp cat rm uname date tr od head tail; do ln -s "$(command -v "$tool")" bin; done
    PATH=$PWD/bin run "$ci_stack" status
    [ "$status" = 64 ]
    contains "jq is not installed"
    ln -s "$(command -v jq)" bin
    PATH=$PWD/bin run "$ci_stack" status
    [ "$status" = 64 ]
    contains "curl is not installed"
}
