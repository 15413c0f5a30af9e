# shellcheck shell=bash
# status, stack, lease and capacity: what a project's pool is like, and what an administrator
# does to it. The program knows the rules; this file only asks it.

status_help='Usage: orchestratorctl status [--project NAME] [--json]

Whether the program answers, and each project: its stacks, its queue, its last 24 hours.'

# shellcheck disable=SC2034 # used by name
stack_help='Usage: orchestratorctl stack list [--project NAME]
       orchestratorctl stack hold STACK [--seconds S] [--owner WHO] [--reason TEXT] [--revoke]
       orchestratorctl stack quarantine STACK [--owner WHO] [--reason TEXT] [--revoke]
       orchestratorctl stack reinstate STACK [--reason TEXT]
       orchestratorctl stack add COUNT [--reason TEXT]
       orchestratorctl stack delete STACK [--reason TEXT]
       orchestratorctl stack import FILE

hold         keep it from the jobs for a while (2 hours, or --seconds), for a look at it
quarantine   keep it from the jobs until it is reinstated: it is broken
reinstate    lend it again
import       take over the stacks of the original service: FILE holds what its listStacks answered
For a lent stack it takes effect once its job gives it back; --revoke takes it away at once.
--project NAME is needed only if there are several. The record of actions keeps it all.'

# shellcheck disable=SC2034 # used by name
lease_help='Usage: orchestratorctl lease list [--project NAME]
       orchestratorctl lease revoke STACK [--fence N] [--reason TEXT] [--project NAME]

revoke takes a stack away from its job, which learns of it at its next call. With --fence, only if
the stack still has that grant, as `lease list` shows it.'

# shellcheck disable=SC2034 # used by name
capacity_help='Usage: orchestratorctl capacity [--project NAME] [--target SECONDS] [--json]

How many stacks the project needs so that 95 % of its jobs wait no longer than SECONDS (60). It replays
the recorded jobs of the last 28 days with more and fewer stacks.'

# pool_options HELP ARGUMENT ...: options into the variables of the same names, the rest into `words`.
pool_options()
{
    local help=$1

    shift
    words=() project='' reason='' owner='' seconds='' fence='' target='' revoke=false
    while (($#)); do
        case $1 in
        --revoke)
            revoke=true
            shift
            ;;
        --project | --reason | --owner | --seconds | --fence | --target)
            (($# > 1)) || usage "$1 needs a value" "$help"
            case $1 in
            --seconds | --fence | --target) [[ $2 =~ ^[0-9]{1,15}$ ]] || usage "$1 must be a whole number" "$help" ;;
            esac
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        -*) usage "unknown option $1" "$help" ;;
        *)
            words+=("$1")
            shift
            ;;
        esac
    done
}

# --- Looking ---

