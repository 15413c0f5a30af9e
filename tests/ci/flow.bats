#!/usr/bin/env bats
# ci-stack against the real service: what a job goes through.
# shellcheck disable=SC2154,SC2016,SC2028 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup_file() { start_service; }
teardown_file() { stop_service; }
setup() { new_app; }

@test "run: request, deploy, migrate, mark, test, release" {
    new_project 2
    run "$ci_stack" run "${units[@]}" --deploy 'echo "deploy $STACK_NAME" $STACK_CHANGED_UNITS' \
        --migrate 'echo "migrate $STACK_NAME"' --test 'echo "test $STACK_NAME $STACK_COMMIT"'
    [ "$status" = 0 ]
    contains "deploy test-1 services/mail services/orders services/users"
    contains "migrate test-1"
    contains "test test-1 $(git rev-parse HEAD)"
    contains "test-1 is released (success)"
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$(git rev-parse HEAD)" ]
    [ "$(api GET '/history' | jq -r '.requests[0] | .branch + " " + .state + " " + .outcome')" = "main released success" ]
    [ "$(stat -c %a .ci-stack-state.json)" = 600 ]

    # The same commit again: nothing to do but the tests.
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOYED' --migrate 'echo MIGRATED' --test 'echo TESTED'
    [ "$status" = 0 ]
    lacks DEPLOYED
    lacks MIGRATED
    contains TESTED
    contains "nothing changed"

    # One unit changed; then only the migrations.
    change services/users
    run "$ci_stack" run "${units[@]}" --deploy 'echo "deploy" $STACK_CHANGED_UNITS' --migrate 'echo MIGRATED' --test true
    contains "deploy services/users"
    lacks MIGRATED
    contains "1 of 3 units"
    change migrations
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOYED' --migrate 'echo MIGRATED' --test true
    lacks DEPLOYED
    contains MIGRATED
}

@test "a failed deploy: its status; the units that it was to change are unknown" {
    new_project 1
    "$ci_stack" run "${units[@]}" --deploy true
    change services/users
    run "$ci_stack" run "${units[@]}" --deploy 'exit 37' --test 'echo TESTED'
    [ "$status" = 37 ]
    lacks TESTED
    [ "$(last_outcome)" = deployFailed ]
    git reset -q --hard HEAD~1
    run "$ci_stack" run "${units[@]}" --deploy true
    contains "1 of 3 units"
}

@test "a failed migration is run again: the mark comes after it" {
    new_project 1
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    first=$(git rev-parse HEAD)
    change migrations
    run "$ci_stack" run "${units[@]}" --deploy true --migrate 'exit 4' --test 'echo TESTED'
    [ "$status" = 4 ]
    lacks TESTED
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$first" ]
    run "$ci_stack" run "${units[@]}" --deploy true --migrate 'echo MIGRATED'
    contains MIGRATED
}

@test "step by step, a migration that fails is not marked either" {
    local first
    new_project 1
    run "$ci_stack" run "${units[@]}" --deploy true --migrate true
    first=$(git rev-parse HEAD)
    change migrations
    change services/users
    "$ci_stack" request "${units[@]}"
    "$ci_stack" deploy --deploy true
    run "$ci_stack" migrate -- sh -c 'exit 4'
    [ "$status" = 4 ]
    "$ci_stack" release
    [ "$(last_outcome)" = deployFailed ]
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$first" ]
}

@test "failed tests: their status, and the content stays known" {
    new_project 1
    run "$ci_stack" run "${units[@]}" --deploy true --test 'exit 9'
    [ "$status" = 9 ]
    [ "$(last_outcome)" = failed ]
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOYED' --test true
    lacks DEPLOYED
}

@test "on-failure hold keeps the stack; commands of several lines end at the first failure" {
    new_project 2
    run "$ci_stack" run "${units[@]}" --deploy true --test $'false\necho WENT ON' --on-failure hold=1h
    [ "$status" = 1 ]
    lacks "WENT ON"
    is_state test-1 held
    api GET /status | jq -e '.stacks[0].hold.reason == "test failed with status 1"'
}

