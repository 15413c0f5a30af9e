#!/usr/bin/env bats
# orchestratorctl against a real database and a real nginx.

bats_require_minimum_version 1.5.0
load helpers

setup_file()
{
    start_instance_in "$instance"
    ctl project create shop --max-stacks 2 --wait-seconds 20
}

teardown_file()
{
    stop_instance
}

@test "a project has the settings that it was created with" {
    ctl project create defaults --same-prefix
    ctl project create full --prefix pr. --initial-commit "it's \"é\" \\" --max-stacks 0 --wait-seconds 0 \
        --lease-seconds 1 --max-lease-seconds 86400 --quarantine-after 0 --settle-seconds 86400 --max-held 3 \
        --main-branch 'release/ü'
    run ctl project list --json
    jq -e '.[] | select(.name == "defaults") | .prefix == "test-" and .initialCommit == null and .maxStacks == 10
        and .waitSeconds == 600 and .leaseSeconds == 3600 and .maxLeaseSeconds == 86400 and .quarantineAfter == 2
        and .settleSeconds == 0 and .maxHeld == 5 and .mainBranch == null and .stacks == 0' <<<"$output"
    jq -e '.[] | select(.name == "full") | .prefix == "pr." and .initialCommit == "it'\''s \"é\" \\"
        and .maxStacks == 0 and .waitSeconds == 0 and .leaseSeconds == 1
        and .quarantineAfter == 0 and .settleSeconds == 86400 and .maxHeld == 3 and .mainBranch == "release/ü"
        and (.created | test("^20..-..-..T..:..:..\\....Z$"))' <<<"$output"
    run ctl project list
    grep -E '^full +pr\.N ' <<<"$output"
    ctl project update full --max-stacks 1 --max-held half --main-branch ''
    ctl project list --json | jq -e '.[] | select(.name == "full") | .maxHeld == 1 and .mainBranch == null'
}

@test "a project's name is taken once" {
    run ctl project create shop
    [ "$status" -eq 1 ]
    [ "$output" = 'orchestratorctl: there is a project shop already' ]
}

@test "two projects with one prefix would lend their stacks twice, and need --same-prefix" {
    local told=' are named test-N already, and would be lent twice: choose another --prefix, or say --same-prefix if'
    run ctl project create twin
    [ "$status" -eq 1 ]
    [[ $output == "orchestratorctl: the stacks of "*"$told twin deploys to another account" ]]
    [ "$(query "SELECT COUNT(*) FROM project WHERE name = 'twin'")" = 0 ]
    ctl project create twin --prefix twin-
    run ctl project update twin --prefix test-
    [ "$status" -eq 1 ]
    [[ $output == *"$told twin deploys"* ]]
    [ "$(query "SELECT prefix FROM project WHERE name = 'twin'")" = twin- ]
    ctl project update twin --prefix test- --same-prefix --max-stacks 3
    ctl project update twin --max-stacks 4
    run ctl doctor
    [[ $output == *"warning  projects"*"shop"*"twin: their stacks have the same names, test-N"* ]]
    ctl project delete twin
}

@test "two projects with one prefix, created at the same time: one is refused" {
    local name pids=() refused=0
    for name in left right; do
        ctl project create "$name" --prefix both- 2>/dev/null 3>&- &
        pids+=($!)
    done
    for name in "${pids[@]}"; do
        wait "$name" || refused=$((refused + 1))
    done
    [ "$refused" = 1 ]
    ctl project delete "$(query "SELECT name FROM project WHERE prefix = 'both-'")"
}

