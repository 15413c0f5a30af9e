#!/usr/bin/env bats
# ci-stack: which units there are, and which of them are refused. No service is needed: a request that can't be sent leaves
# what it would have asked for in the state file.
# shellcheck disable=SC2154,SC2016 # variables come from helpers; steps expand their own

bats_require_minimum_version 1.5.0
load helpers

setup()
{
    export ORCHESTRATOR_URL=http://127.0.0.1:1 ORCHESTRATOR_KEY=0123456789
    new_app
}

asks() { run timeout 60 "$ci_stack" request --wait 0 "$@"; }
refuses() # TEXT OPTION...
{
    asks "${@:2}"
    [ "$status" = 64 ] || { echo "$status: $output"; return 1; }
    contains "$1"
}
named() { jq -r '.deployUnits | join(" ")' .ci-stack-state.json; } # in their order
asks_for() # NAMES OPTION...
{
    asks "${@:2}"
    [ "$status" = 75 ] || { echo "$status: $output"; return 1; }
    [ "$(named)" = "$1" ] || { echo "units: $(named)"; return 1; }
}
fingerprint() { jq -r --arg unit "$1" '.body.units[$unit]' .ci-stack-state.json; }
tree_of() { git rev-parse "HEAD:$1"; }

@test "words that no option took are refused: a glob without quotes deploys one unit of many" {
    run "$ci_stack" run --units services/* --test true
    [ "$status" = 64 ]
    contains "services/orders services/users"
    contains "--units 'services/*'"
    for command in run request deploy exports migrate mark test release extend status refresh warm; do
        run "$ci_stack" "$command" stray
        [ "$status" = 64 ]
        contains "left over: stray"
    done
    for command in run request release status; do
        run "$ci_stack" "$command" -- true
        [ "$status" = 64 ]
        contains "-- true"
    done
}

@test "two commands for one step are refused" {
    for command in run deploy refresh; do
        run "$ci_stack" "$command" --deploy true --deploy-unit true
        [ "$status" = 64 ]
        contains "--deploy and --deploy-unit"
    done
    echo 'deploy-unit = true' >.ci-stack
    run "$ci_stack" deploy -- true
    [ "$status" = 64 ]
    contains "--deploy-unit or the command after --"
    run "$ci_stack" test --test true -- false
    [ "$status" = 64 ]
    run "$ci_stack" release # not a matter of deploys
    [ "$status" = 0 ]
    run "$ci_stack" destroy test-1 --draining --destroy true
    [ "$status" = 64 ]
}

@test "each glob matches something, or is named" {
    refuses "'infr' of --units" --units 'services/* infr'
    refuses "'migration' of --migrate-units" --units 'services/*' --migrate-units migration
    refuses "'services/*/deep' of --units" --units 'services/* services/*/deep'
    refuses "no libs" --units 'services/*' --shared libs
}

@test "a comment behind a value is refused; commands and texts have a meaning for it" {
    for line in 'units = services/* # all' 'wait = 10m # ten minutes' 'env-file = .env # for tests' 'settle = cloudformation # aws' 'branch = #'; do
        printf '# first\n%s\n' "$line" >.ci-stack
        run "$ci_stack" release
        [ "$status" = 64 ] || { echo "$line: $output"; return 1; }
        contains ".ci-stack:2: a comment needs a line of its own"
    done
    printf '%s\n' 'deploy = echo yes # no' 'job-name = build #7' 'units = a#b' >.ci-stack
    run "$ci_stack" release
    [ "$status" = 0 ]
}

@test "!globs take away, wherever they stand, and take something" {
    asks_for 'services/orders services/users' --units 'services/* !services/mail'
    asks_for 'services/orders services/users' --units '!services/mail services/*'
    asks_for 'services/users' --units 'services/* !services/[mo]*'
    refuses "'!x' takes nothing away" --units '!x services/*'
    refuses "'!migrations' takes nothing away" --units 'services/* !migrations'
    refuses "is taken away" --units 'services/* !services/*'
    echo dirty >>services/mail/code # it isn't part of them
    asks_for 'services/orders services/users' --units 'services/* !services/mail'
}

@test "x/*/ are folders, and x/*/FILE the folders that hold that file" {
    echo text >services/README.md
    mkdir services/notes
    echo x >services/notes/text
    touch services/{mail,users}/serverless.yml
    commit_all files
    asks_for 'services/mail services/notes services/orders services/users' --units 'services/*/'
    lacks README
    asks_for 'services/mail services/users' --units 'services/*/serverless.yml'
    [ "$(fingerprint services/mail)" = "$(tree_of services/mail)" ]
    asks_for 'services/README.md services/mail services/notes services/orders services/users' --units 'services/*'
    contains "'services/*' matches files, too, such as services/README.md"
    asks_for 'services/users/code' --units services/users/code
    # A new one that isn't committed counts as a change; another new file doesn't.
    echo more >services/notes/more
    mkdir services/new
    touch services/new/text
    asks --units 'services/*/serverless.yml'
    [ "$status" = 75 ]
    touch services/new/serverless.yml
    refuses services/new/serverless.yml --units 'services/*/serverless.yml'
}

