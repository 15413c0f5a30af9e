#!/usr/bin/env bats
# nginx's files for an existing server: on a host name of its own, and below a path of a host that serves
# other things, too. Also the manual pages and the settings file.

load helpers
bats_require_minimum_version 1.5.0

setup_file()
{
    start_instance_in "$instance"
    ctl project create web
    key=$(ctl key create web ci web-ci)
    export key
    port=$((20000 + RANDOM % 12000))
    export port
}

teardown_file()
{
    [ ! -s "$VAR/run/host.pid" ] || kill "$(<"$VAR/run/host.pid")"
    stop_instance
}

# A whole nginx around $1 (for http { }), with other things than ours in it.
nginx_around()
{
    printf 'pid "%s/run/host.pid";\nerror_log "%s/log/host-error.log";\n%s\nevents { worker_connections 512; }\nhttp {\n' "$VAR" "$VAR" \
        "$([ "$(id -u)" != 0 ] || printf 'user root;')"
    printf 'access_log "%s/log/host-access.log";\n' "$VAR"
    for name in client_body fastcgi proxy scgi uwsgi; do
        printf '%s_temp_path "%s/tmp/host";\n' "$name" "$VAR"
    done
    printf '%s\n}\n' "$1"
}

# Our files write their log where a packaged nginx does.
in_place()
{
    sed "s|/var/log/nginx|$VAR/log|"
}

host()
{
    curl --silent --show-error --max-time 20 --cacert "$VAR/tls/ca.pem" "$@"
}

@test "a site with a host name of its own includes cleanly" {
    ctl nginx site --host stacks.test --certificate "$VAR/tls/server.pem" --certificate-key "$VAR/tls/server.key" --metrics |
        in_place | sed "s/:443/:$port/; s/listen 443/listen $port/" >"$BATS_TEST_TMPDIR/site.conf"
    nginx_around "include \"$BATS_TEST_TMPDIR/site.conf\";" >"$BATS_TEST_TMPDIR/nginx.conf"
    run nginx -t -c "$BATS_TEST_TMPDIR/nginx.conf"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *warn* ]]
}

@test "each file is used, and nginx accepts it" {
    local file
    for file in "$ROOT"/nginx/*.conf; do
        grep -rqF "${file##*/}" "$ROOT/nginx" "$ROOT/scripts" --include='*.conf' --include=local --include='*.sh' || { echo "$file is not used" && return 1; }
    done
    run nginx -t -c "$VAR/etc/nginx.conf"
    [ "$status" -eq 0 ]
    [[ $output != *warn* ]]
}

