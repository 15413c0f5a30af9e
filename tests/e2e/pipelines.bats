#!/usr/bin/env bats
# End to end: a small serverless app with three services and migrations, two branches, two stacks. Service, nginx,
# database, git and aws are real; the cloud is a directory, with a double in front of its exports.
# shellcheck disable=SC2154 # variables come from helpers

bats_require_minimum_version 1.5.0
load ../ci/helpers

setup_file()
{
    start_service
    export CLOUD=$BATS_FILE_TMPDIR/cloud ORIGIN=$BATS_FILE_TMPDIR/origin HOME=$BATS_FILE_TMPDIR/home
    mkdir -p "$CLOUD" "$HOME" "$BATS_FILE_TMPDIR/bin"
    "$BATS_TEST_DIRNAME/../doubles/cloudformation.py" "$CLOUD/exports.json" "$CLOUD/port" "$CLOUD/calls" 2 >"$CLOUD/double.log" 2>&1 3>&- &
    echo $! >"$CLOUD/pid"
    await 20 test -s "$CLOUD/port"
    cat >"$BATS_FILE_TMPDIR/bin/aws" <<EOF
#!/usr/bin/env bash
. bin/common
pause_at exports
exec /usr/bin/aws --endpoint-url "http://127.0.0.1:$(cat "$CLOUD/port")" "\$@"
EOF
    chmod +x "$BATS_FILE_TMPDIR/bin/aws"
    export PATH=$BATS_FILE_TMPDIR/bin:$PATH
    export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=eu-west-1

    git init -q --bare -b main "$ORIGIN"
    git clone -q "$ORIGIN" "$BATS_FILE_TMPDIR/dev" 2>/dev/null
    cp -R "$BATS_TEST_DIRNAME/app/." "$BATS_FILE_TMPDIR/dev"
    cd "$BATS_FILE_TMPDIR/dev" || return
    git checkout -q -b main
    commit_all app
    git push -q origin main
    local branch
    for branch in one two; do
        git checkout -q -b "$branch" main
        git push -q origin "$branch"
    done
}

teardown_file()
{
    kill "$(cat "$CLOUD/pid")"
    stop_service
}

setup()
{
    new_project 2 --prefix "s$BATS_TEST_NUMBER-"
    rm -f "$CLOUD"/paus* "$CLOUD/events"
    cd "$BATS_TEST_TMPDIR" || return
}

push() # BRANCH UNIT
{
    cd "$BATS_FILE_TMPDIR/dev" || return
    git checkout -q "$1"
    change "$2"
    git push -q origin "$1"
    cd "$BATS_TEST_TMPDIR" || return
}

# One pipeline as a CI runs it: a fresh shallow clone, one command. Sets job.
pipeline() # BRANCH
{
    local clone
    clone=$(mktemp -d "$BATS_TEST_TMPDIR/clone.XXXXXX")
    git clone -q --depth 1 --branch "$1" "file://$ORIGIN" "$clone"
    cd "$clone" || return
    env --default-signal setsid "$ci_stack" run >job.log 2>&1 </dev/null 3>&- &
    job=$!
    job_log=$clone/job.log
    cd "$BATS_TEST_TMPDIR" || return
}

passes() # JOB LOG
{
    local status=0
    wait "$1" || status=$?
    [ "$status" = 0 ] || { echo "status $status"; cat "$2" "$CLOUD/events"; return 1; }
}

both_pass()
{
    local first first_log
    pipeline one
    first=$job first_log=$job_log
    pipeline two
    passes "$first" "$first_log"
    passes "$job" "$job_log"
}

nothing_wrong() { run ! grep -E 'OVERLAP|STALE|ENV' "$CLOUD/events"; }

@test "pipelines of two branches at once deploy exactly what changed" {
    both_pass
    : >"$CLOUD/events"
    for _ in 1 2; do
        push one services/users
        push two services/mail
        both_pass
    done
    push one migrations
    both_pass
    nothing_wrong
    # What differed from what the stack ran was deployed, and nothing else was: the tests saw every
    # unit at its commit, and no deploy found its own version there already.
    run ! grep needless "$CLOUD/events"
    [ "$(grep -c ' test$' "$CLOUD/events")" = 6 ]
    run grep -c ' migrate$' "$CLOUD/events"
    [ "$output" -ge 1 ] && [ "$output" -le 2 ]
    nobody_leases
}

@test "a pipeline cancelled in any step leaks nothing, and the next ones pass" {
    both_pass
    for step in deploy exports migrate test; do
        push one services/orders
        push one migrations
        touch "$CLOUD/pause-$step"
        pipeline one
        await 60 test -s "$CLOUD/paused-$step"
        rm "$CLOUD/pause-$step"
        kill -TERM "$job"
        status=0
        wait "$job" || status=$?
        [ "$status" = 143 ]
        gone "$(cat "$CLOUD/paused-$step")"
        nobody_leases
        push two services/users
        both_pass
        nothing_wrong
    done
    # While it waits for a stack
    for name in a b; do "$ci_stack" request --state "$name"; done
    pipeline one
    await 20 someone_waits
    kill -TERM "$job"
    status=0
    wait "$job" || status=$?
    [ "$status" = 143 ]
    [ "$(waiting)" = 0 ]
    for name in a b; do "$ci_stack" release --state "$name"; done
    both_pass
    nobody_leases
    nothing_wrong
}

@test "a pipeline whose machine dies is freed by expiry, and what it was to deploy is deployed again, no more" {
    both_pass
    : >"$CLOUD/events"
    push one services/orders
    touch "$CLOUD/pause-deploy"
    export TMPDIR=$BATS_TEST_TMPDIR # what is left there dies with the machine
    pipeline one
    await 60 test -s "$CLOUD/paused-deploy"
    rm "$CLOUD/pause-deploy"
    # Every process of the job: it has a session of its own.
    # shellcheck disable=SC2046
    kill -KILL $(ps -o pid= -s "$job")
    wait "$job" || true
    [ "$(leased)" = 1 ]
    await 15 nobody_leases
    [ "$(api GET '/history?limit=1' | jq -r '.requests[0].state')" = expired ]
    : >"$CLOUD/events"
    both_pass
    nothing_wrong
    grep -q 'deploy services/orders' "$CLOUD/events"
    run ! grep needless "$CLOUD/events"
    nobody_leases
}
