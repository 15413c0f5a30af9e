#!/usr/bin/env bats
# tests/guards/recipes.py sees what it is there for: in a copy of the tree, each step is left out once.

bats_require_minimum_version 1.5.0

setup()
{
    cd "$BATS_TEST_DIRNAME/../.." || return
    tree=$BATS_TEST_TMPDIR/tree
    mkdir "$tree"
    cp -r --parents fcgi sql scripts/monitoring nginx/README.md nginx/openapi.json tests/attack/*.py "$tree"
}

# fails_with COMPLAINT
fails_with()
{
    run -1 "$BATS_TEST_DIRNAME/recipes.py" "$tree"
    [[ $(grep -c '^not ok' <<<"$output") == 1 ]]
    grep -qF "$1" <<<"$output" || { printf '%s\n' "$output" && return 1; }
}

@test "a call that the attack tests don't know is a fault" {
    sed -i '/"\/revokeLease": ("POST"/d' "$tree/tests/attack/access.py"
    fails_with 'ROUTES of tests/attack/access.py lacks /revokeLease'
}

@test "a field that the attack tests don't know is a fault" {
    sed -i 's/"fence": REFUSED, //' "$tree/tests/attack/input.py"
    fails_with 'FIELDS of tests/attack/input.py: /revokeLease lacks fence'
}

@test "a field that the API reference leaves out is a fault" {
    sed -i 's/^\(| `POST \/revokeLease`.*\), `fence`/\1/' "$tree/nginx/README.md"
    fails_with 'the row of /revokeLease in nginx/README.md lacks fence'
}

@test "a query parameter that the API reference leaves out is a fault" {
    sed -i 's/^\(| `GET \/actions`.*\), `since`/\1/' "$tree/nginx/README.md"
    fails_with 'the row of /actions in nginx/README.md lacks since'
}

@test "a text of a command that is never freed is a fault" {
    sed -i '/free(command->as.set_aside.owner)/d' "$tree/fcgi/rules/command.c"
    fails_with 'fcgi/rules/command.c does not free owner of struct command_set_aside'
}

@test "a field of a command without its default is a fault" {
    sed -i '/as.extend.lease_s = -1/d' "$tree/fcgi/rules/command.c"
    fails_with 'does not set lease_s of struct command_extend'
    sed -i 's/\.max_held = -1/.max_held = 0/' "$tree/fcgi/rules/command.c"
    fails_with 'does not set max_held of struct command_update_project'
}

@test "a field of a command that the clerk ignores is a fault" {
    sed -i 's/^struct command_request {/&\n    bool colour;/' "$tree/fcgi/rules/command.h"
    fails_with 'fcgi/rules/clerk*.c does not use colour of struct command_request'
}

@test "a setting that nobody reads or uses is a fault" {
    sed -i 's/^struct config {/&\n    int colour;/' "$tree/fcgi/base/config.h"
    fails_with 'fcgi/base/config.c does not read colour'
    grep -qF 'nobody uses colour of struct config' <<<"$output"
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
