#!/usr/bin/env bash
# tests/coverage.sh: runs suites with the program and the units built by `make SAN=coverage`, and prints for each file of
# fcgi/ how many lines they reached and which not; fails below 90 %. `make coverage` calls it.
# Environment: COVERAGE_SUITES (unit api ctl race model chaos), and those of tests/run.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1

least=90
build=build/coverage
read -ra suites <<<"${COVERAGE_SUITES:-unit api ctl race model chaos}"

find "$build" -name '*.gcda' -delete
# Who is killed writes no figures; all others do when they end.
SAN='' BUILD=$build STACK_ORCHESTRATOR=$PWD/$build/stack-orchestrator tests/run "${suites[@]}" || status=1
gcovr --root . --filter fcgi/ --object-directory "$build" --exclude-throw-branches --sort-uncovered \
    --fail-under-line "$least" --print-summary "$build" || status=1
exit "${status:-0}"
