#!/usr/bin/env bats
# What an operator does with orchestratorctl while the service runs.

load helpers
bats_require_minimum_version 1.5.0

setup_file()
{
    start_instance_in "$instance"
    ctl project create shop --max-stacks 40
    key=$(ctl key create shop ci shop-ci)
    export key
}

teardown_file()
{
    stop_instance
}

# borrow [JSON]: prints the answer.
borrow()
{
    call "$key" /requestStack --request POST --data-raw "${1:-{\}}" | head -n 1
}

state_of()
{
    ctl stack list --json | jq -r --arg name "$1" '.[] | select(.stackName == $name) | .state'
}

@test "the stacks of the original service are taken over with what they run" {
    local list=$BATS_TEST_TMPDIR/list.json

    ctl project create moved --same-prefix --max-stacks 5
    printf '%s' '{"stacks":[{"stackName":"test-1","lastDeployedCommit":"aaa","isAvailable":true},{"stackName":"test-3","isAvailable":true}]}' >"$list"
    ctl stack import "$list" --project moved
    [ "$(ctl stack list --project moved --json | jq -c 'map([.stackName, .state, .lastDeployedCommit])')" = '[["test-1","available","aaa"],["test-3","available",null]]' ]
    run -1 ctl stack import "$list" --project moved
    [[ $output == *'has stacks already'* ]]
    ctl project create leased --same-prefix
    printf '%s' '{"stacks":[{"stackName":"test-1","isAvailable":false}]}' >"$list"
    run -1 ctl stack import "$list" --project leased
    [[ $output == *'test-1 is lent'* ]]
    ctl project delete moved --force
    ctl project delete leased
}

@test "stacks are added, set aside, lent again and deleted, with a record of who and why" {
    [ "$(ctl stack add 3 --reason 'for the demo')" = '3 stacks added' ]
    ctl stack hold test-1 --seconds 600 --owner ann --reason 'a look'
    [ "$(state_of test-1)" = held ]
    ctl stack list | grep -q 'test-1 .*held .*ann .*10 min .*a look\|test-1 .*held .*ann .*9 min .*a look\|test-1 .*held .*ann .*600 s'
    ctl stack quarantine test-2 --reason broken --json | jq -e .message
    [ "$(state_of test-2)" = quarantined ]
    ctl stack reinstate test-1
    ctl stack reinstate test-2
    [ "$(state_of test-1)$(state_of test-2)" = availableavailable ]
    SUDO_USER=ann ctl stack delete test-3 --reason 'too many'
    [ -z "$(state_of test-3)" ]
    [ "$(query "SELECT key_name, reason FROM action WHERE verb = 'deleteStack'")" = $'orchestratorctl.ann\ttoo many' ]
}

@test "a stack shows its failed deploys, and that one was cut off" {
    local lease
    lease=$(borrow '{"branch":"red"}')
    local name id
    name=$(jq -r .stackName <<<"$lease")
    id=$(jq -r .leaseId <<<"$lease")
    call "$key" /releaseStack --request POST --data-raw "{\"stackName\":\"$name\",\"leaseId\":\"$id\",\"outcome\":\"deployFailed\",\"interrupted\":true}"
    ctl stack list | grep -E "^$name +available +1 failed, unsettled +red "
    LINES=24 COLUMNS=100 ctl top --once | grep -E "^$name +available .* 1 failed, unsettled$"
    ctl stack hold "$name" --seconds 60
    ctl stack reinstate "$name"
    ctl stack list | grep -E "^$name +available +- "
}

@test "a project is paused and resumed, with a reason that status shows" {
    [ "$(ctl project pause shop --reason 'the account is cleaned')" = 'Project shop paused' ]
    ctl status | grep -E ', 0 waiting, paused by orchestratorctl[a-z.]*: the account is cleaned$'
    LINES=24 COLUMNS=150 ctl top --once | grep -E '0 waiting, paused by orchestratorctl[a-z.]*: the account is cleaned'
    ctl project list | grep -E '^shop .* yes *$'
    ctl project list --json | jq -e '.[] | select(.name == "shop") | .pausedSince | test("^20")'
    borrow '{"waitSeconds":0}' | jq -e '.error.pause.reason == "the account is cleaned"'
    [ "$(ctl project resume shop --json)" = '{"message":"Project shop resumed"}' ]
    ctl project list --json | jq -e '.[] | select(.name == "shop") | .pausedSince == null'
    run ctl project pause
    [ "$status" -eq 2 ]
    run ctl project pause nobodys
    [ "$status" -eq 1 ]
}