@test "a reason longer than the service takes is cut, and the stack given back" {
    local reason
    printf -v reason 'é%.0s' {1..3000}
    new_project 1
    "$ci_stack" request
    run "$ci_stack" release --outcome quarantine --reason "$reason"
    [ "$status" = 0 ]
    is_state test-1 quarantined
    api GET /status | jq -e '.stacks[0].hold.reason | startswith("ééé")'
}

@test "deploy-unit runs once a unit, in parallel, and passes a failure on" {
    all_began() { set -- "$STACK_NAME"-*.log && [ $# = 3 ]; }
    export -f await eventually all_began
    new_project 1
    # Only together they end.
    run "$ci_stack" run "${units[@]}" --jobs 3 \
        --deploy-unit 'touch "$STACK_NAME-$(basename {}).log"; await 20 all_began'
    [ "$status" = 0 ]
    contains "services/users"
    change services/users
    change services/mail
    run "$ci_stack" run "${units[@]}" --deploy-unit 'echo "one $STACK_UNIT"; [ {} != services/mail ] || exit 12'
    [ "$status" = 12 ]
    contains "one services/mail"
    lacks "one services/users" # nothing new is begun after a failure
    lacks "one services/orders"
}

@test "shallow clones, rebased and force-pushed branches deploy only what differs" {
    new_project 1
    git init -q --bare "$BATS_TEST_TMPDIR/origin"
    git remote add origin "$BATS_TEST_TMPDIR/origin"
    git checkout -q -b feature
    change services/users
    git push -q origin main feature
    git clone -q --depth 1 --branch feature "file://$BATS_TEST_TMPDIR/origin" "$BATS_TEST_TMPDIR/one"
    cd "$BATS_TEST_TMPDIR/one"
    run "$ci_stack" run "${units[@]}" --state ../state --deploy 'echo "deploy" $STACK_CHANGED_UNITS'
    [ "$status" = 0 ]
    old=$(git rev-parse HEAD)
    # main moves on, the branch is rebased onto it and the old commit is nowhere any more
    cd "$app"
    git checkout -q main
    change services/mail
    git rebase -q main feature
    git push -q --force origin main feature
    git clone -q --depth 1 --branch feature "file://$BATS_TEST_TMPDIR/origin" "$BATS_TEST_TMPDIR/two"
    cd "$BATS_TEST_TMPDIR/two"
    run ! git cat-file -e "$old"
    run "$ci_stack" run "${units[@]}" --state ../state --deploy 'echo "deploy" $STACK_CHANGED_UNITS "after $STACK_LAST_DEPLOYED_COMMIT"'
    [ "$status" = 0 ]
    contains "deploy services/mail after $old"
    contains "1 of 3 units"
}

@test "shared paths change every unit; a removed unit is named" {
    new_project 1
    echo 1 >lock
    commit_all lock
    "$ci_stack" run "${units[@]}" --shared lock --deploy true
    echo 2 >lock
    commit_all lock
    run "$ci_stack" run "${units[@]}" --shared lock --deploy 'echo "deploy" $STACK_CHANGED_UNITS'
    contains "deploy services/mail services/orders services/users"
    git rm -qr services/mail
    git commit -qm remove
    run "$ci_stack" run "${units[@]}" --shared lock --deploy 'echo "removed: $STACK_REMOVED_UNITS"'
    contains "removed: services/mail"
}

@test "uncommitted changes in units are refused, or deployed as they are, and the commit isn't marked" {
    new_project 1
    "$ci_stack" run "${units[@]}" --deploy true
    first=$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')
    git commit -q --allow-empty -m next
    echo note >notes.txt # outside of the units: no matter
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOYED'
    [ "$status" = 0 ]
    lacks DEPLOYED
    first=$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')
    git commit -q --allow-empty -m next
    echo new >services/users/untracked
    run "$ci_stack" run "${units[@]}" --deploy 'echo DEPLOYED'
    [ "$status" = 64 ]
    contains services/users/untracked
    run "$ci_stack" run "${units[@]}" --allow-dirty --deploy 'echo "deploy" $STACK_CHANGED_UNITS'
    [ "$status" = 0 ]
    contains "deploy services/users"
    contains "1 of 3 units"
    [ "$(api GET /listStacks | jq -r '.stacks[0].lastDeployedCommit')" = "$first" ]
    run "$ci_stack" run "${units[@]}" --allow-dirty --deploy 'echo DEPLOYED'
    lacks DEPLOYED # the same uncommitted changes
    rm services/users/untracked
    run "$ci_stack" run "${units[@]}" --deploy true
    contains "1 of 3 units"
}

@test "step by step, with a settings file, and released by a separate step" {
    new_project 1
    printf '%s\n' '# of this repository' 'units = services/*' 'migrate-units = migrations' 'deploy = echo deploying' \
        'migrate = echo migrating' 'wait = 5s' >.ci-stack
    [ "$("$ci_stack" request)" = test-1 ]
    run "$ci_stack" deploy
    contains deploying
    run "$ci_stack" migrate
    contains migrating
    run "$ci_stack" test -- sh -c 'echo "testing $STACK_NAME $1"; exit 3' sh 'a b'
    [ "$status" = 3 ]
    contains "testing test-1 a b"
    run "$ci_stack" extend --seconds 20m
    [ "$status" = 0 ]
    contains "test-1: 1200 s"
    run "$ci_stack" release
    [ "$status" = 0 ]
    [ "$(last_outcome)" = failed ]
    is_state test-1 available
    run "$ci_stack" release
    [ "$status" = 0 ]
    run "$ci_stack" test -- true
    [ "$status" = 64 ]
    rm .ci-stack-state.json
    run "$ci_stack" release
    [ "$status" = 0 ]
}

@test "without migrations deploy marks; a lease that deployed nothing says so" {
    new_project 1
    "$ci_stack" request --units 'services/*'
    CI_STACK_NO_MARK=false "$ci_stack" deploy --deploy true
    "$ci_stack" release
    "$ci_stack" request --units 'services/*'
    run "$ci_stack" release
    [ "$(last_outcome)" = notDeployed ]
    run --separate-stderr "$ci_stack" request --units 'services/*' --json
    jq -e '.changedUnits == []' <<<"$output"
    "$ci_stack" release
}

@test "waits in the queue over several polls, keeps its place, and says which" {
    new_project 1
    "$ci_stack" request --state one --branch first
    start_job run --state two --poll 1s --wait 60s --branch second --test 'echo SECOND'
    await 10 someone_waits
    env --default-signal "$ci_stack" run --state three --poll 1s --wait 60s --branch third --test 'echo THIRD' >third.log 2>&1 3>&- &
    third=$!
    await 10 someone_waits 2
    await 10 grep -q 'place 2' third.log
    await 10 sh -c '[ "$(grep -c "place 1" job.log)" -ge 2 ]'
    "$ci_stack" release --state one
    end_job
    [ "$status" = 0 ]
    contains SECOND
    # What is told is the service's word.
    [ "$(jq .waitedSeconds two)" = "$(api GET '/history' | jq '[.requests[] | select(.branch == "second")][0].waitedSeconds | round')" ]
    wait "$third"
    # in order: the one that came first ended first
    [ "$(api GET '/history?limit=2' | jq -r '[.requests[] | .branch] | join(" ")')" = "third second" ]
}

@test "no stack within --wait: a status of its own, and the place is given up" {
    new_project 1
    "$ci_stack" request --state one
    run "$ci_stack" run --state two --poll 1s --wait 2s --test true
    [ "$status" = 69 ]
    contains "no stack within 2s"
    [ "$(waiting)" = 0 ]
    run "$ci_stack" run --state two --wait 0 --test true
    [ "$status" = 69 ]
}

@test "a request that others end: superseded and cancelled have a status of their own" {
    new_project 1
    "$ci_stack" request --state one
    start_job run --state two --branch same --test true
    await 10 someone_waits
    env --default-signal "$ci_stack" run --state three --branch same --supersede --test true >third.log 2>&1 3>&- &
    third=$!
    end_job
    [ "$status" = 79 ]
    await 10 someone_waits
    api POST /cancelRequest "{\"requestNumber\": $(api GET /status | jq '.queue[0].requestNumber')}"
    status=0
    wait "$third" || status=$?
    [ "$status" = 79 ]
    "$ci_stack" release --state one
    nobody_leases
}

@test "the service restarts under a waiting job and a lease" {
    new_project 1
    "$ci_stack" request --state one
    start_job run --state two --poll 2s --wait 60s --test 'echo SECOND'
    await 10 someone_waits
    "$ROOT/scripts/local" kill program --var "$VAR" 3>&-
    "$ROOT/scripts/local" start --var "$VAR" 3>&- >/dev/null 2>&1
    run "$ci_stack" release --state one
    [ "$status" = 0 ]
    end_job
    [ "$status" = 0 ]
    contains SECOND
    nobody_leases
}

@test "wrong key, wrong CA, nobody there" {
    new_project 1
    ORCHESTRATOR_KEY=$(printf 'f%.0s' {1..64}) run "$ci_stack" run --test true
    [ "$status" = 77 ]
    contains "HTTP 401 unauthorized: Header X-API-Key is missing or names no key"
    ORCHESTRATOR_CACERT='' run "$ci_stack" run --wait 1s --test true
    [ "$status" = 75 ]
    contains "SSL certificate problem"
    contains "(is --cacert right?)"
    ORCHESTRATOR_URL=https://127.0.0.1:1 run "$ci_stack" run --wait 1s --test true
    [ "$status" = 75 ]
    contains "curl: (7) "
    contains "(is the port right, and does the service run?)"
    ORCHESTRATOR_URL=https://stacks.invalid run "$ci_stack" run --wait 1s --test true
    [ "$status" = 75 ]
    contains "curl: (6) Could not resolve host: stacks.invalid"
    # A port of another program, with and without TLS. No service heard of a request, so there is none to drop.
    "$BATS_TEST_DIRNAME/../doubles/cloudformation.py" none port.log calls.log 3>&- 2>/dev/null &
    other=$!
    await 20 test -s port.log
    ORCHESTRATOR_URL=https://127.0.0.1:$(<port.log) run "$ci_stack" run --wait 1s --test true
    [ "$status" = 75 ]
    contains "(does that port speak https?)"
    [ "$(jq -r .phase .ci-stack-state.json)" = released ]
    ORCHESTRATOR_URL=http://127.0.0.1:$(<port.log) run "$ci_stack" run --wait 1s --test true
    kill "$other"
    [ "$status" = 75 ]
    contains "(is that the address of the service?)"
    run "$ci_stack" destroy --destroy true test-1
    [ "$status" = 77 ]
    contains forbidden
}

@test "the key is in no argument, no trace, no log, and no step gets it" {
    new_project 1
    mkdir bin
    for tool in curl jq; do
        printf '#!/bin/sh\nprintf "%%s\\n" "$0 $*" >>"%s/arguments.log"\nexec %s "$@"\n' "$app" "$(command -v "$tool")" >"bin/$tool"
        chmod +x "bin/$tool"
    done
    PATH=$app/bin:$PATH run env SHELLOPTS=xtrace bash -x "$ci_stack" run "${units[@]}" --deploy 'env; jq -r .leaseId .ci-stack-state.json >lease.log' --test true
    [ "$status" = 0 ]
    grep -q bin/curl arguments.log
    contains STACK_NAME=test-1
    lacks "$ORCHESTRATOR_KEY"
    lacks "$(cat lease.log)"
    run ! grep -e "$ORCHESTRATOR_KEY" -e "$(cat lease.log)" arguments.log
    run ! grep -rqF "$ORCHESTRATOR_KEY" .ci-stack-state.json
}

@test "a key file instead of the variable" {
    new_project 1
    (umask 077 && echo "$ORCHESTRATOR_KEY" >"$BATS_TEST_TMPDIR/key")
    unset ORCHESTRATOR_KEY
    run "$ci_stack" run --key-file "$BATS_TEST_TMPDIR/key" --test 'echo TESTED'
    [ "$status" = 0 ]
    contains TESTED
}

@test "state files: a live job's is refused, a dead one's stack is given back first" {
    new_project 2
    start_job run --state state --test 'touch running.log; sleep 300'
    await 10 test -e running.log
    run "$ci_stack" run --state state --test true
    [ "$status" = 64 ]
    contains "in use by process"
    kill -KILL -- "-$job" # the keeper has a group of its own, and gives the stack back
    end_job
    await 10 nobody_leases
    # As if the whole machine had gone: a lease that nobody renews.
    "$ci_stack" request --state state
    run "$ci_stack" request --state state
    [ "$status" = 64 ]
    contains "holds test-1 for another job"
    run "$ci_stack" request --state state --replace
    [ "$status" = 0 ]
    [ "$(leased)" = 1 ]
    jq '.owner = {pid: "4194304", host: $host, start: "1"}' --arg host "$(uname -n)" state >new && mv new state
    run "$ci_stack" run --state state --test 'echo TESTED'
    [ "$status" = 0 ]
    contains "was left by a job"
    nobody_leases
    echo '{}' >state
    run "$ci_stack" run --state state --test true
    [ "$status" = 64 ]
}

@test "of jobs that begin at once with one state file, one runs and the others are refused" {
    new_project 5
    for _ in 1 2 3; do
        local -a jobs=()
        for number in 1 2 3; do
            env --default-signal "$ci_stack" run --state "state" --test 'touch running.log; while [ ! -e go.log ]; do sleep 0.05; done' >"$number.log" 2>&1 3>&- &
            jobs+=($!)
        done
        local refused=0 ran=0
        await 10 test -e running.log
        ended() { [ "$(jobs -pr | wc -l)" = 1 ]; }
        await 20 ended
        [ "$(leased)" = 1 ]
        touch go.log
        for number in "${jobs[@]}"; do
            status=0
            wait "$number" || status=$?
            case $status in
                0) ran=$((ran + 1)) ;;
                64) refused=$((refused + 1)) ;;
            esac
        done
        [ "$ran $refused" = "1 2" ]
        [ "$(cat ./?.log | grep -c 'in use by process')" = 2 ]
        nobody_leases
        rm running.log go.log
    done
}