@test "an administrator's file that is missing, or names no host where the database is on another, makes nothing" {
    local conf=$BATS_TEST_TMPDIR/conf command
    sed 's/^database_host = .*/database_host = db.example.org/' "$VAR/etc/stack-orchestrator.conf" >"$conf"
    sed -i 's/^database_name = .*/database_name = of_nobody/' "$conf"
    # It leads to this machine's server, as an administrator's default would.
    grep -v '^socket\|^host' "$VAR/etc/admin.cnf" >"$BATS_TEST_TMPDIR/admin.cnf"
    # shellcheck disable=SC2086 # words
    for command in 'setup' 'database create'; do
        run "$ROOT/scripts/orchestratorctl" -c "$conf" $command --admin "$BATS_TEST_TMPDIR/missing.cnf"
        [ "$status" -eq 1 ]
        [[ $output == "orchestratorctl: --admin: can't read $BATS_TEST_TMPDIR/missing.cnf" ]]
        MYSQL_UNIX_PORT=$(sed -n 's/^socket="\(.*\)"/\1/p' "$VAR/etc/admin.cnf") run "$ROOT/scripts/orchestratorctl" -c "$conf" $command --admin "$BATS_TEST_TMPDIR/admin.cnf"
        [ "$status" -eq 1 ]
        [[ $output == "orchestratorctl: --admin: $BATS_TEST_TMPDIR/admin.cnf names no host, and database_host is db.example.org: add a line host=... below [client]" ]]
    done
}

@test "setup refuses a bad host name or path before it makes anything" {
    local words
    for words in '--host https://stacks.example.org' '--host a/b' '--path stacks' '--host a --certificate /nowhere.pem --certificate-key /nowhere.key'; do
        # shellcheck disable=SC2086
        run ctl setup $words --admin "$BATS_TEST_TMPDIR/missing.cnf"
        [ "$status" -ne 0 ]
        [[ ${lines[0]} != *admin* ]] || { echo "'$words': $output" && return 1; }
    done
    run ctl setup --host https://stacks.example.org
    [[ ${lines[0]} == 'orchestratorctl: --host https://stacks.example.org: a name alone, like stacks.example.org' ]]
}

@test "setup fails where nginx does not read its site, again and again" {
    cd "$BATS_TEST_TMPDIR"
    for _ in 1 2; do
        run ctl setup --host stacks.example.org --admin "$VAR/etc/admin.cnf"
        echo "$output"
        [ "$status" -eq 1 ]
        [[ ${lines[-1]} == "orchestratorctl: https://stacks.example.org/ is not served: nginx does not read $VAR/etc/conf.d/stack-orchestrator.conf; $VAR/etc/nginx.conf must include it in its http { }" ]]
    done
    rm -r "$VAR/etc/conf.d"
}

@test "an update changes what it names, and the version" {
    ctl project create changing --same-prefix --initial-commit old
    local before
    before=$(query "SELECT version FROM project WHERE name = 'changing'")
    ctl project update changing --max-stacks 7 --initial-commit '' --prefix new-
    [ "$(query "SELECT CONCAT_WS(' ', prefix, max_stacks, COALESCE(initial_commit, 'none'), wait_s, version - $before) FROM project WHERE name = 'changing'")" = 'new- 7 none 600 1' ]
}

@test "what is out of bounds changes nothing" {
    local before bad
    before=$(query 'SELECT * FROM project')
    for bad in '--max-stacks 100001' '--max-stacks -1' '--max-stacks 1x' '--max-stacks 0x10' '--wait-seconds 3601' \
        '--lease-seconds 0' '--lease-seconds 86401' '--max-lease-seconds 0' '--quarantine-after 17' \
        '--settle-seconds 86401' '--max-held -1' '--max-held most' '--prefix a/b' '--prefix' '--what 1' \
        '--lease-seconds 3600 --max-lease-seconds 3599' "--prefix $(printf 'x%.0s' {1..64})" ''; do
        # shellcheck disable=SC2086
        run ctl project update shop $bad
        [ "$status" -ne 0 ] || { echo "accepted: $bad" && return 1; }
    done
    run ctl project update shop --main-branch $'a\nb'
    [ "$status" -ne 0 ]
    run ctl project update shop --initial-commit $'a\nb'
    [ "$status" -ne 0 ]
    run ctl project update shop --initial-commit $'\xff'
    [ "$status" -ne 0 ]
    run ctl project update nowhere --max-stacks 1
    [ "$output" = 'orchestratorctl: there is no project nowhere' ]
    for bad in '' 'a b' "x'; DROP TABLE project; -- " 'ü' '%' "$(printf 'x%.0s' {1..65})"; do
        run ctl project create "$bad"
        [ "$status" -ne 0 ]
        run ctl project delete "$bad"
        [ "$status" -ne 0 ]
    done
    [ "$(query 'SELECT * FROM project')" = "$before" ]
}

