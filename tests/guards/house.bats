#!/usr/bin/env bats
# House rules of the source: who speaks SQL, who ends the process, what must be documented.

bats_require_minimum_version 1.5.0

setup()
{
    cd "$BATS_TEST_DIRNAME/../.." || return
    shopt -s globstar
}

routes()
{
    sed -n '/^static const struct route routes\[\]/,/^};/s/^ *{"\([^"]*\)", .*/\1/p' fcgi/api/api.c
}

settings()
{
    sed -n '/^static const struct setting settings\[\]/,/^};/s/^ *{"\([^"]*\)", .*/\1/p' fcgi/base/config.c
}

# Codes of errors, of the program and of nginx.
error_codes()
{
    {
        cat fcgi/**/*.c | tr '\n' ' ' | grep -oP 'response_(open_)?error\([^;"]*"\K[a-z][A-Za-z]+(?=")'
        cat fcgi/**/*.c | tr '\n' ' ' | grep -oP '\{\s*[45][0-9][0-9],\s*"\K[a-z][A-Za-z]+(?=")'
        grep -ohP '"code":"\K[A-Za-z]+' nginx/errors.conf
    } | sort -u
}

# all_in FILE LEAST WORD ...: each word stands in the file as a word of its own. LEAST: fewer words mean
# that they weren't found any more.
all_in()
{
    local file=$1 least=$2 word missing=''

    shift 2
    (($# >= least)) || { printf 'only %s found: %s\n' $# "$*" >&2 && return 1; }
    for word; do
        grep -qP "(?<![A-Za-z0-9_/])\Q$word\E(?![A-Za-z0-9_])" "$file" || missing+=" $word"
    done
    [[ -z $missing ]] || { printf 'not in %s:%s\n' "$file" "$missing" >&2 && return 1; }
}

@test "only store, reader and database speak SQL" {
    run grep -lE '"[^"]*\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b ' fcgi/**/*.[ch]
    [[ -n $output ]]
    for file in $output; do
        [[ $file =~ ^fcgi/(store|read|database)/ ]] || { printf '%s speaks SQL\n' "$file" >&2 && return 1; }
    done
}

@test "only main ends the process, but for want of memory" {
    run grep -lE '\b(exit|_exit|_Exit|quick_exit)\(' fcgi/**/*.c
    [[ -z $output || $output == fcgi/main.c ]]
}

@test "each header has a guard of its own name, and opens with what it is for" {
    for header in fcgi/**/*.h; do
        name=$(basename "$header" .h)
        grep -q "^#ifndef ${name^^}_H$" "$header"
        head -n 1 "$header" | grep -q '^/\*'
    done
}

# fault_words PROGRAM: what only the build for tests of faults may hold.
fault_words()
{
    local points

    points=$(grep -ohP '\b(database_fault|fault_point|fault_is_armed)\([^;]*?"\K[a-z][A-Za-z]+(?=")' fcgi/**/*.c | sort -u)
    [[ $(wc -l <<<"$points") -ge 6 ]] || return
    { strings --data "$1" && nm "$1"; } | # not the debugger's names
        grep -wE "STACK_ORCHESTRATOR_FAULTS|fault_point|fault_is_armed|database_fault|${points//$'\n'/|}"
}

@test "the program holds nothing of the fault points, unless it is built for them" {
    [[ -x $BUILD/stack-orchestrator && -x $BUILD/faults/stack-orchestrator ]]
    run -1 fault_words "$BUILD/stack-orchestrator"
    [[ -z $output ]]
    run -0 fault_words "$BUILD/faults/stack-orchestrator"
    for word in STACK_ORCHESTRATOR_FAULTS fault_point beforeCommit; do
        grep -qw "$word" <<<"$output"
    done
}

# Names of the verbs, as callers know them.
verbs()
{
    sed -n '/^const char \*command_verb_name/,/^}/s/^ *return "\(.*\)";/\1/p' fcgi/rules/command.c
}

@test "every verb that has a name has a route of that name" {
    mapfile -t words < <(verbs)
    ((${#words[@]} >= 13))
    diff <(verbs | sort) <(sed -n '/^static const struct route routes\[\]/,/^};/s/^ *{"\/\([^"]*\)", .* NULL, VERB_.*/\1/p' fcgi/api/api.c | sort)
}

@test "every route stands in the API reference" {
    mapfile -t words < <(routes)
    all_in nginx/README.md 19 "${words[@]}"
}

@test "the man page names each setting and no other, and orchestratorctl knows it" {
    mapfile -t words < <(settings)
    ((${#words[@]} >= 17))
    diff <(settings | sort) <(sed -n 's/^\.It Ic //p' scripts/man/stack-orchestrator.conf.5 | sort)
    for word in "${words[@]}"; do
        grep -rqF "[$word]=" scripts/orchestratorctl scripts/ctl || { printf 'orchestratorctl does not know %s\n' "$word" >&2 && return 1; }
    done
}

@test "what scripts/local writes into its config file is a setting; a whole sample file names them all" {
    mapfile -t written < <(sed -n '/^# Written by scripts\/local\.$/,/^END$/s/^\([a-z_]*\) = .*/\1/p' scripts/local)
    [[ ${#written[@]} -ge 8 ]]
    for word in "${written[@]}"; do
        settings | grep -qx "$word"
    done
    mapfile -t written < <(settings)
    while IFS= read -r sample; do
        all_in "$sample" 17 "${written[@]}"
    done < <(find scripts -type f -name '*.conf*' -exec grep -lE '^#? *max_waiting_per_project *=' {} +)
}

@test "every error code stands in the API reference" {
    mapfile -t words < <(error_codes)
    all_in nginx/README.md 30 "${words[@]}"
}

# Where a reader of $1, a Markdown file, is sent by relative links: FILE, or FILE#HEADING.
links()
{
    grep -oP '\]\(\K(?!https?:)[^)]+' "$1"
}

# Headings of a Markdown file as its links name them.
anchors()
{
    awk '/^```/ { code = !code } !code && /^#+ / { sub(/^#+ /, ""); print tolower($0) }' "$1" | tr -d '?,.:`' | tr ' ' '-'
}

@test "no link in a README leads nowhere" {
    for readme in README.md */README.md; do
        while IFS= read -r link; do
            file=$(dirname "$readme")/${link%%#*}
            [[ $link != '#'* ]] || file=$readme
            [[ -e $file ]] || { printf '%s: %s\n' "$readme" "$link" >&2 && return 1; }
            [[ $link != *'#'* ]] || anchors "$file" | grep -qxF -- "${link#*#}" || { printf '%s: %s\n' "$readme" "$link" >&2 && return 1; }
        done < <(links "$readme")
    done
    [[ $(cat README.md ./*/README.md | links /dev/stdin | wc -l) -ge 20 ]]
}

@test "the README at the top is read in a few minutes; each folder has one of its own" {
    [[ $(wc -w <README.md) -le 1600 ]]
    for folder in fcgi nginx scripts sql tests; do
        [[ -s $folder/README.md ]]
    done
}

@test "every column of the schema has a comment" {
    run -1 grep -nP '^ +[a-z_]+ +(INT|BIGINT|TINYINT|SMALLINT|DOUBLE|(VAR)?CHAR|(VAR)?BINARY|DATETIME|ENUM|(MEDIUM|LONG)?(TEXT|BLOB)|BOOL|JSON)\b(?!.*COMMENT)' \
        sql/0*.sql
    grep -qP 'COMMENT' sql/0001_initial.sql
}

@test "sql/README.md knows each table, and the program the newest schema" {
    mapfile -t tables < <(sed -n 's/^CREATE TABLE \([a-z_]*\) (.*/\1/p' sql/0*.sql)
    all_in sql/README.md 9 "${tables[@]}"
    newest=$(find sql -name '[0-9]*.sql' -printf '%f\n' | sort | tail -n 1)
    [[ $(sed -n 's/^#define SCHEMA \([0-9]*\)$/\1/p' fcgi/store/store_connect.c) == "$((10#${newest%%_*}))" ]]
}

@test "the top level holds nothing but its seven things, LICENSE and dot files" {
    [[ $(git ls-tree --name-only HEAD | grep -v '^\.' | sort | tr '\n' ' ') == 'LICENSE Makefile README.md fcgi nginx scripts sql tests ' ]]
}

@test "an executable of the tests carries the suffix of its language, but for tests/run and what stands for an app" {
    count=0
    while IFS= read -r file; do
        count=$((count + 1))
        case $(head -n 1 "$file") in
        *python*) [[ $file == *.py ]] ;;
        *bats) [[ $file == *.bats ]] ;;
        *sh) [[ $file == *.sh ]] ;;
        *) false ;;
        esac || { printf 'no suffix: %s\n' "$file" >&2 && return 1; }
    done < <(find tests -type f -executable ! -path tests/run ! -path 'tests/e2e/app/*' ! -name '*.pyc' ! -path '*/node_modules/*')
    ((count >= 20))
}
