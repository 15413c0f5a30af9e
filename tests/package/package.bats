#!/usr/bin/env bats
# The Debian package in a clean system, booted with systemd: installed, used over HTTPS, upgraded, and
# purged. Takes minutes and needs root: `make package`, `make test-all`. The tests follow each other.
# PACKAGE_TEST_BASE names a directory with such a system, to save making it.

load ../lib/debian
bats_require_minimum_version 1.5.0
root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup_file()
{
    [ "$(id -u)" = 0 ] || { echo 'needs root' >&2 && return 1; }
    work=$(mktemp -d /tmp/stack-orchestrator-package.XXXXXX)
    export work
    "$root/scripts/deb" 0.1.0 >"$work/deb.log" 2>&1 || { cat "$work/deb.log" && return 1; }
    mv "$root"/build/stack-orchestrator_0.1.0_*.deb "$work/old.deb"
    make_newer
    if [ -n "${PACKAGE_TEST_BASE:-}" ]; then
        cp -a "$PACKAGE_TEST_BASE" "$work/system"
    else
        make_system
    fi
    boot
}

teardown_file()
{
    local deadline=$((SECONDS + 60))

    if [ -s "$work/nspawn.pid" ]; then
        # Powers it off; by the kill at the end there is nothing to lose.
        kill -TERM "$(<"$work/nspawn.pid")" 2>/dev/null || true
        while kill -0 "$(<"$work/nspawn.pid")" 2>/dev/null && ((SECONDS < deadline)); do
            sleep 0.2
        done
        kill -KILL "$(<"$work/nspawn.pid")" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$work"
}

# The next version: one more migration, which lets the present program run on.
make_newer()
{
    dpkg-deb -R "$work/old.deb" "$work/newer"
    sed -i 's/^Version: .*/Version: 0.2.0/' "$work/newer/DEBIAN/control"
    sed -i "s/^version='.*'/version='0.2.0'/" "$work/newer/DEBIAN/preinst"
    newest=$(($(find "$root/sql" -name '[0-9]*.sql' | wc -l) + 1))
    export newest
    printf -- '-- Oldest program: schema 1.\nCREATE TABLE of_the_test (a INT);\n' \
        >"$work/newer/usr/share/stack-orchestrator/sql/$(printf %04d "$newest")_of_the_test.sql"
    dpkg-deb -b "$work/newer" "$work/new.deb" >"$work/newer.log"
}

# What it would fetch from the package's dependencies is there from the start.
make_system()
{
    local depends

    depends=$(dpkg-deb -f "$work/old.deb" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/[[:space:]]//g')
    debian_make "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" "$work/system" \
        "systemd,systemd-sysv,dbus,procps,curl,mariadb-server,$depends"
}

boot()
{
    local deadline=$((SECONDS + 120))

    setsid systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe -b -D "$work/system" \
        </dev/null >"$work/nspawn.log" 2>&1 3>&- &
    printf '%s\n' "$!" >"$work/nspawn.pid"
    until inside systemctl is-active --quiet mariadb nginx 2>/dev/null; do
        ((SECONDS < deadline)) || { tail "$work/nspawn.log" >&2 && return 1; }
        sleep 0.2
    done
}

inside()
{
    local leader

    leader=$(pgrep -P "$(<"$work/nspawn.pid")" | head -n 1)
    [ -n "$leader" ] && nsenter -t "$leader" -m -u -i -n -p -r -w -- \
        env -i -C /root PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}

install_package()
{
    cp "$1" "$work/system/root/package.deb"
    inside dpkg -i /root/package.deb
}

# call KEY PATH [CURL OPTIONS]
call()
{
    printf 'X-API-Key: %s\n' "$1" | inside curl --silent --show-error --max-time 20 --header @- \
        --cacert /etc/stack-orchestrator/tls/stacks.test.pem --resolve stacks.test:443:127.0.0.1 "https://stacks.test$2" "${@:3}"
}

wait_until_ready()
{
    local deadline=$((SECONDS + 60))

    until [ "$(call '' /readyz)" = '{"status":"ready"}' ]; do
        ((SECONDS < deadline)) || { inside journalctl -u stack-orchestrator --no-pager | tail && return 1; }
        sleep 0.2
    done
}

@test "lintian finds nothing" {
    # It leaves files in its directory for temporary ones.
    TMPDIR=$work run lintian --fail-on error,warning,info --suppress-tags package-contains-documentation-outside-usr-share-doc,package-supports-alternative-init-but-no-init.d-script "$work/old.deb"
    echo "$output"
    [ "$status" -eq 0 ]
    run ! grep -v '^running with root' <<<"$output"
}

@test "the service is hardened, as systemd counts" {
    run systemd-analyze security --offline=true --threshold=20 "$(find "$work/newer" -name stack-orchestrator.service)"
    echo "$output" | tail -n 1
    [ "$status" -eq 0 ]
}

@test "installing it makes user, database and service" {
    run install_package "$work/old.deb"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *'orchestratorctl setup --host'* ]]
    inside getent passwd stack-orchestrator | grep -q nologin
    inside systemctl is-active stack-orchestrator.service stack-orchestrator.socket stack-orchestrator-keys.timer
    [ "$(inside mariadb -N -e 'SELECT COUNT(*) FROM stack_orchestrator.schema_version')" = $((newest - 1)) ]
    # The program can't read the password of the migration user.
    run ! inside setpriv --reuid stack-orchestrator --regid stack-orchestrator --clear-groups cat /etc/stack-orchestrator/migration.password
    inside setpriv --reuid stack-orchestrator --regid stack-orchestrator --clear-groups cat /etc/stack-orchestrator/database.password >/dev/null
}

