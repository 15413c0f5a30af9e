#!/usr/bin/env bats
# ci-stack's functions, one by one: sourced, the file runs nothing.
# shellcheck disable=SC2154,SC2034,SC2030,SC2031 # variables are ci-stack's; tests run in subshells

bats_require_minimum_version 1.5.0
load helpers

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
    # shellcheck source=scripts/ci-stack
    . "$ci_stack"
    work=$BATS_TEST_TMPDIR answer=$work/answer
}

@test "sourced, ci-stack prints nothing, sets no option of the shell and leaves nothing behind" {
    # In the background, as with nohup, a shell lists the signals that it was told to ignore.
    run bash -c 'before=$-$(trap -p); . "$1" && [ "$-$(trap -p)" = "$before" ]' - "$ci_stack"
    [ "$status" = 0 ]
    [ -z "$output" ]
    run bash -c 'bash -s -- --version <"$1"' - "$ci_stack" # as from a pipe of curl's
    [ "$output" = "ci-stack $VERSION" ]
}

@test "the list at the top names the sections, in their order" {
    local listed found
    listed=$(sed -n '/^# Its sections/,/^# All variables/s/^#   \([a-z]\([a-z]\| [a-z]\)*\)  .*/\1/p' "$ci_stack")
    found=$(sed -n 's/^# -\{20,\} \(.*\)/\1/p' "$ci_stack" | grep -vx state)
    [ "$listed" = "$found" ] || { diff <(echo "$listed") <(echo "$found"); return 1; }
}

@test "an option belongs to commands that there are, and every variable stands in the block of state" {
    local groups name where group
    groups=" all $(commands | awk -F'|' '{ printf "%s %s ", $1, $2 }')"
    while IFS='|' read -r name _ _ where _; do
        for group in $where; do
            [[ $groups == *" $group "* ]] || { echo "$name: no command takes options of $group"; return 1; }
        done
    done < <(options)
    # What no function declares and the block of state doesn't have.
    run -1 grep -nE "^[a-z_]+=[^\\]" <(sed '1,/^# -* settings$/d' "$ci_stack")
}

@test "times are seconds, or a number with a unit" {
    [ "$(seconds_of wait 90 0 86400)" = 90 ]
    [ "$(seconds_of wait 15m 0 86400)" = 900 ]
    [ "$(seconds_of wait 2h 0 86400)" = 7200 ]
    [ "$(seconds_of wait 08s 0 86400)" = 8 ]
    for text in '' x 1.5 -1 25h 1d '1 h' 9999999; do
        run -64 seconds_of wait "$text" 0 86400
        contains "--wait"
    done
    [ "$(duration 59) $(duration 60) $(duration 3600) $(duration 36061)" = '59s 1m00s 1h00m 10h01m' ]
}

@test "fields that the service ignored are named, without control characters" {
    printf '{"stackName":"test-1","ignoredFields":["count","a\\nb",7]}' >"$answer"
    output=$(say_ignored /requestStack 3>&1)
    contains "requestStack: the service doesn't know these fields, and ignored them: count, ab"
    printf '{"stackName":"\\"ignoredFields\\""}' >"$answer"
    output=$(say_ignored /requestStack 3>&1)
    [ -z "$output" ]
}

@test "between two tries it waits what the service says, or ever longer, and never longer than allowed" {
    near() { awk -v got="$1" -v wanted="$2" 'BEGIN { exit !(got >= wanted * 0.49 && got <= wanted * 1.51) }'; }
    : >"$answer.head"
    for pair in '0 1' '1 2' '3 8' '9 15'; do near "$(backoff "${pair% *}" 15)" "${pair#* }"; done
    printf 'HTTP/1.1 503\r\nRetry-After: 7\r\n' >"$answer.head"
    near "$(backoff 0 15)" 7
    near "$(backoff 0 5)" 5
    printf 'HTTP/1.1 503\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n' >"$answer.head"
    near "$(backoff 0 15)" 15
}