@test "below a path of a shared host everything works, and the rest of the host is as it was" {
    local url=https://127.0.0.1:$port path
    ctl nginx path /team/stacks | in_place >"$BATS_TEST_TMPDIR/path.conf"
    nginx_around "map_hash_bucket_size 128;
        include \"$VAR/etc/nginx/http.conf\";
        server {
            listen 127.0.0.1:$port ssl;
            server_name shared.test;
            ssl_certificate \"$VAR/tls/server.pem\";
            ssl_certificate_key \"$VAR/tls/server.key\";
            add_header X-Host shared;
            error_page 404 /missing.html;
            underscores_in_headers on;
            include \"$BATS_TEST_TMPDIR/path.conf\";
            location / { default_type text/plain; return 200 \"the host's own\"; }
            location ~ /healthz { return 418; }
            location = /gone { return 404; }
            location = /missing.html { default_type text/html; return 404 'the host misses it'; }
        }" >"$BATS_TEST_TMPDIR/nginx.conf"
    run nginx -t -c "$BATS_TEST_TMPDIR/nginx.conf"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *warn* ]]
    nginx -c "$BATS_TEST_TMPDIR/nginx.conf" 3>&-
    eventually host --output /dev/null "$url/"

    [ "$(host "$url/")" = "the host's own" ]
    [ "$(host "$url/gone")" = 'the host misses it' ]
    [ "$(host --output /dev/null --write-out '%{http_code}' "$url/healthz")" = 418 ]
    [ "$(host --output /dev/null --write-out '%{http_code} %{redirect_url}' "$url/team/stacks")" = "308 $url/team/stacks/" ]
    # The caller doesn't choose where it is sent to.
    [ "$(host --header 'Host: evil.example' --output /dev/null --write-out '%header{location}' "$url/team/stacks")" = /team/stacks/ ]
    host "$url/team/stacks/" | grep -qi '<!doctype html>'
    [ "$(host --output /dev/null --write-out '%{http_code}' "$url/team/stacks/dashboard/style.css")" = 200 ]
    [ "$(host "$url/team/stacks/healthz")" = '{"status":"ok"}' ]
    [ "$(host "$url/team/stacks/openapi.json" | jq -r .openapi | cut -c 1-3)" = 3.1 ]
    [ "$(host --header "X-API-Key: $key" "$url/team/stacks/listStacks")" = '{"stacks":[]}' ]
    host --header "X-API-Key: $key" "$url/team/stacks/history?limit=1" | jq -e '.requests'
    [ "$(host --header "X-API-Key: $key" --request POST "$url/team/stacks/requestStack" | jq -r .stackName)" = test-1 ]
    # nginx's own errors below the path are JSON, with our headers and not the host's.
    run host --include "$url/team/stacks/listStacks"
    [[ $output == *401* && $output == *'"code":"unauthorized"'* && $output == *[Ww][Ww][Ww]-[Aa]uthenticate* ]]
    [[ $output == *[Ss]trict-[Tt]ransport-[Ss]ecurity* && $output != *X-Host* ]]
    run host --include --request DELETE "$url/team/stacks/"
    [[ $output == *405* && $output == *'"code":"methodNotAllowed"'* && $output == *'GET, HEAD'* ]]
    # Also without a length, which nginx learns only as it reads.
    for path in Other: Transfer-Encoding:chunked; do
        head -c 300000 /dev/zero | host --header "X-API-Key: $key" --header "$path" --data-binary @- "$url/team/stacks/requestStack" | grep -q bodyTooLarge
    done
    for path in /-so/error/forbidden /-so/error/notFound /team/stacks/-so/key; do
        [[ $(host --header "X-API-Key: $key" --output /dev/null --write-out '%{http_code}' "$url$path") == 404 ]]
    done
    grep -q '"path":"/team/stacks/listStacks","protocol":' "$VAR/log/stack-orchestrator.log"
    run ! grep -qF "$key" -r "$VAR/log"
    run ! grep -q 'using uninitialized' "$VAR/log/host-error.log"
}

@test "metrics of all projects are for this machine only, and nothing else is there" {
    local metrics=(curl --silent --unix-socket "$VAR/run/metrics.sock")
    "${metrics[@]}" http://localhost/metrics | grep -q '^stack_orchestrator_stacks{project="web"'
    [ "$("${metrics[@]}" --output /dev/null --write-out '%{http_code}' --header "X-API-Key: $key" http://localhost/listStacks)" = 404 ]
    [ "$("${metrics[@]}" --output /dev/null --write-out '%{http_code}' --request POST http://localhost/metrics)" = 405 ]
}

