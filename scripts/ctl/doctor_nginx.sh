# shellcheck shell=bash
# doctor: nginx, what it has read, and the certificates that it serves.

check_nginx()
{
    local whole report directives master=''

    if ! command -v nginx >/dev/null; then
        found fault nginx 'it is not installed here'
        return
    fi
    if ! whole=$(nginx -T -q -c "${config[nginx_config]}" 2>"$scratch/nginx"); then
        report=$(nginx_refusal "$(<"$scratch/nginx")")
        found fault nginx "$report" "fix ${config[nginx_config]} and what it includes"
        return
    fi
    directives=$(nginx_directives <<<"$whole")
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
    check_room
    check_paths
    check_certificates
    check_servers
}

# directive NAME: its values in `directives`, a line each.
directive()
{
    awk -F '\t' -v name="$1" '$2 == name { print $3 }' <<<"$directives"
}

# Room for the requests that may wait: each takes two connections.
check_room()
{
    local connections workers files waiting=${config[max_waiting]}

    [[ -z $(directive worker_shutdown_timeout) ]] ||
        found warning nginx 'worker_shutdown_timeout cuts waiting requests off at every reload' 'remove it'
    connections=$(directive worker_connections | tail -n 1)
    workers=$(directive worker_processes | tail -n 1)
    [[ $workers =~ ^[0-9]+$ ]] || workers=$(nproc)
    files=$((${connections:-512} * workers))
    ((files >= 2 * waiting)) ||
        found warning nginx "room for $((files / 2)) waiting requests (worker_connections ${connections:-512}), but max_waiting is $waiting" \
            "worker_connections $((2 * waiting)); and worker_rlimit_nofile beyond it, in ${config[nginx_config]}"
}

check_certificates()
{
    local certificate ends left

    while IFS= read -r certificate; do
        if ! ends=$(openssl x509 -noout -enddate -in "$certificate" 2>/dev/null); then
            found fault certificate "$certificate can't be read" 'renew it'
            continue
        fi
        left=$((($(date -d "${ends#notAfter=}" +%s) - EPOCHSECONDS) / 86400))
        if ((left < 0)); then
            found fault certificate "$certificate expired $((-left)) days ago" 'renew it, then: systemctl reload nginx'
        elif ((left < 14)); then
            found warning certificate "$certificate expires in $left days" 'renew it, then: systemctl reload nginx'
        else
            found good certificate "$certificate, $left days left"
        fi
    done < <(directive ssl_certificate | sort -u)
}

# Each `server { }` that serves us: whether it answers, and with which certificate. Wants `directives`.
check_servers()
{
    local address port name certificates path url answer any=''

    while IFS=$'\t' read -r address port name certificates path _; do
        any=1
        [[ $name =~ ^[A-Za-z0-9.-]*[A-Za-z0-9]$ ]] || continue # a pattern can't be called
        url=https://$name:$port${path#-}/readyz
        answer=$(call_readyz "$url" "$address")
        if [[ $answer == 200 ]]; then
            found good https "$url answers"
        else
            found fault https "$url does not answer on this machine: $answer" "$(port_advice "$port")"
        fi
        check_served "$address" "$port" "$name" "$certificates"
    done < <(our_servers)
    [[ -n $any ]] || check_include
}

port_advice()
{
    local owner

    owner=$(port_owner "$1")
    if [[ -n $owner && $owner != nginx ]]; then
        printf 'port %s belongs to %s; end that, then: systemctl reload nginx' "$1" "$owner"
    else
        printf "systemctl reload nginx; see journalctl -u nginx and nginx's error log"
    fi
}

# What `setup --path` made serves nothing until a site includes it.
check_include()
{
    local site enabled snippet around

    nginx_places
    if [[ -e $snippet ]]; then
        found fault nginx "no server { } includes $snippet" "put this into the server { } of your site, and reload nginx: include \"$snippet\";"
    else
        found fault nginx 'no server { } of its configuration serves stack-orchestrator' 'orchestratorctl setup --host NAME, or --path /PATH'
    fi
}