@test "the prefix stays while the project has stacks" {
    ctl project create stacked --same-prefix
    query "INSERT INTO stack (project_id, stack_no, state, created, modified)
        SELECT project_id, 1, 'available', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM project WHERE name = 'stacked'"
    run ctl project update stacked --prefix other-
    [ "$status" -eq 1 ]
    ctl project update stacked --prefix test- --same-prefix --max-stacks 3
    query "UPDATE stack SET state = 'deleted' WHERE project_id = (SELECT project_id FROM project WHERE name = 'stacked')"
    ctl project update stacked --prefix other-
}

@test "a project with live leases is deleted only by force, and its keys with it" {
    local key
    ctl project create doomed --same-prefix
    key=$(ctl key create doomed ci doomed-ci)
    [ "$(status "$key" /requestStack --request POST)" = 200 ]
    run ctl project delete doomed
    [ "$status" -eq 1 ]
    [[ $output == *'1 live lease'* ]]
    [ "$(status "$key" /listStacks)" = 200 ]
    ctl project delete doomed --force
    [ "$(status "$key" /listStacks)" = 401 ]
    [ -z "$(query "SELECT name FROM project WHERE name = 'doomed'")" ]
    run ctl key list
    [[ $output != *doomed* ]]
}

@test "key create prints only the key, which works at once; key list never shows it" {
    local key
    key=$(ctl key create shop viewer watcher 2>"$BATS_TEST_TMPDIR/errors")
    [ "$(status "$key" /listStacks)" = 200 ]
    [[ $key =~ ^[0-9a-f]{64}$ ]]
    [ ! -s "$BATS_TEST_TMPDIR/errors" ]
    [ "$(stat -c %a "$VAR/etc/keys.map")" = 600 ]
    run ctl key list
    grep -E '^watcher +shop +viewer +20' <<<"$output"
    [[ $output != *"$key"* ]]
    run ctl key list --json
    jq -e '.[] | select(.name == "watcher") | .project == "shop" and .role == "viewer"' <<<"$output"
    [[ $output != *"$key"* ]]
}

