#!/usr/bin/env bats
# scripts/local: starting, stopping, surviving.

load helpers

setup()
{
    export VAR_DIR=$instance
}

teardown()
{
    "$root/scripts/local" stop --var "$VAR_DIR" --purge
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
        [ "$part" = "${DATABASE_CNF:-}" ] || "$root/scripts/local" pid "$part" --var "$VAR_DIR"
    done
}

@test "start waits until it answers, and a second one changes nothing" {
    local before
    start_instance "$VAR_DIR"
    healthy
    before=$(pids)
    start_instance "$VAR_DIR"
    [ "$(pids)" = "$before" ]
    healthy
}

@test "all files are its owner's alone" {
    start_instance "$VAR_DIR"
    [ "$(stat -c %a "$VAR_DIR")" = 700 ]
    [ -z "$(find "$VAR_DIR/etc" "$VAR_DIR/log" "$VAR_DIR/tls" -type f -perm /077)" ]
    # The authority's key is gone: nobody can sign another certificate that a browser would trust.
    [ "$(find "$VAR_DIR" -name '*.key')" = "$VAR_DIR/tls/server.key" ]
}

@test "data, keys and address stay over stop and start" {
    local key url
    start_instance "$VAR_DIR"
    ctl project create kept
    key=$(ctl key create kept viewer kept-viewer)
    url=$(<"$VAR_DIR/url")
    "$root/scripts/local" stop --var "$VAR_DIR"
    [ -z "$(processes_of "$VAR_DIR")" ]
    run "$root/scripts/local" pid program --var "$VAR_DIR"
    [ "$status" -ne 0 ]
    start_instance "$VAR_DIR"
    [ "$(<"$VAR_DIR/url")" = "$url" ]
    [ "$(status "$key" /listStacks)" = 200 ]
}

@test "whatever was killed is started again" {
    local part
    start_instance "$VAR_DIR"
    for part in nginx program ${DATABASE_CNF:-database}; do
        [ "$part" != "${DATABASE_CNF:-}" ] || continue
        "$root/scripts/local" kill "$part" --var "$VAR_DIR"
        run "$root/scripts/local" pid "$part" --var "$VAR_DIR"
        [ "$status" -ne 0 ]
        start_instance "$VAR_DIR"
        healthy
        "$root/scripts/local" restart "$part" --var "$VAR_DIR"
        healthy
    done
}

@test "workers that a killed nginx left behind are ended" {
    start_instance "$VAR_DIR"
    kill -KILL "$("$root/scripts/local" pid nginx --var "$VAR_DIR")"
    start_instance "$VAR_DIR"
    healthy
    kill -KILL "$("$root/scripts/local" pid nginx --var "$VAR_DIR")"
    "$root/scripts/local" stop --var "$VAR_DIR"
    run status '' /healthz
    [ "${lines[-1]}" = 000 ]
}

@test "a pid file that names somebody else's process harms nobody" {
    local other
    start_instance "$VAR_DIR"
    "$root/scripts/local" stop --var "$VAR_DIR"
    sleep 300 3>&- &
    other=$!
    echo "$other" >"$VAR_DIR/run/program.pid"
    echo "$other" >"$VAR_DIR/run/nginx.pid"
    echo "$other" >"$VAR_DIR/run/nginx.group"
    run "$root/scripts/local" kill program --var "$VAR_DIR"
    [ "$status" -ne 0 ]
    "$root/scripts/local" stop --var "$VAR_DIR"
    kill "$other"
}

@test "two instances live side by side" {
    start_instance "$VAR_DIR"
    start_instance "$VAR_DIR.2"
    export VAR_DIR=$instance
    healthy
    "$root/scripts/local" stop --var "$VAR_DIR.2" --purge
    healthy
    [ ! -e "$VAR_DIR.2" ]
}

@test "a deep directory works, although a socket's path is short" {
    local deep
    deep=$VAR_DIR/$(printf 'deep/%.0s' {1..25})
    start_instance "$deep"
    healthy
    "$root/scripts/local" stop --var "$deep" --purge
    [ ! -e "$deep" ]
}

@test "settings are taken up, kept, and checked" {
    local before
    start_instance "$VAR_DIR" --set max_waiting=77
    grep -q '^max_waiting = 77$' "$VAR_DIR/etc/stack-orchestrator.conf"
    before=$(pids)
    start_instance "$VAR_DIR" --set nginx.key_rate=7
    grep -q '^max_waiting = 77$' "$VAR_DIR/etc/stack-orchestrator.conf"
    grep -q 'rate=7r/s' "$VAR_DIR/etc/nginx/http.conf"
    [ "$(pids)" = "$before" ]
    run start_instance "$VAR_DIR" --set max_waiting=many
    [ "$status" -ne 0 ]
    [[ $output == *max_waiting* ]]
}

@test "a port that somebody else has is named in the message" {
    start_instance "$VAR_DIR"
    run "$root/scripts/local" start --var "$VAR_DIR.2" ${DATABASE_CNF:+--database-cnf "$DATABASE_CNF"} --port "$(<"$VAR_DIR/port")"
    [ "$status" -eq 1 ]
    [[ $output == "local: port $(<"$VAR_DIR/port") is taken by another program; choose another one: make run PORT=n"* ]]
    # A second start of our own on its own port is none.
    start_instance "$VAR_DIR" --port "$(<"$VAR_DIR/port")"
    "$root/scripts/local" stop --var "$VAR_DIR.2" --purge
}

@test "a wrong call is refused" {
    local words
    for words in '' 'start' 'dance' 'start --var' "start --var $VAR_DIR --port x" "start --var $VAR_DIR --port 70000" "start --var $VAR_DIR --san memory" \
        "kill everything --var $VAR_DIR" "start --var $VAR_DIR --set x" "start --var $VAR_DIR --what x"; do
        # shellcheck disable=SC2086
        run "$root/scripts/local" $words
        [ "$status" -eq 2 ] || { echo "'$words' ended with $status: $output" && return 1; }
    done
    run "$root/scripts/local" start --var "$VAR_DIR/a b"
    [ "$status" -eq 1 ]
    [ ! -e "$VAR_DIR" ]
}
