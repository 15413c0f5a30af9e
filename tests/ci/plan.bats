#!/usr/bin/env bats
# ci-stack-plan: jobs from a git history, replayed through pools of stacks.
# shellcheck disable=SC2154,SC2030,SC2031 # variables come from helpers; marks count within one history

bats_require_minimum_version 1.5.0
load helpers

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
}

# 24 branches that change one of two units each, with a push every hour and a merge half an hour
# later; the 12 last ones all at once, so that their jobs have to wait for each other.
make_history()
{
    local now=1700000000 branch mark=1 main=1 unit
    {
        commit main "$now" '' one 0 two 0
        for branch in $(seq 24); do
            unit=one
            [ $((branch % 2)) = 0 ] || unit=two
            [ "$branch" -gt 12 ] || now=$((now + 3600))
            mark=$((mark + 1))
            commit "b$branch" "$now" "from :$main" "$unit" "$branch"
            mark=$((mark + 1))
            commit main $((now + 1800)) "from :$main
merge :$((mark - 1))" "$unit" "$branch"
            main=$mark
        done
    } | { git init -q -b main history && cd history && git fast-import --quiet && git reset -q --hard main; }
}

commit() # BRANCH TIME PARENTS UNIT CONTENT...
{
    printf 'commit refs/heads/%s\nmark :%d\ncommitter a <a@example.org> %d +0000\ndata 1\nc\n' "$1" "$mark" "$2"
    [ -z "$3" ] || printf '%s\n' "$3"
    shift 3
    while [ $# -gt 0 ]; do
        printf 'M 644 inline services/%s/f\ndata %d\n%s\n' "$1" "${#2}" "$2"
        shift 2
    done
    printf '\n'
}

@test "plan rebuilds the jobs and finds the pool that keeps the p95 wait under the target" {
    make_history
    run "$ci_stack-plan" --repo history --units 'services/*' --since 2020-01-01 --json
    [ "$status" = 0 ]
    # 24 pushes, 24 merges, and the first commit
    jq -e '.jobs == 49 and .units == 2' <<<"$output"
    jq -e '.stacks > 1 and (.pools | map(.p95WaitSeconds) | . == (sort | reverse)) and .pools[0].stacks == 1' <<<"$output"
    # One stack, jobs in the order of main, at most one unit apart but for the rush
    jq -e '.pools[0].changedUnitsPerJob <= 2' <<<"$output"
    more=$("$ci_stack-plan" --repo history --units 'services/*' --since 2020-01-01 --json --test-minutes 60 --max-stacks 40)
    jq -ne --argjson a "$output" --argjson b "$more" '$b.stacks > $a.stacks'
    run "$ci_stack-plan" --repo history --units 'services/*' --since 2020-01-01 --json --target-wait 5h
    jq -e '.stacks == 1' <<<"$output"
}

@test "plan prints a table and draws a picture" {
    make_history
    run "$ci_stack-plan" --repo history --units 'services/*' --since 2020-01-01 --svg plan.svg
    [ "$status" = 0 ]
    contains "49 jobs in"
    contains "<- enough"
    contains "assumed:"
    /usr/bin/python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' plan.svg
}

@test "plan refuses a shallow clone and too short a history" {
    make_history
    git clone -q --depth 1 "file://$PWD/history" shallow
    run "$ci_stack-plan" --repo shallow --units 'services/*'
    [ "$status" = 64 ]
    contains "shallow"
    run "$ci_stack-plan" --repo history --units 'services/*' --since '1 day ago'
    [ "$status" = 65 ]
}

@test "units come from .ci-stack, too, and ci-stack says where plan is" {
    make_history
    cd history
    printf 'units = services/*\ndeploy = true\n' >.ci-stack
    run "$ci_stack-plan" --since 2020-01-01 --json
    [ "$status" = 0 ]
    jq -e '.units == 2' <<<"$output"
    run "$ci_stack-plan" --since 2020-01-01 --json --units services/one
    jq -e '.units == 1' <<<"$output"
    run "$ci_stack" plan
    [ "$status" = 64 ]
    contains ci-stack-plan
}

@test "plan takes units as ci-stack does: from the folder where it is, with exclusions, and none without a match" {
    make_history
    cd history/services
    run "$ci_stack-plan" --units '*/' --since 2020-01-01 --json
    [ "$status" = 0 ]
    jq -e '.units == 2 and .pools[0].changedUnitsPerJob > 0' <<<"$output"
    run "$ci_stack-plan" --units '*/f !two' --since 2020-01-01 --json
    jq -e '.units == 1 and .pools[0].changedUnitsPerJob > 0' <<<"$output"
    run "$ci_stack-plan" --units . --since 2020-01-01 --json
    jq -e '.units == 1 and .pools[0].changedUnitsPerJob > 0' <<<"$output"
    run "$ci_stack-plan" --units 'one three' --since 2020-01-01
    [ "$status" = 64 ]
    contains "'three' of --units"
    run "$ci_stack-plan" --units ../services/*
    [ "$status" = 64 ]
    contains "left over: ../services/two"
}

@test "plan's help names each option; wrong ones are refused by name" {
    run "$ci_stack-plan" --help
    [ "$status" = 0 ]
    for option in repo units migrate-units settings since main max-jobs push-gap test-minutes deploy-minutes unit-minutes \
        load target-wait max-stacks svg json; do
        contains "  --$option"
        grep -q "Fl -$option\b" "$ROOT/scripts/man/ci-stack-plan.1"
    done
    for arguments in '--nonsense 1' '--units' '--units x --load 0' '--units x --max-jobs 9' '--units x --push-gap soon' 'x' ''; do
        # shellcheck disable=SC2086
        run "$ci_stack-plan" $arguments
        [ "$status" = 64 ] || { echo "$arguments: $status $output"; return 1; }
    done
}
