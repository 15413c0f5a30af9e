# shellcheck shell=bash
# What setup puts in place for nginx: a site, or locations below a path; each replaces the other.

# Leaves the names of our nginx files in `site`, `enabled` (empty without sites-enabled/), `snippet` and `around`.
# `around` is what `snippet` needs in http { }; without sites-available/ the site is there, too.
nginx_places()
{
    local directory=${config[nginx_config]%/*}

    snippet=$directory/snippets/stack-orchestrator.conf
    around=$directory/conf.d/stack-orchestrator.conf
    site=$around enabled=''
    if [[ -d $directory/sites-available ]]; then
        site=$directory/sites-available/stack-orchestrator
        enabled=$directory/sites-enabled/stack-orchestrator
    fi
}

# What nginx_undo brings back.
nginx_remember()
{
    local file

    rm -rf "$scratch/nginx-files"
    mkdir "$scratch/nginx-files"
    for file in "$site" $enabled "$snippet" "$around"; do
        [[ -e $file || -L $file ]] || continue
        # Not with --parents: cp of Debian 12 fails then, unless it is called in /.
        mkdir -p "$scratch/nginx-files${file%/*}"
        cp -a "$file" "$scratch/nginx-files$file"
    done
}

nginx_undo()
{
    local file

    for file in "$site" $enabled "$snippet" "$around"; do
        rm -f "$file"
        [[ ! -e $scratch/nginx-files$file && ! -L $scratch/nginx-files$file ]] || cp -a "$scratch/nginx-files$file" "$file"
    done
}

# Only a file that we wrote may be overwritten or removed.
check_ours()
{
    [[ ! -e $1 ]] || grep -q 'Written by `orchestratorctl' "$1" || die "$1 exists, and orchestratorctl did not write it; nothing was changed"
}

# write_for_nginx FILE TEXT: appends to `changed`.
write_for_nginx()
{
    local file=$1

    [[ ! -e $file || $(<"$file") != "$2" ]] || return 0
    rm -f "$file.old"
    [[ ! -e $file ]] || ln "$file" "$file.old"
    mkdir -p "${file%/*}"
    printf '%s\n' "$2" >"$file.new"
    chmod 644 "$file.new"
    mv "$file.new" "$file"
    changed+=("$file")
}

# remove_for_nginx FILE: keeps it as FILE.old; appends to `changed`.
remove_for_nginx()
{
    [[ -e $1 ]] || return 0
    mv -f "$1" "$1.old"
    changed+=("$1")
}

# Makes nginx take up the files of `changed`, or puts back what was there before.
nginx_reload()
{
    local report file

    if ! report=$(nginx -t -q -c "${config[nginx_config]}" 2>&1); then
        ((${#changed[@]})) || die "nginx refuses its configuration: $(nginx_refusal "$report")"
        nginx_undo
        die "nginx refuses its configuration with ${changed[*]}, so nothing was changed: $(nginx_refusal "$report")"
    fi
    if [[ -d /run/systemd/system && ${config[nginx_pid_file]} == /run/nginx.pid ]] && ! systemctl is-active --quiet nginx.service; then
        systemctl start nginx.service || note 'nginx does not start: see journalctl -u nginx'
    fi
    keys_lock
    keys_take_effect
    keys_done
    exec {keys_lock}>&-
    for file in "${changed[@]}"; do
        if [[ -e $file ]]; then
            note "wrote $file$([[ ! -e $file.old ]] || printf '; the former one is %s.old' "$file")"
        else
            note "removed $file; it is kept as $file.old"
        fi
    done
}

# site_value DIRECTIVE FILE
site_value()
{
    sed -nE "s/^[[:space:]]*$1[[:space:]]+\"?([^\";]*)\"?;.*/\1/p;" "$2" | head -n 1
}

# Leaves what our files have in `certificate`, `certificate_key` and `metrics`, unless something else was asked for.
nginx_keeps()
{
    local file kept kept_key

    for file in "$site" "$around"; do
        [[ ! -e $file ]] || ! grep -q '^include ".*/metrics\.conf";' "$file" || metrics=1
    done
    [[ -z $certificate && -e $site ]] || return 0
    kept=$(site_value ssl_certificate "$site")
    kept_key=$(site_value ssl_certificate_key "$site")
    [[ -n $kept && -n $kept_key ]] || return 0
    # The certificate may be good for another host, too.
    if [[ " $(site_value server_name "$site") " == *" $host "* ]] || openssl x509 -noout -checkhost "$host" -in "$kept" 2>/dev/null | grep -q 'does match'; then
        certificate=$kept certificate_key=$kept_key
    fi
}

# What locations below a path need in http { }, with `metrics`.
around_text()
{
    local lines

    # shellcheck disable=SC2016 # names a command
    lines=('# stack-orchestrator. Written by `orchestratorctl setup --path`.'
        '# Remove these two if your nginx.conf has them: the key file needs at least these.'
        'map_hash_bucket_size 128;' 'map_hash_max_size 8192;' "include \"$(nginx_directory)/http.conf\";")
    [[ -z $metrics ]] || lines+=('# Metrics of all projects, for a Prometheus on this machine.' "include \"$(nginx_directory)/metrics.conf\";")
    printf '%s\n' "${lines[@]}"
}

# Whether `site` is for `host`, and has its part of http { } where `around` doesn't.
site_is_good()
{
    [[ -e $site && " $(site_value server_name "$site") " == *" $host "* ]] || return 1
    if grep -q '^include ".*/http\.conf";' "$site"; then [[ -z $apart ]]; else [[ -n $apart ]]; fi
}

setup_site()
{
    local host=$1 certificate=$2 certificate_key=$3 metrics=$4 site enabled snippet around text included='' apart='' changed=()

    nginx_places
    check_ours "$site"
    check_ours "$around"
    # Before anything changes: halfway, nginx may refuse its files.
    ! nginx -T -q -c "${config[nginx_config]}" 2>/dev/null | grep -xF "# configuration file $snippet:" >/dev/null || included=1
    # nginx reads conf.d before the site that includes the locations, and ours perhaps after it.
    [[ -z $included || $around == "$site" ]] || apart=1
    nginx_remember
    if site_is_good && [[ -z $certificate$metrics ]]; then
        note "kept $site"
    else
        nginx_keeps
        [[ -n $certificate ]] || make_certificate "$host"
        if [[ -n $apart ]]; then
            write_for_nginx "$around" "$(around_text)"
            text=$(nginx_site --host "$host" --certificate "$certificate" --certificate-key "$certificate_key" |
                sed '/^# Remove these two/d; /^map_hash_/d; /^include ".*\/http\.conf";/d')
        else
            text=$(nginx_site --host "$host" --certificate "$certificate" --certificate-key "$certificate_key" ${metrics:+--metrics})
        fi
        write_for_nginx "$site" "$text"
    fi
    if [[ -n $included ]]; then
        note "a site includes $snippet, and serves it below that path, too"
    elif [[ -e $snippet ]]; then
        check_ours "$snippet"
        remove_for_nginx "$snippet"
    fi
    [[ -n $apart || $around == "$site" ]] || remove_for_nginx "$around"
    [[ -z $enabled || -e $enabled ]] || {
        ln -sfn "$site" "$enabled"
        changed+=("$enabled")
    }
    nginx_reload
    wait_for_site "$host"
    tell "https://$host/ is served by nginx"
}

setup_path()
{
    local path=$1 metrics=$2 host='' certificate=- certificate_key='' site enabled snippet around text changed=()

    nginx_places
    check_ours "$site"
    check_ours "$around"
    check_ours "$snippet"
    nginx_remember
    nginx_keeps
    text=$(nginx_path "$path")
    write_for_nginx "$snippet" "$text"
    # The host name of its own is given up.
    if [[ $around != "$site" ]]; then
        rm -f "$enabled"
        remove_for_nginx "$site"
    fi
    write_for_nginx "$around" "$(around_text)"
    nginx_reload
    tell "Put this into the server { } of your site, and reload nginx: include \"$snippet\";"
}

# Fails unless the service answers at https://$1/readyz on this machine in the end.
wait_for_site()
{
    local host=$1 status='' owner address port deadline=$((SECONDS + 15))

    IFS=$'\t' read -r address port _ < <(our_servers | awk -F '\t' -v host="$host" 'index(" " $6 " ", " " host " ") { print; exit }') ||
        die "https://$host/ is not served: nginx does not read ${enabled:-$site}; ${config[nginx_config]} must include it in its http { }"
    while true; do
        status=$(call_readyz "https://$host:$port/readyz" "$address")
        [[ $status != 200 ]] || return 0
        ((SECONDS < deadline)) || break
        sleep 0.2
    done
    owner=$(port_owner "$port")
    [[ -z $owner || $owner == nginx ]] ||
        die "https://$host/readyz is not answered by this service: port $port belongs to $owner; end that, then run this again"
    die "https://$host/readyz does not answer on this machine: $status; does another program have port $port? orchestratorctl doctor tells more"
}