@test "what the program refuses is said in its words" {
    run ctl stack hold test-99
    [ "$status" -eq 1 ]
    [[ $output == *'There is no such stack in this project (status 404)'* ]]
    run ctl stack list --project nonsense
    [ "$status" -eq 1 ]
    run ctl stack add many
    [ "$status" -eq 1 ]
    run ctl stack hold
    [ "$status" -eq 2 ]
}

@test "leases are listed, and revoked if they still are the one that was meant" {
    local answer stack fence
    answer=$(borrow '{"branch":"topic","job":{"url":"https://ci.test/7","name":"build"}}')
    stack=$(jq -r .stackName <<<"$answer")
    fence=$(jq -r .fence <<<"$answer")
    ctl lease list | grep -q "$stack .*topic .*build .*https://ci.test/7"
    run ! grep -qF "$(jq -r .leaseId <<<"$answer")" <(ctl lease list --json; ctl status --json)
    run ctl lease revoke "$stack" --fence $((fence + 1))
    [ "$status" -eq 1 ]
    ctl lease revoke "$stack" --fence "$fence" --reason 'stuck'
    [ "$(ctl lease list --json)" = '[]' ]
}

@test "status shows pool and queue, for people and as JSON" {
    ctl status | grep -q '^PROJECT shop: .* of at most 40 stacks'
    ctl status --json | jq -e '.ready and (.projects[0].project.name == "shop")'
    ctl capacity --json | jq -e .target
    ctl capacity | grep -q Assumptions
}

@test "of a large pool status shows the first, and top those that matter; lists and JSON have all" {
    local name

    ctl project create large --max-stacks 500 --same-prefix
    ctl stack add 300 --project large
    ctl stack hold test-290 --project large --reason 'look here'
    name=$(ctl status --project large | tee "$BATS_TEST_TMPDIR/status" | grep -c '^test-')
    [ "$name" -eq 100 ]
    grep -q '^PROJECT large: 300 of at most 500 stacks (299 available, 1 held), 0 waiting' "$BATS_TEST_TMPDIR/status"
    grep -q '^and 200 more: orchestratorctl stack list' "$BATS_TEST_TMPDIR/status"
    [ "$(ctl stack list --project large | grep -c '^test-')" -eq 300 ]
    [ "$(ctl status --project large --json | jq '.projects[0].stacks | length')" -eq 300 ]
    LINES=24 COLUMNS=100 run ctl top --once --project large
    [ "${#lines[@]}" -le 24 ]
    [[ $output == *'0 of 300 stacks lent'* && $output == *'test-290 '*' held '* && $output == *'and 283 more'* ]]
    ctl project delete large --force
}

@test "top fits the terminal, however much there is to show" {
    local stack branch
    branch=$(printf 'feature/%0100d' 7)
    ctl stack add 20
    for stack in 1 2 3 4 5 6 7 8 9 10; do
        borrow "{\"branch\":\"$branch\"}" >/dev/null
    done
    run ctl top --once
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -le 24 ]
    [ "$(awk '{ if (length($0) > 80) print }' <<<"$output")" = '' ]
    [[ $output == *'10 of '*' stacks lent'* && $output == *' more'* ]]
    # On a terminal of its own, until q.
    TERM=xterm run timeout 20 script -qec "stty rows 24 cols 80; $ROOT/scripts/orchestratorctl -c $VAR/etc/stack-orchestrator.conf top" /dev/null <<<q
    [ "$status" -eq 0 ]
    [[ $output == *'stacks lent'* ]]
    for stack in $(ctl lease list --json | jq -r '.[].stackName'); do
        ctl lease revoke "$stack" >/dev/null
    done
}

@test "a program that is down is named" {
    "$ROOT/scripts/local" stop --var "$VAR"
    run ctl status
    [ "$status" -eq 1 ]
    [[ $output == *'does not answer'* ]]
    run ctl doctor
    [ "$status" -eq 1 ]
    [[ $output == *'fault    socket'*'fault    nginx'* ]]
    "$ROOT/scripts/local" start --var "$VAR"
}

