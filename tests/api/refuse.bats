#!/usr/bin/env bats
# Servers that can't keep the promise: refused with a reason, the next of the list is used. Two private
# servers, whatever DATABASE_CNF says: their settings are changed here.

# shellcheck disable=SC2030,SC2031,SC2034,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    unset DATABASE_CNF
    export MAIN=$BATS_FILE_TMPDIR/var OTHER=$BATS_FILE_TMPDIR/other
    start_instance
    # The same password lets the program into both.
    mkdir "$OTHER" "$OTHER/etc"
    chmod 700 "$OTHER"
    cp "$MAIN"/etc/{program,migration}.password "$OTHER/etc"
    other_local start ${SAN:+--san "$SAN"} --port 0 --set database.skip_networking=0 --set database.bind_address=127.0.0.1,127.0.0.2 \
        --set "database.port=$(free_port)" --set "database.ssl_cert=$MAIN/tls/server.pem" --set "database.ssl_key=$MAIN/tls/server.key" \
        --set "database.log_bin=$OTHER/tmp/log" --set database.sync_binlog=1
}

teardown_file()
{
    other_local stop --purge
    stop_instance
}

setup()
{
    ready_with "unix:$MAIN/run/mysql.sock" ''
    new_project
}

teardown()
{
    administrate "SET GLOBAL tx_isolation = DEFAULT; SET GLOBAL transaction_isolation = DEFAULT;
        SET GLOBAL tx_read_only = 0; SET GLOBAL transaction_read_only = 0; SET GLOBAL autocommit = 1;
        SET GLOBAL completion_type = 0; SET GLOBAL time_zone = 'SYSTEM'; SET GLOBAL sql_mode = DEFAULT" 2>/dev/null || true
}

# local_instance, on the second one.
other_local()
{
    VAR=$OTHER local_instance "$@"
}

