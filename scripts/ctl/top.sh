# shellcheck shell=bash
# top: a project's pool, drawn anew every two seconds.

# shellcheck disable=SC2034 # used by name
top_help='Usage: orchestratorctl top [--project NAME] [--once]

Stacks and queue, live. q ends it, n shows the next project. --once draws one picture.'

# The picture of `answer`, $1 lines of $2 columns at most: lines of `STYLE<tab>TEXT`.
top_picture()
{
    # Cut to size here, since the shell counts bytes.
    # shellcheck disable=SC2016 # jq's variables
    jq -r --argjson height "$1" --argjson width "$2" "$jq_words"'
        def cell($n): clean | .[:$n] | . + " " * ($n - length);
        def line($style): "\($style)\t\(.[:$width])";
        .now as $now | .last24Hours as $day
        | .counts.stacks as $all
        | (.counts.leased + .counts.draining) as $lent
        # Lent stacks first, then broken ones, then free ones: a small screen shows what matters.
        | ([14, ([30, $width - 86] | min)] | max) as $branch
        | (.stacks | sort_by(.state | rank)) as $stacks
        | ([$height - 7, 2] | max) as $room
        | ([(.queue | length), ([$room / 3 | floor, $room - $all] | max)] | min) as $queued
        | ([($stacks | length), $room - $queued] | min) as $shown
        | ("\(.project.name)   \($lent) of \($all) stacks lent, at most \(.project.maxStacks)   \(.counts.waiting) waiting\(paused)   \($now[11:19]) UTC" | line("bold")),
          ("24 h: \($day.granted) granted, \($day.expired) expired   wait p50 \($day.waitSeconds.p50 | span), p95 \($day.waitSeconds.p95 | span)   hold p50 \($day.holdSeconds.p50 | span)" | line("plain")),
          ("" | line("plain")),
          ("\("STACK" | cell(12)) \("STATE" | cell(11)) \("BRANCH" | cell($branch)) \("WHO" | cell(10)) \("SINCE" | cell(9)) \("ENDS IN" | cell(9)) DEPLOYS" | line("dim")),
          ($stacks[:$shown][] | . as $stack
            | "\(.stackName | cell(12)) \(.state | cell(11)) \(.lease.branch // .branch | cell($branch)) \(holder | cell(10)) \((.lease.grantedAt // .modified) | since($now) | cell(9)) \(ends($now) | cell(9)) \(health | if . == "-" then "" else . end)"
            | line($stack.state)),
          (more($all; $shown) | line("dim")),
          (if $queued > 0 then
            ("" | line("plain")),
            ("\("PLACE" | cell(5)) \("BRANCH" | cell(25)) \("WHO" | cell(16)) \("WAITED" | cell(12)) EXPECTED" | line("dim")),
            (.queue[:$queued][] | "\(.position | cell(5)) \(.branch | cell(25)) \({lease: .} | person | cell(16)) \(.waitedSeconds | span | cell(12)) \(.estimatedWaitSeconds | span)" | line("plain")),
            (more(.counts.waiting; $queued) | line("dim"))
          else empty end)' <<<"$answer" | head -n "$1"
}

# The status of the project in `answer`, with the $1 stacks that matter most: a large pool isn't asked for whole.
top_ask()
{
    local most=$(($1 < 1 ? 1 : $1 > 1000 ? 1000 : $1)) status stacks state

    ask GET "/status?limit=$most" "$project" && [[ $answer_status == 200 ]] || return 1
    [[ $(jq .next <<<"$answer") != null ]] || return 0
    status=$answer stacks='[]'
    for state in leased aside available; do
        ask GET "/status?fields=stacks&limit=$most&state=$state" "$project" && [[ $answer_status == 200 ]] || return 1
        stacks=$(jq -cs '.[0] + .[1].stacks' <<<"$stacks$answer")
        (($(jq length <<<"$stacks") < most)) || break
    done
    answer=$(jq -cs '.[0].stacks = .[1] | .[0]' <<<"$status$stacks")
}

# The terminal's code for each style; nothing if it has none.
top_style()
{
    case $1 in
    bold) tput bold ;;
    dim) tput dim ;;
    leased) tput setaf 6 ;;
    held | draining) tput setaf 3 ;;
    quarantined) tput setaf 1 ;;
    available) tput setaf 2 ;;
    esac 2>/dev/null || true
}

top_draw()
{
    local lines columns style text left_over

    lines=$(tput lines 2>/dev/null || echo 24)
    columns=$(tput cols 2>/dev/null || echo 80)
    if top_ask "$lines"; then
        printf '%s' "${styles[home]}"
        while IFS=$'\t' read -r style text; do
            printf '%s%s%s%s\n' "${styles[$style]:-}" "$text" "${styles[normal]}" "${styles[rest]}"
        done < <(top_picture $((lines - 1)) "$columns")
    else
        left_over=$(jq -r '.error.message // empty' <<<"$answer" 2>/dev/null || true)
        printf '%s%s%s\n' "${styles[home]}" "${left_over:-The program does not answer at ${config[socket]}}" "${styles[rest]}"
    fi
    printf '%s' "${styles[below]}"
}

top_command()
{
    local project='' once='' key='' index name
    local -A styles=()

    while (($#)); do
        case $1 in
        --once)
            once=1
            shift
            ;;
        --project)
            project=${2:?--project needs a name}
            shift 2
            ;;
        *) usage "unknown argument $1" "$top_help" ;;
        esac
    done
    if [[ -n $once || -n $json ]]; then
        pick_project
        if [[ -n $json ]]; then
            must_ask GET /status "$project"
            jq -c 'del(.key)' <<<"$answer"
        else
            top_ask "${LINES:-24}" || must_ask GET /status "$project"
            top_picture "${LINES:-24}" "${COLUMNS:-80}" | cut -f 2-
        fi
        return
    fi
    [[ -t 0 && -t 1 ]] || usage 'top needs a terminal; top --once does not' "$top_help"
    projects
    local names=("${rows[@]}")
    ((${#names[@]})) || die 'there is no project yet: orchestratorctl project create NAME'
    project=${project:-${names[0]}}
    for name in bold dim leased held draining quarantined available; do
        styles[$name]=$(top_style "$name")
    done
    styles[normal]=$(tput sgr0 2>/dev/null || true)
    styles[home]=$(tput home 2>/dev/null || true)
    styles[rest]=$(tput el 2>/dev/null || true)
    styles[below]=$(tput ed 2>/dev/null || true)
    # The screen comes back as it was, however this ends.
    trap 'tput rmcup 2>/dev/null; tput cnorm 2>/dev/null; cleanup' EXIT
    tput smcup 2>/dev/null || true
    tput civis 2>/dev/null || true
    until [[ $key == [qQ] ]]; do
        top_draw
        key=''
        IFS= read -rsn 1 -t 2 key || true
        if [[ $key == [nN] ]]; then
            for index in "${!names[@]}"; do
                [[ ${names[index]} != "$project" ]] || break
            done
            project=${names[$(((index + 1) % ${#names[@]}))]}
        fi
    done
}