@test "where the service can't be reached: a line a minute; a wrong address ends it after a minute, unless the service was heard" {
    # Time passes by pauses alone.
    now() { :; }
    pause() { now_s=$((now_s + ${1%.*} + 1)); }
    new_request() { :; }
    state_set() { :; }
    ask_for_stack() { http_status=000 error_code=; return 1; }
    ask() { exec 3>&1; request_stack test; }
    wait_s=1800 poll_s=50
    for curl_status in 6 7 35 60; do
        echo "curl: ($curl_status) in curl's words" >"$answer.error"
        heard='' run -75 ask
        contains "requestStack: curl: ($curl_status) in curl's words; trying again for 30m00s"
        contains "in curl's words ("
        lacks "did not answer within"
        [ "${#lines[@]}" -le 4 ]
        heard=yes run -75 ask
        contains "did not answer within 30m00s"
        [ "${#lines[@]}" -ge 20 ] && [ "${#lines[@]}" -le 42 ]
    done
    curl_status=28 heard='' run -75 ask # slow, or cut off: that may pass
    contains "did not answer within 30m00s"
    [ "${#lines[@]}" -ge 20 ]
}

@test "an outcome says what may have been deployed" {
    said() # DEPLOY MARKED CHANGED JOB_STATUS [FAILED_STEP]
    {
        st_deploy=$1 st_marked=$2 st_changed=$3 st_units=2 st_changed_migrations=0 st_removed_names='' st_failed=${5:-}
        outcome_for "$4"
    }
    [ "$(said none false 1 0)" = notDeployed ]
    [ "$(said none false 1 1)" = notDeployed ]
    [ "$(said began false 1 0)" = deployFailed ] # it was cut off
    [ "$(said ended false 1 0)" = success ]
    [ "$(said ended false 1 1 deploy)" = deployFailed ]
    [ "$(said ended false 1 1 migrate)" = deployFailed ]
    [ "$(said ended false 1 1 exports)" = failed ]
    [ "$(said ended true 1 1 test)" = failed ]
    # Who only requests may have deployed by a command of their own, unless nothing differs.
    [ "$(said unknown false 1 1)" = failed ]
    [ "$(said unknown false 0 1)" = notDeployed ]
}

@test "globs: * stays within a folder and passes over dot files, as in a shell" {
    new_app
    mkdir -p services/.hidden services/users/deep
    touch services/.hidden/f services/users/deep/f top
    commit_all more
    names() { list_units "$@" | cut -f 2 | sort | paste -sd ' ' -; }
    opt_repo=.
    [ "$(names 'services/*')" = 'services/mail services/orders services/users' ]
    [ "$(names 'services/.*')" = services/.hidden ]
    [ "$(names '*s/users/')" = services/users ]
    [ "$(names '*/*/code')" = 'services/mail services/orders services/users' ] # the folders that hold it
    [ "$(names '*/*/c*')" = 'services/mail/code services/orders/code services/users/code' ]
    [ "$(names services/mail/code)" = services/mail/code ]
    [ "$(names 'services/[mo]*' top)" = 'services/mail services/orders top' ]
    [ -z "$(names 'none/*' 'top/*')" ]
    [ "$(list_units migrations)" = "$(git rev-parse HEAD:migrations)"$'\t'migrations ]
}

@test "every return says its status: within a trap, one without would give the status from before the trap" {
    run -1 grep -nE '\breturn *($|[;}&|])' "$ci_stack"
}

@test "the directory of a run is removed without a word, though a killed process still wrote into it" {
    # The first time, a file appears between what rm deletes and the directory's own end.
    rm()
    {
        [ -e "$work" ] && [ ! -e "$BATS_TEST_TMPDIR/late" ] || { command rm "$@"; return $?; }
        : >"$BATS_TEST_TMPDIR/late"
        command rm -rf "${work:?}"/*
        : >"$work/answer.head"
        rmdir "$work"
    }
    work=$BATS_TEST_TMPDIR/work
    mkdir "$work"
    : >"$work/answer"
    run remove_work "$work"
    [ "$status" = 0 ]
    [ -z "$output" ]
    [ -e "$BATS_TEST_TMPDIR/late" ]
    [ ! -e "$work" ]
}
