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
    check_paths <<<"$whole"
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
    check_servers
}

# Each `server { }` that serves us: whether it answers, and with which certificate. Wants `whole`.
check_servers()
{
    local address port name certificates path url answer any=''

    while IFS=$'\t' read -r address port name certificates path; do
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
        printf "systemctl reload nginx; journalctl -u nginx and nginx's error log tell more"
    fi
}

# What setup --path made serves nothing until a site includes it.
check_include()
{
    local site enabled snippet around

    nginx_places
    if [[ -e $snippet ]]; then
        found fault nginx "no server { } includes $snippet" "put this into that of your site, and reload nginx: include \"$snippet\";"
    else
        found fault nginx 'no server { } of its configuration serves this' 'orchestratorctl setup --host NAME, or --path /PATH'
    fi
}

# check_served ADDRESS PORT NAME CERTIFICATES: the certificate is of a file as it is now, and for the name.
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
check_paths() # reads what `nginx -T` prints
{
    local wanted path server differs add

    wanted=$(dirname "$(readlink -f "$config_file")")/nginx/connection.conf
    [[ -r $wanted ]] || return 0
    while IFS=$'\t' read -r path server differs add; do
        if [[ -n $add ]]; then
            found warning nginx "the server around $path/ ($server) allows a connection more than a host of its own would: $differs" \
                "put into its server { }: $add (or, for all of them: include \"$wanted\";)"
        else
            found good nginx "the server around $path/ ($server) has the limits of a host of its own"
        fi
    done < <(awk "$around_program" "$wanted" -)
}

# $1: our connection.conf; -: what `nginx -T` prints. A line for each `server { }` with our path in it:
# path, name of the server, "directive value" of what is laxer there, "directive value;" of what it should be.
# shellcheck disable=SC2016 # a program of awk
around_program='
    NR == FNR { if ($1 ~ /^[a-z]/) { sub(/;.*/, ""); name = $1; $1 = ""; wanted[name] = substr($0, 2); names[++count] = name } next }
    /^# configuration file .*:$/ { file = substr($0, 22, length($0) - 22); if (main == "") main = file; next }
    { text[file] = text[file] $0 "\n" }
    BEGIN { token = "^[ \t]*(\"([^\"\\\\]|\\\\.)*\"|\047([^\047\\\\]|\\\\.)*\047|[{};]|[^ \t{};\"\047#][^ \t{};]*)" }
    END {
        # What nginx does where nobody says anything.
        usual["client_header_timeout"] = "60s"; usual["client_header_buffer_size"] = "1k"
        usual["large_client_header_buffers"] = "4 8k"; usual["http2_max_concurrent_streams"] = "128"
        usual["merge_slashes"] = usual["ignore_invalid_headers"] = "on"; usual["underscores_in_headers"] = "off"
        folder = main; sub(/[^\/]*$/, "", folder)
        read_file(main)
    }
    function read_file(file,    lines, n, i, rest, word) {
        if (++nested > 20) return
        n = split(text[file], lines, "\n")
        for (i = 1; i <= n; i++) {
            if (lines[i] ~ /^# stack-orchestrator below .*\/ of a host/) { path = lines[i]; sub(/.* below /, "", path); sub(/\/ of .*/, "", path) }
            rest = lines[i]
            while (match(rest, token)) {
                word = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1)
                sub(/^[ \t]*/, "", word)
                if (word ~ /^["\047]/) word = substr(word, 2, length(word) - 2)
                take(word)
            }
        }
        nested--
    }
    function take(word,    words, n, i) {
        if (word != "{" && word != "}" && word != ";") { said = said (said == "" ? "" : " ") word; return }
        if (word == "{") {
            block[++depth] = said
            if (said == "server" && block[1] == "http" && depth == 2) { path = server = ""; split("", here) }
        } else if (word == "}") {
            if (depth == 2 && block[1] == "http" && block[2] == "server" && path != "") tell()
            depth--
        } else {
            n = split(said, words, " ")
            sub(/^[^ ]* */, "", said)
            if (words[1] == "include") { i = said; said = ""; include(i) }
            else if (depth == 1 && block[1] == "http") everywhere[words[1]] = said
            else if (depth == 2 && block[2] == "server") { here[words[1]] = said; if (words[1] == "server_name") server = words[2] }
        }
        said = ""
    }
    function include(pattern,    file) {
        if (pattern !~ /^\//) pattern = folder pattern
        gsub(/[.+()|^$]/, "\\\\&", pattern); gsub(/\*/, "[^/]*", pattern); gsub(/\?/, "[^/]", pattern)
        for (file in text) if (file ~ "^" pattern "$") read_file(file)
    }
    function tell(    i, name, value, differs, add) {
        for (i = 1; i <= count; i++) {
            name = names[i]
            value = name in here ? here[name] : name in everywhere ? everywhere[name] : usual[name]
            if (!is_laxer(name, value)) continue
            differs = differs (differs == "" ? "" : ", ") name " " value
            add = add (add == "" ? "" : " ") name " " wanted[name] ";"
        }
        print path "\t" (server == "" ? "no name" : server) "\t" (differs == "" ? "-" : differs) "\t" add
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
    }'
