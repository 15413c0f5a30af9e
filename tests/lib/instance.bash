# shellcheck shell=bash
# shellcheck disable=SC2034 # the tests read what is set here
# Harness of every test in bats: a private instance of the service, its database, and waiting.
# tests/lib/api.bash, tests/ctl/helpers.bash and tests/ci/helpers.bash build on it.

bats_require_minimum_version 1.5.0
ROOT=$(readlink -f "$BATS_TEST_DIRNAME/../..")
# A sanitizer makes everything some times slower.
PATIENCE=${PATIENCE:-$((${#SAN} ? 60 : 20))}

# start_instance_in DIR [OPTION OF scripts/local ...]: it is the instance of all that follows, VAR.
start_instance_in()
{
    export VAR=$1

    shift
    local_instance start ${SAN:+--san "$SAN"} ${DATABASE_CNF:+--database-cnf "$DATABASE_CNF"} "$@"
}

# For teardown_file. False if a sanitizer found something.
stop_instance()
{
    local_instance stop --purge
}

# local_instance ACTION [PART] [OPTION ...]: scripts/local, without bats' own descriptors.
local_instance()
{
    local words=("$1")

    shift
    [[ $# == 0 || $1 == --* ]] || { words+=("$1") && shift; }
    "$ROOT/scripts/local" "${words[@]}" --var "$VAR" "$@" 3>&- 4>&-
}

ctl()
{
    "$ROOT/scripts/orchestratorctl" -c "$VAR/etc/stack-orchestrator.conf" "$@" 3>&-
}

setting()
{
    sed -n "s/^$1 = //p" "$VAR/etc/stack-orchestrator.conf"
}

database_client()
{
    "$(command -v mariadb || command -v mysql)" --defaults-file="$VAR/etc/admin.cnf" --batch --skip-column-names "$@"
}

# administrate [SQL]: as the database's administrator; without SQL what standard input says. An error doesn't end it.
administrate()
{
    database_client --force ${1:+--execute="$1"}
}

# query SQL: the same in the program's database; fails if it does.
query()
{
    database_client --execute="$1" "$(setting database_name)"
}

# eventually COMMAND ...: repeats it until it succeeds, PATIENCE seconds long.
eventually()
{
    local deadline=$((SECONDS + PATIENCE))

    until "$@"; do
        ((SECONDS < deadline)) || { printf 'in vain for %s s: %s\n' "$PATIENCE" "$*" >&2 && return 1; }
        sleep 0.05
    done
}
