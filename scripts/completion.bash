# shellcheck shell=bash
# Completion of orchestratorctl and ci-stack for bash. Commands, verbs and options are what the two themselves say.

# _orchestratorctl_names project|stack|key: as the command line so far (with its -c) finds them; nothing without root.
_orchestratorctl_names()
{
    local config=() place=() i

    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} != -c ]] || config=(-c "${COMP_WORDS[i + 1]}")
        [[ ${COMP_WORDS[i]} != --project ]] || place=(--project "${COMP_WORDS[i + 1]}")
    done
    case $1 in
    project) "${COMP_WORDS[0]}" "${config[@]}" project list --json | jq -r '.[].name' ;;
    stack) "${COMP_WORDS[0]}" "${config[@]}" stack list "${place[@]}" --json | jq -r '.[].stackName' ;;
    key) "${COMP_WORDS[0]}" "${config[@]}" key list --json | jq -r '.[].name' | sort -u ;;
    esac 2>/dev/null
}

_orchestratorctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} command verbs words i=1

    case $previous in
    -c | --admin | --certificate | --certificate-key)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --project)
        mapfile -t COMPREPLY < <(compgen -W "$(_orchestratorctl_names project)" -- "$word")
        return
        ;;
    --reason | --owner | --seconds | --fence | --target | --overlap | --host | --path | --keep) return ;;
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
    elif [[ $word != -* ]] && ((COMP_CWORD == i + 2)); then
        case "$command ${COMP_WORDS[i + 1]}" in
        'project update' | 'project pause' | 'project resume' | 'project delete' | 'key create') words=$(_orchestratorctl_names project) ;;
        'stack hold' | 'stack quarantine' | 'stack reinstate' | 'stack delete' | 'lease revoke') words=$(_orchestratorctl_names stack) ;;
        'key revoke' | 'key rotate') words=$(_orchestratorctl_names key) ;;
        'stack import')
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        *) words='' ;;
        esac
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

_ci_stack()
{
    local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} words=''

    if ((COMP_CWORD == 1)); then
        words="$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z]\{3,\}\)  .*/\1/p') --help"
    elif [[ $word == -* ]]; then
        words="$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p') --help"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o bashdefault -o default -F _ci_stack ci-stack
