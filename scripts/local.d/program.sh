# shellcheck shell=bash
# The program, plain or with sanitizers: which file it is, and how it starts.

program_file()
{
    local san=${settings[san]:-}

    printf %s "${STACK_ORCHESTRATOR:-$source_root/build/${san:+$san/}stack-orchestrator}"
}

# Whether the running program is an old file, or read an old config.
program_is_old()
{
    [[ $(readlink "/proc/$1/exe") != "$(readlink -f "$(program_file)")" ]] ||
        ! cmp -s "$var/etc/stack-orchestrator.conf" "$var/run/program.conf"
}

start_program()
{
    local program pid launched='' wrapper=()

    program=$(program_file)
    [[ -x $program ]] || die "there is no $program; \`make\` builds it"
    if pid=$(pid_of program); then
        program_is_old "$pid" || return 0
        end_part program 30
    fi
    rm -f "$run/fcgi.sock"
    cp "$var/etc/stack-orchestrator.conf" "$var/run/program.conf"
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1}
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
    export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1:history_size=4:suppressions=$source_root/tests/tsan.supp}
    # ThreadSanitizer can't map its memory where the kernel randomises addresses widely.
    if [[ ${settings[san]:-} == thread ]] && setarch -R true 2>/dev/null; then
        wrapper=(setarch -R)
    fi
    launch program program.log "${wrapper[@]}" "$program" -c "$var/etc/stack-orchestrator.conf"
    if ! await 30 test -S "$run/fcgi.sock"; then
        show_log program.log
        die 'the program did not open its socket'
    fi
}