status_command()
{
    local words project reason owner seconds fence target revoke ready=false all=() pages=()

    pool_options "$status_help" "$@"
    ((${#words[@]} == 0)) || usage "unknown argument ${words[0]}" "$status_help"
    ask GET /readyz '' || die "the program does not answer at ${config[socket]}: is it running? \`orchestratorctl doctor\` tells more"
    [[ $answer_status != 200 ]] || ready=true
    if [[ -n $project ]]; then
        all=("$project")
    elif [[ $ready == true ]]; then
        projects
        all=("${rows[@]}")
    fi
    for project in "${all[@]}"; do
        # On paper, so many rows; a program gets all.
        must_ask GET "/status$([[ -n $json ]] || printf '?limit=100')" "$project"
        pages+=("$answer")
    done
    if [[ -n $json ]]; then
        printf '%s\n' "${pages[@]}" | jq -cs --argjson ready "$ready" '{ready: $ready, projects: map(del(.key))}'
        return
    fi
    [[ $ready == true ]] && printf 'The program is ready.\n' || printf 'The program runs, but its database is away.\n'
    for answer in "${pages[@]}"; do
        # shellcheck disable=SC2016 # jq's variables
        jq -r "$jq_words"'
            "\nPROJECT \(.project.name): \(.counts.stacks) of at most \(.project.maxStacks) stacks\(if .counts.stacks == 0 then "" else " (\(counts))" end), \(.counts.waiting) waiting\(paused)"' <<<"$answer"
        stack_table
        jq -r "$jq_words"'more(.counts.stacks; .stacks | length) | . + ": orchestratorctl stack list"' <<<"$answer"
        [[ $(jq '.queue | length' <<<"$answer") == 0 ]] || { printf '\n' && queue_table; }
        jq -r "$jq_words"'more(.counts.waiting; .queue | length)' <<<"$answer"
        jq -r "$jq_words"'
            .last24Hours | "\nlast 24 hours: \(.requests) requests, \(.granted) granted, \(.expired) expired, \(.timedOut + .abandoned) gave up; wait p50 \(.waitSeconds.p50 | span), p95 \(.waitSeconds.p95 | span); hold p50 \(.holdSeconds.p50 | span), p95 \(.holdSeconds.p95 | span)"' <<<"$answer"
    done
}

stack_table()
{
    # shellcheck disable=SC2016 # jq's variables
    jq -r "$jq_words"'. as $all | .now as $now
        | ["STACK", "STATE", "DEPLOYS", "BRANCH", "LAST DEPLOYED", "WHO", "SINCE", "ENDS IN", "WHY"],
          (.stacks[] | [.stackName, .state + (if .nextState then " → " + .nextState else "" end), health, (.lease.branch // .branch | clean),
            (.lastDeployedCommit | short), (holder | clean), ((.lease.grantedAt // .modified) | since($now)), ends($now), (why | clean)])
        | @tsv' <<<"$answer" | table
}

queue_table()
{
    # shellcheck disable=SC2016 # jq's variables
    jq -r "$jq_words"'
        ["PLACE", "REQUEST", "BRANCH", "COMMIT", "WHO", "PRIORITY", "WAITED", "EXPECTED", "JOB"],
        (.queue[] | [.position, .requestNumber, (.branch | clean), (.commit | short), ({lease: .} | person | clean), .priority,
            (.waitedSeconds | span) + (if .connected then "" else " (away)" end), (.estimatedWaitSeconds | span), (.job.url | clean)])
        | @tsv' <<<"$answer" | table
}

stack_list()
{
    local words project reason owner seconds fence target revoke

    pool_options "$stack_help" "$@"
    ((${#words[@]} == 0)) || usage "unknown argument ${words[0]}" "$stack_help"
    pick_project
    must_ask GET '/status?fields=stacks' "$project"
    if [[ -n $json ]]; then
        jq -c .stacks <<<"$answer"
    else
        stack_table
    fi
}

lease_list()
{
    local words project reason owner seconds fence target revoke

    pool_options "$lease_help" "$@"
    ((${#words[@]} == 0)) || usage "unknown argument ${words[0]}" "$lease_help"
    pick_project
    must_ask GET '/status?fields=stacks' "$project"
    if [[ -n $json ]]; then
        jq -c '[.stacks[] | select(.lease) | {stackName} + .lease]' <<<"$answer"
        return
    fi
    # shellcheck disable=SC2016 # jq's variables
    jq -r "$jq_words"'.now as $now
        | ["STACK", "FENCE", "REQUEST", "BRANCH", "COMMIT", "KEY", "WHO", "SINCE", "ENDS IN", "JOB"],
          (.stacks[] | select(.lease) | [.stackName, .lease.fence, .lease.requestNumber, (.lease.branch | clean), (.lease.commit | short),
            .lease.keyName, (person | clean), (.lease.grantedAt | since($now)), ends($now), (.lease.job.url | clean)])
        | @tsv' <<<"$answer" | table
}

capacity_command()
{
    local words project reason owner seconds fence target revoke

    pool_options "$capacity_help" "$@"
    ((${#words[@]} == 0)) || usage "unknown argument ${words[0]}" "$capacity_help"
    pick_project
    must_ask GET "/capacity${target:+?targetSeconds=$target}" "$project"
    if [[ -n $json ]]; then
        printf '%s\n' "$answer"
        return
    fi
    # shellcheck disable=SC2016 # jq's variables
    jq -r "$jq_words"'
        "\(.jobs) jobs in \(.days) days; the busiest hour had \(.busiestHour.jobs); a stack is held for \(.meanHoldSeconds | span) on average.",
        if .recommended then "For a wait of at most \(.target.p95WaitSeconds | span) for 95 % of the jobs: \(.recommended) stack\(if .recommended == 1 then "" else "s" end) (now \(.current)).\n"
        else "Too little is recorded for a recommendation (now \(.current) stacks)." end' <<<"$answer"
    jq -r "$jq_words"'
        select(.stacks | length > 0) | ["STACKS", "MEAN WAIT", "P95 WAIT", "IN USE"],
        (.stacks[] | [.stacks, (.meanWaitSeconds | span), (.p95WaitSeconds | span), "\(.utilisation * 100 | round) %"])
        | @tsv' <<<"$answer" | table
    jq -r '"\nAssumptions:", (.assumptions[] | "- " + .)' <<<"$answer"
}

# --- Doing ---

# act PATH JQ-ARGUMENTS ...: a call whose body holds the named values that aren't empty.
act()
{
    local path=$1 body

    shift
    body=$(jq -cn '$ARGS.named | with_entries(select(.value != "" and .value != false))' "$@" --arg reason "$reason")
    pick_project
    must_ask POST "$path" "$project" "$body"
    if [[ -n $json ]]; then
        printf '%s\n' "$answer"
    else
        jq -r '.message' <<<"$answer"
    fi
}

# one_word HELP WHAT: the one argument that a verb takes, in `word`.
one_word()
{
    ((${#words[@]} == 1)) || usage "needs one $2, and nothing else" "$1"
    word=${words[0]}
}

stack_hold()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$stack_help" "$@"
    one_word "$stack_help" STACK
    act /holdStack --arg stackName "$word" --arg owner "${owner:-${SUDO_USER:-}}" --argjson revoke "$revoke" \
        ${seconds:+--argjson seconds "$seconds"}
}

stack_quarantine()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$stack_help" "$@"
    one_word "$stack_help" STACK
    act /quarantineStack --arg stackName "$word" --arg owner "${owner:-${SUDO_USER:-}}" --argjson revoke "$revoke"
}

stack_reinstate()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$stack_help" "$@"
    one_word "$stack_help" STACK
    act /reinstateStack --arg stackName "$word"
}

stack_add()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$stack_help" "$@"
    one_word "$stack_help" COUNT
    check_number COUNT "$word" 1 1000
    act /addStacks --argjson count "$((10#$word))"
}

# The stacks of the original service, with what they run; no job may have one meanwhile.
stack_import()
{
    local words word project reason owner seconds fence target revoke prefix numbers number commit

    pool_options "$stack_help" "$@"
    one_word "$stack_help" FILE
    pick_project
    must_ask GET '/status?fields=counts' "$project"
    [[ $(jq .counts.stacks <<<"$answer") == 0 ]] || die "project $project has stacks already"
    prefix=$(jq -r .project.prefix <<<"$answer")
    # shellcheck disable=SC2016 # jq's variables
    numbers=$(jq -r --arg prefix "$prefix" '
        .stacks[] | if .isAvailable == false then error("\(.stackName) is lent: let its job end, then list again") else . end
        | .number = (.stackName | if startswith($prefix) then .[($prefix | length):] else error("\(.) does not begin with \($prefix)") end
            | if test("^[1-9][0-9]{0,5}$") then tonumber else error("\(.) is not the number of a stack") end)
        | "\(.number) \(.lastDeployedCommit // "")"' "$word" 2>&1 | sort -n) || die "$word: ${numbers:-is not an answer of listStacks}"
    [[ -n $numbers ]] || die "$word lists no stacks"
    read -r word _ <<<"${numbers##*$'\n'}"
    must_ask POST /addStacks "$project" "{\"count\": $word, \"reason\": \"import\"}"
    for ((number = 1; number <= word; number++)); do
        if commit=$(grep "^$number " <<<"$numbers"); then
            commit=${commit#* }
            [[ -z $commit ]] || must_ask POST /setLastDeployedCommit "$project" \
                "$(jq -cn --arg name "$prefix$number" --arg commit "$commit" '{stackName: $name, lastDeployedCommit: $commit}')"
        else
            must_ask POST /deleteStack "$project" "{\"stackName\": \"$prefix$number\", \"reason\": \"import\"}"
        fi
    done
    note "$(wc -l <<<"$numbers") stacks imported into $project"
}

stack_delete()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$stack_help" "$@"
    one_word "$stack_help" STACK
    act /deleteStack --arg stackName "$word"
}

lease_revoke()
{
    local words word project reason owner seconds fence target revoke

    pool_options "$lease_help" "$@"
    one_word "$lease_help" STACK
    act /revokeLease --arg stackName "$word" ${fence:+--argjson fence "$fence"}
}