free_port()
{
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Statements as the administrator of the second server.
on_other()
{
    VAR=$OTHER administrate "$1"
}

# with_hosts LIST [CA]: restarts the program with that list of hosts, and with a new log.
with_hosts()
{
    sed -i '/^database_host = /d; /^database_tls_ca = /d' "$MAIN/etc/stack-orchestrator.conf"
    printf 'database_host = %s\ndatabase_tls_ca = %s\n' "$1" "${2:-}" >>"$MAIN/etc/stack-orchestrator.conf"
    : >"$MAIN/log/program.log"
    local_instance restart program
}

ready_with()
{
    with_hosts "$@"
    eventually is_ready
}

logged()
{
    grep -qF -- "$1" "$MAIN/log/program.log"
}

# refused REASON: that is what /readyz says, what callers get, and what was logged, once by each thread
# that has a connection.
refused()
{
    eventually is_refused "$1"
    expect_error 503 databaseUnavailable
    post /requestStack
    expect_error 503 databaseUnavailable
    get /status
    expect_error 503 databaseUnavailable
    logged "refused: $1"
    (($(grep -cF "refused: $1" "$MAIN/log/program.log") <= 5))
}

is_refused()
{
    AS='' call GET /readyz
    [[ $STATUS == 503 && $BODY == *": $1"* ]]
}

@test "innodb_flush_log_at_trx_commit = 2: refused until it is 1 again" {
    administrate 'SET GLOBAL innodb_flush_log_at_trx_commit = 2'
    with_hosts "unix:$MAIN/run/mysql.sock"
    refused 'innodb_flush_log_at_trx_commit is 2'
    run ctl doctor
    [[ $output == *'refuses this server: innodb_flush_log_at_trx_commit is 2'* ]]
    pid=$(local_instance pid program)
    administrate 'SET GLOBAL innodb_flush_log_at_trx_commit = 1'
    eventually is_ready
    [[ $(local_instance pid program) == "$pid" ]]
    take
    give
}

@test "a read-only server is refused; one that becomes read-only is left, and used again when it is well" {
    on_other 'SET GLOBAL read_only = 1'
    with_hosts "unix:$OTHER/run/mysql.sock"
    refused 'read_only is ON'
    on_other 'SET GLOBAL read_only = 0'
    ready_with "unix:$OTHER/run/mysql.sock,unix:$MAIN/run/mysql.sock"
    logged "connected at unix:$OTHER/run/mysql.sock"
    on_other 'SET GLOBAL read_only = 1'
    eventually logged "connected at unix:$MAIN/run/mysql.sock"
    eventually is_ready
    take
    give
    : >"$MAIN/log/program.log"
    on_other 'SET GLOBAL read_only = 0'
    eventually logged "connected at unix:$OTHER/run/mysql.sock"
    is_ready
}

@test "a refused server is passed over for the next one in the list, and logged once" {
    on_other 'SET GLOBAL sync_binlog = 0'
    ready_with "unix:/nowhere/a.sock, unix:$OTHER/run/mysql.sock,unix:$MAIN/run/mysql.sock"
    take
    give
    sees /listStacks '.stacks | length == 1'
    logged "database unix:/nowhere/a.sock: can't connect"
    logged "database unix:$OTHER/run/mysql.sock: refused: sync_binlog is 0"
    logged "connected at unix:$MAIN/run/mysql.sock"
    run ctl doctor
    [[ $output == *"unix:$OTHER/run/mysql.sock: the program refuses this server: sync_binlog is 0"* ]]
    on_other 'SET GLOBAL sync_binlog = 1'
}

@test "a binary log in statements is refused" {
    on_other "SET GLOBAL binlog_format = 'STATEMENT'"
    with_hosts "unix:$OTHER/run/mysql.sock"
    refused 'binlog_format is STATEMENT'
    on_other "SET GLOBAL binlog_format = 'ROW'"
    eventually is_ready
}

@test "a replica is refused though it takes writes" {
    on_other "CHANGE MASTER TO master_host = '127.0.0.1', master_port = 1, master_user = 'nobody'; START SLAVE SQL_THREAD"
    with_hosts "unix:$OTHER/run/mysql.sock"
    refused 'slaves_running is 1'
    on_other 'STOP SLAVE; RESET SLAVE ALL'
    eventually is_ready
}

@test "isolation and the rest of the session are the program's own, whatever the server's default" {
    # The names differ between servers.
    administrate "SET GLOBAL tx_isolation = 'SERIALIZABLE'; SET GLOBAL transaction_isolation = 'SERIALIZABLE';
        SET GLOBAL tx_read_only = 1; SET GLOBAL transaction_read_only = 1; SET GLOBAL autocommit = 0;
        SET GLOBAL completion_type = 2; SET GLOBAL time_zone = '+05:00'; SET GLOBAL sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'" || true
    ready_with "unix:$MAIN/run/mysql.sock"
    take '{"branch":"it\u0027s \"a\" \\ branch"}'
    mark
    give
    take
    sees /status '.stacks[0].lease.fence == 2 and (((.now | sub("[.][0-9]+Z$"; "Z") | fromdate) - now) | fabs < 600)'
    give
}

@test "database_tls_ca: the server's certificate must be of that authority, and for its name" {
    port=$(on_other 'SELECT @@port')
    # `database create` for logins over TCP.
    cp "$OTHER/etc/stack-orchestrator.conf" "$BATS_TEST_TMPDIR/conf"
    printf 'database_host = 127.0.0.1:%s\ndatabase_tls_ca = %s\n' "$port" "$MAIN/tls/ca.pem" >>"$BATS_TEST_TMPDIR/conf"
    "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" database create --admin "$OTHER/etc/admin.cnf" 3>&-
    on_other "ALTER USER so_program@'%' REQUIRE SSL"
    ready_with "127.0.0.1:$port" "$MAIN/tls/ca.pem"
    ready_with "localhost:$port" "$MAIN/tls/ca.pem"
    # orchestratorctl does the same.
    "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" project list 3>&-

    # Its certificate isn't for that name.
    with_hosts "127.0.0.2:$port" "$MAIN/tls/ca.pem"
    eventually logged "database 127.0.0.2:$port: can't connect"
    is_not_ready
    sed -i 's/^database_host = 127.0.0.1/database_host = 127.0.0.2/' "$BATS_TEST_TMPDIR/conf"
    run "$ROOT/scripts/orchestratorctl" -c "$BATS_TEST_TMPDIR/conf" project list 3>&-
    [[ $status != 0 ]]
    # It comes from another authority.
    with_hosts "127.0.0.1:$port" "$OTHER/tls/ca.pem"
    eventually logged "database 127.0.0.1:$port: can't connect"
    is_not_ready

    # A server without TLS, or somebody in between who hides it.
    on_other "ALTER USER so_program@'%' REQUIRE NONE"
    other_local stop
    other_local start ${SAN:+--san "$SAN"} --set database.ssl_cert= --set database.ssl_key= --set database.skip_ssl=1
    with_hosts "127.0.0.1:$port"
    eventually is_ready
    with_hosts "127.0.0.1:$port" "$MAIN/tls/ca.pem"
    eventually logged "database 127.0.0.1:$port: can't connect"
    is_not_ready
}

is_not_ready()
{
    AS='' call GET /readyz
    [[ $STATUS == 503 ]]
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
