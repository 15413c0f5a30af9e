# shellcheck shell=bash
# shellcheck disable=SC2034 # the tests read what is set here
# Harness of the API tests (bats): a private instance for each file, a project for each test, and
# calls through nginx with curl. Keys and leaseIds go to curl by file, never by argument.

load ../lib/instance
# How long a place is kept for a caller who isn't there: longer than any test is busy with that,
# shorter than its patience.
GRACE=$((PATIENCE / 4))

# --- The instance ---

# start_instance [--set NAME=VALUE ...]: for setup_file. No grace at the start, so that short leases
# expire; all that the program can log, so that a secret in it is found.
start_instance()
{
    start_instance_in "$BATS_FILE_TMPDIR/var" --set startup_grace_seconds=0 --set log_level=debug "$@" || return 1
    URL=$(<"$VAR/url")
    export URL KEYS=$BATS_FILE_TMPDIR/keys SECRETS=$BATS_FILE_TMPDIR/secrets
    mkdir -p "$KEYS"
    eventually is_ready
}

process_is_gone()
{
    [[ ! -e /proc/$1 || $(<"/proc/$1/stat") == *') Z '* ]]
}

# end_program SIGNAL: ends the program with it, and waits until it is gone.
end_program()
{
    local pid

    pid=$(local_instance pid program)
    kill -"$1" "$pid"
    eventually process_is_gone "$pid"
}

# stop_database, start_database: the private server is killed. Somebody else's server goes on, but the
# program's account there is locked and its connections are cut.
stop_database()
{
    if [[ -z ${DATABASE_CNF:-} ]]; then
        local_instance kill database
        return
    fi
    lock_program_account LOCK
    # One may have ended by itself.
    query "SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE user = '$(setting database_user)'" | administrate || true
}

start_database()
{
    if [[ -z ${DATABASE_CNF:-} ]]; then
        local_instance restart database
        return
    fi
    lock_program_account UNLOCK
}

lock_program_account()
{
    query "SELECT CONCAT('ALTER USER ', QUOTE(user), '@', QUOTE(host), ' ACCOUNT $1;') FROM mysql.user WHERE user = '$(setting database_user)'" |
        administrate
}

