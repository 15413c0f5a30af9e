# shellcheck shell=bash
# doctor: looks at every part, from the config file to the certificate, and says what to do.

# shellcheck disable=SC2034 # used by name
doctor_help='Usage: orchestratorctl doctor [--json]

Checks the config file, passwords, keys, database (reachable, users, grants, schema, durability, clock),
the program, its socket and limits, nginx, its certificates, and the clock. Exit status 1 if
something is wrong; a warning alone is no fault.'

# found good|warning|fault PART TEXT [WHAT TO DO]
findings=()
found()
{
    findings+=("$(jq -cn --arg result "$1" --arg part "$2" --arg text "$3" --arg todo "${4:-}" '{$result, $part, $text, todo: (if $todo == "" then null else $todo end)}')")
    [[ -z $json ]] || return 0
    case $1 in
    good) printf 'good     %-12s %s\n' "$2" "$3" ;;
    *) printf '%-8s %-12s %s\n%s' "$1" "$2" "$3" "${4:+$(printf '%22s' '')→ $4$'\n'}" ;;
    esac
}

# A file that only its owner (and $3, a group, if given) may read.
check_private()
{
    local part=$1 file=$2 mode

    if [[ ! -e $file ]]; then
        found fault "$part" "$file is missing" 'orchestratorctl setup makes it'
        return 1
    fi
    mode=$(stat -c %a "$file")
    if (((8#$mode & 8#027) != 0)); then
        found fault "$part" "$file has mode $mode: others may read or change it" "chmod ${3:-600} $file"
        return 1
    fi
    if [[ $(stat -c %u "$file") != 0 && $(id -u) == 0 && $(stat -c %u "$file") != "$(stat -c %u "$config_file")" ]]; then
        found warning "$part" "$file belongs to $(stat -c %U "$file")" "chown root $file"
    fi
}

check_config()
{
    local program report

    for program in "$here/stack-orchestrator" "$here/../build/stack-orchestrator" stack-orchestrator; do
        command -v "$program" >/dev/null && break
    done
    if ! command -v "$program" >/dev/null; then
        found fault config 'the program is not installed here'
    elif report=$("$program" -t -c "$config_file" 2>&1); then
        found good config "$config_file"
    else
        found fault config "$(tail -n 1 <<<"$report" | sed 's/^[^ ]*Z error //')" "mend $config_file"
    fi
    if [[ -n $(find "$config_file" -perm /022 2>/dev/null) ]]; then
        found fault config "$config_file can be changed by others" "chmod 644 $config_file"
    fi
    for file in "${config[database_password_file]}" "${config[migration_password_file]}"; do
        [[ -z $file ]] || ! check_private passwords "$file" 640 || found good passwords "$file"
    done
}

check_keys()
{
    local lines faults unknown name

    check_private keys "${config[keys_file]}" || return 0
    keys_look_here
    if [[ -n $faults ]]; then
        found fault keys "${config[keys_file]} has lines that are no keys: $faults" 'correct or remove them; orchestratorctl writes this file'
        return
    fi
    unknown=
    while IFS= read -r name; do
        [[ -z $name || " ${known_projects[*]} " == *" $name "* ]] || unknown+=" $name"
    done < <(cut -d '"' -f 4 <<<"$lines" | cut -d ' ' -f 1 | sort -u)
    if [[ -z $lines ]]; then
        found warning keys 'there is no key yet' 'orchestratorctl key create PROJECT ROLE NAME'
    elif [[ -n $unknown && -n $database_seen ]]; then
        found warning keys "keys of projects that don't exist:$unknown" 'orchestratorctl key revoke NAME'
    else
        found good keys "$(wc -l <<<"$lines") keys in ${config[keys_file]}"
    fi
}

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
        # Without a password a user logs in as the system's user of its name, which root is not.
        if [[ -z ${config[database_password_file]} ]]; then
            found warning database "$host: without a password file the program's login can't be tried from here"
        elif program_session; then
            [[ -n $answering ]] || answering=$host
            sql 'SELECT VERSION()'
            found good database "$host answers: ${rows[0]}"
            sql 'SHOW GRANTS'
            # USAGE is none; no more than the four on this database.
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
            found fault database "$host: $(session_error)" 'is the server running, and the password right? orchestratorctl database create sets it anew'
        fi
    done
    [[ -n $answering || -z ${config[database_password_file]} ]] || return 0
    [[ -z $answering || -n $usable ]] ||
        found fault database 'the program can use no server of database_host' 'mend what stands above'
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
            why='the members of its replication group may not be seen: orchestratorctl database create'
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
        found fault migration "$(sed 's/^orchestratorctl: //;q' "$scratch/doctor")" 'orchestratorctl database create sets the password anew'
        return
    fi
    open_database
    database_seen=1
    # Otherwise it was asked as the program.
    [[ -n ${config[database_password_file]} ]] || check_promise "$database_host"
    sql "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_doublewrite', 'max_connections')"
    while IFS=$'\t' read -r name value; do
        settings[$name]=$value
    done < <(printf '%s\n' "${rows[@]}")
    # MySQL has more names for it.
    [[ ${settings[innodb_doublewrite]:-} =~ ^(ON|1|DETECT_.*)$ ]] ||
        found fault durability "innodb_doublewrite is ${settings[innodb_doublewrite]:-unknown}, not ON" \
            "set it in the server's configuration: a power cut may break pages"
    workers=${config[workers]}
    ((${settings[max_connections]:-151} >= workers + 5)) ||
        found fault database "max_connections is ${settings[max_connections]}, too few for ${config[workers]} workers" 'raise it'
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
            found warning schema "the schema is $schema; these programs are made for $newest" 'upgrade this host'
        else
            found good schema "version $schema"
        fi
        if ((schema > 0)); then
            sql 'SELECT name FROM project ORDER BY name'
            known_projects=("${rows[@]}")
            [[ ${#rows[@]} != 0 ]] || found warning projects 'there is no project yet' 'orchestratorctl project create NAME'
        fi
    fi
    session_end
}

check_program()
{
    local socket=${config[socket]} mode limit pid='' waiting=${config[max_waiting]}

    [[ $socket != - ]] || socket=/run/stack-orchestrator/fcgi.sock
    if [[ ! -S $socket ]]; then
        found fault socket "there is no $socket" 'systemctl start stack-orchestrator'
        return
    fi
    mode=$(stat -c %a "$socket")
    if (((8#$mode & 8#007) != 0)); then
        found fault socket "$socket has mode $mode: whoever opens it may do everything" "chmod 660 $socket"
    else
        found good socket "$socket"
    fi
    if ! ask GET /healthz ''; then
        found fault program 'it does not answer' 'journalctl -u stack-orchestrator'
        return
    fi
    ask GET /readyz '' || true
    if [[ $answer_status == 200 ]]; then
        found good program 'ready'
    else
        found fault program 'it has no database' 'journalctl -u stack-orchestrator tells why'
    fi
    [[ ! -d /run/systemd/system || ${config[socket]} != - ]] || pid=$(systemctl show -p MainPID --value stack-orchestrator.service 2>/dev/null || true)
    if [[ $pid =~ ^[1-9][0-9]*$ ]]; then
        limit=$(awk '/^Max open files/ { print $5 }' "/proc/$pid/limits")
        if [[ $limit =~ ^[0-9]+$ ]] && ((limit < waiting + 256)); then
            found warning limits "$limit open files, too few for max_waiting = ${config[max_waiting]}" 'raise LimitNOFILE: systemctl edit stack-orchestrator'
        else
            found good limits "$limit open files"
        fi
    fi
}

check_nginx()
{
    local whole report connections workers files certificate ends left master='' waiting=${config[max_waiting]}

    if ! command -v nginx >/dev/null; then
        found fault nginx 'it is not installed here'
        return
    fi
    if ! whole=$(nginx -T -q -c "${config[nginx_config]}" 2>"$scratch/nginx"); then
        report=$(nginx_refusal "$(<"$scratch/nginx")")
        found fault nginx "$report" "mend ${config[nginx_config]} and what it includes"
        return
    fi
    if [[ $whole != *"\"${config[keys_file]}\""* ]]; then
        found fault nginx "its configuration doesn't include ${config[keys_file]}" 'orchestratorctl setup --host NAME, or orchestratorctl nginx --help'
    else
        found good nginx "${config[nginx_config]} is good, and reads the keys"
    fi
    [[ ! -s ${config[nginx_pid_file]} ]] || read -r master <"${config[nginx_pid_file]}" || true
    if [[ ! $master =~ ^[0-9]+$ || ! -d /proc/$master ]]; then
        found fault nginx "it isn't running (${config[nginx_pid_file]})" 'systemctl start nginx'
    elif [[ -e ${config[keys_file]} && $(stat -c %Y "${config[keys_file]}") -gt $(nginx_loaded "$master") ]]; then
        found warning nginx 'it has not read the newest keys yet' 'systemctl reload nginx'
    fi
    ! grep -q '^[[:space:]]*worker_shutdown_timeout' <<<"$whole" ||
        found warning nginx 'worker_shutdown_timeout cuts waiting requests at every reload' 'remove it'
    connections=$(sed -n 's/^[[:space:]]*worker_connections[[:space:]]*\([0-9]*\);.*/\1/p' <<<"$whole" | tail -n 1)
    workers=$(sed -n 's/^[[:space:]]*worker_processes[[:space:]]*\([0-9]*\);.*/\1/p' <<<"$whole" | tail -n 1)
    files=$(((${connections:-512}) * (${workers:-$(nproc)})))
    ((files >= 2 * waiting)) ||
        found warning nginx "room for $((files / 2)) waiting requests (worker_connections ${connections:-512}), max_waiting is ${config[max_waiting]}" \
            "worker_connections $((2 * waiting)); and worker_rlimit_nofile beyond it, in ${config[nginx_config]}"
    while IFS= read -r certificate; do
        if ! ends=$(openssl x509 -noout -enddate -in "$certificate" 2>/dev/null); then
            found fault certificate "$certificate can't be read" 'renew it'
            continue
        fi
        left=$((($(date -d "${ends#notAfter=}" +%s) - EPOCHSECONDS) / 86400))
        if ((left < 0)); then
            found fault certificate "$certificate is over since $((-left)) days" 'renew it, then: systemctl reload nginx'
        elif ((left < 14)); then
            found warning certificate "$certificate ends in $left days" 'renew it, then: systemctl reload nginx'
        else
            found good certificate "$certificate, $left days left"
        fi
    done < <(sed -n 's/^[[:space:]]*ssl_certificate[[:space:]]*"\{0,1\}\([^";]*\)"\{0,1\};.*/\1/p' <<<"$whole" | sort -u)
}

# When nginx's youngest worker was started: by its last reload.
nginx_loaded()
{
    local worker newest=0 at

    for worker in $(nginx_workers "$1"); do
        at=$(stat -c %Y "/proc/$worker" 2>/dev/null || echo 0)
        ((at <= newest)) || newest=$at
    done
    ((newest > 0)) || newest=$EPOCHSECONDS
    printf %s "$newest"
}

check_clock()
{
    [[ -d /run/systemd/system ]] && command -v timedatectl >/dev/null || return 0
    if [[ $(timedatectl show -p NTPSynchronized --value 2>/dev/null) == yes ]]; then
        found good clock 'synchronised'
    else
        found warning clock 'this host does not follow an NTP server' 'timedatectl set-ntp true'
    fi
}

doctor_command()
{
    local known_projects=() database_seen='' file

    (($# == 0)) || usage "unknown argument $1" "$doctor_help"
    need_scratch
    check_config
    check_database
    check_keys
    check_program
    check_nginx
    check_clock
    [[ -z $json ]] || printf '%s\n' "${findings[@]}" | jq -cs '{good: (any(.[]; .result == "fault") | not), findings: .}'
    [[ ${findings[*]} != *'"result":"fault"'* ]]
}