@test "make install puts everything below DESTDIR and PREFIX, and keeps changed settings" {
    local at=$BATS_TEST_TMPDIR/root file
    make -s -C "$ROOT" install DESTDIR="$at" PREFIX=/opt/stacks
    for file in opt/stacks/sbin/stack-orchestrator opt/stacks/sbin/orchestratorctl opt/stacks/bin/ci-stack opt/stacks/bin/ci-stack-plan \
        opt/stacks/share/stack-orchestrator/sql/0001_initial.sql opt/stacks/share/stack-orchestrator/dashboard/index.html \
        opt/stacks/share/man/man8/orchestratorctl.8.gz etc/stack-orchestrator/stack-orchestrator.conf etc/stack-orchestrator/nginx/http.conf; do
        [ -s "$at/$file" ] || { echo "$file is missing" && return 1; }
    done
    [ -z "$(find "$at" -mindepth 1 -maxdepth 1 ! -name opt ! -name etc)" ]
    run ! grep -rE '@[A-Z_]+@' "$at/etc"
    grep -q '^ExecStart=/opt/stacks/sbin/stack-orchestrator$' "$at/opt/stacks/lib/systemd/system/stack-orchestrator.service"
    "$at/opt/stacks/sbin/orchestratorctl" -c "$VAR/etc/stack-orchestrator.conf" migrate
    printf 'workers = 7\n' >>"$at/etc/stack-orchestrator/stack-orchestrator.conf"
    # An earlier version put another body.conf there; keyed.conf was edited since.
    printf '# earlier\n' | tee "$at/etc/stack-orchestrator/nginx/body.conf" >"$at/etc/stack-orchestrator/nginx/keyed.conf"
    (cd "$at/etc/stack-orchestrator/nginx" && sed -i '/body.conf$\|keyed.conf$/d' ../installed.sha256 &&
        sha256sum body.conf keyed.conf | sed 's|  |  /etc/stack-orchestrator/nginx/|' >>../installed.sha256)
    printf '# edited\n' >>"$at/etc/stack-orchestrator/nginx/keyed.conf"
    make -s -C "$ROOT" install DESTDIR="$at" PREFIX=/opt/stacks
    cmp "$at/etc/stack-orchestrator/nginx/body.conf" "$ROOT/nginx/body.conf"
    [ ! -e "$at/etc/stack-orchestrator/nginx/body.conf.new" ]
    grep -q '^# edited$' "$at/etc/stack-orchestrator/nginx/keyed.conf"
    [ -s "$at/etc/stack-orchestrator/nginx/keyed.conf.new" ]
    grep -q '^workers = 7$' "$at/etc/stack-orchestrator/stack-orchestrator.conf"
    [ -s "$at/etc/stack-orchestrator/stack-orchestrator.conf.new" ]
}

@test "make uninstall takes away what make install put there, and leaves settings" {
    local at=$BATS_TEST_TMPDIR/root
    mkdir -p "$at/opt/stacks/bin"
    : >"$at/opt/stacks/bin/others"
    make -s -C "$ROOT" install DESTDIR="$at" PREFIX=/opt/stacks
    run make -s -C "$ROOT" uninstall DESTDIR="$at" PREFIX=/opt/stacks
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(find "$at/opt" -type f)" = "$at/opt/stacks/bin/others" ]
    [ ! -e "$at/opt/stacks/share/stack-orchestrator" ]
    [ -s "$at/etc/stack-orchestrator/stack-orchestrator.conf" ]
    [[ $output == *"$at/etc/stack-orchestrator (settings, keys"* ]]
}

