#!/usr/bin/env bash
# The unit tests under valgrind's memcheck: no use of what was never set, no leak. TAP.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1

make --no-print-directory -j"$(nproc)" SAN='' BUILD=build unit-tests >&2 || exit
tests=(build/tests/unit/*_test)
status=0
number=0

printf '1..%d\n' "${#tests[@]}"
for test in "${tests[@]}"; do
    number=$((number + 1))
    if report=$(valgrind --quiet --error-exitcode=99 --suppressions=tests/valgrind.supp --leak-check=full \
        --errors-for-leak-kinds=definite,indirect,possible "$test" 2>&1); then
        printf 'ok %d - %s under valgrind\n' "$number" "${test##*/}"
    else
        printf 'not ok %d - %s under valgrind\n' "$number" "${test##*/}"
        printf '# %s\n' "${report//$'\n'/$'\n# '}"
        status=1
    fi
done
exit "$status"
