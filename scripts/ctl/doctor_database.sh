# shellcheck shell=bash
# doctor: the database, from its grants to its schema.

# As the program logs in, at the host $1.
program_session()
{
    local password

    password=$(read_password "${config[database_password_file]}")
    # shellcheck disable=SC2317 # session_start calls it
    program_options() { client_options "$host" "${config[database_user]}" "$password"; }
    session_start program_options "${config[database_name]}"
}

check_database()
{
    local host hosts answering='' usable='' excess

    IFS=', ' read -ra hosts <<<"${config[database_host]}"
    for host in "${hosts[@]}"; do
        # Without a password only the system's user of that name can log in, which root is not.
        if [[ -z ${config[database_password_file]} ]]; then
            found warning database "$host: without a password file, the program's login can't be tried from here"
        elif program_session; then
            [[ -n $answering ]] || answering=$host
            sql 'SELECT VERSION()'
            found good database "$host answers: ${rows[0]}"
            sql 'SHOW GRANTS'
            # USAGE grants nothing; only the four rights on this database are expected.
            excess=$(printf '%s\n' "${rows[@]}" | sed "s/ IDENTIFIED .*//; s/ TO .*//" | grep -v '^GRANT USAGE ON' |
                grep -vE '^GRANT (SELECT|INSERT|UPDATE|DELETE)(, (SELECT|INSERT|UPDATE|DELETE))* ON `[^`]*`\.\*$' |
                grep -vE '^GRANT SELECT ON `performance_schema`\.`replication_(group_members|connection_status)`$' || true)
            if [[ -n $excess ]]; then
                found fault grants "${config[database_user]} may do more than it should: $(head -n 1 <<<"$excess")" \
                    'revoke it, then: orchestratorctl database create'
            elif ! printf '%s\n' "${rows[@]}" | grep -q '^GRANT SELECT, INSERT, UPDATE, DELETE ON'; then
                found fault grants "${config[database_user]} may not read and write all rows" 'orchestratorctl database create grants it'
            else
                found good grants "${config[database_user]} may read and write rows, and nothing else"
            fi
            check_promise "$host"
            session_end
        else
            found fault database "$host: $(session_error)" 'is the server running, and the password right? orchestratorctl database create sets it again'
        fi
    done
    [[ -n $answering || -z ${config[database_password_file]} ]] || return 0
    [[ -z $answering || -n $usable ]] ||
        found fault database 'the program can use no server of database_host' 'fix what is listed above'
    check_server
}

# What the program asks of a server before it uses it, in the open session at the host $1. Sets `usable`.
check_promise()
{
    local host=$1 name value why='' state=''
    local -A facts=()

    sql "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'binlog_format',
        'read_only', 'innodb_read_only', 'wsrep_on', 'group_replication_group_name', 'group_replication_single_primary_mode');
        SHOW GLOBAL STATUS WHERE Variable_name IN ('innodb_redo_log_enabled', 'slave_running', 'slaves_running',
        'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_ready')"
    while IFS=$'\t' read -r name value; do
        facts[${name,,}]=$value
    done < <(printf '%s\n' "${rows[@]}")
    # must WHICH NAME WORDS: `-` stands for unknown.
    must() { [[ " $3 " == *" ${facts[$2]:--} "* ]] || printf -v "$1" %s "$2 is ${facts[$2]:-unknown}"; }
    must why innodb_flush_log_at_trx_commit '1 3'
    must why innodb_redo_log_enabled 'ON -'
    if [[ ${facts[log_bin]:-OFF} == ON ]]; then
        must why sync_binlog 1
        must why binlog_format 'ROW MIXED -'
    fi
    must state read_only OFF
    must state innodb_read_only 'OFF -'
    must state slave_running 'OFF -'
    must state slaves_running '0 -'
    if [[ ${facts[wsrep_on]:-OFF} == ON ]]; then
        must state wsrep_ready ON
        must state wsrep_local_state_comment Synced
        must state wsrep_cluster_status Primary
    fi
    if [[ -n ${facts[group_replication_group_name]:-} ]]; then
        must why group_replication_single_primary_mode ON
        if query "SELECT CONCAT(member_state, ' ', member_role) FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid"; then
            [[ ${rows[0]:-} == 'ONLINE PRIMARY' ]] || state="the member of the replication group is ${rows[0]:-unknown}"
        else
            why='it may not look at its replication group: orchestratorctl database create'
        fi
    fi
    if [[ -n $why ]]; then
        found fault durability "$host: the program refuses this server: $why" 'a stack must not be lent twice after a power cut'
    elif [[ -n $state ]]; then
        found warning database "$host: the program passes this server over: $state"
    else
        usable=1
        found good durability "$host: a commit survives a power cut"
    fi
}

