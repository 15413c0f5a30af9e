# shellcheck shell=bash
# The database: one client process a command, fed line by line; migrations; users and grants.

migrate_help='Usage: orchestratorctl migrate [--again N | --finished N]

Applies the migrations that the database does not have yet, in order. It can safely run again, or twice
at the same time. It never continues an interrupted migration by itself:
  --again N      run migration N again, after you undid what it had done
  --finished N   count migration N as done, after you finished it by hand'

database_help='Usage: orchestratorctl database create [--admin FILE]

Creates the database that the config file names, the users of the program and of orchestratorctl, and
their grants. Passwords come from the password files; a user without one logs in by unix socket.
  --admin FILE   option file ([client]) of an administrator account (default: root, by unix socket)'

session_in=
session_out=
session_pid=
# The one of database_host that answered.
database_host=

# As the program does: with a CA, the server must show a certificate for its name; without one, none is
# needed (MariaDB's client asks for one by default since 11.4, even on a socket).
tls_options()
{
    local ca=$1

    if [[ $("$(client)" --version) == *MariaDB* ]]; then
        [[ -z $ca ]] && printf 'skip-ssl-verify-server-cert\n' || printf 'ssl-ca="%s"\nssl-verify-server-cert\n' "$ca"
    else
        [[ -z $ca ]] && printf 'ssl-mode=PREFERRED\n' || printf 'ssl-ca="%s"\nssl-mode=VERIFY_IDENTITY\n' "$ca"
    fi
}