@test "after a killed job the next one with its state file waits until the keeper has ended its step" {
    new_project 1
    start_job run --state state --grace 2s --test 'trap "" TERM; touch running.log; while :; do date +%N >alive.log; sleep 0.05; done'
    await 10 test -s alive.log
    kill -KILL -- "-$job"
    end_job
    run "$ci_stack" run --state state --test 'cp alive.log then.log; sleep 0.5; cmp alive.log then.log'
    [ "$status" = 0 ]
    nobody_leases
    [ "$(api GET /history | jq '[.requests[] | select(.state == "released")] | length')" = 2 ]
}

# A step that ends only when it is told to by a file, and shows that it lives.
stubborn='trap "" TERM; while :; do date +%N >alive.log; sleep 0.05; [ ! -e end.log ] || exit; done'

kill_command() # ARGUMENT...: in the middle of that step
{
    start_job "$@" --state state --test "$stubborn"
    await 10 test -s alive.log
    kill -KILL -- "-$job"
    end_job
}

release_waits()
{
    "$ci_stack" release --state state >release.log 2>&1 3>&- &
    local release=$!
    "$ci_stack" status # a call's time: without waiting, the release would be done by then
    sleep 0.5
    [ "$(leased)" = 1 ]
    touch end.log
    wait "$release"
    nobody_leases
}

