# shellcheck shell=bash
# Completion of orchestratorctl for bash.

_orchestratorctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verbs='' options='--json --help' i=1

    case $previous in
    -c | --admin | --certificate | --certificate-key)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --project | --reason | --owner | --seconds | --fence | --target | --overlap | --host | --path) return ;;
    esac
    while [[ ${COMP_WORDS[i]} == -* ]]; do
        [[ ${COMP_WORDS[i]} != -c ]] || i=$((i + 1))
        i=$((i + 1))
    done
    if ((COMP_CWORD <= i)); then
        mapfile -t COMPREPLY < <(compgen -W 'setup status top doctor stack lease capacity project key backup restore migrate database nginx -c --json --help' -- "$word")
        return
    fi
    case ${COMP_WORDS[i]} in
    stack) verbs='list hold quarantine reinstate add delete import' options+=' --project --reason --owner --seconds --revoke' ;;
    lease) verbs='list revoke' options+=' --project --reason --fence' ;;
    project) verbs='create list update delete' options+=' --prefix --initial-commit --max-stacks --wait-seconds --lease-seconds --max-lease-seconds --force' ;;
    key) verbs='create list revoke rotate expire export import' options+=' --overlap' ;;
    database) verbs=create options+=' --admin' ;;
    nginx) verbs='site path' options+=' --host --certificate --certificate-key --metrics' ;;
    setup) options+=' --admin --project --host --certificate --certificate-key --metrics --path' ;;
    capacity) options+=' --project --target' ;;
    status) options+=' --project' ;;
    top) options+=' --project --once' ;;
    migrate) options+=' --again --finished' ;;
    backup | restore)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    if [[ -n $verbs ]] && ((COMP_CWORD == i + 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$verbs --help" -- "$word")
    elif [[ ${COMP_WORDS[i]} == key && ${COMP_WORDS[i + 1]} == create ]] && ((COMP_CWORD == i + 3)); then
        mapfile -t COMPREPLY < <(compgen -W 'ci viewer admin' -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    fi
}
complete -F _orchestratorctl orchestratorctl
