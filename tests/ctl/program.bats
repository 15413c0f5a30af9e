#!/usr/bin/env bats
# The program by itself, without nginx and without a database: options, its socket, what it tells systemd.

bats_require_minimum_version 1.5.0

setup()
{
    load helpers
    program=${STACK_ORCHESTRATOR:-$ROOT/${BUILD:-build}/stack-orchestrator}
    place=$(mktemp -d "${TMPDIR:-/tmp}/program.XXXXXX")
    printf '%s\n' "socket = $place/fcgi.sock" "database_host = unix:$place/none.sock" >"$place/conf"
}

teardown()
{
    [[ -z ${pid:-} ]] || kill -KILL "$pid" 2>/dev/null || true
    rm -rf "$place"
}

# start COMMAND ...: in the background, until it says that it is ready
start()
{
    rm -f "$place/log" # an earlier one has said that, too
    "$@" 2>"$place/log" 3>&- &
    pid=$!
    await 100 grep -q 'ready, version' "$place/log"
}

# await TENTHS COMMAND ...: until it succeeds
await()
{
    local tenths=$1

    shift
    until "$@"; do
        ((tenths-- > 0)) || { cat "$place/log" >&2 && return 1; }
        sleep 0.1
    done
}

healthz()
{
    REQUEST_METHOD=GET DOCUMENT_URI=/healthz CONTENT_LENGTH=0 timeout 10 cgi-fcgi -bind -connect "$place/fcgi.sock" </dev/null
}

@test "options: -V and -h answer, anything else is refused with the usage" {
    [[ $("$program" -V) == 'stack-orchestrator '[0-9]* ]]
    [[ $("$program" -h) == Usage:* ]]
    run -2 --separate-stderr "$program" -x
    [[ -z $output && $stderr == *Usage:* ]]
}

@test "-t checks the settings: 0 if they are good, 2 with file and line if not" {
    "$program" -t -c "$place/conf"
    "$program" -t -c "$ROOT/scripts/stack-orchestrator.conf"
    printf 'workers = 0\n' >>"$place/conf"
    run -2 "$program" -t -c "$place/conf"
    [[ $output == *"$place/conf:3: workers must be"* ]]
    run -2 "$program" -c "$place/nowhere"
    [[ $output == *"$place/nowhere: No such file"* ]]
}

@test "TERM ends it with 0, and removes its socket" {
    start "$program" -c "$place/conf"
    [[ $(healthz) == *'"status":"ok"'* ]]
    [[ $(stat -c %a "$place/fcgi.sock") == 660 ]]
    kill -TERM "$pid"
    wait "$pid"
    [[ ! -e $place/fcgi.sock ]]
}

@test "a second one on the same socket gives up, and the first goes on" {
    start "$program" -c "$place/conf"
    run -1 "$program" -c "$place/conf"
    [[ $output == *"another program listens on $place/fcgi.sock"* ]]
    [[ $(healthz) == *'"status":"ok"'* ]]
}

@test "the socket of one that was killed is taken over" {
    start "$program" -c "$place/conf"
    kill -KILL "$pid"
    wait "$pid" || true
    [[ -S $place/fcgi.sock ]]
    start "$program" -c "$place/conf"
    [[ $(healthz) == *'"status":"ok"'* ]]
}

@test "a socket that can't be opened is an error that says why" {
    printf 'socket = %s/%0120d\n' "$place" 1 >"$place/conf"
    run -1 "$program" -c "$place/conf"
    [[ $output == *'socket path too long'* ]]
    printf 'socket = %s/no/folder\n' "$place" >"$place/conf"
    run -1 "$program" -c "$place/conf"
    [[ $output == *"cannot listen on $place/no/folder: No such file"* ]]
    printf 'socket = -\n' >"$place/conf"
    run -1 "$program" -c "$place/conf" </dev/null
    [[ $output == *'descriptor 0 is not a listening socket'* ]]
}

@test "socket = -: it listens on the socket that systemd hands over, and leaves it in place" {
    sed -i 's/^socket = .*/socket = -/' "$place/conf"
    start python3 -c '
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(16)
os.dup2(listener.fileno(), 0)
os.execv(sys.argv[2], sys.argv[2:])' "$place/fcgi.sock" "$program" -c "$place/conf"
    [[ $(healthz) == *'"status":"ok"'* ]]
    kill -TERM "$pid"
    wait "$pid"
    [[ -S $place/fcgi.sock ]]
}

@test "systemd is told when it is ready, that it is alive, and when it stops" {
    python3 -c '
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
listener.settimeout(30)
while True:
    text = listener.recv(100).decode()
    print(text, flush=True)
    if text == "STOPPING=1":
        break' "$place/notify" >"$place/told" 2>&1 3>&- &
    local listener=$!

    await 100 test -S "$place/notify"
    start env NOTIFY_SOCKET="$place/notify" WATCHDOG_USEC=600000 "$program" -c "$place/conf"
    await 100 grep -qx 'WATCHDOG=1' "$place/told"
    kill -TERM "$pid"
    wait "$pid"
    wait "$listener"
    [[ $(grep -v WATCHDOG "$place/told") == $'READY=1\nSTOPPING=1' ]]
}

@test "fewer descriptors than max_waiting: fewer may wait, and it says so" {
    start bash -c 'ulimit -n 400 && exec "$@"' bash "$program" -c "$place/conf"
    grep -q 'max_waiting is lowered from 10000 to 300: the limit on open files is 400' "$place/log"
    [[ $(healthz) == *'"status":"ok"'* ]]
}

# told NAME=VALUE ...: the status and code of a call with these parameters, which asks for a stack unless they say otherwise
told()
{
    env REQUEST_METHOD=POST DOCUMENT_URI=/requestStack CONTENT_LENGTH=0 SO_PROJECT=shop SO_ROLE=ci SO_KEY_NAME=shop-ci "$@" \
        timeout 10 cgi-fcgi -bind -connect "$place/fcgi.sock" </dev/null | tr -d '\r' |
        sed -n 's/^Status: \([0-9]*\).*/\1/p; s/.*"code":"\([A-Za-z]*\)".*/\1/p' | paste -sd ' '
}

@test "what is longer than the program takes is an error, not left out" {
    local long
    long=$(head -c 4097 /dev/zero | tr '\0' x)
    start "$program" -c "$place/conf"
    [ "$(told)" = '503 databaseUnavailable' ]
    [ "$(told SO_IDEMPOTENCY_KEY="$long")" = '400 invalidField' ]
    [ "$(told QUERY_STRING="$long")" = '414 uriTooLong' ]
    [ "$(told DOCUMENT_URI="/$long")" = '404 notFound' ]
}

@test "a call that took longer than a minute to arrive has no effect" {
    start "$program" -c "$place/conf"
    [ "$(told SO_SECONDS=59.9)" = '503 databaseUnavailable' ]
    [ "$(told SO_SECONDS=60.1)" = '408 requestTimeout' ]
}
