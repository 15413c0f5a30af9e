# shellcheck shell=bash
# Projects and their settings.

project_help='Usage: orchestratorctl project create NAME [SETTING ...]
       orchestratorctl project update NAME SETTING ...
       orchestratorctl project pause NAME [--reason TEXT]
       orchestratorctl project resume NAME [--reason TEXT]
       orchestratorctl project list [--json]
       orchestratorctl project delete NAME [--force]

Settings:
  --prefix P               stacks are named P and a number (default test-)
  --same-prefix            allow a prefix that another project has, too
  --initial-commit C       lastDeployedCommit of a stack that never had one ("": none)
  --max-stacks N           how many stacks requests may create (0 to 100000, default 10)
  --wait-seconds S         how long a request waits by default (0 to 3600, default 600)
  --lease-seconds S        lease time by default (1 to 86400, default 3600)
  --max-lease-seconds S    largest lease time, extensions included (1 to 86400, default 86400)
  --quarantine-after N     a stack on which deploys of N branches failed in a row is quarantined (0 to 16, 0: never, default 2)
  --settle-seconds S       for how long nobody gets a stack whose deploy was cut off (0 to 86400, default 0)
  --main-branch B          the branch that others come from and go back to ("": main, or master)
  --max-held N             how many stacks jobs may hold at a time (0 to 100000, default "half" of --max-stacks)

The prefix can change only while the project has no stacks. Two projects with one prefix would lend the
same stack twice, unless they deploy to different accounts: then say --same-prefix. While a project is
paused nobody gets a stack: who waits goes on waiting and is told why, leases go on. delete removes the
project with its keys, its history and its record of stacks; while leases are live it needs --force.'

check_text() # OPTION VALUE
{
    if [[ ${#2} -gt 255 || $2 == *[[:cntrl:]]* ]] || ! iconv -f UTF-8 -t UTF-8 <<<"$2" >/dev/null 2>&1; then
        die "$1: up to 255 bytes of UTF-8 without control characters"
    fi
}

# Reads the settings of create and update into `assignments` (column = value), and a prefix into
# `new_prefix`, too; and `same_prefix`, `new_main`.
project_settings()
{
    local option value column

    assignments=() new_prefix='' same_prefix='' new_main=''
    while (($#)); do
        option=$1
        if [[ $option == --same-prefix ]]; then
            same_prefix=1
            shift
            continue
        fi
        [[ $option == --* ]] || usage "unknown argument $option" "$project_help"
        (($# > 1)) || usage "$option needs a value" "$project_help"
        value=$2
        shift 2
        case $option in
        --prefix)
            [[ $value =~ ^[A-Za-z0-9._-]{0,63}$ ]] ||
                die '--prefix: up to 63 letters, digits, dots, dashes or underscores'
            new_prefix=$(text "$value")
            assignments+=("prefix = $new_prefix")
            continue
            ;;
        --initial-commit)
            check_text "$option" "$value"
            assignments+=("initial_commit = NULLIF($(text "$value"), '')")
            continue
            ;;
        --main-branch)
            check_text "$option" "$value"
            assignments+=("main_branch = NULLIF($(text "$value"), '')")
            new_main=1
            continue
            ;;
        --max-held)
            if [[ $value == half ]]; then
                assignments+=('max_held = NULL')
                continue
            fi
            column=max_held && check_number "$option" "$value" 0 100000
            ;;
        --max-stacks) column=max_stacks && check_number "$option" "$value" 0 100000 ;;
        --wait-seconds) column=wait_s && check_number "$option" "$value" 0 3600 ;;
        --lease-seconds) column=lease_s && check_number "$option" "$value" 1 86400 ;;
        --max-lease-seconds) column=max_lease_s && check_number "$option" "$value" 1 86400 ;;
        --quarantine-after) column=quarantine_after && check_number "$option" "$value" 0 16 ;;
        --settle-seconds) column=settle_s && check_number "$option" "$value" 0 86400 ;;
        *) usage "unknown setting $option" "$project_help" ;;
        esac
        assignments+=("$column = $((10#$value))")
    done
}

