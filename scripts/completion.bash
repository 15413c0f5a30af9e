# shellcheck shell=bash
# Completion of orchestratorctl for bash. Commands, verbs and options are what orchestratorctl itself says.

_orchestratorctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} command verbs words i=1

    case $previous in
    -c | --admin | --certificate | --certificate-key)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --project | --reason | --owner | --seconds | --fence | --target | --overlap | --host | --path | --keep) return ;;
    esac
    while [[ ${COMP_WORDS[i]} == -* ]]; do
        [[ ${COMP_WORDS[i]} != -c ]] || i=$((i + 1))
        i=$((i + 1))
    done
    command=${COMP_WORDS[i]:-}
    if ((COMP_CWORD <= i)); then
        words="$("$program" --commands 2>/dev/null | cut -d ' ' -f 1) -c --json --help"
    elif [[ $command == backup || $command == restore ]] && [[ $word != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    elif [[ $command == key && ${COMP_WORDS[i + 1]} == create ]] && ((COMP_CWORD == i + 3)); then
        words='ci viewer admin'
    else
        verbs=$("$program" --commands 2>/dev/null | sed -n "s/^$command //p")
        if [[ -n $verbs ]] && ((COMP_CWORD == i + 1)); then
            words="$verbs --help"
        else
            words="$("$program" "$command" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u) --json --help"
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _orchestratorctl orchestratorctl