@test "doctor finds nothing wrong with a good instance" {
    run ctl doctor
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *fault* ]]
    ctl doctor --json | jq -e '.good and (.findings | length > 8)'
}

@test "doctor finds what was broken, and says what to do" {
    local granted
    chmod 644 "$VAR/etc/keys.map"
    chmod 666 "$(setting socket)"
    query "GRANT DROP ON \`$(setting database_name)\`.* TO $(setting database_user)@localhost; SET GLOBAL innodb_flush_log_at_trx_commit = 2;
        UPDATE schema_version SET finished = NULL WHERE version = 1"
    run ctl doctor
    chmod 600 "$VAR/etc/keys.map"
    chmod 660 "$(setting socket)"
    query "REVOKE DROP ON \`$(setting database_name)\`.* FROM $(setting database_user)@localhost; SET GLOBAL innodb_flush_log_at_trx_commit = 1;
        UPDATE schema_version SET finished = started WHERE version = 1"
    echo "$output"
    [ "$status" -eq 1 ]
    grep -q '^fault *keys .*has mode 644' <<<"$output"
    grep -q '^fault *socket .*has mode 666' <<<"$output"
    grep -q '^fault *grants' <<<"$output"
    grep -q '^fault *durability' <<<"$output"
    grep -q '^fault *schema' <<<"$output"
    [ "$(grep -c '→' <<<"$output")" -ge 5 ]
    granted="DELETE ON \`$(setting database_name | sed 's/_/\\_/g')\`.*" # as database create grants it
    query "REVOKE $granted FROM $(setting database_user)@localhost"
    run ctl doctor
    query "GRANT $granted TO $(setting database_user)@localhost"
    [ "$status" -eq 1 ]
    grep -q '^fault *grants .*may not read and write' <<<"$output"
}

@test "doctor calls the service by HTTPS, and compares the certificate that it gets with file and name" {
    local tls=$VAR/tls
    run ctl doctor
    echo "$output"
    grep -q "^good *https .*/readyz answers" <<<"$output"
    grep -q "^good *certificate *https://localhost is served with $tls/server.pem, which is for it" <<<"$output"
    cp "$tls/server.pem" "$tls/server.key" "$BATS_TEST_TMPDIR"
    # Renewed, and for another name.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=other.test \
        -addext subjectAltName=DNS:other.test -keyout "$tls/server.key" -out "$tls/server.pem" 2>/dev/null
    run ctl doctor
    echo "$output"
    [ "$status" -eq 1 ]
    grep -q "^fault *certificate *https://localhost is served with another certificate than $tls/server.pem holds: it was renewed" <<<"$output"
    grep -q "→ systemctl reload nginx" <<<"$output"
    kill -HUP "$("$ROOT/scripts/local" pid nginx --var "$VAR")"
    eventually sees 'certificate for another name (other.test)'
    mv "$BATS_TEST_TMPDIR/server.pem" "$BATS_TEST_TMPDIR/server.key" "$tls"
    kill -HUP "$("$ROOT/scripts/local" pid nginx --var "$VAR")"
    eventually sees 'which is for it'
}

# Whether doctor says $1.
sees()
{
    run ctl doctor
    [[ $output == *"$1"* ]]
}

@test "doctor says that the disk is nearly full" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\necho "Use%% Avail Mounted on"\necho " 93%% 9000000 /full"\n' >"$BATS_TEST_TMPDIR/bin/df"
    chmod +x "$BATS_TEST_TMPDIR/bin/df"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH run ctl doctor
    [ "$status" -eq 0 ]
    grep -q '^warning *disk */full is nearly full: 93 % used, 8789 MiB left' <<<"$output"
    sed -i 's/9000000/90000/; s/93%/99%/' "$BATS_TEST_TMPDIR/bin/df"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH run ctl doctor
    [ "$status" -eq 1 ]
    grep -q '^fault *disk */full is full: 87 MiB left' <<<"$output"
}