@test "who isn't root is told so, whatever the command" {
    local command
    for command in status 'project list' 'key list' 'setup --host stacks.test' "backup /tmp/backup" '-c /root/nothing.conf status'; do
        # shellcheck disable=SC2086
        run inside setpriv --reuid www-data --regid www-data --clear-groups orchestratorctl $command
        echo "$output"
        [ "$status" -eq 1 ]
        [ "$output" = 'orchestratorctl: run it as root: sudo orchestratorctl ...' ]
    done
}

# refused MESSAGE ARGUMENTS ...: orchestratorctl ends with an error, and this first line.
refused()
{
    run inside orchestratorctl "${@:2}"
    echo "$output"
    [ "$status" -ne 0 ] && [[ ${lines[0]} == "orchestratorctl: $1" ]]
}

@test "setup refuses a host or an administrator's file that can't be meant, and makes nothing" {
    local settings=/etc/stack-orchestrator/stack-orchestrator.conf
    refused '--host https://stacks.test: a name alone, like stacks.example.org' setup --host https://stacks.test
    refused "--admin: can't read /root/missing.cnf" setup --admin /root/missing.cnf
    refused "can't read /nowhere.pem; nothing was changed" setup --host stacks.test --certificate /nowhere.pem --certificate-key /nowhere.key
    inside cp "$settings" /root/settings
    inside sed -i '1i database_host = db.example.org' "$settings"
    inside sh -c 'printf "[client]\nuser=root\n" >/root/admin.cnf'
    refused '--admin: /root/admin.cnf names no host, and database_host is db.example.org: add a line host=... below [client]' setup --admin /root/admin.cnf
    inside cp /root/settings "$settings"
    [ -z "$(inside mariadb -N -e "SELECT user FROM mysql.user WHERE user LIKE 'stack%' AND host = '%'")" ]
    [ -z "$(inside find /etc/nginx -name 'stack-orchestrator*')" ]
}

@test "setup fails while another program has the port" {
    local other
    inside openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -keyout /root/other.key -out /root/other.pem 2>"$work/openssl.log"
    inside openssl s_server -quiet -accept 443 -www -key /root/other.key -cert /root/other.pem >"$work/s_server.log" 2>&1 3>&- &
    other=$!
    until inside curl --silent --insecure --output /dev/null https://127.0.0.1/; do kill -0 "$other"; done
    run inside orchestratorctl setup --host stacks.test
    echo "$output"
    inside pkill -x openssl
    wait "$other" || true
    [ "$status" -eq 1 ]
    [[ $output == *'https://stacks.test/readyz'*'port 443'* && $output != *'is served by nginx'* ]]
}

@test "one command makes it answer over HTTPS" {
    run inside orchestratorctl setup --host stacks.test --project shop --metrics
    echo "$output"
    [ "$status" -eq 0 ]
    sed -n 's/^ci  *\([0-9a-f]\{64\}\)$/\1/p' <<<"$output" >"$work/key"
    wait_until_ready
    call "$(<"$work/key")" /requestStack --request POST | grep -q '"stackName":"test-1"'
    [ "$(call "$(<"$work/key")" /releaseStack --request POST --data-raw '{"stackName":"test-1"}')" = '{"message":"Stack test-1 released"}' ]
    call '' / | grep -qi '<!doctype html>'
    inside curl --silent --fail http://127.0.0.1:9436/metrics | grep -q '^stack_orchestrator_stacks{project="shop"'
    run inside orchestratorctl doctor
    echo "$output"
    [ "$status" -eq 0 ]
    inside orchestratorctl backup /root/backup.tar.gz
}

