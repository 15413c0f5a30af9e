# shellcheck shell=bash
# doctor: nginx, what it has read, and the certificates that it serves.

check_nginx()
{
    local whole report connections workers files certificate ends left master='' waiting=${config[max_waiting]}

    if ! command -v nginx >/dev/null; then
        found fault nginx 'it is not installed here'
        return
    fi
    if ! whole=$(nginx -T -q -c "${config[nginx_config]}" 2>"$scratch/nginx"); then
        report=$(nginx_refusal "$(<"$scratch/nginx")")
        found fault nginx "$report" "mend ${config[nginx_config]} and what it includes"
        return
    fi
    if [[ $whole != *"\"${config[keys_file]}\""* ]]; then
        found fault nginx "its configuration doesn't include ${config[keys_file]}" 'orchestratorctl setup --host NAME, or orchestratorctl nginx --help'
    else
        found good nginx "${config[nginx_config]} is good, and reads the keys"
    fi
    [[ ! -s ${config[nginx_pid_file]} ]] || read -r master <"${config[nginx_pid_file]}" || true
    if [[ ! $master =~ ^[0-9]+$ || ! -d /proc/$master ]]; then
        found fault nginx "it isn't running (${config[nginx_pid_file]})" 'systemctl start nginx'
    elif [[ -e ${config[keys_file]} && $(stat -c %Y "${config[keys_file]}") -gt $(nginx_loaded "$master") ]]; then
        found warning nginx 'it has not read the newest keys yet' 'systemctl reload nginx'
    fi
    ! grep -q '^[[:space:]]*worker_shutdown_timeout' <<<"$whole" ||
        found warning nginx 'worker_shutdown_timeout cuts waiting requests at every reload' 'remove it'
    connections=$(sed -n 's/^[[:space:]]*worker_connections[[:space:]]*\([0-9]*\);.*/\1/p' <<<"$whole" | tail -n 1)
    workers=$(sed -n 's/^[[:space:]]*worker_processes[[:space:]]*\([0-9]*\);.*/\1/p' <<<"$whole" | tail -n 1)
    files=$(((${connections:-512}) * (${workers:-$(nproc)})))
    ((files >= 2 * waiting)) ||
        found warning nginx "room for $((files / 2)) waiting requests (worker_connections ${connections:-512}), max_waiting is ${config[max_waiting]}" \
            "worker_connections $((2 * waiting)); and worker_rlimit_nofile beyond it, in ${config[nginx_config]}"
    while IFS= read -r certificate; do
        if ! ends=$(openssl x509 -noout -enddate -in "$certificate" 2>/dev/null); then
            found fault certificate "$certificate can't be read" 'renew it'
            continue
        fi
        left=$((($(date -d "${ends#notAfter=}" +%s) - EPOCHSECONDS) / 86400))
        if ((left < 0)); then
            found fault certificate "$certificate is over since $((-left)) days" 'renew it, then: systemctl reload nginx'
        elif ((left < 14)); then
            found warning certificate "$certificate ends in $left days" 'renew it, then: systemctl reload nginx'
        else
            found good certificate "$certificate, $left days left"
        fi
    done < <(sed -n 's/^[[:space:]]*ssl_certificate[[:space:]]*"\{0,1\}\([^";]*\)"\{0,1\};.*/\1/p' <<<"$whole" | sort -u)
}

# When nginx's youngest worker was started: by its last reload.
nginx_loaded()
{
    local worker newest=0 at

    for worker in $(nginx_workers "$1"); do
        at=$(stat -c %Y "/proc/$worker" 2>/dev/null || echo 0)
        ((at <= newest)) || newest=$at
    done
    ((newest > 0)) || newest=$EPOCHSECONDS
    printf %s "$newest"
}