@test "a rotated key works beside the old one until that expires" {
    local old new newest
    old=$(ctl key create shop viewer looker)
    new=$(ctl key rotate looker --overlap 600)
    [ "$(status "$old" /listStacks)$(status "$new" /listStacks)" = 200200 ]
    [ "$(ctl key list --json | jq '[.[] | select(.name == "looker")] | length')" = 2 ]
    # A further rotation: two keys at most.
    newest=$(ctl key rotate looker --overlap 1)
    [ "$(status "$old" /listStacks)$(status "$newest" /listStacks)" = 401200 ]
    eventually test "$(date +%s)" -gt "$(date -d "$(ctl key list --json | jq -r '.[] | select(.expires) | .expires')" +%s)" || sleep 1
    eventually ctl_expires_one
    [ "$(status "$new" /listStacks)$(status "$newest" /listStacks)" = 401200 ]
    run ctl key rotate nobody
    [ "$status" -eq 1 ]
    ctl key revoke looker
    [ "$(status "$newest" /listStacks)" = 401 ]
}

ctl_expires_one()
{
    ctl key expire
    ! grep -q ' expires ' "$VAR/etc/keys.map"
}

@test "keys go to a second host as a whole, or not at all" {
    local before
    before=$(ctl key export)
    [ "$(wc -l <<<"$before")" -ge 1 ]
    ctl key create shop ci passing >/dev/null
    run ctl key import <<<'nonsense'
    [ "$status" -eq 1 ]
    run ctl key import <<<"$before"$'\n'"${before%%$'\n'*}"
    [ "$status" -eq 1 ]
    run ctl key import </dev/null
    [ "$status" -eq 1 ]
    ctl key list | grep -q passing
    ctl key import <<<"$before"
    [ "$(ctl key export)" = "$before" ]
    [ "$(status "$key" /listStacks)" = 200 ]
}

@test "a backup restores data and keys into an empty database, and into no other" {
    local first=$VAR second before name stack backup=$BATS_TEST_TMPDIR/backup.tar.gz
    borrow '{"branch":"kept","units":{"a":"1"}}' >/dev/null
    before=$(ctl stack list --json | jq -c 'map(del(.lease.expiresInSeconds, .fence))')
    ctl backup "$backup"
    [ "$(stat -c %a "$backup")" = 600 ]
    run ctl backup "$backup"
    [ "$status" -eq 1 ]
    run ctl restore "$backup"
    [ "$status" -eq 1 ]
    [[ $output == *'is not empty'* ]]
    second=$instance-second
    start_instance_in "$second"
    query 'CREATE TABLE of_others (a INT)'
    run ctl restore "$backup"
    [ "$status" -eq 1 ]
    [[ $output == *'tables of others: of_others;'* ]]
    [ -n "$(query "SHOW TABLES LIKE 'of_others'")" ]
    query 'DROP TABLE of_others'
    head -c 2000 "$backup" >"$BATS_TEST_TMPDIR/damaged"
    run ctl restore "$BATS_TEST_TMPDIR/damaged"
    [ "$status" -eq 1 ]
    # One that is killed in the middle can be run again.
    mkdir "$BATS_TEST_TMPDIR/bin"
    for name in mariadb mysql; do
        command -v "$name" >/dev/null || continue
        printf '#!/bin/sh\ncase "$*" in *--binary-mode*--unbuffered*) exec "%s" "$@" ;; *--binary-mode*) head -n 60 | "%s" "$@"; kill -KILL "$PPID" ;; *) exec "%s" "$@" ;; esac\n' \
            "$(command -v "$name")" "$(command -v "$name")" "$(command -v "$name")" >"$BATS_TEST_TMPDIR/bin/$name"
        chmod +x "$BATS_TEST_TMPDIR/bin/$name"
    done
    PATH=$BATS_TEST_TMPDIR/bin:$PATH TMPDIR=$BATS_TEST_TMPDIR run ctl restore "$backup"
    [ "$status" -eq 137 ]
    [ -n "$(query 'SHOW TABLES')" ]
    run ctl backup "$BATS_TEST_TMPDIR/half.tar.gz"
    [ "$status" -eq 1 ]
    run ctl migrate
    [ "$status" -eq 1 ]
    [[ $output == *'a restore was begun and never finished'* ]]
    run ctl restore "$backup"
    echo "$output"
    [ "$status" -eq 0 ]
    "$ROOT/scripts/local" restart program --var "$second"
    eventually test "$(status '' /readyz)" = 200
    [ "$(ctl stack list --json | jq -c 'map(del(.lease.expiresInSeconds, .fence))')" = "$before" ]
    [ "$(status "$key" /listStacks)" = 200 ]
    # Above all that was given after the backup, be it to a stack that the backup doesn't know.
    [ "$(borrow | jq '.fence > 50000000 and .requestNumber > 50000000')" = true ]
    stack=$(ctl stack list --json | jq -r '[.[] | select(.lease)][0] | .stackName + " --fence " + (.lease.fence | tostring)')
    # shellcheck disable=SC2086 # words
    ctl lease revoke $stack
    run ctl restore "$backup"
    [ "$status" -eq 1 ]
    stop_instance
    VAR=$first
}

