#!/usr/bin/env bash
# Style and static analysis, as TAP.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1

checks=(lint-format lint-shell lint-cppcheck lint-tidy lint-analyzer)
printf '1..%d\n' "${#checks[@]}"
status=0
for ((i = 0; i < ${#checks[@]}; i++)); do
    if report=$(make --no-print-directory -j"$(nproc)" "${checks[i]}" 2>&1); then
        printf 'ok %d - %s\n' $((i + 1)) "${checks[i]}"
    else
        printf 'not ok %d - %s\n' $((i + 1)) "${checks[i]}"
        printf '# %s\n' "${report//$'\n'/$'\n# '}"
        status=1
    fi
done
exit "$status"
