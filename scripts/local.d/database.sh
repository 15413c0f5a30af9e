# shellcheck shell=bash
# The database: a private server, or the one of --database-cnf.

database_program()
{
    local name

    for name in mariadbd mysqld; do
        if command -v "$name"; then
            return
        fi
    done
    die 'no MariaDB or MySQL server is installed; scripts/setup installs one'
}

client()
{
    local name

    name=$(command -v mariadb || command -v mysql) || die 'no mariadb or mysql client is installed; scripts/setup installs one'
    "$name" --defaults-file="$var/etc/admin.cnf" --connect-timeout=5 --batch --skip-column-names "$@"
}

database_answers()
{
    client -e 'SELECT 1' >/dev/null 2>&1
}

database_files()
{
    local program=$1

    # Both MySQL and MariaDB read this. A commit is durable, as in production.
    cat >"$var/etc/database.cnf" <<END
[mysqld]
datadir=$var/db
tmpdir=$var/tmp
secure-file-priv=$var/tmp
socket=$run/mysql.sock
pid-file=$run/database.pid
skip-networking
skip-name-resolve
skip-log-bin
loose-mysqlx=OFF
performance-schema=OFF
character-set-server=utf8mb4
max-connections=200
innodb-flush-log-at-trx-commit=1
$([[ $(id -u) != 0 ]] || echo user=root)
$(set_options database)
[mariadbd]
innodb-log-file-size=32M
END
    # Whoever may enter run/ (0700) is the administrator.
    # MariaDB's client checks certificates by default since 11.4, even there.
    printf '[client]\nuser=root\nsocket="%s"\n[client-mariadb]\nskip-ssl-verify-server-cert\n' "$run/mysql.sock" >"$var/etc/admin.cnf"

    [[ ! -d $var/db ]] || return 0
    rm -rf "$var/db.new"
    mkdir "$var/db.new"
    if [[ $("$program" --version) == *MariaDB* ]]; then
        mariadb-install-db --defaults-file="$var/etc/database.cnf" --datadir="$var/db.new" \
            --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve
    else
        "$program" --defaults-file="$var/etc/database.cnf" --datadir="$var/db.new" --initialize-insecure
    fi >"$var/log/database-install.log" 2>&1 </dev/null ||
        { show_log database-install.log && die 'the database could not be initialised'; }
    # Whole or not at all.
    mv "$var/db.new" "$var/db"
}

start_database()
{
    local program launched=''

    if [[ -z ${settings[database_cnf]:-} ]]; then
        if ! pid_of database >/dev/null; then
            program=$(database_program)
            database_files "$program"
            launch database database.log "$program" --defaults-file="$var/etc/database.cnf"
        fi
    fi
    if ! await 60 database_answers; then
        show_log database.log
        die "the database does not answer: $(client -e 'SELECT 1' 2>&1 | head -n 1)"
    fi
}

# The value of one option in the administrator's file.
admin_option()
{
    sed -n '/^\[client/,/^\[[^c]/s/^'"$1"'[[:space:]]*=[[:space:]]*"\{0,1\}\([^"]*\)"\{0,1\}[[:space:]]*$/\1/p' "$var/etc/admin.cnf" | head -n 1
}

database_host()
{
    local host

    host=$(admin_option host)
    if [[ -z $host || $host == localhost ]]; then
        printf 'unix:%s' "$(admin_option socket)"
    else
        printf '%s:%s' "$host" "$(admin_option port)"
    fi | sed 's/:$//'
}