# Before the COMMIT, and one command at a time: no other project's stacks have the names of $1's.
check_prefix()
{
    [[ -z $same_prefix ]] || return 0
    sql "SELECT CONCAT(other.name, ' are named ', other.prefix) FROM project p JOIN project other USING (prefix)
        WHERE p.name = $(text "$1") AND other.name <> p.name ORDER BY other.name LIMIT 1"
    [[ -z ${rows[0]:-} ]] ||
        die "the stacks of ${rows[0]}N already, and would be lent twice: choose another --prefix, or say --same-prefix if $1 deploys to another account"
}

# Commands that set prefixes run one after the other: neither sees what the other has not committed.
lock_prefixes()
{
    sql "SELECT GET_LOCK(CONCAT('stack-orchestrator prefix ', LEFT(SHA2(DATABASE(), 256), 32)), 60)"
    [[ ${rows[0]} == 1 ]] || die 'another orchestratorctl is setting a prefix; try again'
}

# Locks the project's row, and leaves its number in `project_id`.
lock_project()
{
    sql "START TRANSACTION; SELECT project_id FROM project WHERE name = $(text "$1") FOR UPDATE"
    project_id=${rows[0]:-}
    [[ -n $project_id ]] || die "there is no project $1"
}

# Before the COMMIT.
check_lease_bounds()
{
    sql "SELECT lease_s <= max_lease_s FROM project WHERE name = $(text "$1")"
    [[ ${rows[0]} == 1 ]] || die "--lease-seconds must not be larger than --max-lease-seconds"
}

project_create()
{
    local name=${1:-} assignments new_prefix same_prefix new_main

    check_name 'project name' "$name"
    project_settings "${@:2}"
    open_database
    lock_prefixes
    query "START TRANSACTION; INSERT INTO project SET name = $(text "$name"), created = UTC_TIMESTAMP(6), modified = created ${assignments:+, $(joined "${assignments[@]}")}" || {
        [[ $(session_error) != 1062* ]] || die "there is a project $name already"
        die "database: $(session_error)"
    }
    check_prefix "$name"
    check_lease_bounds "$name"
    sql COMMIT
    session_end
    [[ -z $json ]] || tell "Project $name created"
}

