#!/usr/bin/env bats
# ci-stack takes its units from the real nx.
# shellcheck disable=SC2154 # variables come from helpers

bats_require_minimum_version 1.5.0
load ../ci/helpers
load npm

setup_file()
{
    install_npm_packages
    start_service
}

teardown_file() { stop_service; }

new_project_of_nx() # FOLDER [DEPENDENCY]
{
    mkdir -p "$1"
    printf '{"name": "@shop/%s", "version": "1.0.0", "dependencies": {%s}}\n' "$(basename "$1")" "${2:+\"@shop/$2\": \"*\"}" >"$1/package.json"
}

@test "a change in a library redeploys what depends on it, also by another library, and nothing else" {
    new_app
    rm -rf services migrations
    printf '{"name": "shop", "private": true, "workspaces": ["services/*", "libs/*"]}\n' >package.json
    echo '{}' >nx.json
    printf '%s\n' .nx node_modules >>.gitignore
    new_project_of_nx services/mail
    new_project_of_nx services/users money
    new_project_of_nx libs/money numbers
    new_project_of_nx libs/numbers
    commit_all shop
    ln -s "${npm_bin%/.bin}" node_modules
    new_project 1
    export NX_NO_CLOUD=true
    options=(--units-from "bash $ROOT/scripts/ci/nx-units services/" --deploy-unit 'echo "DEPLOY {}"')
    run "$ci_stack" run "${options[@]}"
    [ "$status" = 0 ]
    contains "2 of 2 units"
    for changed in libs/numbers services/users; do
        change "$changed"
        run "$ci_stack" run "${options[@]}"
        contains "DEPLOY services/users"
        contains "1 of 2 units"
    done
    change services/mail
    run "$ci_stack" run "${options[@]}"
    contains "DEPLOY services/mail"
    contains "1 of 2 units"
}