@test "a second project with the stacks of the first is refused" {
    refused 'the stacks of shop are named test-N already, and would be lent twice: choose another --prefix, or say --same-prefix if store deploys to another account' \
        project create store
    inside orchestratorctl project create store --prefix store-
    inside orchestratorctl project delete store
}

@test "a backup that finds the disk full says so and leaves nothing; a timer, off at first, keeps N of them" {
    local service=stack-orchestrator-backup
    inside mkdir /mnt/small
    inside mount -t tmpfs -o size=4k tmpfs /mnt/small
    refused "can't write /mnt/small/backup.tar.gz: No space left on device" backup /mnt/small/backup.tar.gz
    [ -z "$(inside find /mnt/small -type f)" ]
    inside umount /mnt/small
    inside rmdir /mnt/small
    run inside systemctl is-enabled "$service.timer"
    [ "$output" = disabled ]
    inside systemctl enable --quiet --now "$service.timer"
    inside mkdir -p "/etc/systemd/system/$service.service.d"
    inside sh -c "printf '[Service]\nEnvironment=KEEP=1\n' >/etc/systemd/system/$service.service.d/override.conf"
    inside systemctl daemon-reload
    inside install -D -m 600 /dev/null /var/backups/stack-orchestrator/stack-orchestrator-2020-01-01T000000Z.tar.gz
    inside systemctl start "$service.service"
    [ "$(inside find /var/backups/stack-orchestrator -type f -printf '%m %u\n' | sort -u)" = '600 root' ]
    [ "$(inside ls /var/backups/stack-orchestrator | wc -l)" = 1 ]
    inside systemctl disable --quiet --now "$service.timer"
    inside rm -r /var/backups/stack-orchestrator "/etc/systemd/system/$service.service.d"
}

@test "setup again keeps the site with its changes; one that nginx refuses changes nothing" {
    local site=/etc/nginx/sites-available/stack-orchestrator before
    inside sed -i 's/^    access_log/    # mine\n    access_log/' "$site"
    before=$(inside cat "$site")
    inside orchestratorctl setup --host stacks.test
    [ "$(inside cat "$site")" = "$before" ]
    run inside orchestratorctl setup --host stacks.test --certificate /nowhere.pem --certificate-key /nowhere.key
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *'nothing was changed'* ]]
    [ "$(inside cat "$site")" = "$before" ]
    inside nginx -t
    # A new certificate leaves the metrics, and the old file.
    inside cp /etc/stack-orchestrator/tls/stacks.test.pem /etc/stack-orchestrator/tls/stacks.test.key /etc/nginx/
    inside orchestratorctl setup --host stacks.test --certificate /etc/nginx/stacks.test.pem --certificate-key /etc/nginx/stacks.test.key
    [ "$(inside cat "$site.old")" = "$before" ]
    # However it stands there.
    inside sed -i 's|ssl_certificate "\(.*\)";|ssl_certificate \1; # managed|; s/server_name stacks.test;/server_name other.test stacks.test;/' "$site"
    inside orchestratorctl setup --host stacks.test --metrics
    inside grep -q 'ssl_certificate "/etc/nginx/stacks.test.pem"' "$site"
    inside curl --silent --fail http://127.0.0.1:9436/metrics | grep -q '^stack_orchestrator_stacks{project="shop"'
}

# doctor_says GREP-PATTERN
doctor_says()
{
    run inside orchestratorctl doctor
    echo "$output"
    grep -q "$1" <<<"$output"
}

@test "doctor reports a renewed certificate that nginx has not read, and one for another name" {
    doctor_says '^good *https *https://stacks.test:443/readyz answers'
    doctor_says '^good *certificate *https://stacks.test is served with /etc/nginx/stacks.test.pem, which is for it'
    inside openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other.test -addext subjectAltName=DNS:other.test \
        -keyout /etc/nginx/stacks.test.key -out /etc/nginx/stacks.test.pem 2>"$work/openssl.log"
    doctor_says '^fault *certificate *https://stacks.test is served with another certificate than /etc/nginx/stacks.test.pem holds'
    inside systemctl reload nginx
    wait_for_doctor '^fault *certificate *https://stacks.test is served with a certificate for another name (other.test)'
    inside cp /etc/stack-orchestrator/tls/stacks.test.pem /etc/stack-orchestrator/tls/stacks.test.key /etc/nginx/
    inside systemctl reload nginx
    wait_for_doctor 'which is for it'
}