@test "after a killed job, ci-stack release of a step that always runs waits until its own step has ended" {
    new_project 1
    kill_command run --grace 20s
    release_waits
    [ "$(api GET /history | jq '[.requests[] | select(.state == "released")] | length')" = 1 ]
}

@test "… and so it does for a step of its own, whose stack the killed command would have kept" {
    new_project 1
    "$ci_stack" request --state state
    kill_command test --grace 20s
    release_waits
}

@test "ci-stack release beside a living step ends the step first, then gives the stack back" {
    new_project 1
    "$ci_stack" request --state state
    start_job test --state state --test 'trap "touch ended.log; exit" TERM; echo $$ >step.log; sleep 300 & wait'
    await 10 test -s step.log
    timeout 20 "$ci_stack" release --state state
    nobody_leases
    [ -e ended.log ]
    gone "$(cat step.log)"
    end_job
    [ "$status" = 76 ]
}

@test "a job that waits for the end of a killed one keeps nobody from other state files in that folder" {
    new_project 2
    kill_command run --grace 60s
    start_job run --state state --test true
    sleep 0.5
    run timeout 30 "$ci_stack" run --state other --test 'cp alive.log then.log; sleep 0.5; cmp alive.log then.log'
    [ "$status" != 64 ] && [ "$status" != 124 ] # the killed job's step is alive
    alive "$job"
    touch end.log
    end_job
    [ "$status" = 0 ]
    nobody_leases
}

