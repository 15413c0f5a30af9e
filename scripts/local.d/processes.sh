# shellcheck shell=bash
# Processes: how the parts are launched, found and ended. Each part's pid is in run/PART.pid; it counts only while that process is ours.

# The text in a part's command line that names this instance.
mark()
{
    case $1 in
    database) printf %s "--defaults-file=$var/etc/database.cnf" ;;
    program) printf %s "$var/etc/stack-orchestrator.conf" ;;
    nginx) printf %s "$var/etc/nginx.conf" ;;
    esac
}

# Prints the pid of a part that runs.
pid_of()
{
    local pid='' command

    read -r pid 2>/dev/null <"$var/run/$1.pid" || true
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    [[ $command == *"$(mark "$1")"* ]] || return 1
    printf '%s\n' "$pid"
}

# Members of the process group $1 (each part leads its own) that are still nginx: workers outlive a
# master that was killed.
nginx_group()
{
    local directory stat fields

    for directory in /proc/[0-9]*; do
        IFS= read -r stat 2>/dev/null <"$directory/stat" || continue
        read -ra fields <<<"${stat##*) }"
        [[ ${fields[2]} == "$1" && ${fields[0]} != Z && $stat == *'(nginx) '* ]] || continue
        # Pids are reused: it is ours only if it writes to our log.
        [[ -z $(find "$directory/fd" -lname "$var/log/*" -print -quit 2>/dev/null) ]] || printf '%s\n' "${directory#/proc/}"
    done
}

# launch PART LOG COMMAND ...: starts it in the background, as the leader of its own session, with none of
# our open files: a lock, or a test harness's pipe, must not stay open for as long as a server runs.
launch()
{
    local part=$1 log=$var/log/$2

    shift 2
    (
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            ((fd <= 2 || fd == 255)) || eval "exec $fd>&-"
        done
        exec setsid "$@"
    ) </dev/null >>"$log" 2>&1 &
    printf '%s\n' "$!" >"$var/run/$part.pid"
    launched=$!
}

show_log()
{
    [[ ! -s $var/log/$1 ]] || { printf -- '--- the end of %s ---\n' "$var/log/$1" && tail -n 20 "$var/log/$1"; } >&2
}

# await SECONDS COMMAND ...: repeats the command until it succeeds; false when the time is up or, with
# `launched` set, when that process has ended.
await()
{
    local deadline=$((SECONDS + $1))

    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        [[ -z $launched ]] || ! gone "$launched" || return 1
        sleep 0.05
    done
}

# Whether it has ended, even if nobody has waited for it yet.
gone()
{
    local stat

    IFS= read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    [[ $stat == *') Z '* ]]
}

# end_part PART SECONDS: SIGTERM, and SIGKILL when that doesn't help.
end_part()
{
    local pid member launched=''

    if pid=$(pid_of "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        if ! await "$2" gone "$pid"; then
            printf 'local: %s (%s) did not end within %s s; killing it\n' "$1" "$pid" "$2" >&2
            kill -KILL "$pid" 2>/dev/null || true
            await 10 gone "$pid" || die "$1 ($pid) can't be ended"
        fi
    fi
    if [[ $1 == nginx && -s $var/run/nginx.group ]]; then
        for member in $(nginx_group "$(<"$var/run/nginx.group")"); do
            kill -KILL "$member" 2>/dev/null || true
            await 10 gone "$member" || die "nginx ($member) can't be ended"
        done
    fi
    rm -f "$var/run/$1.pid"
}

kill_part()
{
    local pid member launched=''

    pid=$(pid_of "$1") || die "$1 is not running"
    if [[ $1 == nginx ]]; then
        for member in "$pid" $(nginx_group "$pid"); do
            kill -KILL "$member" 2>/dev/null || true
        done
    else
        kill -KILL "$pid"
    fi
    await 10 gone "$pid" || die "$1 ($pid) can't be killed"
}