# check_served ADDRESS PORT NAME CERTIFICATES: whether the served certificate is the one in the file, and for that name.
check_served()
{
    local served file print same='' names

    timeout 10 openssl s_client -connect "$1:$2" -servername "$3" </dev/null 2>/dev/null |
        openssl x509 -outform PEM -out "$scratch/served.pem" 2>/dev/null || return 0
    served=$(openssl x509 -noout -fingerprint -sha256 -in "$scratch/served.pem")
    for file in $4; do
        [[ $file == /* ]] || file=${config[nginx_config]%/*}/$file
        print=$(openssl x509 -noout -fingerprint -sha256 -in "$file" 2>/dev/null) || continue
        [[ $print != "$served" ]] || same=1
    done
    if [[ -z $same && $4 != *'$'* && $4 != - ]]; then
        found fault certificate "https://$3 is served with another certificate than $4 holds: it was renewed, and nginx not reloaded" 'systemctl reload nginx'
    fi
    # Newer releases of OpenSSL fail when it does not.
    names=$(openssl x509 -noout -checkhost "$3" -in "$scratch/served.pem") || true
    if [[ $names == *'does match'* ]]; then
        [[ -z $same ]] || found good certificate "https://$3 is served with $4, which is for it"
    else
        found fault certificate "https://$3 is served with a certificate for another name ($(served_names))" \
            "orchestratorctl setup --host $3 --certificate FILE --certificate-key FILE"
    fi
}

served_names()
{
    openssl x509 -noout -ext subjectAltName -in "$scratch/served.pem" 2>/dev/null | sed -n 's/^ *DNS:/DNS:/p' | sed 's/DNS://g'
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

# Below a path, the limits of a connection are those of the server around it.
check_paths()
{
    local wanted path server differs add

    wanted=$(dirname "$(readlink -f "$config_file")")/nginx/connection.conf
    [[ -r $wanted ]] || return 0
    while IFS=$'\t' read -r path server differs add; do
        if [[ -n $add ]]; then
            found warning nginx "the server around $path/ ($server) allows a connection more than a host of its own does: $differs" \
                "put into its server { }: $add (or, for all of them: include \"$wanted\";)"
        else
            found good nginx "the server around $path/ ($server) has the limits of a host of its own"
        fi
    done < <(laxer_servers <({ printf '# configuration file %s:\n' "$wanted" && cat "$wanted"; } | nginx_directives) <(printf '%s\n' "$directives"))
}

# laxer_servers WANTED PRESENT (files of directives): a line for each `server { }` with our path in it: path, name of
# the server, "directive value" of what is laxer there, "directive value;" of what it should be.
laxer_servers()
{
    awk -F '\t' '
        BEGIN {
            # What nginx does where nobody says anything.
            usual["client_header_timeout"] = "60s"; usual["client_header_buffer_size"] = "1k"
            usual["large_client_header_buffers"] = "4 8k"; usual["http2_max_concurrent_streams"] = "128"
            usual["merge_slashes"] = usual["ignore_invalid_headers"] = "on"; usual["underscores_in_headers"] = "off"
        }
        NR == FNR { wanted[$2] = $3; names[++count] = $2; next }
        $1 == "http" { everywhere[$2] = $3 }
        $1 !~ /^[0-9]+$/ { next }
        { here[$1, $2] = $3; last = $1 }
        END {
            for (server = 1; server <= last; server++)
                if ((server, "below") in here) tell(server)
        }
        function tell(server,    i, name, value, differs, add) {
            for (i = 1; i <= count; i++) {
                name = names[i]
                value = (server, name) in here ? here[server, name] : name in everywhere ? everywhere[name] : usual[name]
                if (!is_laxer(name, value)) continue
                differs = differs (differs == "" ? "" : ", ") name " " value
                add = add (add == "" ? "" : " ") name " " wanted[name] ";"
            }
            name = here[server, "server_name"]
            sub(/ .*/, "", name)
            print here[server, "below"] "\t" (name == "" ? "no name" : name) "\t" (differs == "" ? "-" : differs) "\t" add
        }
        function is_laxer(name, value) {
            if (wanted[name] !~ /^[0-9]/) return value != wanted[name]
            return amount(value, name ~ /_timeout$/) > amount(wanted[name], name ~ /_timeout$/)
        }
        function amount(value, is_time,    words, n, i, all) { # "4 8k" is 32 KiB
            all = 1
            n = split(tolower(value), words, " ")
            for (i = 1; i <= n; i++) {
                all *= words[i] + 0
                if (words[i] ~ /k$/) all *= 1024
                if (words[i] ~ /[0-9]m$/) all *= is_time ? 60 : 1048576
                if (words[i] ~ /h$/) all *= 3600
                if (words[i] ~ /ms$/) all /= 1000
            }
            return all
        }' "$1" "$2"
}