@test "a flock that knows no -w, as BusyBox's" {
    new_project 1
    mkdir double
    printf '#!/bin/sh\ncase "$*" in *-w*) exit 1 ;; esac\nexec %s "$@"\n' "$(command -v flock)" >double/flock
    chmod +x double/flock
    PATH=$PWD/double:$PATH run "$ci_stack" run --test 'echo TESTED'
    [ "$status" = 0 ]
    contains TESTED
}

@test "a job that waits for longer than its lease is to last still owns its state file" {
    new_project 1
    "$ci_stack" request --state one
    start_job run --state state --lease 60s --wait 60s --test true
    await 10 someone_waits
    touch -d '2 hours ago' state
    run "$ci_stack" run --state state --wait 1s --test true
    [ "$status" = 64 ]
    contains "in use by process $job"
    "$ci_stack" release --state one
    end_job
    [ "$status" = 0 ]
}

@test "a job that deploys by a command of its own and marks nothing leaves what it was told to change unknown" {
    new_project 1
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    change services/users
    "$ci_stack" request "${units[@]}"
    "$ci_stack" release
    [ "$(last_outcome)" = success ]
    git checkout -q HEAD~1
    run --separate-stderr "$ci_stack" request "${units[@]}" --json
    jq -e '.changedUnits == ["services/users"]' <<<"$output"
    git checkout -q main
    "$ci_stack" release --failed
    [ "$(last_outcome)" = failed ]
    # The same of a run that has no deploy of its own.
    run "$ci_stack" run "${units[@]}" --test 'echo "my own deploy"'
    [ "$(last_outcome)" = success ]
    # A unit that this commit no longer has may have been taken away.
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    git rm -qr services/mail
    commit_all 'no mail'
    "$ci_stack" request "${units[@]}"
    "$ci_stack" release
    [ "$(last_outcome)" = success ]
    # What ci-stack deploy skipped, nobody deployed.
    "$ci_stack" run "${units[@]}" --deploy true --migrate true
    change migrations
    "$ci_stack" request "${units[@]}"
    "$ci_stack" deploy --deploy true
    "$ci_stack" release
    [ "$(last_outcome)" = notDeployed ]
}