@test "units have the order of their globs, and belong to the first that matches" {
    asks_for 'services/users migrations services/mail services/orders' --units 'services/users migrations services/*'
    asks_for 'migrations services/mail services/orders services/users' --units migrations --units 'services/*'
}

# A submodule with one of its own.
add_submodule() # PATH
{
    local name
    for name in inner outer; do
        git init -q -b main "$BATS_TEST_TMPDIR/$name"
        echo 1 >"$BATS_TEST_TMPDIR/$name/code"
        [ "$name" = inner ] ||
            git -C "$BATS_TEST_TMPDIR/outer" -c protocol.file.allow=always submodule --quiet add "$BATS_TEST_TMPDIR/inner" inner
        git -C "$BATS_TEST_TMPDIR/$name" add -A
        git -C "$BATS_TEST_TMPDIR/$name" commit -qm first
    done
    git -c protocol.file.allow=always submodule --quiet add "$BATS_TEST_TMPDIR/outer" "$1"
    git -c protocol.file.allow=always submodule --quiet update --init --recursive
    commit_all "submodule $1"
}

@test "a submodule that was not fetched is refused, also one within another, or among what is shared" {
    local all='services/mail services/orders services/pay services/users'
    add_submodule services/pay
    asks_for "$all" --units 'services/*'
    [ "$(fingerprint services/pay)" = "$(tree_of services/pay)" ]
    asks_for 'services/pay' --units 'services/pay'
    git clone -q . ../clone
    cd ../clone
    refuses "services/pay (submodule)" --units 'services/*'
    contains "git submodule update --init --recursive"
    refuses "services/pay (submodule)" --units services
    refuses "services/pay (submodule)" --units services/mail --shared services/pay
    asks_for 'services/mail services/orders services/users' --units 'services/* !services/pay'
    git -c protocol.file.allow=always submodule --quiet update --init
    refuses "services/pay/inner (submodule)" --units 'services/*'
    git -c protocol.file.allow=always submodule --quiet update --init --recursive
    asks_for "$all" --units 'services/*'
    # x/*/FILE looks into it
    asks_for "$all" --units 'services/*/code'
    echo dirty >>services/pay/inner/code
    refuses services/pay --units 'services/*'
    git config -f .gitmodules submodule.services/pay.ignore all # git status would say nothing
    git commit -qam ignore
    refuses services/pay --units 'services/*'
}

@test "a sparse checkout that leaves out files of units is refused" {
    mkdir docs
    touch docs/text
    commit_all docs
    git sparse-checkout set services/mail services/users migrations
    refuses "services/orders/code (sparse checkout)" --units 'services/*'
    contains "git sparse-checkout disable"
    refuses "docs/text (sparse checkout)" --units services/mail --shared docs
    asks_for 'services/mail services/users' --units 'services/* !services/orders'
    echo dirty >>services/mail/code
    refuses services/mail/code --units 'services/* !services/orders'
    git update-index --skip-worktree services/users/code # flagged, and there
    git checkout -q services/mail
    asks_for 'services/mail services/users' --units 'services/* !services/orders'
}

@test "in a subfolder all paths are relative to it, and the log says so" {
    mkdir -p shop/app/services/{a,b} shop/libs
    echo 1 | tee shop/app/services/a/code shop/app/services/b/code shop/libs/code shop/app/lock >/dev/null
    echo '.ci-stack-state*' >.gitignore
    commit_all shop
    cd shop/app
    asks_for 'services/a services/b' --units 'services/*'
    contains "paths in shop/app/"
    [ "$(fingerprint services/a)" = "$(git rev-parse HEAD:shop/app/services/a)" ]
    refuses "'shop/app/services/*' of --units (paths are relative to shop/app/)" --units 'shop/app/services/*'
    refuses "no libs" --units 'services/*' --shared libs
    asks_for 'services/a services/b' --units './services/*/' --shared 'lock ../libs'
    echo dirty >>../libs/code
    asks_for 'services/a services/b' --units 'services/*'
    refuses shop/libs/code --units 'services/*' --shared ../libs
    git checkout -q ../libs
    echo dirty >>services/a/code
    refuses shop/app/services/a/code --units 'services/*'
    git checkout -q .
    cd ../..
    asks_for 'services/a services/b' --units 'services/*' --repo shop/app
    refuses "the commit has no ../x" --units 'services/*' --shared ../x
}

