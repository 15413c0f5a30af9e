#!/usr/bin/env bats
# What the compiler and the linker were told against exploits is in the built program; read from it with readelf.

bats_require_minimum_version 1.5.0

setup_file()
{
    cd "$BATS_TEST_DIRNAME/../.." || return
    # Not one with sanitizers, whichever the tests run with.
    make --no-print-directory SAN='' FAULTS='' all >"$BATS_FILE_TMPDIR/make.log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/make.log"
        return 1
    }
    export program=$PWD/build/stack-orchestrator objects_dir=$PWD/build/fcgi
    readelf --wide --file-header --program-headers "$program" >"$BATS_FILE_TMPDIR/headers"
    readelf --wide --dynamic "$program" >"$BATS_FILE_TMPDIR/dynamic"
    readelf --wide --dyn-syms "$program" >"$BATS_FILE_TMPDIR/symbols"
    # What each of our files was compiled with; the C library's own start files tell nothing.
    readelf --wide --debug-dump=info "$program" | grep -A 3 DW_AT_producer >"$BATS_FILE_TMPDIR/producers"
}

setup()
{
    cd "$BATS_FILE_TMPDIR" || return
}

# compiled_with FLAG: each of our files was.
compiled_with()
{
    local files with

    files=$(grep -c 'DW_AT_name.*fcgi/.*\.c$' producers)
    with=$(grep -B 3 'DW_AT_name.*fcgi/.*\.c$' producers | grep -c -- "DW_AT_producer.* $1\b")
    printf '%s: %s of %s files\n' "$1" "$with" "$files"
    ((files > 30 && with == files))
}

@test "addresses are random: a position-independent executable" {
    grep -q '^ *Type: *DYN' headers
    grep -q 'INTERP' headers
    grep -q 'FLAGS_1.*\bPIE\b' dynamic
    run ! grep -q TEXTREL dynamic
}

@test "the tables of functions are read-only before main() runs: full RELRO" {
    grep -q GNU_RELRO headers
    grep -q 'FLAGS_1.*\bNOW\b' dynamic
}

@test "no memory is both writable and executable, and the stack is not executable" {
    grep -qE '^ *GNU_STACK .* RW +0x' headers
    grep -qE '^ *LOAD .* R E +0x' headers
    run ! grep -qE '^ *LOAD .* RWE ' headers
}

@test "libraries are looked for where the system has them, nowhere else" {
    run ! grep -qE 'RPATH|RUNPATH' dynamic
}

@test "overrun buffers on the stack are noticed" {
    grep -q '__stack_chk_fail' symbols
    compiled_with -fstack-protector-strong
}

@test "the stack cannot jump over its guard page" {
    compiled_with -fstack-clash-protection
}

@test "calls of the C library know how large what they fill is: _FORTIFY_SOURCE=3" {
    grep -q -- '-D_FORTIFY_SOURCE=3' "$BATS_TEST_DIRNAME/../../build/flags"
    # Where the compiler could not prove that it fits, the checking function is called.
    grep -qE ' __(v?snprintf|memcpy|memset|read|poll)_chk@' symbols
    run ! grep -qE ' (sprintf|vsprintf|strcpy|strcat|gets)@' symbols
}

# In each of our objects. The whole program has the mark only where the C library's start files have it, too: not
# those of Debian 12.
@test "returns and indirect jumps land where they may: CET, or BTI and PAC" {
    local objects marked

    objects=$(printf '%s\n' "$objects_dir"/{,*/}*.o | wc -l)
    marked=$(readelf --wide --notes "$objects_dir"/{,*/}*.o | grep -cE 'x86 feature: IBT, SHSTK|AArch64 feature: BTI, PAC')
    ((objects > 30 && marked == objects))
}