@test "a step that failed and was tried again has not failed" {
    new_project 1
    "$ci_stack" request "${units[@]}"
    run "$ci_stack" deploy --deploy 'test -e second.log || { touch second.log; exit 3; }'
    [ "$status" = 3 ]
    "$ci_stack" deploy --deploy true
    "$ci_stack" migrate --migrate true
    "$ci_stack" release
    [ "$(last_outcome)" = success ]
}

@test "a proxy's page is not the service's word: the lease is not lost" {
    new_project 1
    server=$VAR/etc/nginx/server.conf
    cp "$server" "$BATS_TEST_TMPDIR/server.conf"
    reload() { kill -HUP "$("$ROOT/scripts/local" pid nginx --var "$VAR")"; }
    printf 'location = /extendLease { default_type text/html; return 403 "<h1>Forbidden</h1>"; }\n' >>"$server"
    reload
    start_job run --lease 10s --test 'while [ ! -e go.log ]; do sleep 0.05; done; echo TESTED'
    await 15 grep -q '"/extendLease".*403' "$VAR/log/nginx-access.log"
    cp "$BATS_TEST_TMPDIR/server.conf" "$server"
    reload
    await 15 grep -q '"/extendLease".*200' "$VAR/log/nginx-access.log"
    touch go.log
    end_job
    [ "$status" = 0 ]
    contains TESTED
    [ "$(api GET '/history?limit=1' | jq -r '.requests[0].state')" = released ]
}

@test "--supersede without a known branch ends nobody's request" {
    new_project 1
    git checkout -q --detach
    run "$ci_stack" run --supersede --test true
    [ "$status" = 64 ]
    contains "give --branch"
    run "$ci_stack" run --supersede=no --test true
    [ "$status" = 0 ]
}

