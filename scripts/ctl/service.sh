# shellcheck shell=bash
# Calls to the program, through its FastCGI socket, past nginx: for whoever may open that.

# ask METHOD PATH PROJECT [BODY]: one call, as an administrator of the project. Leaves what came in
# `answer` and its status in `answer_status`; false if the program can't be reached.
answer=
answer_status=
ask()
{
    local socket=${config[socket]} query='' body=${4:-} who=orchestratorctl raw path=$2

    # Then systemd opened it, at the path in its unit.
    [[ $socket != - ]] || socket=/run/stack-orchestrator/fcgi.sock
    answer='' answer_status=000
    command -v cgi-fcgi >/dev/null || die 'cgi-fcgi is not installed (package libfcgi-bin)'
    [[ -S $socket ]] || return 1
    [[ $path != *\?* ]] || query=${path#*\?}
    # For the project's record of actions.
    [[ ! ${SUDO_USER:-} =~ ^[A-Za-z0-9._-]{1,40}$ ]] || who+=.$SUDO_USER
    raw=$(printf %s "$body" | env -i PATH="$PATH" REQUEST_METHOD="$1" DOCUMENT_URI="${path%%\?*}" QUERY_STRING="$query" \
        CONTENT_LENGTH="${#body}" SO_PROJECT="$3" SO_ROLE=admin SO_KEY_NAME="$who" \
        timeout 30 cgi-fcgi -bind -connect "$socket" 2>/dev/null) || return 1
    raw=${raw//$'\r'/}
    [[ $raw =~ ^Status:\ ([0-9]{3}) ]] || return 1
    answer_status=${BASH_REMATCH[1]}
    answer=${raw#*$'\n\n'}
}

# The same, for commands that need a good answer.
must_ask()
{
    ask "$@" || die "the program does not answer at ${config[socket]}: is it running?"
    [[ $answer_status == 200 ]] || die "$(jq -r '.error.message // empty' <<<"$answer" 2>/dev/null || true) (status $answer_status)"
}

projects()
{
    open_database
    sql 'SELECT name FROM project ORDER BY name'
    session_end
}

# The project that was named, or else the only one there is, in `project`.
pick_project()
{
    if [[ -n $project ]]; then
        check_name 'project name' "$project"
        return
    fi
    projects
    case ${#rows[@]} in
    0) die 'there is no project yet: orchestratorctl project create NAME' ;;
    1) project=${rows[0]} ;;
    *) die "which project? --project is one of: $(joined "${rows[@]}")" ;;
    esac
}

# Words for people, shared by the jq programs. Branches and reasons come from outside: no control
# character reaches a terminal.
# shellcheck disable=SC2016 # jq's variables
jq_words='
    def clean: if . == null then "-" else tostring | gsub("[\u0000-\u001f\u007f-\u009f]"; "?") end;
    def short: clean | if length > 12 and test("^[0-9a-f]+$") then .[:10] else . end;
    def span: if . == null then "-" else (. | floor) as $s
        | if $s < 100 then "\($s) s" elif $s < 6000 then "\($s / 60 | floor) min"
          elif $s < 172800 then "\($s / 3600 | floor) h \($s % 3600 / 60 | floor) min" else "\($s / 86400 | floor) d" end end;
    def moment: if . == null then null else sub("\\.[0-9]+Z$"; "Z") | fromdate end;
    def until($now): if . == null then "-" else (moment - ($now | moment)) | span end;
    def since($now): if . == null then "-" else (($now | moment) - moment) | if . < 0 then 0 else . end | span end;
    def person: [.lease.job.user // empty, .lease.job.name // empty, .lease.keyName // empty] | .[0];
    def rank: {leased: 0, draining: 1, held: 2, quarantined: 3, available: 4}[.] // 5;
    def holder: if .lease then person else .hold.owner end;
    def why: if .hold then .hold.reason else .lease.job.url end;
    def ends($now): if .lease then (.lease.expiresInSeconds | span) else (.hold.until | until($now)) end;
    def health: [if (.failedDeploys // 0) > 0 then "\(.failedDeploys) failed" else empty end, if .unsettled then "unsettled" else empty end]
        | join(", ") | if . == "" then "-" else . end;
    def paused: .project.pause | if . then ", paused by \(.by | clean)" + (if .reason then ": \(.reason | clean)" else "" end) else "" end;
    def counts: .counts | [to_entries[] | select((.key | rank) < 5 and .value > 0) | "\(.value) \(.key)"] | join(", ");
    def more($all; $shown): if $all > $shown then "and \($all - $shown) more" else empty end;
'