# How many rows the server has looked at.
rows_read()
{
    query "SHOW GLOBAL STATUS WHERE variable_name IN
        ('Handler_read_key', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd_next')" | awk '{ sum += $2 } END { print sum }'
}

is_ready()
{
    [[ $(curl --silent --max-time 5 --cacert "$VAR/tls/ca.pem" --output /dev/null --write-out '%{http_code}' "$URL/readyz") == 200 ]]
}

# --- Projects and keys ---

# new_key ROLE [NAME]: a key of $PROJECT, which the calls that follow use.
new_key()
{
    local name=${2:-$PROJECT-$1}

    ctl key create "$PROJECT" "$1" "$name" >"$KEYS/new" || return 1
    AS=$KEYS/$name
    printf 'X-API-Key: %s\n' "$(<"$KEYS/new")" >"$AS"
    cat "$KEYS/new" >>"$SECRETS"
}

# new_project [SETTING ...]: a project of this test's own, used with a key of role $ROLE.
new_project()
{
    PROJECT=${NAME:-p${BATS_TEST_NUMBER:-}}
    ctl project create "$PROJECT" --same-prefix "$@" || return 1
    new_key "${ROLE:-admin}"
}

# as ROLE [PROJECT]: the calls that follow use that project's key.
as()
{
    PROJECT=${2:-$PROJECT}
    AS=$KEYS/$PROJECT-$1
    [[ -e $AS ]]
}

# --- Calls ---

# curl_to DIR CURL_ARGUMENT ...: leaves status, headers and body in DIR.
curl_to()
{
    local dir=$1

    shift
    curl --silent --show-error --max-time $((PATIENCE * 2)) --cacert "$VAR/tls/ca.pem" \
        --dump-header "$dir/headers" --output "$dir/body" --write-out '%{http_code}' "$@" >"$dir/status.new" 2>"$dir/curl" &
    printf '%s\n' "$!" >"$dir/pid"
    wait "$!" || true
    [[ -z ${ANSWERS:-} ]] || keep_answer "$dir" "$@"
    mv "$dir/status.new" "$dir/status"
}

# For tests/openapi/recorded.py: what was called, and what came.
keep_answer()
{
    local dir=$1 method='' path='' file=$ANSWERS/$BASHPID-$RANDOM$RANDOM

    shift
    while (($#)); do
        [[ $1 != --request ]] || method=$2
        [[ $1 != "$URL"/* ]] || path=${1#"$URL"}
        shift
    done
    [[ -n $path && -s $dir/headers ]] || return 0
    {
        printf '%s %s\n' "${method:-GET}" "$path"
        cat "$dir/headers"
        [[ ! -e $dir/body ]] || cat "$dir/body"
    } >"$file"
}

# Sets STATUS, BODY and HEADERS (a file) from what curl_to left.
take_answer()
{
    local left

    STATUS=$(<"$1/status")
    HEADERS=$1/headers
    BODY=
    [[ ! -e $1/body ]] || { BODY=$(tr -d '\0' <"$1/body") && rm "$1/body"; }
    left=$BODY
    while [[ $left =~ \"leaseId\":\"([0-9a-f]{32})\"(.*) ]]; do
        printf '%s\n' "${BASH_REMATCH[1]}" >>"$SECRETS"
        left=${BASH_REMATCH[2]}
    done
}

# call METHOD PATH [BODY [CURL_ARGUMENT ...]]: with the key $AS (empty: none).
call()
{
    local dir=${BATS_TEST_TMPDIR:-${BATS_FILE_TMPDIR:?}}/call arguments=(--request "$1" "$URL$2")

    mkdir -p "$dir"
    [[ $1 != HEAD ]] || arguments+=(--head)
    [[ -z ${AS:-} ]] || arguments+=(--header "@$AS")
    [[ -z ${3:-} ]] || { printf %s "$3" >"$dir/sent" && arguments+=(--data-binary "@$dir/sent"); }
    curl_to "$dir" "${arguments[@]}" "${@:4}"
    take_answer "$dir"
}

post()
{
    call POST "$@"
}

get()
{
    call GET "$1" '' "${@:2}"
}

# expect_each METHOD STATUS JQ_CONDITION PATH_AND_BODY ...: one call for each (a path, or a path, a space
# and a body), all by one curl; each must get that status, JSON, and an answer for which the condition
# holds. Much faster than as many calls.
expect_each()
{
    local method=$1 status=$2 condition=$3 dir=${BATS_TEST_TMPDIR:?}/each number=0 call answer

    shift 3
    rm -rf "$dir"
    mkdir -p "$dir"
    for call; do
        number=$((number + 1))
        ((number == 1)) || printf 'next\n'
        printf 'url = "%s"\npath-as-is\nrequest = %s\ncacert = "%s"\nmax-time = %s\n' "$URL${call%% *}" "$method" "$VAR/tls/ca.pem" "$PATIENCE"
        printf 'output = "%s"\nwrite-out = "%%{http_code} %%{content_type}\\n"\n' "$dir/$number"
        [[ -z ${AS:-} ]] || printf 'header = "@%s"\n' "$AS"
        if [[ $call == *' '* ]]; then
            printf %s "${call#* }" >"$dir/$number.sent"
            printf 'data-binary = "@%s"\n' "$dir/$number.sent"
        fi
        : >"$dir/$number"
    done >"$dir/config"
    curl --silent --show-error --config "$dir/config" >"$dir/statuses" || true
    # One line for each answer; what is no JSON becomes null.
    for ((number = 1; number <= $#; number++)); do
        tr '\n' ' ' <"$dir/$number"
        printf '\n'
    done | jq --raw-input "fromjson? // null | try ($condition) catch false | if . then true else false end" >"$dir/results"
    paste -d ' ' "$dir/statuses" "$dir/results" >"$dir/answers"
    number=0
    for call; do
        number=$((number + 1))
        IFS= read -r answer
        [[ $answer == "$status application/json true" ]] || {
            printf 'for %s\nexpected: %s application/json, %s\ngot: %s\n%s\n' "${call:0:300}" "$status" "$condition" \
                "$answer" "$(head -c 1000 "$dir/$number")" >&2
            return 1
        }
    done <"$dir/answers"
}

# later NAME METHOD PATH [BODY [CURL_ARGUMENT ...]]: the same in the background; answer_of NAME.
later()
{
    local dir=${BATS_TEST_TMPDIR:?}/later-$1 arguments=(--request "$2" "$URL$3" --header "@$AS")

    rm -rf "$dir"
    mkdir -p "$dir"
    [[ -z ${4:-} ]] || { printf %s "$4" >"$dir/sent" && arguments+=(--data-binary "@$dir/sent"); }
    (
        exec 3>&-
        curl_to "$dir" "${arguments[@]}" "${@:5}"
    ) &
}

has_answer()
{
    [[ -e $BATS_TEST_TMPDIR/later-$1/status ]]
}

# answer_of NAME: waits for it, a bounded time.
answer_of()
{
    eventually has_answer "$1"
    take_answer "$BATS_TEST_TMPDIR/later-$1"
}

no_answer_yet()
{
    ! has_answer "$1" || {
        take_answer "$BATS_TEST_TMPDIR/later-$1"
        complain "$1 was answered, and should wait"
    }
}

# --- What must hold ---

complain()
{
    printf '%s\n' "$@" "--- status $STATUS" >&2
    [[ ! -e ${HEADERS:-} ]] || grep -viE '^(strict|x-content|referrer|content-sec|server|date)' "$HEADERS" >&2
    printf '%s\n---\n' "${BODY:0:2000}" >&2
    return 1
}

# Bats takes no notice of a `!` before a command.
refute()
{
    ! "$@"
}

# expect STATUS [JQ_CONDITION ...]: of the latest answer. All conditions in one jq, whose start is what
# costs most in these tests.
expect()
{
    local condition all

    [[ $STATUS == "$1" ]] || complain "expected status $1" || return 1
    shift
    (($#)) || return 0
    printf -v all ' and (%s)' "$@"
    ! jq --exit-status "${all# and }" <<<"$BODY" >/dev/null 2>&1 || return 0
    for condition; do
        jq --exit-status "$condition" <<<"$BODY" >/dev/null || complain "does not hold: $condition" || return 1
    done
    complain "does not hold: ${all# and }"
}

# says MESSAGE: the whole of the latest answer.
says()
{
    [[ $STATUS == 200 && $BODY == "{\"message\":\"$1\"}" ]] || complain "expected the message: $1"
}

# expect_error STATUS CODE [JQ_CONDITION ...]: what every error has, and the rest of the latest answer.
expect_error()
{
    expect "$1" "${@:3}" || return 1
    [[ $BODY =~ ^\{\"error\":\{\"code\":\"$2\",\"message\":\"[^\"].*\}\}$ ]] || complain "expected the error $2" || return 1
    [[ $(header content-type) == application/json ]] || complain 'an error is not JSON' || return 1
    case $1 in
    503 | 429 | 502 | 504) [[ $(header retry-after) =~ ^[1-9][0-9]*$ ]] || complain 'no Retry-After' || return 1 ;;
    405) [[ -n $(header allow) ]] || complain 'no Allow' || return 1 ;;
    esac
}

# A header of the latest answer.
header()
{
    local line

    while IFS= read -r line; do
        [[ ${line,,} != "${1,,}":* ]] || { line=${line#*:} && line=${line# } && printf '%s\n' "${line%$'\r'}" && return; }
    done <"$HEADERS"
}

value()
{
    jq -r "$1" <<<"$BODY"
}

# The GET answer of $1, without touching the latest answer.
peek()
{
    curl --silent --show-error --max-time 20 --cacert "$VAR/tls/ca.pem" --header "@$AS" "$URL$1"
}

# sees PATH JQ_CONDITION: whether it holds there; for `eventually`.
sees()
{
    peek "$1" | jq --exit-status "$2" >/dev/null 2>&1
}

# waiting N: until N requests wait in the queue with a client connected.
waiting()
{
    eventually sees /status "[.queue[] | select(.connected)] | length == $1"
}

# state_of STACK: as /status has it; `none` for one that is not there.
state_of()
{
    peek /status | jq -r "[.stacks[] | select(.stackName == \"$1\")][0].state // \"none\""
}

is_in_state()
{
    [[ $(state_of "$1") == "$2" ]]
}

# --- Flows ---

# take [BODY]: borrows a stack; sets STACK, LEASE and FENCE.
take()
{
    post /requestStack "${1:-}"
    expect 200 || return 1
    lease_from_answer
}

lease_from_answer()
{
    [[ $BODY =~ \"stackName\":\"([^\"]*)\" ]]
    STACK=${BASH_REMATCH[1]}
    [[ $BODY =~ \"leaseId\":\"([0-9a-f]{32})\" ]]
    LEASE=${BASH_REMATCH[1]}
    [[ $BODY =~ \"fence\":([0-9]+) ]]
    FENCE=${BASH_REMATCH[1]}
}

# give [JSON_MEMBERS]: returns STACK with LEASE.
give()
{
    post /releaseStack "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\"${1:+,$1}}"
    expect 200 ".message == \"Stack $STACK released\""
}

# mark [COMMIT]: says that STACK runs the lease's units now.
mark()
{
    post /setLastDeployedCommit "{\"stackName\":\"$STACK\",\"leaseId\":\"$LEASE\",\"lastDeployedCommit\":\"${1:-c1}\"}"
    says "Last commit of stack $STACK updated"
}

# hang_up NAME: the client of a `later` call goes away.
hang_up()
{
    kill "$(<"$BATS_TEST_TMPDIR/later-$1/pid")"
    eventually has_answer "$1"
}

# The last test of a file: no key and no leaseId that it used stands in any log.
assert_no_secret_was_logged()
{
    [[ -s $SECRETS && -s $VAR/log/nginx-access.log && -s $VAR/log/program.log ]]
    ! grep --recursive --ignore-case --files-with-matches --fixed-strings --file "$SECRETS" "$VAR/log" ||
        complain 'a secret stands in the log files above'
}