@test "request --keep renews for as long as a process lives, and lets CI see the end of its output" {
    new_project 1
    run "$ci_stack" request --keep nobody
    [ "$status" = 64 ]
    nobody_leases # known before there was a stack
    sleep 300 3>&- &
    leader=$!
    # Command substitution waits for the end of the output: a keeper that held it open would hang here.
    name=$(timeout 20 "$ci_stack" request --lease 5s --keep "$leader" 2>/dev/null)
    [ "$name" = test-1 ]
    expires() { api GET /status | jq -r '.stacks[0].lease.expiresAt'; }
    before=$(expires)
    renewed() { [ "$(expires)" != "$before" ]; }
    await 15 renewed
    kill "$leader"
    "$ci_stack" release
    nobody_leases
}

@test "status shows the pool and the queue, with links to the jobs" {
    new_project 1
    export GITLAB_CI=true CI_COMMIT_REF_NAME=feature/x CI_JOB_URL=https://ci.example.org/jobs/7 CI_JOB_NAME=integration GITLAB_USER_LOGIN=ann
    "$ci_stack" request --state one
    start_job run --state two --test true --priority 3
    await 10 someone_waits
    api GET /status | jq -e '.queue[0] | .branch == "feature/x" and .priority == 3 and .job == {url: "https://ci.example.org/jobs/7", name: "integration", user: "ann"}'
    run "$ci_stack" status
    [ "$status" = 0 ]
    contains "test-1"
    contains "https://ci.example.org/jobs/7"
    contains "waiting"
    run "$ci_stack" status --json
    jq -e '.stacks[0].state == "leased"' <<<"$output"
    "$ci_stack" release --state one
    end_job
    [ "$status" = 0 ]
    contains "section_start"
}

@test "what a job is called is cut between two letters, where the service takes no more" {
    new_project 1
    for locale in C C.UTF-8; do
        LC_ALL=$locale "$ci_stack" request --job-name "$(printf '\303\274%.0s' {1..200})" --job-user "$(printf 'u%.0s' {1..300})"
        api GET /status | jq -e '.stacks[0].lease.job | .name == ("\u00fc" * 127) and .user == ("u" * 255)'
        "$ci_stack" release
    done
}

@test "reports: JSON, JUnit, and groups in GitHub's log" {
    new_project 1
    GITHUB_ACTIONS=true run "$ci_stack" run "${units[@]}" --deploy true --test 'exit 2' --report-json report.log --report-junit junit.log
    [ "$status" = 2 ]
    contains "::group::deploy"
    contains "::endgroup::"
    jq -e '.status == 2 and .failedStep == "test" and .changedUnits == ["services/mail", "services/orders", "services/users"] and .outcome == "failed"
        and ([.steps[].name] == ["request", "deploy", "test"])' report.log
    run ! grep -q leaseId report.log
    grep -q '<testsuite name="ci-stack" tests="3" failures="1"' junit.log
    /usr/bin/python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' junit.log
}

# What a summary says of a line, such as `branch`.
said_of()
{
    line="| $1 | " awk 'index($0, ENVIRON["line"]) == 1 { $0 = substr($0, length(ENVIRON["line"]) + 1); sub(/ \|$/, ""); print }' summary.log
}