# Option file for one host of database_host.
client_options()
{
    local host=$1 user=$2 password=$3

    printf '[client]\nloose-skip-reconnect\nconnect_timeout=5\nuser=%s\n' "$user"
    password=${password//\\/\\\\}
    [[ -z $password ]] || printf 'password="%s"\n' "${password//\"/\\\"}"
    if [[ $host == unix:* ]]; then
        printf 'socket="%s"\n' "${host#unix:}"
        tls_options ''
    elif [[ $host =~ ^\[(.*)\](:([0-9]+))?$ || $host =~ ^([^:]*)(:([0-9]+))?$ ]]; then
        printf 'protocol=tcp\nhost=%s\nport=%s\n' "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]:-3306}"
        tls_options "${config[database_tls_ca]}"
    else
        die "database_host: can't read \"$host\""
    fi
}

client()
{
    local name

    for name in mariadb mysql; do
        if command -v "$name" >/dev/null; then
            printf %s "$name"
            return
        fi
    done
    die 'neither the mariadb nor the mysql client is installed'
}

# session_start COMMAND_THAT_PRINTS_OPTIONS DATABASE: false if the server doesn't let us in.
session_start()
{
    local options=$1 database=$2 program

    program=$(client)
    need_scratch
    mkfifo "$scratch/in" "$scratch/out"
    # --binary-mode: no client commands, so no text can become a shell escape.
    "$program" --defaults-file=<($options) --default-character-set=utf8mb4 --binary-mode \
        --batch --raw --skip-column-names --unbuffered --no-auto-rehash ${database:+"$database"} \
        <"$scratch/in" >"$scratch/out" 2>"$scratch/errors" &
    session_pid=$!
    exec {session_in}>"$scratch/in" {session_out}<"$scratch/out"
    rm "$scratch/in" "$scratch/out"
    if ! query "SET NAMES utf8mb4; SET SESSION time_zone = '+00:00', sql_mode = 'TRADITIONAL';
        SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"; then
        session_end
        return 1
    fi
}

session_end()
{
    exec {session_in}>&- {session_out}<&-
    wait "$session_pid" 2>/dev/null || true
    session_pid=
}

# Runs statements and leaves their rows in the array `rows`; false: the session is over.
rows=()
query()
{
    local row end="end-$RANDOM$RANDOM$RANDOM"

    rows=()
    # The client may have gone: EPIPE must be an answer here, not a signal.
    (trap '' PIPE && printf "%s;\nSELECT '%s';\n" "$1" "$end" >&"$session_in") 2>/dev/null || true
    while IFS= read -r row <&"$session_out"; do
        [[ $row != "$end" ]] || return 0
        rows+=("$row")
    done
    return 1
}

# What the client said at its end.
session_error()
{
    [[ -z $session_pid ]] || wait "$session_pid" 2>/dev/null || true
    sed -n 's/^ERROR //;T;s/ at line [0-9]*//;p;q' "$scratch/errors"
}

sql()
{
    query "$1" || die "database: $(session_error)"
}

# As the migration user, at the first host of the list that takes writes.
open_database()
{
    local host hosts password standby=''

    password=$(read_password "${config[migration_password_file]}")
    IFS=', ' read -ra hosts <<<"${config[database_host]}"
    for host in "${hosts[@]}"; do
        # shellcheck disable=SC2317 # session_start calls it
        login_options() { client_options "$host" "${config[migration_user]}" "$password"; }
        if session_start login_options "${config[database_name]}"; then
            # A Galera node without a majority doesn't answer this; in a group, all but the primary are read-only.
            if query 'SELECT @@global.read_only' && [[ ${rows[0]} =~ ^(0|OFF)$ ]]; then
                database_host=$host
                return 0
            fi
            standby="; $host takes no writes"
            session_end
        fi
    done
    die "no database at ${config[database_host]}: $(session_error)$standby"
}

# Any text as an SQL literal.
text()
{
    printf "_utf8mb4 x'%s'" "$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n')"
}

# --- migrate ---

migrations_directory()
{
    [[ -d $share/sql ]] || die "the migrations are missing: there is no $share/sql"
    readlink -f "$share/sql"
}

# The number of the last migration that is installed here.
newest_migration()
{
    local directory file

    directory=$(migrations_directory)
    for file in "$directory"/[0-9][0-9][0-9][0-9]_*.sql; do
        file=${file##*/}
    done
    printf %s $((10#${file%%_*}))
}

run_migration()
{
    local version=$1 file=$2 oldest

    # If older programs can work with the new schema, a line of its file says so.
    oldest=$(sed -n 's/^-- Oldest program: schema \([0-9]*\)\.$/\1/p' "$file")
    sql "INSERT INTO schema_version (version, oldest_program, name, started)
        VALUES ($version, ${oldest:-$version}, $(text "${file##*/}"), UTC_TIMESTAMP(6))"
    query "$(<"$file")" || die "${file##*/} failed and is half done: $(session_error)
Undo what it did, then: orchestratorctl migrate --again $version
or finish it by hand, then: orchestratorctl migrate --finished $version"
    sql "UPDATE schema_version SET finished = UTC_TIMESTAMP(6) WHERE version = $version"
    note "applied ${file##*/}"
}

migrate()
{
    local directory file again='' finished='' current unfinished oldest newest=0 applied=()
    local -A files=()

    while (($#)); do
        case $1 in
        --again | --finished)
            check_number "$1" "${2:-}" 1 9999
            [[ $1 == --again ]] && again=$((10#$2)) || finished=$((10#$2))
            shift 2
            ;;
        *) usage "unknown argument $1" "$migrate_help" ;;
        esac
    done
    directory=$(migrations_directory)
    for file in "$directory"/[0-9][0-9][0-9][0-9]_*.sql; do
        newest=${file##*/}
        newest=$((10#${newest%%_*}))
        files[$newest]=$file
    done

    open_database
    [[ -n ${restoring:-} ]] || refuse_unfinished_restore
    # Two at once: the second waits, and finds the work done. The name of a lock has 64 characters
    # at most.
    sql "SELECT GET_LOCK(CONCAT('stack-orchestrator ', LEFT(SHA2(DATABASE(), 256), 40)), 300)"
    [[ ${rows[0]} == 1 ]] || die 'another migration has been running for 5 minutes; try again later'
    sql "CREATE TABLE IF NOT EXISTS schema_version (
        version        INT UNSIGNED NOT NULL COMMENT 'number of the migration',
        oldest_program INT UNSIGNED NOT NULL COMMENT 'programs made for this schema or a later one work with it',
        name           VARCHAR(255) NOT NULL COMMENT 'its file',
        started        DATETIME(6) NOT NULL COMMENT 'when it was begun',
        finished       DATETIME(6) NULL COMMENT 'when it was done; NULL: it is running, or was interrupted',
        PRIMARY KEY (version)
      ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Which migrations were applied'"
    [[ -z $finished ]] || sql "UPDATE schema_version SET finished = UTC_TIMESTAMP(6) WHERE version = $finished AND finished IS NULL"
    [[ -z $again ]] || sql "DELETE FROM schema_version WHERE version = $again AND finished IS NULL"

    sql "SELECT COALESCE(MAX(version), 0), COALESCE(MIN(IF(finished IS NULL, version, NULL)), 0) FROM schema_version"
    read -r current unfinished <<<"${rows[0]}"
    ((unfinished == 0)) || die "migration $unfinished was begun and never finished; changes of tables can't be rolled back.
Look which of its statements took effect (${files[$unfinished]:-sql}). Undo them, then: orchestratorctl migrate --again $unfinished
or finish it by hand, then: orchestratorctl migrate --finished $unfinished"
    if ((current > newest)); then
        # Another host was upgraded first; that is fine as long as the schema says so.
        sql 'SELECT MAX(oldest_program) FROM schema_version'
        oldest=${rows[0]}
        ((oldest <= newest)) || die "the database has schema $current, newer than this orchestratorctl knows ($newest): upgrade it"
    fi
    while ((current < newest)); do
        current=$((current + 1))
        [[ -n ${files[$current]:-} ]] || die "migration $current is missing in $directory"
        run_migration "$current" "${files[$current]}"
        applied+=("$current")
    done
    session_end
    [[ -z $json ]] || tell "The database has schema $current" --argjson schema "$current" --argjson applied "[$(joined "${applied[@]}")]"
}

# --- database create ---

# A password as an SQL string. Sent over the session's pipe only.
quoted()
{
    local value=${1//\\/\\\\}

    printf "'%s'" "${value//\'/\\\'}"
}

# How a user logs in.
identified()
{
    local password

    password=$(read_password "$1")
    if [[ -n $password ]]; then
        printf 'IDENTIFIED BY %s' "$(quoted "$password")"
    else
        sql 'SELECT VERSION()'
        [[ ${rows[0]} == *MariaDB* ]] && printf 'IDENTIFIED VIA unix_socket' || printf 'IDENTIFIED WITH auth_socket'
    fi
}

# check_admin FILE: an administrator's option file says where to go, unless the database is on this machine.
# Otherwise the users would be made on whatever server runs here.
check_admin()
{
    [[ -f $1 && -r $1 ]] || die "--admin: can't read $1"
    [[ ${config[database_host]} == unix:* ]] || grep -qE '^[[:space:]]*(host|socket)[[:space:]]*=[[:space:]]*[^[:space:]]' "$1" ||
        die "--admin: $1 names no host, and database_host is ${config[database_host]}: add a line host=... below [client]"
}

database_create()
{
    local admin='' from name pattern grants program migration version table hosts=()

    while (($#)); do
        case $1 in
        --admin)
            (($# > 1)) || usage '--admin needs a file' "$database_help"
            admin=$2
            shift 2
            ;;
        *) usage "unknown argument $1" "$database_help" ;;
        esac
    done
    [[ -z $admin ]] || check_admin "$admin"
    name=${config[database_name]}
    [[ ${config[database_host]} != *unix:* ]] || hosts+=(localhost)
    [[ ${config[database_host]} =~ ^(unix:[^,]*,? *)*$ ]] || hosts+=(%)

    # shellcheck disable=SC2317 # session_start calls it
    admin_options()
    {
        if [[ -n $admin ]]; then
            [[ ${config[database_host]} != unix:* ]] || printf '[client]\nsocket="%s"\n' "$(first=${config[database_host]%%,*} && printf %s "${first#unix:}")"
            cat "$admin"
        else
            client_options "${config[database_host]%%,*}" root ''
        fi
    }
    session_start admin_options '' || die "can't log in to the database as an administrator: $(session_error)"
    # _ is a wildcard in a grant, unless partial_revokes is on.
    sql "SHOW GLOBAL VARIABLES LIKE 'partial\\_revokes'"
    pattern=${name//_/\\_}
    [[ ${rows[0]:-} != *ON ]] || pattern=$name
    sql 'SELECT VERSION()'
    version=${rows[0]}
    program=$(identified "${config[database_password_file]}")
    migration=$(identified "${config[migration_password_file]}")
    for from in "${hosts[@]}"; do
        grants=$(<"$(migrations_directory)/grants.sql")
        grants=${grants//@DATABASE@/"\`$name\`"}
        grants=${grants//@DATABASE_PATTERN@/"\`$pattern\`"}
        grants=${grants//@PROGRAM@/"'${config[database_user]}'@'$from'"}
        grants=${grants//@MIGRATION@/"'${config[migration_user]}'@'$from'"}
        grants=${grants//@PROGRAM_PASSWORD@/"$program"}
        grants=${grants//@MIGRATION_PASSWORD@/"$migration"}
        sql "$grants"
        # To see what a member of a replication group is, and whether a server is a replica.
        [[ $version == *MariaDB* ]] || for table in replication_group_members replication_connection_status; do
            sql "GRANT SELECT ON performance_schema.$table TO '${config[database_user]}'@'$from'"
        done
    done
    session_end
}