@test "a key's name is taken once, its role and project must exist" {
    ctl key create shop ci once
    run ctl key create shop admin once
    [ "$status" -eq 1 ]
    run ctl key create shop boss another
    [ "$status" -eq 1 ]
    run ctl key create nowhere ci another
    [ "$status" -eq 1 ]
    run ctl key create shop ci 'a"; x'
    [ "$status" -eq 1 ]
    [ "$(grep -c ' once";' "$VAR/etc/keys.map")" = 1 ]
}

@test "keys created at the same time are all there" {
    local i pids=()
    for i in 1 2 3 4 5; do
        ctl key create shop ci "crowd-$i" >"$BATS_TEST_TMPDIR/key-$i" 3>&- &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    for i in 1 2 3 4 5; do
        [ "$(status "$(<"$BATS_TEST_TMPDIR/key-$i")" /listStacks)" = 200 ]
    done
}

# A command that waits for the key file holds no row yet, or callers would wait with it.
@test "project delete and key revoke that wait for another command hold up nobody who borrows" {
    local command key
    ctl project create quiet --same-prefix
    key=$(ctl key create quiet ci quiet-ci)
    ctl key create quiet ci quiet-other
    for command in 'key revoke quiet-other' 'project delete quiet'; do
        exec {lock}>"$VAR/etc/keys.map.lock"
        flock "$lock"
        # shellcheck disable=SC2086 # words
        "$ROOT/scripts/orchestratorctl" -c "$VAR/etc/stack-orchestrator.conf" $command {lock}>&- 3>&- &
        waiter=$!
        eventually is_at_lock
        [ "$(status "$key" /requestStack --request POST --data-raw '{"leaseSeconds": 5}' --max-time 5)" = 200 ]
        call "$key" /releaseStack --request POST --data-raw '{"stackName": "test-1"}' --max-time 5
        exec {lock}>&-
        wait "$waiter"
    done
}

is_at_lock()
{
    pgrep --parent "$waiter" flock >/dev/null
}

# Borrows both stacks of shop with key $1, and leaves request $2 waiting in the background: its
# answer goes to waiting.json, its process number is $waiter.
fill_shop()
{
    call "$1" /requestStack --request POST >/dev/null
    call "$1" /requestStack --request POST >/dev/null
    call "$2" /requestStack --request POST --data-raw '{"branch": "waits"}' >"$BATS_TEST_TMPDIR/waiting.json" 3>&- &
    waiter=$!
    eventually waiting_is 1
}

waiting_is()
{
    [ "$(query "SELECT COUNT(*) FROM lease WHERE state = 'waiting'")" = "$1" ]
}

empty_shop()
{
    call "$1" /releaseStack --request POST --data-raw '{"stackName": "test-1"}'
    call "$1" /releaseStack --request POST --data-raw '{"stackName": "test-2"}'
}

@test "a new key drops no waiting request" {
    local key waiter
    key=$(ctl key create shop ci patient)
    fill_shop "$key" "$key"
    ctl key create shop ci newcomer >/dev/null
    waiting_is 1
    call "$key" /releaseStack --request POST --data-raw '{"stackName": "test-1"}'
    wait "$waiter"
    [ "$(tail -n 1 "$BATS_TEST_TMPDIR/waiting.json")" = 200 ]
    [ "$(head -n 1 "$BATS_TEST_TMPDIR/waiting.json" | jq -r .stackName)" = test-1 ]
    empty_shop "$key"
}

@test "a key whose revocation was interrupted before nginx knew of it is refused after the next command" {
    local key keys=$VAR/etc/keys.map
    key=$(ctl key create shop ci halfway)
    cp "$keys" "$keys.old"
    sed -i '/halfway/d' "$keys"
    [ "$(status "$key" /listStacks)" = 200 ]
    run ctl key revoke halfway
    [ "$status" -eq 1 ]
    [[ $output == *'there is no key halfway'* ]]
    [ "$(status "$key" /listStacks)" = 401 ]
}

@test "a revoked key is refused at once, and its waiting requests end" {
    local key other waiter
    key=$(ctl key create shop ci revoked)
    other=$(ctl key create shop ci stays)
    fill_shop "$other" "$key"
    run ctl key revoke revoked
    [ "$status" -eq 0 ]
    [[ $output == *'ended 1 waiting request'* ]]
    [ "$(status "$key" /listStacks)" = 401 ]
    [ "$(status "$other" /listStacks)" = 200 ]
    waiting_is 0
    wait "$waiter"
    [ "$(tail -n 1 "$BATS_TEST_TMPDIR/waiting.json")" != 200 ]
    [ "$(query "SELECT state FROM history WHERE key_name = 'revoked'")" = cancelled ]
    run ctl key revoke revoked
    [ "$status" -eq 1 ]
    empty_shop "$other"
}

# slow_call NAME KEY: the head of a requestStack and half of its body; `finish_slow NAME` sends the rest and prints the
# answer's status.
slow_call()
{
    mkfifo "$BATS_TEST_TMPDIR/$1"
    openssl s_client -quiet -CAfile "$VAR/tls/ca.pem" -connect "127.0.0.1:$(<"$VAR/port")" \
        <"$BATS_TEST_TMPDIR/$1" >"$BATS_TEST_TMPDIR/$1.answer" 2>/dev/null 3>&- &
    exec {slow}>"$BATS_TEST_TMPDIR/$1"
    printf 'POST /requestStack HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{' "$2" >&"$slow"
}

finish_slow()
{
    printf '}' >&"$slow"
    eventually grep -q '^HTTP' "$BATS_TEST_TMPDIR/$1.answer"
    exec {slow}>&-
    head -n 1 "$BATS_TEST_TMPDIR/$1.answer" | cut -d ' ' -f 2
}

slow_has_ended()
{
    [ "$(query "SELECT ends_at <= UTC_TIMESTAMP(6) FROM ended_key WHERE name = 'slow'")" = 1 ]
}

@test "a call whose head came before the key was revoked, rotated or expired is refused when its body comes" {
    local key command
    for command in 'key revoke slow' 'key rotate slow --overlap 0' 'key rotate slow --overlap 1'; do
        key=$(ctl key create shop ci slow)
        slow_call slow "$key"
        # shellcheck disable=SC2086 # words
        ctl $command >"$BATS_TEST_TMPDIR/new"
        eventually slow_has_ended
        [ "$(finish_slow slow)" = 401 ]
        rm "$BATS_TEST_TMPDIR/slow"
        [[ ! -s $BATS_TEST_TMPDIR/new ]] || [ "$(status "$(<"$BATS_TEST_TMPDIR/new")" /listStacks)" = 200 ]
        # A name that is used again has a key that works, whatever the one before was.
        [[ -z $(ctl key list --json | jq -r '.[] | select(.name == "slow").name') ]] || ctl key revoke slow
    done
    key=$(ctl key create shop ci slow)
    [ "$(status "$key" /listStacks)" = 200 ]
    ctl key revoke slow
}

@test "a revoked or expired key is refused everywhere, even where nginx still knows it" {
    local key path file=$VAR/etc/keys.map
    key=$(ctl key create shop admin elsewhere)
    cp "$file" "$BATS_TEST_TMPDIR/keys.map" # the file of another host
    ctl key revoke elsewhere
    cp "$BATS_TEST_TMPDIR/keys.map" "$file"
    ctl key create shop ci reloader >/dev/null
    for path in /listStacks /status /history /actions /capacity /metrics; do
        [ "$(status "$key" "$path")" = 401 ]
    done
    for path in /requestStack /deleteLastStack /addStacks; do
        [ "$(status "$key" "$path" --request POST --data-raw '{"count": 1}')" = 401 ]
    done
    ctl key revoke elsewhere
    ctl key revoke reloader
}

# far PATH [BODY]: the status of a call with the key `far` to another host's program, whose nginx knows of no end.
far()
{
    local body=${2:-}
    printf %s "$body" | env REQUEST_METHOD="$([[ $1 == /request* || $1 == /release* ]] && printf POST || printf GET)" DOCUMENT_URI="$1" \
        CONTENT_LENGTH="${#body}" SO_PROJECT=far SO_ROLE=ci SO_KEY_NAME=far SO_KEY_NUMBER="$number" \
        timeout 10 cgi-fcgi -bind -connect "$BATS_TEST_TMPDIR/fcgi.sock" | sed -n 's/^Status: \([0-9]*\).*/\1/p'
}

far_is_ready()
{
    [ "$(far /readyz)" = 200 ]
}

@test "a key that one host revokes or replaces is refused by another host's program in its very next call, while both are at work" {
    local number='' pid round
    sed "s|^socket = .*|socket = $BATS_TEST_TMPDIR/fcgi.sock|" "$VAR/etc/stack-orchestrator.conf" >"$BATS_TEST_TMPDIR/conf"
    "${STACK_ORCHESTRATOR:-$ROOT/${BUILD:-build}/stack-orchestrator}" -c "$BATS_TEST_TMPDIR/conf" 2>"$BATS_TEST_TMPDIR/log" 3>&- &
    pid=$!
    ctl project create far --same-prefix --max-stacks 3
    eventually far_is_ready
    ctl key create far ci far >"$BATS_TEST_TMPDIR/key"
    for round in 1 2 3; do
        # Both programs change the project in turns.
        [ "$(far /requestStack '{"waitSeconds":5}')" = 200 ]
        [ "$(status "$(<"$BATS_TEST_TMPDIR/key")" /releaseStack --request POST --data-raw '{"stackName":"test-1"}')" = 200 ]
        [ "$(far /listStacks)" = 200 ]
        ctl key rotate far --overlap 0 >"$BATS_TEST_TMPDIR/key"
        [ "$(far /requestStack '{}') $(far /listStacks) $(far /releaseStack '{"stackName":"test-1"}')" = '401 401 401' ]
        number=$round
    done
    [ "$(far /listStacks)" = 200 ]
    ctl key revoke far
    [ "$(far /requestStack '{}') $(far /listStacks)" = '401 401' ]
    kill "$pid"
    wait "$pid"
    ctl project delete far
}

@test "key revoke ends with 1 while nginx can't learn of it, though the key is refused already; the next command tells nginx" {
    local key master
    key=$(ctl key create shop ci stuck)
    master=$(<"$VAR/run/nginx.pid")
    kill -STOP "$master"
    run ctl key revoke stuck
    kill -CONT "$master"
    [ "$status" -eq 1 ]
    [[ $output == *'has not reloaded'* ]]
    [ "$(status "$key" /listStacks)" = 401 ]
    [ -e "$VAR/etc/keys.map.old" ]
    run ctl key revoke stuck
    [[ $output == *'no key stuck'* ]]
    [ ! -e "$VAR/etc/keys.map.old" ]
}

@test "a key of a project that is deleted meanwhile is not made, so that it opens no later project of that name" {
    local waiter
    ctl project create brief --same-prefix
    exec {lock}>"$VAR/etc/keys.map.lock"
    flock "$lock"
    "$ROOT/scripts/orchestratorctl" -c "$VAR/etc/stack-orchestrator.conf" key create brief ci brief-ci {lock}>&- 3>&- &
    waiter=$!
    eventually is_at_lock
    query "DELETE FROM project WHERE name = 'brief'"
    exec {lock}>&-
    wait "$waiter" && return 1
    [[ $(ctl key list) != *brief-ci* ]]
}

@test "the keys of a deleted project open no later project of its name, even where nginx still knows them" {
    local key file=$VAR/etc/keys.map
    ctl project create phoenix --same-prefix
    key=$(ctl key create phoenix admin phoenix-admin)
    cp "$file" "$BATS_TEST_TMPDIR/keys.map" # the file of another host
    ctl project delete phoenix
    ctl project create phoenix --same-prefix
    cp "$BATS_TEST_TMPDIR/keys.map" "$file"
    ctl key create shop ci reloader >/dev/null
    [ "$(status "$key" /listStacks)" = 401 ]
    ctl key revoke phoenix-admin
    ctl key revoke reloader
    key=$(ctl key create phoenix admin phoenix-admin)
    [ "$(status "$key" /listStacks)" = 200 ]
    ctl project delete phoenix
}

@test "the names of orchestratorctl's own calls in the record of actions are no key's" {
    run ctl key create shop admin orchestratorctl.root
    [ "$status" -eq 1 ]
}

@test "a configuration that nginx refuses leaves the keys as they were" {
    local before
    before=$(<"$VAR/etc/keys.map")
    cp "$VAR/etc/nginx.conf" "$BATS_TEST_TMPDIR/nginx.conf"
    echo 'garbage' >>"$VAR/etc/nginx.conf"
    run ctl key create shop ci unlucky
    cp "$BATS_TEST_TMPDIR/nginx.conf" "$VAR/etc/nginx.conf"
    [ "$status" -eq 1 ]
    [[ $output == *'no key was changed'* ]]
    [ "$(<"$VAR/etc/keys.map")" = "$before" ]
    [ -z "$(find "$VAR/etc" -name 'keys.map.*' ! -name '*.lock')" ]
}

@test "all commands but import leave a key file alone that has a line that isn't a key; a backup leaves that line out" {
    local good before command
    ctl project create doomed --same-prefix
    ctl key create shop ci survivor >/dev/null
    good=$(ctl key export)
    printf '"0123" "shop ci short";\n' >>"$VAR/etc/keys.map"
    before=$(<"$VAR/etc/keys.map")
    for command in 'project delete doomed' 'key create shop ci another' 'key revoke survivor' 'key rotate survivor' 'key expire' \
        'key export'; do
        # shellcheck disable=SC2086 # words
        run ctl $command
        [ "$status" -eq 1 ]
        [[ $output == *"$(wc -l <"$VAR/etc/keys.map")"*'nothing was changed'* ]]
        [ "$(<"$VAR/etc/keys.map")" = "$before" ]
    done
    run --separate-stderr ctl key list
    [ "$status" -eq 0 ]
    [[ $output == *survivor* && $output != *short* && $stderr == *'not keys'* ]]
    run ctl project list
    [[ $output == *doomed* ]]
    ctl backup "$BATS_TEST_TMPDIR/backup.tar.gz"
    [ "$(tar -xOzf "$BATS_TEST_TMPDIR/backup.tar.gz" keys.map)" = "$good" ]
    ctl key import <<<"$good"
    ctl project delete doomed
    ctl key revoke survivor
}

@test "no secret appears in a command line or in the environment of a program" {
    local name
    mkdir "$BATS_TEST_TMPDIR/bin"
    for name in mariadb mysql nginx; do
        command -v "$name" >/dev/null || continue
        printf '#!/bin/sh\n{ printf "%%s\\n" "$0 $*"; env; } >>"%s"\nexec "%s" "$@"\n' \
            "$BATS_TEST_TMPDIR/seen" "$(command -v "$name")" >"$BATS_TEST_TMPDIR/bin/$name"
        chmod +x "$BATS_TEST_TMPDIR/bin/$name"
    done
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
    name=$(ctl key create shop ci secret)
    ctl database create --admin "$VAR/etc/admin.cnf"
    ctl key revoke secret
    grep -q defaults-file "$BATS_TEST_TMPDIR/seen"
    run ! grep -qF -e "$name" -e "$(<"$VAR/etc/migration.password")" -e "$(<"$VAR/etc/program.password")" "$BATS_TEST_TMPDIR/seen"
}

@test "a password file without a password changes none of the database's users" {
    local conf=$VAR/etc/crlf.conf
    sed "s|^migration_password_file = .*|migration_password_file = $VAR/etc/crlf.password|" "$VAR/etc/stack-orchestrator.conf" >"$conf"
    printf 'secret\r\n' >"$VAR/etc/crlf.password"
    run "$ROOT/scripts/orchestratorctl" -c "$conf" database create --admin "$VAR/etc/admin.cnf"
    [ "$status" -eq 1 ]
    [[ $output == *'a password is one line without control characters' ]]
    database_as migration 'SELECT 1'
}

@test "the program's user changes rows and nothing else" {
    database_as program "UPDATE project SET version = version WHERE name = 'shop'; SELECT COUNT(*) FROM lease"
    local statement
    for statement in 'CREATE TABLE extra (a INT)' 'ALTER TABLE stack ADD COLUMN extra INT' 'DROP TABLE stack' \
        'TRUNCATE TABLE history' 'CREATE INDEX extra ON stack (fence)' 'SELECT * FROM mysql.user' \
        'GRANT SELECT ON stack TO CURRENT_USER' 'CREATE USER extra' 'SET GLOBAL max_connections = 10' \
        "SELECT LOAD_FILE('/etc/passwd') IS NULL OR 1 INTO OUTFILE '/tmp/stack-orchestrator-outfile'"; do
        run database_as program "$statement"
        [ "$status" -ne 0 ] || { echo "allowed: $statement" && return 1; }
    done
}

@test "the migration user changes tables of its own database and nothing else" {
    database_as migration 'CREATE TABLE extra (a INT); ALTER TABLE extra ADD COLUMN b INT; DROP TABLE extra'
    local statement
    for statement in 'CREATE DATABASE extra' 'SELECT * FROM mysql.user' 'GRANT SELECT ON stack TO CURRENT_USER' \
        'CREATE USER extra' 'SET GLOBAL max_connections = 10'; do
        run database_as migration "$statement"
        [ "$status" -ne 0 ] || { echo "allowed: $statement" && return 1; }
    done
    # _ in the database's name is not a wildcard.
    query "CREATE DATABASE IF NOT EXISTS \`$(setting database_name | tr _ x)\`"
    run database_as migration "CREATE TABLE \`$(setting database_name | tr _ x)\`.extra (a INT)"
    query "DROP DATABASE \`$(setting database_name | tr _ x)\`"
    [ "$status" -ne 0 ]
}

@test "a fault in the config file is named with its line" {
    printf '# fine\ndatabase_name = a\nwrong = 1\n' >"$BATS_TEST_TMPDIR/conf"
    run "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" project list
    [ "$status" -eq 1 ]
    [[ $output == *"/conf:3: there is no setting \"wrong\"" ]]
    echo 'database_name = a; DROP' >"$BATS_TEST_TMPDIR/conf"
    run "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" project list
    [ "$status" -eq 1 ]
    run "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/missing" project list
    [ "$status" -eq 1 ]
    [[ $output == "orchestratorctl: there is no $BATS_TEST_TMPDIR/missing: -c names another"* ]]
}

@test "a database that is down is named, and nothing happens" {
    sed 's/^database_host = .*/database_host = unix:\/nowhere\/a.sock, 127.0.0.1:1/' "$VAR/etc/stack-orchestrator.conf" >"$BATS_TEST_TMPDIR/conf"
    run "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" key create shop ci lost
    [ "$status" -eq 1 ]
    [[ $output == *'no database at unix:/nowhere/a.sock, 127.0.0.1:1'* ]]
    run ! grep -q ' lost"' "$VAR/etc/keys.map"
}

@test "the first database that answers is used" {
    sed 's/^database_host = \(.*\)/database_host = unix:\/nowhere\/a.sock, \1/' "$VAR/etc/stack-orchestrator.conf" >"$BATS_TEST_TMPDIR/conf"
    run "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" project list --json
    [ "$status" -eq 0 ]
    jq -e 'any(.[]; .name == "shop")' <<<"$output"
}

@test "every command explains itself, and a wrong one is refused" {
    local words
    for words in '' migrate project 'project create' 'project list' 'project update' 'project delete' key 'key create' \
        'key list' 'key revoke' database 'database create'; do
        # shellcheck disable=SC2086
        run ctl $words --help
        [ "$status" -eq 0 ]
        [[ $output == Usage:* ]]
    done
    [ "$(ctl help)" = "$(ctl --help)" ]
    [ "$(ctl help key rotate)" = "$(ctl key --help)" ]
    for words in '' 'nonsense' 'help nonsense' 'project' 'project settings' 'key nonsense' 'project list x' 'key list x' 'key revoke' \
        'key revoke a b' '--nonsense' 'migrate x' 'database drop'; do
        # shellcheck disable=SC2086
        run ctl $words
        [ "$status" -eq 2 ] || { echo "'$words' ended with $status: $output" && return 1; }
    done
}
