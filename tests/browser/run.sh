#!/usr/bin/env bash
# run: the dashboard's tests, in Debian's Chromium against an instance of their own; TAP.
#   tests/browser/run.sh [PART OF A TEST'S NAME]
# PICTURES=1 takes the README's pictures anew.
set -euo pipefail
umask 077
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")

# The tools of the tests, at fixed versions, outside the repository. Neither brings a browser.
playwright='1.65.1'
axe='4.14.1'
tools=${XDG_CACHE_HOME:-$HOME/.cache}/stack-orchestrator/browser-$playwright-$axe

{
    "$root/scripts/setup" browser
    if [[ ! -e $tools/complete ]]; then
        mkdir -p "$tools"
        npm install --prefix "$tools" --no-save --no-audit --no-fund --ignore-scripts "playwright-core@$playwright" "axe-core@$axe"
        touch "$tools/complete"
    fi
} >&2

scratch=$(mktemp -d)
finish()
{
    local status=$?

    "$root/scripts/local" stop --var "$scratch/var" --purge >&2 || status=1
    rm -rf "$scratch"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

"$root/scripts/local" start --var "$scratch/var" --port 0 ${SAN:+--san "$SAN"} \
    ${DATABASE_CNF:+--database-cnf "$DATABASE_CNF"} --set startup_grace_seconds=0 >&2
export VAR=$scratch/var TOOLS=$tools ROOT=$root NODE_EXTRA_CA_CERTS=$scratch/var/tls/ca.pem
export LOGS=$root/${BUILD:-build}/log
mkdir -p "$LOGS"
node "$here/main.mjs" "$@"
