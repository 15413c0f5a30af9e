#!/usr/bin/env bats
# tests/guards/recipes.py sees what it is there for: in a copy of the tree, each step is left out once.

bats_require_minimum_version 1.5.0

setup()
{
    cd "$BATS_TEST_DIRNAME/../.." || return
    tree=$BATS_TEST_TMPDIR/tree
    mkdir "$tree"
    cp -r --parents fcgi sql scripts/monitoring "$tree"
}

# fails_with COMPLAINT
fails_with()
{
    run -1 "$BATS_TEST_DIRNAME/recipes.py" "$tree"
    [[ $(grep -c '^not ok' <<<"$output") == 1 ]]
    grep -qF "$1" <<<"$output" || { printf '%s\n' "$output" && return 1; }
}

@test "a column without a line in store/table.c is a fault" {
    printf "ALTER TABLE stack\n  ADD COLUMN colour INT NULL COMMENT 'x';\n" >"$tree/sql/0999_colour.sql"
    fails_with 'stack.colour has no line in fcgi/store/table.c'
}

@test "a line in store/table.c without a column is a fault" {
    sed -i 's/STACK("fence"/STACK("colour"/' "$tree/fcgi/store/table.c"
    fails_with 'fcgi/store/table.c names stack.colour, which no migration adds'
}

@test "a setting of a project that the store doesn't know is a fault" {
    printf "ALTER TABLE project\n  ADD COLUMN colour INT NULL COMMENT 'x';\n" >"$tree/sql/0999_colour.sql"
    fails_with 'fcgi/store/ neither reads nor writes project.colour'
}

@test "a metric that nobody is shown is a fault" {
    sed -i 's/put_counter(out, "grants_total"/put_counter(out, "colours_total"/' "$tree/fcgi/base/metrics.c"
    fails_with 'scripts/monitoring/ does not show stack_orchestrator_colours_total'
    grep -qF 'scripts/monitoring/ shows stack_orchestrator_grants_total, which there is not' <<<"$output"
}

@test "a metric that nobody counts is a fault" {
    sed -i 's/^void metrics_start/void metrics_count_colour(void);\n&/' "$tree/fcgi/base/metrics.h"
    fails_with 'nobody calls metrics_count_colour()'
}