project_update()
{
    local name=${1:-} assignments new_prefix same_prefix new_main project_id

    check_name 'project name' "$name"
    project_settings "${@:2}"
    ((${#assignments[@]})) || usage 'nothing to change' "$project_help"
    open_database
    [[ -z $new_prefix ]] || lock_prefixes
    lock_project "$name"
    # A job gives its stack back by the name that it was told.
    if [[ -n $new_prefix ]]; then
        sql "SELECT COUNT(*) FROM stack s JOIN project p USING (project_id)
            WHERE project_id = $project_id AND s.state <> 'deleted' AND p.prefix <> $new_prefix"
        [[ ${rows[0]} == 0 ]] || die "$name has ${rows[0]} stacks, whose names would change; delete them first"
    fi
    sql "UPDATE project SET $(joined "${assignments[@]}"), version = version + 1, modified = UTC_TIMESTAMP(6) WHERE project_id = $project_id"
    # What was remembered is another branch's.
    [[ -z $new_main ]] || sql "UPDATE activity SET main_units = NULL WHERE project_id = $project_id"
    [[ -z $new_prefix ]] || check_prefix "$name"
    check_lease_bounds "$name"
    sql COMMIT
    session_end
    [[ -z $json ]] || tell "Project $name updated"
}

# switch_pause paused|resumed NAME [--reason TEXT]: the program does it, and records it.
switch_pause()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$project_help" "${@:2}"
    one_word "$project_help" NAME
    check_name 'project name' "$word"
    project=$word
    must_ask POST /updateProject "$project" "$(jq -cn --arg word "$1" --arg reason "$reason" \
        '{paused: ($word == "paused")} + if $reason == "" then {} else {$reason} end')"
    tell "Project $project $1"
}

project_pause()
{
    switch_pause paused "$@"
}

project_resume()
{
    switch_pause resumed "$@"
}

project_list()
{
    local initial_commit main_branch max_held stacks lent waiting

    (($# == 0)) || usage "unknown argument $1" "$project_help"
    initial_commit="CONVERT(TRIM(TRAILING X'00' FROM initial_commit) USING utf8mb4)"
    main_branch="CONVERT(TRIM(TRAILING X'00' FROM main_branch) USING utf8mb4)"
    max_held='COALESCE(max_held, GREATEST(max_stacks DIV 2, 1))'
    stacks="(SELECT COUNT(*) FROM stack s WHERE s.project_id = p.project_id AND s.state <> 'deleted')"
    lent="(SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'active')"
    waiting="(SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'waiting')"
    open_database
    if [[ -n $json ]]; then
        sql "SELECT JSON_OBJECT('name', name, 'prefix', prefix, 'initialCommit', $initial_commit,
            'maxStacks', max_stacks, 'waitSeconds', wait_s, 'leaseSeconds', lease_s, 'maxLeaseSeconds', max_lease_s,
            'quarantineAfter', quarantine_after, 'settleSeconds', settle_s, 'maxHeld', $max_held, 'mainBranch', $main_branch,
            'stacks', $stacks, 'leased', $lent, 'waiting', $waiting, 'pausedSince', $(iso paused_at),
            'created', $(iso created), 'modified', $(iso modified)) FROM project p ORDER BY name"
        printf '[%s]\n' "$(joined "${rows[@]}")"
    else
        sql "SELECT name, CONCAT(prefix, 'N'), COALESCE($initial_commit, '-'), max_stacks, wait_s, lease_s, max_lease_s,
            quarantine_after, settle_s, $max_held, COALESCE($main_branch, '-'), $stacks, $lent, $waiting, IF(paused_at IS NULL, '-', 'yes') FROM project p ORDER BY name"
        printf '%s\n' $'NAME\tSTACK NAMES\tINITIAL COMMIT\tMAX STACKS\tWAIT S\tLEASE S\tMAX LEASE S\tQUARANTINE AFTER\tSETTLE S\tMAX HELD\tMAIN BRANCH\tSTACKS\tLENT\tWAITING\tPAUSED' "${rows[@]}" | table
    fi
    session_end
}

project_delete()
{
    local name=${1:-} forced='' project_id lines number key_name

    check_name 'project name' "$name"
    case ${2:-} in
    '') ;;
    --force) forced=1 ;;
    *) usage "unknown argument $2" "$project_help" ;;
    esac
    keys_lock # before any row, as key revoke does
    keys_read
    open_database
    lock_project "$name"
    sql "SELECT COUNT(*) FROM lease WHERE project_id = $project_id"
    [[ -n $forced || ${rows[0]} == 0 ]] ||
        die "$name has ${rows[0]} live leases and waiting requests; --force deletes it anyway"
    # Other hosts have them, too, and may know them when there is another project of this name.
    while read -r _ _ number key_name; do
        end_key "$name" "$key_name" "$number" 0
    done < <(awk -v project="\"$name" '$2 == project' <<<"$lines" | key_owner)
    sql "DELETE FROM project WHERE project_id = $project_id"
    trap '' INT TERM # both, or none
    keys_put "$(awk -v project="\"$name" '$2 != project' <<<"$lines")"
    query COMMIT || {
        keys_undo
        die "database: $(session_error)"
    }
    trap 'exit 130' INT
    trap 'exit 143' TERM
    keys_take_effect
    session_end
    keys_done
    [[ -z $json ]] || tell "Project $name deleted"
}
