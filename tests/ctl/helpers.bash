# shellcheck shell=bash
# What the tests of scripts/ share, beside the harness: ways to look into an instance.

load ../lib/instance
# Short, because a deep one is a case of its own.
instance=${TMPDIR:-/tmp}/instance-$$

# As the user $1 (program or migration) of the service.
database_as()
{
    local user name=$1 host

    [[ $name == migration ]] && user=$(setting migration_user) || user=$(setting database_user)
    host=$(setting database_host)
    "$(command -v mariadb || command -v mysql)" --defaults-file=<(
        printf '[client]\nuser=%s\npassword=%s\n' "$user" "$(<"$VAR/etc/$name.password")"
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
    curl --silent --show-error --max-time 30 --cacert "$VAR/tls/ca.pem" --write-out '\n%{http_code}\n' \
        ${key:+--header @<(printf 'X-API-Key: %s\n' "$key")} "$@" "$(<"$VAR/url")$path"
}

# status KEY PATH [CURL OPTIONS]
status()
{
    call "$@" | tail -n 1
}

# raw TEXT: sends exactly this over TLS, and prints the answer.
raw()
{
    printf '%b' "$1" | timeout 10 openssl s_client -quiet -CAfile "$VAR/tls/ca.pem" \
        -connect "127.0.0.1:$(<"$VAR/port")" 2>/dev/null | tr -d '\r'
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