@test "--units . is the whole folder as one unit; our own files are no part of it" {
    git rm -q --cached .gitignore
    rm .gitignore
    commit_all 'nothing is ignored'
    for _ in 1 2; do
        asks_for . --units .
        [ "$(fingerprint .)" = "$(git rev-parse 'HEAD^{tree}')" ]
        touch .env
    done
    touch note
    refuses note --units .
    rm note
    cd services
    asks_for . --units .
    [ "$(fingerprint .)" = "$(tree_of services)" ]
}

@test "--units-from: units, and the paths that each depends on" {
    mkdir -p libs/{x,y}
    touch libs/x/code libs/y/code
    commit_all libs
    cat >graph.log <<'END'
services/mail
services/users	libs/x
shop	services/orders libs/y	libs/x
END
    asks_for 'services/mail services/users shop' --units-from 'cat graph.log' --migrate-units migrations --shared .gitignore
    before=$(jq -S .body.units .ci-stack-state.json)
    [[ $(fingerprint services/mail) == "$(tree_of services/mail)"-* ]]
    [ "$(fingerprint migrations)" = "$(tree_of migrations)" ]
    changed() # OPTION...: names that differ from before
    {
        jq -r --argjson before "$before" '.body.units | to_entries | map(select($before[.key] != .value) | .key) | join(" ")' .ci-stack-state.json
    }
    # In another order it is the same.
    sed -i 's/libs.y\tlibs.x/libs\/x libs\/y libs\/x/' graph.log
    asks --units-from 'cat graph.log' --migrate-units migrations --shared .gitignore
    [ -z "$(changed)" ]
    change libs/x
    asks --units-from 'cat graph.log' --migrate-units migrations --shared .gitignore
    [ "$(changed | tr ' ' '\n' | sort | paste -sd ' ')" = 'services/users shop' ]
    before=$(jq -S .body.units .ci-stack-state.json)
    change services/users # its own folder counts, though it isn't named
    asks --units-from 'cat graph.log' --migrate-units migrations --shared .gitignore
    [ "$(changed)" = services/users ]
    echo dirty >>libs/y/code
    refuses libs/y/code --units-from 'cat graph.log'
}

@test "--units-from: what it prints wrongly is named" {
    refuses "line 2: the commit has no path libs/x" --units-from "printf 'services/mail\nservices/users\tlibs/x\n'"
    refuses "a tab comes between" --units-from 'echo "services/mail services/users"'
    refuses "line 1: expected" --units-from "printf '\tservices/mail\n'"
    refuses "failed with status 9" --units-from 'exit 9'
    refuses "printed no unit" --units-from true
    refuses "services/mail twice" --units-from "printf 'services/mail\nservices/mail\n'"
    refuses "not both" --units-from 'echo services/mail' --units 'services/*'
    refuses "the commit has no path ../../x" --units-from "printf 'services/mail\t../../x\n'"
    ORCHESTRATOR_KEY=012345secret refuses "printed no unit" --units-from 'env | grep -c 012345secret >&2 || true'
    [[ $output == *0$'\n'* ]] # it gets no key
}

@test "what is shared changes no migrations" {
    asks --units 'services/*' --migrate-units migrations --shared .gitignore
    [[ $(fingerprint services/mail) == "$(tree_of services/mail)"-* ]]
    [ "$(fingerprint migrations)" = "$(tree_of migrations)" ]
}

@test "files of another user: the message says how to mend it" {
    export GIT_TEST_ASSUME_DIFFERENT_OWNER=1
    refuses "git config --global --add safe.directory $PWD" --units 'services/*'
    run "$ci_stack-plan" --units 'services/*'
    [ "$status" = 64 ]
    contains "safe.directory $PWD"
    # The branch would be taken for main.
    refuses safe.directory
    asks --branch feature
    [ "$status" = 75 ]
    contains "the commit is not known"
    asks --branch feature --commit abc
    lacks safe.directory
}

@test "the repository stays as it is when uncommitted changes are looked at" {
    local before
    echo dirty >>services/mail/code
    touch services/users/new
    git add services/users/new
    before=$(git status --porcelain; find .git -type f ! -name index | sort; git ls-files -s)
    asks --units 'services/*' --allow-dirty
    [ "$status" = 75 ]
    [ "$(fingerprint services/orders)" = "$(tree_of services/orders)" ]
    [ "$(fingerprint services/mail)" != "$(tree_of services/mail)" ]
    [ "$before" = "$(git status --porcelain; find .git -type f ! -name index | sort; git ls-files -s)" ]
    # It is what a commit of them will have.
    local mail
    mail=$(fingerprint services/mail)
    commit_all changes
    [ "$mail" = "$(tree_of services/mail)" ]
}
