# shellcheck shell=bash
# What the tests of scripts/ share: one private instance a file, and ways to look into it.

root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
# Short, because a deep one is a case of its own.
instance=${TMPDIR:-/tmp}/instance-$$

start_instance()
{
    export VAR_DIR=$1

    shift
    "$root/scripts/local" start --var "$VAR_DIR" ${SAN:+--san "$SAN"} ${DATABASE_CNF:+--database-cnf "$DATABASE_CNF"} "$@"
}

stop_instance()
{
    "$root/scripts/local" stop --var "$VAR_DIR" --purge
}

ctl()
{
    "$root/scripts/orchestratorctl" -c "$VAR_DIR/etc/stack-orchestrator.conf" "$@"
}

# As the administrator of the database.
database()
{
    "$(command -v mariadb || command -v mysql)" --defaults-file="$VAR_DIR/etc/admin.cnf" --batch --skip-column-names \
        "$(setting database_name)" -e "$1"
}

setting()
{
    sed -n "s/^$1 = //p" "$VAR_DIR/etc/stack-orchestrator.conf"
}

# As the user $1 (program or migration) of the service.
database_as()
{
    local user name=$1 host

    [[ $name == migration ]] && user=$(setting migration_user) || user=$(setting database_user)
    host=$(setting database_host)
    "$(command -v mariadb || command -v mysql)" --defaults-file=<(
        printf '[client]\nuser=%s\npassword=%s\n' "$user" "$(<"$VAR_DIR/etc/$name.password")"
        if [[ $host == unix:* ]]; then
            printf 'socket=%s\n' "${host#unix:}"
        else
            printf 'protocol=tcp\nhost=%s\nport=%s\n' "${host%:*}" "${host##*:}"
        fi
    ) --batch --skip-column-names "$(setting database_name)" -e "$2"
}

# call KEY PATH [CURL OPTIONS]: body, and the status on a line of its own. KEY may be empty.
call()
{
    local key=$1 path=$2

    shift 2
    curl --silent --show-error --max-time 30 --cacert "$VAR_DIR/tls/ca.pem" --write-out '\n%{http_code}\n' \
        ${key:+--header @<(printf 'X-API-Key: %s\n' "$key")} "$@" "$(<"$VAR_DIR/url")$path"
}

# status KEY PATH [CURL OPTIONS]
status()
{
    call "$@" | tail -n 1
}

# raw TEXT: sends exactly this over TLS, and prints the answer.
raw()
{
    printf '%b' "$1" | timeout 10 openssl s_client -quiet -CAfile "$VAR_DIR/tls/ca.pem" \
        -connect "127.0.0.1:$(<"$VAR_DIR/port")" 2>/dev/null | tr -d '\r'
}

# wait_for COMMAND ...: up to 20 s.
wait_for()
{
    local deadline=$((SECONDS + 20))

    until "$@"; do
        ((SECONDS < deadline)) || { echo "waited in vain for: $*" >&2 && return 1; }
        sleep 0.05
    done
}

# Processes whose command line names the directory $1.
processes_of()
{
    local file

    for file in /proc/[0-9]*/cmdline; do
        if tr '\0' ' ' 2>/dev/null <"$file" | grep -qF "$1/"; then
            printf '%s\n' "$file"
        fi
    done
}