@test "the settings file names every setting with its default" {
    local name default
    "$ROOT/${BUILD:-build}/stack-orchestrator" -t -c "$ROOT/scripts/stack-orchestrator.conf"
    while IFS='=' read -r name default; do
        grep -qE "^#?$name =( |$)" "$ROOT/scripts/stack-orchestrator.conf" || { echo "$name is missing in the file" && return 1; }
        grep -qF ".It Ic $name" "$ROOT/scripts/man/stack-orchestrator.conf.5" || { echo "$name is missing in the manual" && return 1; }
        default=${default//\'/}
        [ -z "$default" ] || grep -qF -e "#$name = $default" -e "# Default: $default" "$ROOT/scripts/stack-orchestrator.conf" || { echo "$name: not $default" && return 1; }
    done < <(sed -n '/^declare -A config=(/,/^)/s/^ *\[\(.*\)\]=\(.*\)$/\1=\2/p' "$ROOT/scripts/orchestratorctl")
}

@test "the manual pages are well formed, and name every command and verb" {
    local command verbs verb
    run mandoc -T lint -W warning "$ROOT"/scripts/man/*
    echo "$output"
    [ "$status" -eq 0 ]
    while read -r command verbs; do
        for verb in ${verbs:-''}; do
            grep -qE "Cm $command(.*Cm $verb)?( |$)" "$ROOT/scripts/man/orchestratorctl.8" || { echo "$command $verb is missing" && return 1; }
            [ -z "$verb" ] || grep -qE "Cm $command .*Cm $verb( |$)" "$ROOT/scripts/man/orchestratorctl.8" || { echo "$command $verb is missing" && return 1; }
        done
    done < <(ctl --commands)
    while IFS='|' read -r command _; do
        grep -qxF ".It Cm $command" "$ROOT/scripts/man/ci-stack.1" || { echo "ci-stack $command is missing" && return 1; }
    done < <(. "$ROOT/scripts/ci-stack" && commands)
}

@test "each command and verb can be called, has a help of its own, and is completed" {
    local command verbs verb words
    . "$ROOT/scripts/completion.bash"
    complete_words() # WORD ...: what is offered for the last one
    {
        COMP_WORDS=("$ROOT/scripts/orchestratorctl" "$@") COMP_CWORD=$#
        _orchestratorctl
        words=" ${COMPREPLY[*]} "
    }
    while read -r command verbs; do
        run -0 ctl "$command" --help
        [[ $output == "Usage: orchestratorctl $command"* ]]
        complete_words "${command:0:2}"
        [[ $words == *" $command "* ]]
        for verb in $verbs; do
            [[ $output == *"orchestratorctl $command $verb"* ]] || { echo "the help of $command doesn't mention $verb" && return 1; }
            grep -qE "^${command}_$verb\(\)" "$ROOT"/scripts/ctl/*.sh || { echo "$command $verb does nothing" && return 1; }
            complete_words "$command" "${verb:0:1}"
            [[ $words == *" $verb "* ]]
        done
    done < <(ctl --commands)
    complete_words stack hold test-1 --re
    [ "$words" = ' --reason --revoke ' ]
    complete_words -c x --json le
    [ "$words" = ' lease ' ]
}

@test "doctor compares the server around a path with a host of its own, and says what to add" {
    local conf=$BATS_TEST_TMPDIR/nginx.conf settings=$BATS_TEST_TMPDIR/etc/so.conf
    mkdir -p "$BATS_TEST_TMPDIR/etc/nginx"
    cp "$VAR"/etc/nginx/*.conf "$BATS_TEST_TMPDIR/etc/nginx"
    sed "s|^nginx_config = .*|nginx_config = $conf|" "$VAR/etc/stack-orchestrator.conf" >"$settings"
    ctl nginx path /team/stacks | in_place >"$BATS_TEST_TMPDIR/path.conf"
    around() # LINES of http { }, LINES of server { }
    {
        nginx_around "map_hash_bucket_size 128;
            include \"$VAR/etc/nginx/http.conf\";
            $1
            server { listen 127.0.0.1:$port; server_name other.test; client_header_timeout 9m; }
            server {
                listen 127.0.0.1:$port;
                server_name shared.test;
                $2
                location / { return 200 \"} # no end; include nothing\"; }
                location = /json { return 200 '{\"}\"'; }
                include etc/../pa?h.con*;
            }" >"$conf"
        nginx -t -q -c "$conf"
        "$ROOT/scripts/orchestratorctl" -c "$settings" doctor --json |
            jq -r '.findings[] | select(.part == "nginx" and (.text | contains("around"))) | "\(.result): \(.text) \(.todo)"'
    }
    run around '' ''
    [[ $output == 'warning: the server around /team/stacks/ (shared.test) '* ]]
    [[ $output == *': client_header_timeout 60s, large_client_header_buffers 4 8k, http2_max_concurrent_streams 128 '* ]]
    [[ $output == *'server { }: client_header_timeout 10s; large_client_header_buffers 4 4k; http2_max_concurrent_streams 16; '* ]]
    # http { } holds for its servers unless a server says otherwise; stricter limits are not reported.
    run around 'client_header_timeout 1m; http2_max_concurrent_streams 16; underscores_in_headers on;' \
        'client_header_timeout 5000ms; large_client_header_buffers 2 8k;'
    [[ $output == *': underscores_in_headers on put into its server { }: underscores_in_headers off; '* ]]
    run around 'large_client_header_buffers 4 8k;' "include \"$VAR/etc/nginx/connection.conf\";"
    [[ $output == 'good: the server around /team/stacks/ (shared.test) has the limits of a host of its own'* ]]
}
