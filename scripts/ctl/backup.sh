# shellcheck shell=bash
# backup and restore: the database and the key file in one compressed archive.

# shellcheck disable=SC2034 # used by name
backup_help='Usage: orchestratorctl backup FILE
       orchestratorctl backup --keep N DIRECTORY

Writes the database as it is at one moment, the key file and the config file to FILE (tar.gz, mode 0600).
The service keeps running. FILE holds keys and leaseIds: keep it safe. It must not exist yet.
--keep makes a file named after the time in DIRECTORY, and removes all but the N newest of its kind there.
Each night: systemctl enable --now stack-orchestrator-backup.timer'

# shellcheck disable=SC2034 # used by name
restore_help='Usage: orchestratorctl restore FILE

Fills an empty database from a backup, and applies the migrations that are newer than it. A database
that holds a project or tables of others is refused. Fences and request numbers go on above all that can
have been given since the backup. `orchestratorctl setup` makes an empty one.
The keys of the backup take effect if this host has no keys yet; otherwise the present keys stay.
The restored database does not know what was lent after the backup: make sure that those jobs have ended.'

# Names of all tables that are ours, as SQL texts in a list.
our_tables()
{
    sed -n 's/^CREATE TABLE \([a-z_]*\).*/\1/p' "$(migrations_directory)"/*.sql | cat - <(printf 'schema_version\nunfinished_restore\n') |
        sed "s/.*/'&'/" | paste -sd ,
}

# The options of a client, dump or not, at the host that answered.
dump_options()
{
    client_options "$database_host" "${config[migration_user]}" "$(read_password "${config[migration_password_file]}")" |
        grep -vE '^(loose-skip-reconnect|connect_timeout)'
}

dump_program()
{
    local name

    for name in mariadb-dump mysqldump; do
        if command -v "$name" >/dev/null; then
            printf %s "$name"
            return
        fi
    done
    die 'neither mariadb-dump nor mysqldump is installed'
}