wait_for_doctor()
{
    local deadline=$((SECONDS + 20))

    until doctor_says "$1"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

metrics_answer()
{
    inside curl --silent --fail http://127.0.0.1:9436/metrics | grep -q '^stack_orchestrator_stacks{project="shop"'
}

@test "from a host name to a path, back, and to another name: nginx takes each up, and the metrics stay" {
    local include='include "/etc/nginx/snippets/stack-orchestrator.conf";' default=/etc/nginx/sites-available/default
    run inside orchestratorctl setup --path /stacks
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"$include"* ]]
    metrics_answer
    doctor_says '^fault *nginx *no server { } includes /etc/nginx/snippets/stack-orchestrator.conf'
    inside cp "$default" /root/default
    inside sed -i "s|^[[:space:]]*server_name _;|listen 443 ssl; server_name shared.test; ssl_certificate /etc/nginx/stacks.test.pem; ssl_certificate_key /etc/nginx/stacks.test.key; $include|" "$default"
    inside systemctl reload nginx
    wait_for_doctor '^good *https *https://shared.test:443/stacks/readyz answers'
    run inside orchestratorctl setup --host stacks.test
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *'a site includes /etc/nginx/snippets/stack-orchestrator.conf'* ]]
    wait_until_ready
    metrics_answer
    # Both ways at once.
    wait_for_doctor '^good *https *https://shared.test:443/stacks/readyz answers'
    inside cp /root/default "$default"
    inside systemctl reload nginx
    run inside orchestratorctl setup --host renamed.test
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$(inside find /etc/nginx/snippets -name 'stack-orchestrator.conf')" ]
    metrics_answer
    inside orchestratorctl setup --host stacks.test --certificate /etc/nginx/stacks.test.pem --certificate-key /etc/nginx/stacks.test.key
    metrics_answer
    doctor_says '^good *https *https://stacks.test:443/readyz answers'
    run ! grep '^fault' <<<"$output"
    inside sh -c 'find /etc/nginx -name "stack-orchestrator*.old" -delete'
}

@test "systemd starts it again after a crash, and it drains at a stop" {
    inside systemctl kill --signal KILL stack-orchestrator.service
    wait_until_ready
    inside systemctl stop stack-orchestrator.service
    inside journalctl -u stack-orchestrator --no-pager | grep -q 'stopped$'
    [ "$(inside systemctl show -p Result --value stack-orchestrator.service)" = success ]
    # The socket starts it again.
    wait_until_ready
}

@test "it waits for a database that is away" {
    inside systemctl stop stack-orchestrator.service mariadb.service
    inside systemctl start --no-block stack-orchestrator.service
    inside systemctl start mariadb.service
    wait_until_ready
}

@test "a fault in the settings stops it with the line's number" {
    local deadline=$((SECONDS + 30))
    inside sed -i '1i nonsense' /etc/stack-orchestrator/stack-orchestrator.conf
    inside systemctl restart --no-block stack-orchestrator.service
    until inside journalctl -u stack-orchestrator --no-pager | grep -q 'stack-orchestrator.conf:1: expected'; do
        ((SECONDS < deadline))
        sleep 0.2
    done
    inside sed -i 1d /etc/stack-orchestrator/stack-orchestrator.conf
    inside systemctl restart stack-orchestrator.service
    wait_until_ready
}

@test "an upgrade keeps data, settings and keys, and runs migrations" {
    local workers
    nginx_workers() { inside sh -c 'pgrep -P "$(cat /run/nginx.pid)" | sort'; }
    workers=$(nginx_workers)
    inside sed -i 's/^#workers = 4/workers = 3/' /etc/stack-orchestrator/stack-orchestrator.conf
    run install_package "$work/new.deb"
    echo "$output"
    [ "$status" -eq 0 ]
    wait_until_ready
    [ "$(inside mariadb -N -e 'SELECT MAX(version) FROM stack_orchestrator.schema_version WHERE finished IS NOT NULL')" = "$newest" ]
    inside grep -q '^workers = 3' /etc/stack-orchestrator/stack-orchestrator.conf
    call "$(<"$work/key")" /listStacks | grep -q '"stackName":"test-1"'
    # nginx has read our new files.
    [ -z "$(comm -12 <(echo "$workers") <(nginx_workers))" ]
}

