#!/usr/bin/env bats
# tests/guards/rooms.py sees what it is there for: in a forged tree, each rule is broken once.

bats_require_minimum_version 1.5.0

setup()
{
    root=$BATS_TEST_TMPDIR/tree
    mkdir -p "$root"/fcgi/{api,read,write,store,rules,database,http,base}
    write main.c '#include "api/api.h"' 'int main(void) { return api(); }'
    write api/api.h 'int api(void);'
    write api/api.c '#include "api/api.h"' '#include "rules/command.h"' 'int api(void) { return command(); }'
    write rules/command.h 'int command(void);'
    write rules/command.c '#include "rules/command.h"' '#include "rules/pool.h"' 'int command(void) { return pool(); }'
    write rules/pool.h 'int pool(void);'
    write rules/pool.c '#include "rules/pool.h"' 'int pool(void) { return 0; }'
    write rules/pool_private.h '/* nothing */'
    write database/connection.c '#include <mysql.h>' 'int connection;'
    write http/call.c '#include <fcgiapp.h>' 'int call;'
    write base/json.c '#include <yajl/yajl_parse.h>' 'int json;'
    for room in read write store; do
        write "$room/$room.c" "int $room;"
    done
    mkdir -p "$BATS_TEST_TMPDIR/headers/yajl"
    touch "$BATS_TEST_TMPDIR/headers/mysql.h" "$BATS_TEST_TMPDIR/headers/fcgiapp.h" \
        "$BATS_TEST_TMPDIR/headers/yajl/yajl_parse.h"
}

# write FILE LINE ...
write()
{
    printf '%s\n' "${@:2}" >"$root/fcgi/$1"
}

# The forged tree's map names what is there, but for $unnamed.
draw()
{
    local room

    cat <<'END'
| top | api, read, write, database, http, base | x |
| api | read, rules, http, base | x |
| read | rules, database, base | x |
| write | store, rules, http, base | x |
| store | rules, database, base | x |
| rules | base | x |
| database | base | x |
| http | base | x |
| base | | x |

END
    for room in top api read write store rules database http base; do
        (cd "$root/fcgi/${room/#top/.}" && printf -- '- **%s**:' "$room" &&
            find . -maxdepth 1 -name '*.[ch]' -printf '%f\n' | sed 's/\.[ch]$//; s/_private$//' | sort -u |
            grep -vx "${unnamed:-}" | sed "s/.*/ \`&\` x;/" | tr -d "\n" && echo)
    done
}

judge()
{
    local file

    draw >"$root/fcgi/README.md"
    (cd "$root" && while read -r file; do
        mkdir -p "build/$(dirname "$file")"
        "${CC:-cc}" -c -Ifcgi -I"$BATS_TEST_TMPDIR/headers" -o "build/${file%.c}.o" "$file"
    done < <(find fcgi -name '*.c')) || return
    "$BATS_TEST_DIRNAME/rooms.py" "$root" "$root/build"
}

# fails_only RULE COMPLAINT: the forged tree breaks that rule and no other.
fails_only()
{
    run judge
    ((status != 0)) || return
    [[ $(grep '^not ok' <<<"$output") =~ ^'not ok '[0-9]' - rooms: '"$1"$ ]] || { printf '%s\n' "$output" && return 1; }
    grep -qF "$2" <<<"$output" || { printf '%s\n' "$output" && return 1; }
}

@test "a tree that keeps the rules passes" {
    run -0 judge
    [[ $(grep -c '^ok' <<<"$output") == 8 ]]
}

@test "an include against the arrows is a fault" {
    write base/buf.c '#include "rules/command.h"' 'int buf;'
    fails_only 'includes follow the arrows' 'base/buf.c includes rules/command.h: no arrow leads from base to rules'
}

@test "an include without its room is a fault" {
    write rules/match.c '#include "pool_private.h"' 'int match;'
    fails_only 'includes follow the arrows' 'rules/match.c includes "pool_private.h": write "room/file.h"'
}

@test "a room that is not in the table is a fault" {
    mkdir "$root/fcgi/cellar"
    write cellar/wine.c 'int wine;'
    fails_only 'every room stands in the table of arrows' 'cellar/'
}

@test "a private header in another room is a fault" {
    write api/fields.c '#include "rules/pool_private.h"' 'int fields;'
    fails_only 'private headers stay in their room' 'api/fields.c includes rules/pool_private.h'
}

@test "a pool in a room that changes none is a fault" {
    write api/fields.c '#include "rules/pool.h"' 'int fields;'
    fails_only 'pools are for the rooms that change them' 'api/fields.c includes rules/pool.h, which is for rules, store, write'
}

@test "a second user of a library is a fault" {
    write base/text.c '#include <yajl/yajl_parse.h>' 'int text;'
    fails_only 'each outside library has one user' 'yajl is used by: base/json.c, base/text.c'
}

@test "a circle of includes within a room is a fault" {
    write rules/a.h '#include "rules/b.h"'
    write rules/b.h '#include "rules/c.h"'
    write rules/c.h '#include "rules/a.h"'
    fails_only 'no includes go round in a circle' 'rules/a -> rules/b -> rules/c -> rules/a'
}

@test "a circle that only the calls make, behind one header, is a fault" {
    write rules/pair.h 'int here(void);' 'int there(void);'
    write rules/here.c '#include "rules/pair.h"' 'int here(void) { return there(); }'
    write rules/there.c '#include "rules/pair.h"' 'int there(void) { return here(); }'
    fails_only 'no calls go round in a circle' 'rules/here.c -> rules/there.c -> rules/here.c'
}

@test "a module that the map of the rooms leaves out is a fault" {
    unnamed=call
    fails_only 'fcgi/README.md shows the rooms and their modules' 'fcgi/README.md does not name http/call'
}