@test "keys that change during a backup: the database is dumped again, so that both are of one moment" {
    local name dumps=$BATS_TEST_TMPDIR/dumps
    mkdir "$BATS_TEST_TMPDIR/bin"
    for name in mariadb-dump mysqldump; do
        command -v "$name" >/dev/null || continue
        printf '#!/bin/sh\n"%s" "$@" || exit\ncase $* in *--version*) exit ;; esac\necho >>"%s"\n[ "$(wc -l <"%s")" != 1 ] || "%s" -c "%s" key create shop ci meanwhile >"%s"\n' \
            "$(command -v "$name")" "$dumps" "$dumps" "$ROOT/scripts/orchestratorctl" "$VAR/etc/stack-orchestrator.conf" "$BATS_TEST_TMPDIR/key" \
            >"$BATS_TEST_TMPDIR/bin/$name"
        chmod +x "$BATS_TEST_TMPDIR/bin/$name"
    done
    PATH=$BATS_TEST_TMPDIR/bin:$PATH ctl backup "$BATS_TEST_TMPDIR/backup.tar.gz"
    [ "$(wc -l <"$dumps")" = 2 ]
    tar -xOzf "$BATS_TEST_TMPDIR/backup.tar.gz" keys.map | grep -q meanwhile
    ctl key revoke meanwhile
}

@test "a backup is its owner's alone, whatever was there; it is whole or not there" {
    local at=$BATS_TEST_TMPDIR/backups
    mkdir "$at"
    : >"$at/all.tar.gz.part"
    chmod 644 "$at/all.tar.gz.part"
    ctl backup "$at/all.tar.gz"
    [ "$(stat -c %a "$at/all.tar.gz")" = 600 ]
    [ ! -s "$at/all.tar.gz.part" ]
    run ctl backup "$at/all.tar.gz"
    [ "$status" -eq 1 ]
    [ "$output" = "orchestratorctl: $at/all.tar.gz exists already" ]
    run ctl backup "$at/nowhere/all.tar.gz"
    [ "$output" = "orchestratorctl: can't write $at/nowhere/all.tar.gz: there is no directory $at/nowhere" ]
    # The disk is full once the dump is written: the command says so, and leaves nothing.
    mkdir "$BATS_TEST_TMPDIR/full"
    printf '#!/bin/sh\nhead -c 100 >&1\necho "gzip: stdout: No space left on device" >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/full/gzip"
    chmod +x "$BATS_TEST_TMPDIR/full/gzip"
    PATH=$BATS_TEST_TMPDIR/full:$PATH run ctl backup "$at/second.tar.gz"
    [ "$status" -eq 1 ]
    [ "$output" = "orchestratorctl: can't write $at/second.tar.gz: No space left on device" ]
    [ "$(ls "$at")" = $'all.tar.gz\nall.tar.gz.part' ]
}

@test "a nightly backup keeps the newest ones, and files that aren't its own" {
    local at=$BATS_TEST_TMPDIR/nightly name
    mkdir "$at"
    for name in 2020-01-01T000000Z 2020-01-02T000000Z 2020-01-03T000000Z; do
        : >"$at/stack-orchestrator-$name.tar.gz"
    done
    : >"$at/mine.tar.gz"
    ctl backup --keep 2 "$at"
    [ "$(find "$at" -name 'stack-*' | wc -l)" = 2 ]
    [ -e "$at/stack-orchestrator-2020-01-03T000000Z.tar.gz" ]
    [ -e "$at/mine.tar.gz" ]
    [ "$(find "$at" -name 'stack-*' -size +0 -perm 600 | wc -l)" = 1 ]
    run ctl backup --keep 0 "$at"
    [ "$status" -ne 0 ]
    # Where there was no directory, there is one for root alone.
    ctl backup --keep 1 "$at/new"
    [ "$(stat -c %a "$at/new")" = 700 ]
}