# Callers inside, until /root/stop is there: a line for each answer, its status and what was called.
callers()
{
    # shellcheck disable=SC2016 # its own variables
    inside sh -c '
        umask 077
        printf "X-API-Key: %s\n" "$1" >/root/header
        caller()
        {
            while ! [ -e /root/stop ]; do
                for call in "GET /listStacks" "POST /requestStack" "POST /releaseStack"; do
                    curl --silent --max-time 30 --header @/root/header --cacert /etc/stack-orchestrator/tls/stacks.test.pem \
                        --resolve stacks.test:443:127.0.0.1 --request "${call% *}" --output /root/answer.$2 \
                        ${3:+--data-raw "{\"stackName\":\"$3\"}"} --write-out "%{http_code} $call\n" "https://stacks.test${call#* }"
                    set -- "$1" "$2" "$(sed -n "s/.*\"stackName\":\"\(test-[0-9]*\)\".*/\1/p" /root/answer.$2)"
                    [ "$call" = "POST /requestStack" ] || set -- "$1" "$2" ""
                done
            done
        }
        caller x 1 & caller x 2 & wait' callers "$(<"$work/key")"
}

@test "an upgrade under load fails no call" {
    local calling
    callers >"$work/codes" 3>&- &
    calling=$!
    for _ in 1 2 3; do
        install_package "$work/new.deb" >"$work/upgrade.log" 2>&1
    done
    inside touch /root/stop
    wait "$calling"
    inside sh -c 'rm -f /root/stop /root/header /root/answer.*'
    sort "$work/codes" | uniq -c
    [ "$(wc -l <"$work/codes")" -ge 100 ]
    # What waits while it starts anew is told to come again by the program itself, and nothing else happens.
    run ! grep -v '^200 ' "$work/codes"
}

@test "an upgrade says when nginx refuses the files that were kept" {
    inside sed -i '1i nonsense;' /etc/stack-orchestrator/nginx/http.conf
    run install_package "$work/new.deb"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *'nginx was not reloaded'* ]]
    inside sed -i 1d /etc/stack-orchestrator/nginx/http.conf
    inside nginx -t
    wait_until_ready
}

@test "a downgrade is refused with a message, and changes nothing" {
    run install_package "$work/old.deb"
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *'downgrade to 0.1.0 is refused'* ]]
    [ "$(inside dpkg-query -W -f '${Version} ${Status}' stack-orchestrator)" = '0.2.0 install ok installed' ]
    wait_until_ready
    call "$(<"$work/key")" /listStacks | grep -q '"stackName":"test-1"'
}

@test "no key stands in any log" {
    run ! inside grep -rqF "$(<"$work/key")" /var/log
    run ! grep -qF "$(<"$work/key")" <(inside journalctl --no-pager)
}

@test "removed, it leaves data and settings; purged, nothing" {
    inside dpkg --remove stack-orchestrator
    inside nginx -t
    [ "$(inside mariadb -N -e 'SELECT COUNT(*) FROM stack_orchestrator.project')" = 1 ]
    inside mariadb -e 'CREATE DATABASE somebody_elses'
    inside dpkg --purge stack-orchestrator
    run inside find / -xdev -iname '*stack?orchestrator*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*'
    echo "$output"
    [ -z "$output" ]
    run ! inside getent passwd stack-orchestrator
    [ -z "$(inside mariadb -N -e "SHOW DATABASES LIKE 'stack%'; SELECT user FROM mysql.user WHERE user LIKE 'stack%'")" ]
    inside mariadb -e 'USE somebody_elses'
    inside nginx -t
    inside systemctl is-active nginx
}

@test "installed anew, a backup brings everything back" {
    install_package "$work/new.deb"
    inside orchestratorctl restore /root/backup.tar.gz
    run inside orchestratorctl setup --host stacks.test --project shop
    echo "$output"
    [ "$status" -eq 0 ]
    wait_until_ready
    call "$(<"$work/key")" /listStacks | grep -q '"stackName":"test-1"'
}

@test "purged, it leaves a site of the administrator's that includes it in order" {
    inside rm /etc/nginx/sites-enabled/stack-orchestrator
    inside orchestratorctl setup --path /team/stacks
    inside sed -i 's|^[[:space:]]*server_name _;|& include "/etc/nginx/snippets/stack-orchestrator.conf";|' /etc/nginx/sites-available/default
    inside nginx -t
    inside dpkg --purge stack-orchestrator
    inside nginx -t
    [ "$(inside grep -rl orchestrator /etc/nginx/ | sort)" = $'/etc/nginx/sites-available/default\n/etc/nginx/snippets/stack-orchestrator.conf' ]
}
