#!/usr/bin/env bats
# The README's first command, and what it says one can do next.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; printed lines expand their own

load helpers

teardown()
{
    make --silent -C "$ROOT" stop VAR="$instance"
    rm -rf "$instance"
}

@test "make run shows a first lease; the commands that it prints work, and it can be run again" {
    local keys
    run make --silent -C "$ROOT" run VAR="$instance" PORT=0
    [ "$status" = 0 ]
    [[ $output == *'{"stackName":"test-1"'*'"message":"Stack test-1 released"'* ]]
    sed -n '/^Go on by hand:/,/^`make stop/{/^  /p}' <<<"$output" >"$BATS_TEST_TMPDIR/lines"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/lines")" = 5 ]
    # Where the dashboard is, and with which key; how to end it.
    [[ $output == *"open $(<"$instance/url")/ in a browser"*"ORCHESTRATOR_VIEWER_KEY in $instance/demo.env"* ]]
    [[ $output == *"\`make stop VAR=$instance\` ends it, \`make run VAR=$instance PORT=$(<"$instance/port")\` starts it again"* ]]
    keys=$(<"$instance/demo.env")
    [ "$(stat -c %a "$instance/demo.env")" = 600 ]
    cd "$BATS_TEST_TMPDIR"
    ln -s "$ROOT/scripts" scripts
    run env -u ORCHESTRATOR_URL -u ORCHESTRATOR_KEY bash -eu lines
    [ "$status" = 0 ]
    [[ $output == *'{"stackName":"test-1"'*'Stack test-1 released'*'tests run against test-1'*'demo'* ]]
    make --silent -C "$ROOT" run VAR="$instance" PORT=0
    [ "$(grep KEY "$instance/demo.env")" = "$(grep KEY <<<"$keys")" ]
}

@test "make run refuses at once a taken port, a path with a space, and what another user's run left" {
    local port=$((20000 + RANDOM % 12000)) before
    coproc listener {
        exec python3 -c 'import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
time.sleep(60)' "$port" 3>&-
    }
    read -r -u "${listener[0]}"
    # Nothing is installed or built before: neither apt nor the compiler may be called.
    mkdir "$BATS_TEST_TMPDIR/bin"
    for before in apt-get dpkg-query gcc cc; do
        printf '#!/bin/sh\necho "$0 was called"; exit 1\n' >"$BATS_TEST_TMPDIR/bin/$before"
        chmod +x "$BATS_TEST_TMPDIR/bin/$before"
    done
    run env PATH="$BATS_TEST_TMPDIR/bin:$PATH" make --silent -C "$ROOT" run VAR="$instance" PORT="$port"
    kill "$listener_PID"
    [ "$status" -ne 0 ]
    [[ ${lines[0]} == "local: port $port is taken by another program; choose another one: make run PORT=n"* ]]
    ((${#lines[@]} == 2)) # make's own line
    [ ! -e "$instance" ]
    run env PATH="$BATS_TEST_TMPDIR/bin:$PATH" make --silent -C "$ROOT" run VAR="$instance with space" PORT=0
    [ "$status" -ne 0 ]
    [[ ${lines[0]} == *'only letters, digits'*'may stand in the path' ]]
    run make --silent -C "$ROOT" run VAR=README.md PORT=0
    [ "$status" -ne 0 ]
    [[ ${lines[0]} == *'README.md is not a directory' ]]
    run make --silent -C "$ROOT" run VAR="$instance" PORT=abc
    [ "$status" -ne 0 ]
    [ "${lines[0]}" = 'local: port abc: it must be a number up to 65535' ]
    ((${#lines[@]} == 2))
}

@test "make stop says so where there is nothing to stop" {
    run make --silent -C "$ROOT" stop VAR="$instance"
    [ "$status" = 0 ]
    [ "$output" = "local: nothing to stop: $instance holds no instance (VAR=DIR names another)" ]
}

@test "after another user's make there is one clear sentence, too" {
    local plain=() owner
    [ "$(id -u)" != 0 ] || plain=(setpriv --inh-caps=-all --bounding-set=-all)
    owner=$(id -un)
    mkdir -p "$BATS_TEST_TMPDIR"/{build,fcgi}
    cp "$ROOT/Makefile" "$BATS_TEST_TMPDIR"
    cp "$ROOT/fcgi/build.mk" "$BATS_TEST_TMPDIR/fcgi"
    chmod 555 "$BATS_TEST_TMPDIR/build"
    run "${plain[@]}" make --silent -C "$BATS_TEST_TMPDIR" test
    [ "$status" = 2 ]
    [[ $output == *"build/ belongs to $owner: run this as $owner, or remove it as $owner (rm -r build).  Stop." ]]
    ((${#lines[@]} == 1))
    "${plain[@]}" make --silent -C "$BATS_TEST_TMPDIR" help
}

@test "after another user's run there is one clear sentence, for start and stop alike" {
    local action directory=/etc owner=root
    if [ "$(id -u)" = 0 ]; then
        directory=$instance owner=nobody
        mkdir -p "$instance/etc"
        touch "$instance/etc/local.conf"
        chown nobody "$instance"
    fi
    for action in check start stop; do
        run "$ROOT/scripts/local" "$action" --var "$directory"
        [ "$status" = 1 ]
        [[ $output == "local: $directory belongs to $owner: run this as $owner, or remove it as $owner (make stop VAR=$directory; rm -r $directory)" ]]
    done
    rm -rf "$instance"
}

@test "no instance directory, whatever its name, shows up in git status" {
    run git -C "$ROOT" check-ignore var/x var2/x var.old/x
    [ "$status" = 0 ]
    [ "${#lines[@]}" = 3 ]
}
