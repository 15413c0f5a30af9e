# What the tests need from npm goes into a folder of its own, once.
# shellcheck shell=bash

install_npm_packages() # sets npm_bin
{
    local dir=${E2E_NPM_DIR:-$ROOT/var/npm}
    export npm_bin=$dir/node_modules/.bin
    mkdir -p "$dir"
    (
        flock 9
        cmp -s "$BATS_TEST_DIRNAME/package.json" "$dir/package.json" && [ -x "$npm_bin/gitlab-ci-local" ] && exit
        cp "$BATS_TEST_DIRNAME/package.json" "$dir/package.json.new"
        cd "$dir" && mv package.json.new package.json || exit
        npm install --silent --ignore-scripts --no-audit --no-fund --no-package-lock 3>&- || {
            rm -f package.json
            echo "npm install failed"
            exit 1
        }
    ) 9>"$dir/lock"
}
