# shellcheck shell=bash
# doctor: looks at every part, from the config file to the certificate, and says what to do.

# shellcheck disable=SC2034 # used by name
doctor_help='Usage: orchestratorctl doctor [--json]

Checks the config file, passwords, keys, the database (reachable, users, grants, schema, durability,
clock), the program, its socket and limits, nginx, the answer and the certificate over HTTPS, the clock
and the disk. Exit status 1 if it finds a fault; warnings alone give 0.'

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
        found fault keys "${config[keys_file]} has lines that are not keys: $faults" 'correct or remove them; orchestratorctl writes this file'
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
        found fault socket "$socket has mode $mode: whoever can open it may do everything" "chmod 660 $socket"
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

check_clock()
{
    [[ -d /run/systemd/system ]] && command -v timedatectl >/dev/null || return 0
    if [[ $(timedatectl show -p NTPSynchronized --value 2>/dev/null) == yes ]]; then
        found good clock 'synchronised'
    else
        found warning clock 'this host does not follow an NTP server' 'timedatectl set-ntp true'
    fi
}

# A full disk stops the database first.
check_disk()
{
    local place places=("${config[keys_file]%/*}") used free target seen=' ' log=/var/log

    [[ ! -d $log ]] || places+=("$log")
    [[ ! -d ${database_directory:-} ]] || places+=("$database_directory")
    for place in "${places[@]}"; do
        read -r used free target < <(df --output=pcent,avail,target "$place" 2>/dev/null | tail -n 1) || continue
        [[ $used =~ ^([0-9]+)%$ && $seen != *" $target "* ]] || continue
        seen+="$target "
        used=${BASH_REMATCH[1]}
        if ((free < 102400)); then
            found fault disk "$target is full: $((free / 1024)) MiB left" 'make room: the database stops when none is left'
        elif ((used >= 90)); then
            found warning disk "$target is nearly full: $used % used, $((free / 1024)) MiB left" 'make room, before the database stops'
        else
            found good disk "$target: $used % used"
        fi
    done
}

doctor_command()
{
    local known_projects=() database_seen='' database_directory='' file

    (($# == 0)) || usage "unknown argument $1" "$doctor_help"
    need_scratch
    check_config
    check_database
    check_keys
    check_program
    check_nginx
    check_clock
    check_disk
    [[ -z $json ]] || printf '%s\n' "${findings[@]}" | jq -cs '{good: (any(.[]; .result == "fault") | not), findings: .}'
    [[ ${findings[*]} != *'"result":"fault"'* ]]
}
