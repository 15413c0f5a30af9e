#!/usr/bin/env bats
# scripts/local: starting, stopping, surviving.

load helpers

setup()
{
    export VAR=$instance
}

teardown()
{
    "$ROOT/scripts/local" stop --var "$VAR" --purge
    rm -rf "$instance" "$instance.2" # what a refused start made, and the parents of a deep one
}

healthy()
{
    [ "$(status '' /healthz)" = 200 ]
}

pids()
{
    local part

    for part in ${DATABASE_CNF:-database} program nginx; do
        [ "$part" = "${DATABASE_CNF:-}" ] || "$ROOT/scripts/local" pid "$part" --var "$VAR"
    done
}

@test "start waits until it answers, and a second one changes nothing" {
    local before
    start_instance_in "$VAR"
    healthy
    before=$(pids)
    start_instance_in "$VAR"
    [ "$(pids)" = "$before" ]
    healthy
}

@test "all files are its owner's alone" {
    start_instance_in "$VAR"
    [ "$(stat -c %a "$VAR")" = 700 ]
    [ -z "$(find "$VAR/etc" "$VAR/log" "$VAR/tls" -type f -perm /077)" ]
    # The authority's key is gone: nobody can sign another certificate that a browser would trust.
    [ "$(find "$VAR" -name '*.key')" = "$VAR/tls/server.key" ]
}

@test "data, keys and address stay over stop and start" {
    local key url
    start_instance_in "$VAR"
    ctl project create kept
    key=$(ctl key create kept viewer kept-viewer)
    url=$(<"$VAR/url")
    "$ROOT/scripts/local" stop --var "$VAR"
    [ -z "$(processes_of "$VAR")" ]
    run "$ROOT/scripts/local" pid program --var "$VAR"
    [ "$status" -ne 0 ]
    start_instance_in "$VAR"
    [ "$(<"$VAR/url")" = "$url" ]
    [ "$(status "$key" /listStacks)" = 200 ]
}

@test "whatever was killed is started again" {
    local part
    start_instance_in "$VAR"
    for part in nginx program ${DATABASE_CNF:-database}; do
        [ "$part" != "${DATABASE_CNF:-}" ] || continue
        "$ROOT/scripts/local" kill "$part" --var "$VAR"
        run "$ROOT/scripts/local" pid "$part" --var "$VAR"
        [ "$status" -ne 0 ]
        start_instance_in "$VAR"
        healthy
        "$ROOT/scripts/local" restart "$part" --var "$VAR"
        healthy
    done
}

@test "workers that a killed nginx left behind are ended" {
    start_instance_in "$VAR"
    kill -KILL "$("$ROOT/scripts/local" pid nginx --var "$VAR")"
    start_instance_in "$VAR"
    healthy
    kill -KILL "$("$ROOT/scripts/local" pid nginx --var "$VAR")"
    "$ROOT/scripts/local" stop --var "$VAR"
    run status '' /healthz
    [ "${lines[-1]}" = 000 ]
}

@test "a pid file that names somebody else's process harms nobody" {
    local other
    start_instance_in "$VAR"
    "$ROOT/scripts/local" stop --var "$VAR"
    sleep 300 3>&- &
    other=$!
    echo "$other" >"$VAR/run/program.pid"
    echo "$other" >"$VAR/run/nginx.pid"
    echo "$other" >"$VAR/run/nginx.group"
    run "$ROOT/scripts/local" kill program --var "$VAR"
    [ "$status" -ne 0 ]
    "$ROOT/scripts/local" stop --var "$VAR"
    kill "$other"
}

@test "two instances live side by side" {
    start_instance_in "$VAR"
    start_instance_in "$VAR.2"
    export VAR=$instance
    healthy
    "$ROOT/scripts/local" stop --var "$VAR.2" --purge
    healthy
    [ ! -e "$VAR.2" ]
}

@test "a deep directory works, although a socket's path is short" {
    local deep
    deep=$VAR/$(printf 'deep/%.0s' {1..25})
    start_instance_in "$deep"
    healthy
    "$ROOT/scripts/local" stop --var "$deep" --purge
    [ ! -e "$deep" ]
}

@test "settings take effect, are kept, and are checked" {
    local before
    start_instance_in "$VAR" --set max_waiting=77
    grep -q '^max_waiting = 77$' "$VAR/etc/stack-orchestrator.conf"
    before=$(pids)
    start_instance_in "$VAR" --set nginx.key_rate=7
    grep -q '^max_waiting = 77$' "$VAR/etc/stack-orchestrator.conf"
    grep -q 'rate=7r/s' "$VAR/etc/nginx/http.conf"
    [ "$(pids)" = "$before" ]
    run start_instance_in "$VAR" --set max_waiting=many
    [ "$status" -ne 0 ]
    [[ $output == *max_waiting* ]]
}

@test "a port that somebody else has is named in the message" {
    start_instance_in "$VAR"
    run "$ROOT/scripts/local" start --var "$VAR.2" ${DATABASE_CNF:+--database-cnf "$DATABASE_CNF"} --port "$(<"$VAR/port")"
    [ "$status" -eq 1 ]
    [[ $output == "local: port $(<"$VAR/port") is taken by another program; choose another one: make run PORT=n"* ]]
    # Our own port doesn't count when we start again.
    start_instance_in "$VAR" --port "$(<"$VAR/port")"
    "$ROOT/scripts/local" stop --var "$VAR.2" --purge
}

@test "a wrong call is refused" {
    local words
    for words in '' 'start' 'dance' 'start --var' "start --var $VAR --port x" "start --var $VAR --port 70000" "start --var $VAR --san memory" \
        "kill everything --var $VAR" "start --var $VAR --set x" "start --var $VAR --what x"; do
        # shellcheck disable=SC2086
        run "$ROOT/scripts/local" $words
        [ "$status" -eq 2 ] || { echo "'$words' ended with $status: $output" && return 1; }
    done
    run "$ROOT/scripts/local" start --var "$VAR/a b"
    [ "$status" -eq 1 ]
    [ ! -e "$VAR" ]
}
