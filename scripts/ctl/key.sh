# shellcheck shell=bash
# Keys: lines of `"KEY" "PROJECT ROLE NAME [NUMBER]"; # created TIME [expires TIME]`, in a file that nginx reads.
# A name has one key, and for a while after `rotate` the one before, which expires. The number rises with each
# key of the name (the first has none), so that the program can refuse those that have ended: their names and
# numbers are in the table ended_key, which all hosts share. Whoever edits the file by hand may break it: then
# it is left alone until it is corrected, or replaced by `import`.

key_pattern='^"[0-9a-f]{64}" "[A-Za-z0-9._-]{1,64} (ci|viewer|admin) [A-Za-z0-9._-]{1,64}( [0-9]{1,9})?";( # created [0-9TZ:-]+( expires [0-9TZ:-]+)?)?$'

key_help='Usage: orchestratorctl key create PROJECT ROLE NAME
       orchestratorctl key list
       orchestratorctl key revoke NAME
       orchestratorctl key rotate NAME [--overlap SECONDS]
       orchestratorctl key expire
       orchestratorctl key export
       orchestratorctl key import

ROLE is ci (borrow and give back), viewer (look) or admin (everything of its project).
create prints the key once, and nothing else. list never prints keys. revoke also ends the requests
that wait with the key; stacks lent with it stay lent until they are given back or expire.
A key that was revoked or has expired is refused on all hosts at once, and calls that are on their way, too.
rotate prints a new key of the same name; the old one works for another SECONDS (default 86400; 0: not
at all). expire removes expired keys; a timer of the package calls it.
All take effect before the command returns, and no waiting request is dropped. Exit status 1: nginx does not
know of the change yet.

Every host has a key file of its own. export prints it (it is secret). import reads such a file from
standard input and replaces the whole file; only import changes a file with lines that are not keys:
  orchestratorctl key export | ssh OTHER-HOST orchestratorctl key import'