backup_command()
{
    local file='' keep='' directory

    while (($#)); do
        case $1 in
        --keep)
            check_number --keep "${2:-}" 1 9999
            keep=$((10#$2))
            shift 2
            ;;
        *)
            [[ -z $file && $1 != -* && -n $1 ]] || usage "unknown argument $1" "$backup_help"
            file=$1
            shift
            ;;
        esac
    done
    [[ -n $file ]] || usage 'backup needs FILE, or --keep N DIRECTORY' "$backup_help"
    if [[ -n $keep ]]; then
        directory=${file%/}
        mkdir -p "$directory" 2>/dev/null || die "can't make $directory"
        file=$directory/stack-orchestrator-$(date -u +%Y-%m-%dT%H%M%SZ).tar.gz
    fi
    backup_write "$file"
    [[ -z $keep ]] || backup_thin "$directory" "$keep"
}

# Removes all but the $2 newest backups in $1; files with other names stay.
backup_thin()
{
    local backups=("$1"/stack-orchestrator-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z.tar.gz)

    ((${#backups[@]} <= $2)) || rm -f "${backups[@]:0:${#backups[@]}-$2}"
}

# Writes FILE as a whole or not at all.
backup_write()
{
    local file=$1 schema directory

    [[ ! -e $file ]] || die "$file exists already"
    [[ -d $(dirname "$file") ]] || die "can't write $file: there is no directory $(dirname "$file")"
    # Under a new name: a file of another user may be there already, readable by all.
    unfinished_backup=$(mktemp "$file.XXXXXX" 2>/dev/null) || die "can't write in $(dirname "$file")"
    need_scratch
    directory=$scratch/backup
    mkdir "$directory"
    backup_collect
    { tar --owner=0 --group=0 -C "$directory" -czf "$unfinished_backup" backup.json stack-orchestrator.conf keys.map database.sql &&
        sync "$unfinished_backup"; } 2>"$scratch/tar" || die "can't write $file: $(backup_failure)"
    mv -n "$unfinished_backup" "$file" 2>"$scratch/tar" || die "can't write $file: $(backup_failure)"
    [[ ! -e $unfinished_backup ]] || die "$file exists already"
    tell "$file: schema $schema, $(stat -c %s "$file") bytes" --arg file "$file" --argjson schema "$schema" --argjson bytes "$(stat -c %s "$file")"
}

# What tar said, in the kernel's words where it has any.
backup_failure()
{
    grep -oiE 'no space left on device|disk quota exceeded|file too large|read-only file system|input/output error' "$scratch/tar" | head -n 1 ||
        head -n 1 "$scratch/tar"
}

# Puts all that a backup holds into `directory`; leaves the number of the schema in `schema`. The key file is the same
# before and after the dump, so it is of the dump's moment, too; a lock would hold up whoever has to revoke a key.
backup_collect()
{
    local tries lines faults before

    for tries in 1 2 3 4 5; do
        keys_look_here
        before=$lines
        backup_dump
        keys_look_here
        [[ $lines != "$before" ]] || break
        ((tries < 5)) || die 'the keys change all the time; try again later'
    done
    keys_tell_faults
    printf '%s' "${lines:+$lines$'\n'}" >"$directory/keys.map"
    cp "$config_file" "$directory/stack-orchestrator.conf"
    jq -n --argjson schema "$schema" --arg database "${config[database_name]}" --arg time "$(key_time "$EPOCHSECONDS")" \
        '{format: 1, $schema, $database, $time}' >"$directory/backup.json"
}

backup_dump()
{
    local program unfinished tables extra=()

    program=$(dump_program)
    open_database
    refuse_unfinished_restore
    sql 'SELECT COALESCE(MAX(version), 0), SUM(finished IS NULL) FROM schema_version'
    read -r schema unfinished <<<"${rows[0]}"
    [[ $unfinished == 0 ]] || die 'a migration was begun and never finished; finish that first'
    sql "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ($(our_tables))"
    tables=("${rows[@]}")
    # One snapshot of all tables; no lock on any. MySQL's own client reads more than its grants allow.
    [[ $("$program" --version) == *MariaDB* ]] || extra=(--set-gtid-purged=OFF --column-statistics=0)
    "$program" --defaults-file=<(dump_options) --single-transaction --quick --skip-lock-tables --no-tablespaces \
        --hex-blob --default-character-set=utf8mb4 --tz-utc "${extra[@]}" "${config[database_name]}" "${tables[@]}" >"$directory/database.sql" 2>"$scratch/dump" ||
        die "the database could not be dumped into $directory: $(head -n 1 "$scratch/dump")"
    session_end
    tail -n 1 "$directory/database.sql" | grep -q '^-- Dump completed' || die "the dump in $directory is not complete"
}

# A half-restored database must be neither used nor backed up.
refuse_unfinished_restore()
{
    sql "SHOW TABLES LIKE 'unfinished\\_restore'"
    ((${#rows[@]} == 0)) || die 'a restore was begun and never finished: run it again'
}

restore_command()
{
    local file=${1:-} program schema newest directory tables ours unfinished foreign lines faults

    [[ $# == 1 && $file != -* ]] || usage 'restore needs FILE' "$restore_help"
    [[ -r $file ]] || die "can't read $file"
    need_scratch
    directory=$scratch/backup
    mkdir "$directory"
    # By name: nothing else in the archive is unpacked.
    tar -C "$directory" --no-same-owner -xzf "$file" backup.json keys.map database.sql 2>/dev/null ||
        die "$file is not a backup of stack-orchestrator, or is damaged"
    [[ $(jq -r .format "$directory/backup.json" 2>/dev/null) == 1 ]] || die "$file has a format that this orchestratorctl doesn't know"
    schema=$(jq -r '.schema | numbers' "$directory/backup.json")
    newest=$(newest_migration)
    ((schema <= newest)) || die "$file has schema $schema, newer than this orchestratorctl knows ($newest): upgrade it"
    open_database
    sql "SELECT COUNT(*), COALESCE(SUM(table_name = 'project'), 0), COALESCE(SUM(table_name = 'unfinished_restore'), 0),
            COALESCE(GROUP_CONCAT(IF(table_name IN ($(our_tables)), NULL, table_name) SEPARATOR ' '), '')
        FROM information_schema.tables WHERE table_schema = DATABASE()"
    read -r tables ours unfinished foreign <<<"${rows[0]}"
    [[ -z $foreign ]] || die "the database ${config[database_name]} holds tables of others: $foreign; nothing was restored"
    [[ $ours == 0 ]] || sql 'SELECT COUNT(*) FROM project'
    # Fresh tables, as setup makes them, hold nothing.
    [[ $tables == 0 || $unfinished == 1 || ($ours == 1 && ${rows[0]} == 0) ]] ||
        die "the database ${config[database_name]} is not empty; nothing was restored"
    session_end
    empty_database
    # Until the end, this table says that the restore may be half done, so that it can be run again.
    open_database
    sql 'CREATE TABLE unfinished_restore (nothing INT PRIMARY KEY)'
    session_end
    program=$(client)
    if ! "$program" --defaults-file=<(dump_options) --default-character-set=utf8mb4 --binary-mode --batch \
        "${config[database_name]}" <"$directory/database.sql" 2>"$scratch/errors"; then
        empty_database
        die "the database refused the backup, and is empty again: $(head -n 1 "$scratch/errors")"
    fi
    # Those programs ran at the time of the backup.
    open_database
    sql 'DELETE FROM instance'
    session_end
    (json='' restoring=1 && migrate)
    restore_counters "$directory/backup.json"
    keys_lock
    keys_look_here
    if [[ -n $lines$faults ]]; then
        note "${config[keys_file]} holds keys and was left as it is"
    elif [[ -s $directory/keys.map ]]; then
        keys_put "$(keys_that_live <"$directory/keys.map")"
        keys_take_effect
    fi
    open_database
    sql 'DROP TABLE unfinished_restore'
    session_end
    # What the program remembers is out of date.
    if [[ -d /run/systemd/system && ${config[socket]} == - ]]; then
        systemctl try-restart stack-orchestrator.service || note 'restart the program'
    else
        note 'restart the program, if it runs'
    fi
    tell "Restored the backup of $(jq -r .time "$directory/backup.json")" --argjson schema "$newest"
}

# Nobody knows what was given since the backup. So fences, request numbers and versions go on far above: by more than the
# service can have given, at 20,000 a second until now and an hour beyond.
restore_counters()
{
    local time step

    time=$(date -d "$(jq -r .time "$1")" +%s)
    step=$((20000 * (EPOCHSECONDS > time ? EPOCHSECONDS - time + 3600 : 3600)))
    open_database
    sql "START TRANSACTION;
        UPDATE project SET first_fence = first_fence + $step, next_lease_no = next_lease_no + $step, next_event_no = next_event_no + $step, version = version + $step;
        UPDATE stack SET fence = fence + $step;
        COMMIT"
    session_end
}

# Drops our tables: they hold nothing but what an unfinished restore put there.
empty_database()
{
    open_database
    sql "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ($(our_tables))"
    ((${#rows[@]} == 0)) || sql "SET FOREIGN_KEY_CHECKS = 0; DROP TABLE IF EXISTS $(printf '`%s`,' "${rows[@]}" | sed 's/,$//')"
    session_end
}
