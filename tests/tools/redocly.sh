#!/usr/bin/env bash
# nginx/openapi.json, judged by a linter of OpenAPI from npm. Prints TAP.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1

# All builds share one copy.
dir=build/npm
tool=$dir/node_modules/.bin/redocly
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

install()
{
    cmp -s tests/tools/package.json "$dir/package.json" && [[ -x $tool ]] && return
    mkdir -p "$dir"
    rm -f "$dir/package.json"
    cp tests/tools/package.json "$dir/package.json.new" &&
        mv "$dir/package.json.new" "$dir/package.json" &&
        npm install --prefix "$dir" --silent --no-audit --no-fund --no-package-lock --ignore-scripts && return
    rm -f "$dir/package.json"
    return 1
}

printf '1..1\n'
if report=$(install 2>&1 && "$tool" lint --extends recommended-strict nginx/openapi.json 2>&1); then
    printf 'ok 1 - redocly finds nothing in openapi.json\n'
else
    printf 'not ok 1 - redocly finds nothing in openapi.json\n# %s\n' "${report//$'\n'/$'\n# '}"
    exit 1
fi