# What needs no particular login: schema, durability, clock.
check_server()
{
    local schema unfinished newest name value ahead workers
    local -A settings=()

    if ! (open_database && session_end) 2>"$scratch/doctor"; then
        found fault migration "$(sed 's/^orchestratorctl: //;q' "$scratch/doctor")" 'orchestratorctl database create sets the password again'
        return
    fi
    open_database
    database_seen=1
    # With a password file, it was checked under the program's login.
    [[ -n ${config[database_password_file]} ]] || check_promise "$database_host"
    sql "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_doublewrite', 'max_connections')"
    while IFS=$'\t' read -r name value; do
        settings[$name]=$value
    done < <(printf '%s\n' "${rows[@]}")
    # MySQL has more values for it.
    [[ ${settings[innodb_doublewrite]:-} =~ ^(ON|1|DETECT_.*)$ ]] ||
        found fault durability "innodb_doublewrite is ${settings[innodb_doublewrite]:-unknown}, not ON" \
            "set it in the server's configuration: a power cut may break pages"
    workers=${config[workers]}
    ((${settings[max_connections]:-151} >= workers + 5)) ||
        found fault database "max_connections is ${settings[max_connections]}, too few for ${config[workers]} workers" 'raise it'
    # Where it is, if that is here.
    if [[ $database_host == unix:* ]]; then
        sql 'SELECT @@datadir'
        # shellcheck disable=SC2034 # check_disk looks at it
        database_directory=${rows[0]}
    fi
    sql "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), FROM_UNIXTIME($EPOCHREALTIME)) DIV 1000"
    ahead=${rows[0]#-}
    if ((ahead > 2000)); then
        found warning time "this host and the database differ by $ahead ms" 'let both follow an NTP server; leases run by the database'\''s clock'
    else
        found good time 'this host and the database agree'
    fi
    newest=$(newest_migration)
    sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'schema_version'"
    if [[ ${rows[0]} == 0 ]]; then
        found fault schema 'the database has no tables yet' 'orchestratorctl migrate'
    else
        sql 'SELECT COALESCE(MAX(version), 0), COALESCE(SUM(finished IS NULL), 0) FROM schema_version'
        read -r schema unfinished <<<"${rows[0]}"
        if ((unfinished > 0)); then
            found fault schema 'a migration was begun and never finished' 'orchestratorctl migrate says how to go on'
        elif ((schema < newest)); then
            found fault schema "the schema is $schema, the newest is $newest" 'orchestratorctl migrate'
        elif ((schema > newest)); then
            found warning schema "the schema is $schema; the programs here are made for $newest" 'upgrade this host'
        else
            found good schema "version $schema"
        fi
        if ((schema > 0)); then
            sql 'SELECT name FROM project ORDER BY name'
            known_projects=("${rows[@]}")
            check_prefixes
            [[ ${#known_projects[@]} != 0 ]] || found warning projects 'there is no project yet' 'orchestratorctl project create NAME'
        fi
    fi
    session_end
}

# In the open session.
check_prefixes()
{
    local row

    sql "SELECT CONCAT(GROUP_CONCAT(name ORDER BY name SEPARATOR ', '), ': their stacks have the same names, ', prefix, 'N')
        FROM project GROUP BY prefix HAVING COUNT(*) > 1 ORDER BY prefix"
    for row in "${rows[@]}"; do
        found warning projects "$row" 'fine if they deploy to different accounts; otherwise the same stack is lent twice: project update NAME --prefix P'
    done
}
