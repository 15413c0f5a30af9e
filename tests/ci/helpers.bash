# What the tests of the CI side share: a private instance for each file, a project for each test.
# shellcheck shell=bash disable=SC2034 # the tests use them

load ../lib/instance
ci_stack=$ROOT/scripts/ci-stack
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.org GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.org
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
# The machine that runs the tests may be a CI job itself.
unset GITHUB_ACTIONS GITHUB_STEP_SUMMARY GITLAB_CI CIRCLECI JENKINS_URL BUILD_TAG "${!CI_STACK_@}" "${!ORCHESTRATOR_@}"

# Waits until a command succeeds.
await() # SECONDS COMMAND...
{
    PATIENCE=$1 eventually "${@:2}" 2>/dev/null || { echo "not within the time: ${*:2}" && return 1; }
}

start_service()
{
    start_instance_in "$BATS_FILE_TMPDIR/instance" >"$BATS_FILE_TMPDIR/start.log" 2>&1 || { cat "$BATS_FILE_TMPDIR/start.log" && return 1; }
}

stop_service()
{
    stop_instance >/dev/null
}

# A project of this test's own, its keys, and what ci-stack needs to reach it.
new_project() # MAX_STACKS [OPTION...]
{
    project=$(basename "$BATS_TEST_FILENAME" .bats)-$BATS_TEST_NUMBER
    ctl project create "$project" --same-prefix --max-stacks "$@" >/dev/null
    ORCHESTRATOR_KEY=$(ctl key create "$project" ci "$project-ci")
    admin_key=$(ctl key create "$project" admin "$project-admin")
    ORCHESTRATOR_URL=$(cat "$VAR/url")
    ORCHESTRATOR_CACERT=$VAR/tls/ca.pem
    export ORCHESTRATOR_KEY ORCHESTRATOR_URL ORCHESTRATOR_CACERT project admin_key
}

# api METHOD PATH [BODY]: as an administrator
api()
{
    printf 'header = "X-API-Key: %s"\n' "$admin_key" |
        curl -sS --max-time 20 --cacert "$VAR/tls/ca.pem" --config - -X "$1" ${3:+--data-raw "$3"} "$(cat "$VAR/url")$2"
}

stack_state() # NAME
{
    api GET /status | jq -r --arg name "$1" '.stacks[] | select(.stackName == $name) | .state'
}

is_state() # NAME STATE
{
    [ "$(stack_state "$1")" = "$2" ]
}

leased() { api GET /status | jq '[.stacks[] | select(.state == "leased")] | length'; }
waiting() { api GET /status | jq '.queue | length'; }
nobody_leases() { [ "$(leased)" = 0 ] && [ "$(waiting)" = 0 ]; }
someone_waits() { [ "$(waiting)" = "${1:-1}" ]; }
last_outcome() { api GET '/history?limit=1' | jq -r '.requests[0].outcome'; }

# A small app with three services and migrations, committed, as the current directory.
new_app()
{
    app=$BATS_TEST_TMPDIR/app
    mkdir -p "$app"/services/{orders,users,mail} "$app/migrations"
    cd "$app" || return
    git init -q -b main
    printf '.ci-stack-state*\n*.log\n.env*\n' >.gitignore
    local name
    for name in services/orders services/users services/mail migrations; do echo 1 >"$name/code"; done
    commit_all first
}

commit_all() # MESSAGE
{
    git add -A
    git commit -qm "$1"
}

change() # UNIT
{
    echo "$RANDOM$RANDOM" >>"$1/code"
    commit_all "change $1"
}

units=(--units 'services/*' --migrate-units migrations)
one_by_one=(--deploy-unit 'echo "DEPLOY {}"')
deployed() { grep -o '^DEPLOY .*' <<<"$output" | paste -sd ' ' -; }

# ci-stack in the background, as a CI runner starts it: no signal ignored, a process group of its own.
start_job() # ARGUMENT...
{
    env --default-signal setsid "$ci_stack" "$@" >job.log 2>&1 </dev/null 3>&- &
    job=$!
}

end_job() # the status it ends with is in `status`, what it said in `output`
{
    status=0
    wait "$job" || status=$?
    output=$(cat job.log)
}

# Neither a zombie nor one that ends while we look.
alive() { grep -q ') [^ZX] ' "/proc/$1/stat" 2>/dev/null; }
gone() { ! alive "$1"; }

contains() # TEXT in $output
{
    case $output in *"$1"*) return 0 ;; esac
    printf 'not in the output: %s\n%s\n' "$1" "$output"
    return 1
}

lacks()
{
    case $output in *"$1"*) printf 'in the output: %s\n%s\n' "$1" "$output"; return 1 ;; esac
}

# For tests of what a killed ci-stack leaves behind: a folder for temporary files that only this test's processes know.
own_temporary()
{
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
}

nothing_runs() { ! grep -lsF "TMPDIR=$TMPDIR" /proc/[0-9]*/environ; }
nothing_is_left() { nothing_runs && [ -z "$(ls -A "$TMPDIR"; ls "$1".* 2>/dev/null)" ]; } # STATE_FILE

kill_at_any_time() # HOW_OFTEN: in turns the whole process group, and ci-stack alone
{
    local count
    new_project 2
    own_temporary
    for ((count = 0; count < $1; count++)); do
        start_job run "${units[@]}" --state two --deploy true --test 'sleep 0.2'
        sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
        if ((count % 2)); then kill -KILL "$job"; else kill -KILL -- "-$job"; fi 2>/dev/null || true
        end_job 2>/dev/null
        await 10 nothing_is_left two
        await 10 nobody_leases
        rm -f two
    done
}
