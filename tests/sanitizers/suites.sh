#!/usr/bin/env bash
# Units, API and race with programs that watch themselves: every suite once with ASan and UBSan, once with TSan. TAP.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1

suites=(unit api race)
sanitizers=(address thread)
status=0
number=0

# A report of a sanitizer ends the program, so that its test fails; what the log says of it must not get lost.
run_with() # SANITIZER SUITE
{
    make --no-print-directory -j"$(nproc)" SAN="$1" BUILD="build/$1" all unit-tests 2>&1 &&
        SAN=$1 BUILD=build/$1 tests/run "$2" 2>&1
}

printf '1..%d\n' $((${#sanitizers[@]} * ${#suites[@]}))
for sanitizer in "${sanitizers[@]}"; do
    for suite in "${suites[@]}"; do
        number=$((number + 1))
        if report=$(run_with "$sanitizer" "$suite"); then
            printf 'ok %d - %s with SAN=%s: %s\n' "$number" "$suite" "$sanitizer" "${report##*$'\n'}"
        else
            printf 'not ok %d - %s with SAN=%s\n' "$number" "$suite" "$sanitizer"
            printf '# %s\n' "${report//$'\n'/$'\n# '}"
            status=1
        fi
    done
done
exit "$status"