keys_lock()
{
    local keys=${config[keys_file]}

    [[ -w ${keys%/*} ]] || die "can't write in ${keys%/*}"
    exec {keys_lock}>"$keys.lock"
    flock -w 60 "$keys_lock" || die "$keys is locked by another orchestratorctl"
    # Left by a command that was interrupted: nginx may not know of its change.
    [[ ! -e $keys.old ]] || keys_take_effect
}

# Lines of standard input whose key has the name $1, and all others.
keys_named()
{
    awk -F '"' -v name="$1" '{ split($4, word, " ") } word[3] == name'
}

keys_not_named()
{
    awk -F '"' -v name="$1" '{ split($4, word, " ") } word[3] != name'
}

# Project, role, number and name of each line of standard input.
key_owner()
{
    awk -F '"' '{ split($4, word, " "); print word[1], word[2], word[4] + 0, word[3] }'
}

# key_line KEY "PROJECT ROLE NAME" NUMBER
key_line()
{
    local number=''

    (($3 == 0)) || number=" $3"
    printf '"%s" "%s%s"; # created %s' "$1" "$2" "$number" "$(key_time "$EPOCHSECONDS")"
}

# Leaves the keys of standard input in `lines`, and in `faults` the numbers of lines that are neither key nor comment.
keys_look()
{
    local text

    text=$(tr '\0' '\1') # a variable would drop NULs
    lines=$(grep -aE "$key_pattern" <<<"$text" || true)
    faults=$(grep -anvE "$key_pattern|^#|^\$" <<<"$text" | cut -d : -f 1 || true)
    faults=${faults//$'\n'/, }
}

# The same of the key file.
keys_look_here()
{
    lines=''
    faults=''
    [[ ! -e ${config[keys_file]} ]] || keys_look <"${config[keys_file]}"
}

# For commands that work without the lines that are not keys: names these.
keys_tell_faults()
{
    [[ -z $faults ]] || note "${config[keys_file]} has lines that are not keys: $faults"
}

# Leaves the keys to change in `lines`. Not for a subshell, which couldn't end the command.
keys_read()
{
    local faults

    keys_look_here
    [[ -z $faults ]] || die "${config[keys_file]} has lines that are not keys: $faults; correct or remove them, nothing was changed"
}

# Replaces the key file's lines: whole or not at all, and only by a file that nginx accepts.
keys_put()
{
    local keys=${config[keys_file]} new report

    keys_were_there=''
    new=$(mktemp "$keys.XXXXXX")
    {
        printf '# Written by orchestratorctl. Each line is a key and what it is: project, role, name.\n'
        [[ -z $1 ]] || printf '%s\n' "$1"
    } >"$new"
    rm -f "$keys.old"
    if [[ -e $keys ]]; then
        chown --reference="$keys" "$new" 2>/dev/null || true
        ln "$keys" "$keys.old"
        keys_were_there=1
    fi
    sync "$new"
    mv -f "$new" "$keys"
    sync "${keys%/*}"
    command -v nginx >/dev/null && [[ -e ${config[nginx_config]} ]] || return 0
    if ! report=$(nginx -t -q -c "${config[nginx_config]}" 2>&1); then
        keys_undo
        die "nginx refuses its configuration, so no key was changed: $(nginx_refusal "$report")"
    fi
}

keys_undo()
{
    local keys=${config[keys_file]}

    if [[ -n $keys_were_there ]]; then
        mv -f "$keys.old" "$keys"
    else
        rm -f "$keys"
    fi
    sync "${keys%/*}"
}

# Worker processes of the nginx master $1 that accept connections.
nginx_workers()
{
    local directory stat command fields

    for directory in /proc/[0-9]*; do
        IFS= read -r stat 2>/dev/null <"$directory/stat" || continue
        read -ra fields <<<"${stat##*) }"
        [[ ${fields[1]} == "$1" ]] || continue
        command=''
        IFS= read -r -d '' command 2>/dev/null <"$directory/cmdline" || true
        [[ $command != 'nginx: worker process'* || $command == *'shutting down'* ]] || printf '%s\n' "${directory#/proc/}"
    done
}

# Makes nginx read the key file, and returns once only new workers accept connections. If that can't be seen, `keys_late`
# is set, and the former file stays beside the new one, so that the next command tries again.
keys_late=
keys_take_effect()
{
    local master='' command='' old workers deadline=$((SECONDS + 20))

    [[ ! -s ${config[nginx_pid_file]} ]] || read -r master <"${config[nginx_pid_file]}" || true
    [[ ! $master =~ ^[0-9]+$ ]] || IFS= read -r -d '' command 2>/dev/null <"/proc/$master/cmdline" || true
    keys_late=
    if [[ $command != 'nginx: master process'* ]]; then
        note 'nginx is not running; the keys take effect when it starts'
        rm -f "${config[keys_file]}.old"
        return 0
    fi
    old=$(nginx_workers "$master")
    kill -HUP "$master" || die 'nginx could not be told to reload; the keys take effect at its next reload'
    while ((SECONDS < deadline)); do
        workers=$(nginx_workers "$master")
        if [[ -n $workers && -z $(comm -12 <(sort <<<"$old") <(sort <<<"$workers")) ]]; then
            rm -f "${config[keys_file]}.old"
            return 0
        fi
        sleep 0.02
    done
    keys_late=1
}

# The end of a command that changed keys.
keys_done()
{
    [[ -z $keys_late ]] ||
        die 'nginx has not reloaded after 20 s (see its error log): new keys work, and it refuses old ones itself, once it has'
}

# Leaves a new key in `key`.
new_key()
{
    key=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
    [[ ${#key} == 64 ]] || die 'no random numbers'
}

key_time()
{
    date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ
}

# The lines of standard input that have not expired.
keys_that_live()
{
    awk -v now="$(key_time "$EPOCHSECONDS")" '{ if (match($0, / expires [^ ]+$/) && substr($0, RSTART + 9) <= now) next; print }'
}

# Prints a key, which is never seen again.
key_show()
{
    if [[ -n $json ]]; then
        # Not through an argument, which every user of the machine can read.
        printf '{"name":"%s","project":"%s","role":"%s","key":"%s"}\n' "$1" "$2" "$3" "$4"
    else
        printf '%s\n' "$4"
    fi
}

key_create()
{
    local project=${1:-} role=${2:-} name=${3:-} key lines number

    (($# == 3)) || usage 'key create needs PROJECT, ROLE and NAME' "$key_help"
    check_name 'project name' "$project"
    check_name 'key name' "$name"
    [[ $role =~ ^(ci|viewer|admin)$ ]] || die 'the role is ci, viewer or admin'
    [[ $name != orchestratorctl* ]] || die 'orchestratorctl is what its own calls are named in the record of actions'
    keys_lock # before the project is looked up, or it might be deleted in between
    keys_read
    [[ -z $(keys_named "$name" <<<"$lines") ]] || die "there is a key $name already"
    open_database
    sql "SELECT COALESCE((SELECT number + 1 FROM ended_key e WHERE e.project = p.name AND e.name = $(text "$name")), 0)
        FROM project p WHERE p.name = $(text "$project")"
    ((${#rows[@]})) || die "there is no project $project"
    number=${rows[0]}
    session_end
    new_key
    keys_put "${lines:+$lines$'\n'}$(key_line "$key" "$project $role $name" "$number")"
    keys_take_effect
    key_show "$name" "$project" "$role" "$key"
    keys_done
}

# end_key PROJECT NAME NUMBER SECONDS: within a transaction that has the project's row locked. Programs on all hosts
# refuse the key from then on, whatever their nginx knows. Keys of the name with a lower number have ended.
end_key()
{
    sql "INSERT INTO ended_key (project, name, number, ends_at)
        VALUES ($(text "$1"), $(text "$2"), $3, UTC_TIMESTAMP(6) + INTERVAL $4 SECOND)
        ON DUPLICATE KEY UPDATE ends_at = IF(VALUES(number) > number, VALUES(ends_at), LEAST(ends_at, VALUES(ends_at))),
            number = GREATEST(number, VALUES(number));
        UPDATE project SET version = version + 1 WHERE name = $(text "$1")"
}

key_rotate()
{
    local name='' overlap=86400 key lines line project role number until

    while (($#)); do
        case $1 in
        --overlap)
            [[ ${2:-} =~ ^[0-9]{1,8}$ ]] || usage '--overlap needs a number of seconds' "$key_help"
            overlap=$((10#$2))
            shift 2
            ;;
        *)
            [[ -z $name && $1 != -* ]] || usage "unknown argument $1" "$key_help"
            name=$1
            shift
            ;;
        esac
    done
    [[ -n $name ]] || usage 'key rotate needs NAME' "$key_help"
    check_name 'key name' "$name"
    keys_lock
    keys_read
    lines=$(keys_that_live <<<"$lines")
    line=$(keys_named "$name" <<<"$lines" | grep -v ' expires ' || true)
    [[ -n $line ]] || die "there is no key $name"
    read -r project role number _ < <(key_owner <<<"$line")
    open_database
    # The older key first: if the rest fails, it ends all the same.
    sql "START TRANSACTION; SELECT project_id FROM project WHERE name = $(text "$project") FOR UPDATE"
    end_key "$project" "$name" "$number" "$overlap"
    sql "SELECT GREATEST(COALESCE(MAX(number), 0), $number) + 1 FROM ended_key
        WHERE project = $(text "$project") AND name = $(text "$name"); COMMIT"
    number=${rows[0]}
    session_end
    until=$(key_time $((EPOCHSECONDS + overlap)))
    new_key
    # An older key goes at once: a name has two keys at most.
    lines=$(awk -F '"' -v name="$name" -v until="$until" -v overlap="$overlap" '
        { split($4, word, " ") }
        word[3] == name { if (!overlap || / expires /) next; $0 = $0 " expires " until } { print }' <<<"$lines")
    keys_put "${lines:+$lines$'\n'}$(key_line "$key" "$project $role $name" "$number")"
    keys_take_effect
    key_show "$name" "$project" "$role" "$key"
    ((overlap == 0)) || note "the old key works until $until"
    keys_done
}

key_expire()
{
    local lines living count

    (($# == 0)) || usage "unknown argument $1" "$key_help"
    [[ -e ${config[keys_file]} ]] || return 0
    keys_lock
    keys_read
    living=$(keys_that_live <<<"$lines")
    count=$(($(wc -l <<<"$lines") - $(wc -l <<<"$living")))
    [[ $living == "$lines" ]] || {
        [[ -n $living ]] || count=$(wc -l <<<"$lines")
        keys_put "$living"
        keys_take_effect
        note "removed $count expired keys"
    }
    keys_done
    [[ -z $json ]] || tell "$count keys removed" --argjson removed "$count"
}

key_export()
{
    local lines

    (($# == 0)) || usage "unknown argument $1" "$key_help"
    [[ -z $json ]] || usage 'key export writes a key file, not JSON' "$key_help"
    keys_read
    printf '%s' "${lines:+$lines$'\n'}"
}

key_import()
{
    local lines count faults

    (($# == 0)) || usage "unknown argument $1" "$key_help"
    keys_look < <(head -c 16000000)
    [[ -n $lines && -z $faults ]] || die "standard input is not a key file${faults:+ (lines $faults)}; nothing was changed"
    [[ -z $(cut -c 2-65 <<<"$lines" | sort | uniq -d) ]] || die 'it holds a key twice; nothing was changed'
    keys_lock
    keys_put "$lines"
    keys_take_effect
    keys_done
    count=$(wc -l <<<"$lines")
    tell "$count keys" --argjson keys "$count"
}

key_list()
{
    local lines faults

    (($# == 0)) || usage "unknown argument $1" "$key_help"
    keys_look_here
    keys_tell_faults
    lines=$(keys_that_live <<<"$lines" | sed -n 's/^"[0-9a-f]*" "\([^ ]*\) \([^ ]*\) \([^ "]*\)[^"]*";\( # created \([^ ]*\)\( expires \(.*\)\)\{0,1\}\)\{0,1\}$/\3\t\1\t\2\t\5\t\7/p' | sort)
    if [[ -n $json ]]; then
        printf '[%s]\n' "$(awk -F '\t' 'function time(text) { return text == "" ? "null" : "\"" text "\"" }
            NF { printf "%s{\"name\":\"%s\",\"project\":\"%s\",\"role\":\"%s\",\"created\":%s,\"expires\":%s}", n++ ? "," : "", $1, $2, $3, time($4), time($5) }' <<<"$lines")"
    else
        printf '%s\n' $'NAME\tPROJECT\tROLE\tCREATED\tEXPIRES' ${lines:+"$lines"} | table
    fi
}

# Ends the keys of project $1 (empty: of none) of the name $2, up to number $3, and the requests that wait with that name,
# in one transaction: from its COMMIT the program refuses them on every host. Leaves the number of those requests in `ended`.
end_everywhere()
{
    local key_name projects

    key_name=$(text "$2")
    sql "SELECT project_id FROM project WHERE name = $(text "$1")
        UNION SELECT project_id FROM lease WHERE state = 'waiting' AND key_name = $key_name ORDER BY project_id"
    projects=$(joined "${rows[@]}")
    ended=0
    [[ -n $projects ]] || return 0
    # The row locks first, in the program's order.
    sql "START TRANSACTION; SELECT project_id FROM project WHERE project_id IN ($projects) ORDER BY project_id FOR UPDATE"
    [[ -z $1 ]] || end_key "$1" "$2" "$3" 0
    sql "INSERT INTO history (project_id, lease_no, state, request_id, key_name, branch, commit_id, purpose,
            job_url, job_name, job_user, asked_at, ended_at)
        SELECT project_id, lease_no, 'cancelled', request_id, key_name, branch, commit_id, purpose,
            job_url, job_name, job_user, asked_at, UTC_TIMESTAMP(6)
        FROM lease WHERE project_id IN ($projects) AND state = 'waiting' AND key_name = $key_name;
        SELECT ROW_COUNT();
        INSERT INTO event (project_id, event_no, at, kind, lease_no, who, branch, job_url, job_name, word)
        SELECT project_id, next_event_no + ROW_NUMBER() OVER (PARTITION BY project_id ORDER BY lease_no) - 1, UTC_TIMESTAMP(6),
            'ended', lease_no, key_name, branch, job_url, job_name, 'cancelled'
        FROM lease JOIN project USING (project_id) WHERE project_id IN ($projects) AND state = 'waiting' AND key_name = $key_name;
        UPDATE project SET next_event_no = next_event_no + (SELECT COUNT(*) FROM lease WHERE lease.project_id = project.project_id
            AND state = 'waiting' AND key_name = $key_name) WHERE project_id IN ($projects);
        DELETE FROM lease WHERE project_id IN ($projects) AND state = 'waiting' AND key_name = $key_name;
        UPDATE project SET version = version + 1 WHERE project_id IN ($projects);
        COMMIT"
    ended=${rows[0]}
}

key_revoke()
{
    local name=${1:-} lines found project='' role number=0 ended

    (($# == 1)) || usage 'key revoke needs NAME' "$key_help"
    check_name 'key name' "$name"
    keys_lock
    keys_read
    found=$(keys_named "$name" <<<"$lines")
    [[ -z $found ]] || read -r project role number _ < <(key_owner <<<"$found" | sort -k 3,3n | tail -n 1)
    # First: what follows only spares nginx the work of passing its calls on.
    open_database
    end_everywhere "$project" "$name" "$number"
    session_end
    [[ -n $found || $ended != 0 ]] || die "there is no key $name"
    ((ended == 0)) || note "ended $ended waiting requests of $name"
    if [[ -n $found ]]; then
        keys_put "$(keys_not_named "$name" <<<"$lines")"
        keys_take_effect
    fi
    keys_done
    [[ -z $json ]] || tell "Key $name revoked" --argjson endedRequests "$ended"
}