@test "no secret appears in a command line, whatever is done" {
    local name
    mkdir "$BATS_TEST_TMPDIR/bin"
    for name in mariadb mysql mariadb-dump mysqldump nginx cgi-fcgi jq awk sed tar; do
        command -v "$name" >/dev/null || continue
        printf '#!/bin/sh\nprintf "%%s\\n" "$0 $*" >>"%s"\nexec "%s" "$@"\n' "$BATS_TEST_TMPDIR/seen" "$(command -v "$name")" >"$BATS_TEST_TMPDIR/bin/$name"
        chmod +x "$BATS_TEST_TMPDIR/bin/$name"
    done
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
    name=$(ctl key create shop ci secret --json | jq -r .key)
    ctl key rotate secret >/dev/null
    ctl backup "$BATS_TEST_TMPDIR/x.tar.gz"
    ctl doctor >/dev/null
    ctl status >/dev/null
    ctl key revoke secret
    grep -q cgi-fcgi "$BATS_TEST_TMPDIR/seen"
    run ! grep -qF -e "$name" -e "$key" -e "$(<"$VAR/etc/migration.password")" -e "$(<"$VAR/etc/program.password")" "$BATS_TEST_TMPDIR/seen"
}

@test "every command explains itself" {
    local words
    for words in status top doctor stack 'stack list' lease 'lease revoke' capacity backup restore setup nginx 'nginx site' 'key rotate'; do
        # shellcheck disable=SC2086
        run ctl $words --help
        [ "$status" -eq 0 ]
        [[ $output == Usage:* ]]
    done
    for words in 'status x' 'top x' 'doctor x' 'stack' 'lease nonsense' 'backup' 'restore' 'nginx path' 'nginx path x' 'nginx path /a;b' \
        'nginx site --host a' 'setup --host' 'setup --host a --path /b' 'key rotate' 'key import x'; do
        # shellcheck disable=SC2086
        run ctl $words
        [ "$status" -ne 0 ] || { echo "'$words' was accepted" && return 1; }
    done
}

@test "bash completes commands and verbs" {
    # shellcheck disable=SC1091
    . "$ROOT/scripts/completion.bash"
    COMP_WORDS=("$ROOT/scripts/orchestratorctl" st) COMP_CWORD=1
    _orchestratorctl
    [ "${COMPREPLY[*]}" = 'status stack' ]
    COMP_WORDS=("$ROOT/scripts/orchestratorctl" -c file key ro) COMP_CWORD=4
    _orchestratorctl
    [ "${COMPREPLY[*]}" = rotate ]
    COMP_WORDS=("$ROOT/scripts/orchestratorctl" key create shop '') COMP_CWORD=4
    _orchestratorctl
    [ "${COMPREPLY[*]}" = 'ci viewer admin' ]
}

@test "bash completes names of projects, stacks and keys" {
    local called=("$ROOT/scripts/orchestratorctl" -c "$VAR/etc/stack-orchestrator.conf")
    # shellcheck disable=SC1091
    . "$ROOT/scripts/completion.bash"
    # completed EXPECTED WORD ...
    completed()
    {
        COMP_WORDS=("${called[@]}" "${@:2}") COMP_CWORD=$(($# + 1)) COMPREPLY=()
        _orchestratorctl
        [ "${COMPREPLY[*]}" = "$1" ] || { echo "${*:2}: ${COMPREPLY[*]}" && return 1; }
    }
    completed shop project update sh
    completed shop status --project ''
    completed shop-ci key rotate shop-c
    ctl stack add 1 --project shop
    # All of them, whatever other tests made.
    completed "$(ctl stack list --project shop --json | jq -r '.[].stackName' | paste -sd ' ')" lease revoke ''
    completed '' stack list ''
}