@test "the summary: the stack, the wait, each unit with why and for how long, what was left, the hold; JUnit names the failed unit" {
    new_project 2
    run "$ci_stack" run "${units[@]}" --deploy-unit true --summary summary.log --test true
    [ "$(head -n 1 summary.log)" = '### test-1: all well' ]
    [ "$(said_of "to deploy")" = '3 of 3 units' ]
    [[ $(said_of '`services/mail`') == 'test-1 is new | '?'s | ok' ]]
    [ "$(said_of 'the stack')" = 'released (success)' ]
    git rm -qr services/mail
    mkdir 'services/a|b`_c'
    echo 1 >'services/a|b`_c/code'
    change services/users
    run "$ci_stack" run "${units[@]}" --branch 'x|<b>_y_' --deploy-unit 'sleep 0.1; [ {} != services/users ] || exit 3' --jobs 2 --on-failure hold=1h \
        --summary deep/summary.log --report-junit junit.log --report-json report.log
    [ "$status" = 3 ]
    mv deep/summary.log .
    [ "$(head -n 1 summary.log)" = '### test-1: deploy failed: `services/users`' ]
    [ "$(said_of branch)" = '`x\|<b>_y_`' ]
    [[ $(said_of waited) == ?s ]]
    [[ $(said_of "\`services/a\|b'_c\`") == 'changed | '?'s | ok' ]]
    [[ $(said_of '`services/users`') = 'changed | '?'s | **failed (3)**' ]]
    [ "$(said_of '`services/mail`')" = 'no longer in the commit |  | left in the cloud' ]
    [[ $(said_of 'left in the cloud') == *services/mail*--remove-unit* ]]
    [[ $(said_of 'the stack') == 'held for '*' until 20'*'Z. '*'release --end-hold'*'orchestratorctl stack reinstate test-1'* ]]
    [[ $(said_of deploy) == *'**failed (3)**'* ]]
    run ! grep -e "$(jq -r .leaseId .ci-stack-state.json)" -e "$ORCHESTRATOR_KEY" summary.log
    grep -q '<testcase classname="ci-stack.deploy" name="services/users" time="[0-9]*"><failure message="status 3"/>' junit.log
    grep -q 'name="deploy" .*message="status 3 (services/users)"' junit.log
    grep -q 'tests="4" failures="2"' junit.log
    /usr/bin/python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' junit.log
    jq -e '.unitRuns | map(select(.unit == "services/users"))[0] | .status == 3 and .step == "deploy"' report.log
}

@test "the summary on GitHub: appended to what others wrote, by run or by a release that gave something back, once" {
    new_project 1
    export GITHUB_STEP_SUMMARY=$app/summary.log
    echo '# mine' >summary.log
    "$ci_stack" run "${units[@]}" --deploy true --test 'exit 2' || true
    [ "$(head -n 1 summary.log)" = '# mine' ]
    grep -qx '### test-1: test failed' summary.log
    [ "$(said_of '`services/mail`')" = 'test-1 is new |  | ok' ]
    "$ci_stack" release
    [ "$(grep -c '^###' summary.log)" = 1 ]
    # Step by step.
    : >summary.log
    change services/users
    "$ci_stack" request "${units[@]}"
    "$ci_stack" deploy --deploy-unit true
    "$ci_stack" test -- true
    [ ! -s summary.log ]
    "$ci_stack" release --failed
    grep -qx '### test-1: the job failed' summary.log
    [[ $(said_of '`services/users`') == 'changed | '*'s | ok' ]]
    # A file of one's own is written anew, GitHub's has both.
    "$ci_stack" run --test true --summary own.log
    "$ci_stack" run --test true --summary own.log
    [ "$(grep -c '^###' own.log)" = 1 ]
    [ "$(grep -c '^###' summary.log)" = 3 ]
    # No stack.
    "$ci_stack" request --state other
    run "$ci_stack" run --wait 0 --test true --summary own.log
    [ "$(head -n 1 own.log)" = '### No stack: no stack within the time' ]
}

@test "the summary of a job that is cancelled or killed says what was cut off" {
    new_project 2
    start_job run "${units[@]}" --deploy-unit 'touch step.log; sleep 300' --summary summary.log --report-junit junit.log
    await 20 test -e step.log
    kill -TERM "$job"
    end_job
    [ "$status" = 143 ]
    contains "cut off"
    [ "$(head -n 1 summary.log)" = '### test-1: cancelled' ]
    [ "$(said_of 'the cloud')" = 'may still be at work: a deploy was cut off' ]
    [[ $(said_of '`services/mail`') == *'**cut off**' ]]
    [ "$(said_of '`services/users`')" = 'test-1 is new |  | not begun' ]
    grep -q 'name="services/mail" .*message="cut off"' junit.log
    # Killed with its keeper; what runs as a last step tells it.
    rm step.log
    start_job run --state state --test 'touch step.log; sleep 300'
    await 20 test -e step.log
    kill -KILL "$(jq -r .keeper.pid state)" "$job"
    end_job
    run "$ci_stack" release --state state --summary summary.log
    [[ $(head -n 1 summary.log) == '### test-'?': killed' ]]
}
