# shellcheck shell=bash
# nginx's files: printed, or put in place by setup and taken up.

# shellcheck disable=SC2034 # used by name
nginx_help='Usage: orchestratorctl nginx site --host NAME --certificate FILE --certificate-key FILE [--metrics]
       orchestratorctl nginx path /PATH

Prints a file for nginx: a site with a host name of its own, for /etc/nginx/sites-available or conf.d;
or locations below /PATH, to include in the `server { }` of a site that serves other things, too
(which then also needs, once in http { }: map_hash_bucket_size 128; and DIRECTORY/http.conf).'

# Where the snippets are that were made for this host.
nginx_directory()
{
    local directory

    directory=$(dirname "$(readlink -f "$config_file")")/nginx
    [[ -e $directory/http.conf ]] || die "there is no $directory/http.conf; \`make install\` and the package put it there"
    printf %s "$directory"
}

# fill_template FILE NAME=VALUE ...
fill_template()
{
    local content name_value

    content=$(<"$1")
    for name_value in "${@:2}"; do
        content=${content//"@${name_value%%=*}@"/"${name_value#*=}"}
    done
    printf '%s\n' "$content"
}

check_file_name()
{
    [[ $2 =~ ^/[A-Za-z0-9/._+@%=~-]+$ ]] || die "$1: an absolute path of letters, digits and ._+@%=~- only"
}

nginx_site()
{
    local host='' certificate='' certificate_key='' metrics='#' version minor patch options http2=' http2' http2_line='' directory

    while (($#)); do
        case $1 in
        --metrics)
            metrics=''
            shift
            continue
            ;;
        --host | --certificate | --certificate-key) (($# > 1)) || usage "$1 needs a value" "$nginx_help" ;;
        *) usage "unknown argument $1" "$nginx_help" ;;
        esac
        case $1 in
        --host) host=$2 ;;
        --certificate) certificate=$2 ;;
        *) certificate_key=$2 ;;
        esac
        shift 2
    done
    [[ $host =~ ^[A-Za-z0-9.*_-]{1,253}$ ]] || usage '--host must be a host name' "$nginx_help"
    check_file_name --certificate "$certificate"
    check_file_name --certificate-key "$certificate_key"
    directory=$(nginx_directory)
    # The parameter of `listen` is deprecated since 1.25.1, the directive doesn't exist before.
    command -v nginx >/dev/null || die 'nginx is not installed here'
    version=$(nginx -v 2>&1 | sed 's/.*nginx\/\([0-9]*\)\.\([0-9]*\)\.\([0-9]*\).*/\1 \2 \3/')
    read -r _ minor patch <<<"$version"
    if ((minor > 25 || (minor == 25 && patch >= 1))); then
        http2='' http2_line=$'\n    http2 on;'
    fi
    # so_keepalive: a vanished client's waiting request ends within two minutes.
    options="ssl$http2 backlog=4096 so_keepalive=60s:15s:4;"
    [[ ! -e /proc/net/if_inet6 ]] || http2_line=$'\n'"    listen [::]:443 $options$http2_line"
    fill_template "$share/nginx/site.conf" "LISTEN=    listen 443 $options$http2_line" "HOST=$host" \
        "CERTIFICATE=$certificate" "CERTIFICATE_KEY=$certificate_key" "METRICS=$metrics" "ETC=$directory" "LOG=/var/log/nginx"
}

nginx_path()
{
    local path=${1:-} directory

    (($# == 1)) || usage 'nginx path needs /PATH' "$nginx_help"
    path=${path%/}
    [[ $path =~ ^(/[A-Za-z0-9_-]+)+$ && ${#path} -le 100 ]] || usage '/PATH: letters, digits, _ and - between slashes' "$nginx_help"
    directory=$(nginx_directory)
    fill_template "$share/nginx/path.conf" "PATH=$path" "ETC=$directory" "LOG=/var/log/nginx"
}

# write_for_nginx FILE TEXT: a file that we wrote before may be written again, another's not.
# Appends to `written`.
write_for_nginx()
{
    local file=$1

    [[ ! -e $file ]] || grep -q 'Written by `orchestratorctl' "$file" || die "$file exists and is not ours; nothing was changed"
    [[ ! -e $file || $(<"$file") != "$2" ]] || return 0
    rm -f "$file.old"
    [[ ! -e $file ]] || ln "$file" "$file.old"
    printf '%s\n' "$2" >"$file.new"
    chmod 644 "$file.new"
    mv "$file.new" "$file"
    written+=("$file")
}

# Takes the files of `written` up, or puts back what was there before them.
nginx_reload()
{
    local report file

    if ! report=$(nginx -t -q -c "${config[nginx_config]}" 2>&1); then
        ((${#written[@]})) || die "nginx refuses its configuration: $(nginx_refusal "$report")"
        for file in "${written[@]}"; do
            if [[ -e $file.old ]]; then mv -f "$file.old" "$file"; else rm -f "$file"; fi
        done
        die "nginx refuses its configuration with ${written[*]}, so nothing was changed: $(nginx_refusal "$report")"
    fi
    keys_lock
    keys_take_effect
    exec {keys_lock}>&-
    for file in "${written[@]}"; do
        note "wrote $file$([[ ! -e $file.old ]] || printf '; what it was is %s.old' "$file")"
    done
}

# site_value DIRECTIVE FILE
site_value()
{
    sed -nE "s/^[[:space:]]*$1[[:space:]]+\"?([^\";]*)\"?;.*/\1/p;" "$2" | head -n 1
}

# Leaves in `certificate`, `certificate_key` and `metrics` what site $1 has, where nothing else was asked for.
site_keeps()
{
    [[ -n $certificate ]] || {
        certificate=$(site_value ssl_certificate "$1")
        certificate_key=$(site_value ssl_certificate_key "$1")
        [[ -n $certificate && -n $certificate_key ]] || die "$1 names no certificate; give --certificate and --certificate-key"
    }
    ! grep -q '^include ".*/metrics\.conf";' "$1" || metrics=1
}

setup_site()
{
    local host=$1 certificate=$2 certificate_key=$3 metrics=$4 directory=${config[nginx_config]%/*} file enabled='' text is_there='' written=()

    file=$directory/conf.d/stack-orchestrator.conf
    if [[ -d $directory/sites-available ]]; then
        file=$directory/sites-available/stack-orchestrator
        enabled=$directory/sites-enabled/stack-orchestrator
    fi
    [[ ! -e $file || " $(site_value server_name "$file") " != *" $host "* ]] || is_there=1
    if [[ -n $is_there && -z $certificate$metrics ]]; then
        note "kept $file"
    else
        [[ -z $is_there ]] || site_keeps "$file"
        [[ -n $certificate ]] || make_certificate "$host"
        text=$(nginx_site --host "$host" --certificate "$certificate" --certificate-key "$certificate_key" ${metrics:+--metrics})
        write_for_nginx "$file" "$text"
    fi
    [[ -z $enabled || -e $enabled ]] || {
        ln -sfn "$file" "$enabled"
        written+=("$enabled")
    }
    nginx_reload
    tell "https://$host/ is served by nginx"
}

setup_path()
{
    local path=$1 directory=${config[nginx_config]%/*} text snippets written=()

    snippets=$(nginx_directory)
    text=$(nginx_path "$path")
    mkdir -p "$directory/snippets"
    write_for_nginx "$directory/snippets/stack-orchestrator.conf" "$text"
    # shellcheck disable=SC2016 # names a command
    write_for_nginx "$directory/conf.d/stack-orchestrator.conf" "$(printf '%s\n' \
        '# stack-orchestrator. Written by `orchestratorctl setup --path`.' \
        '# Remove these two if your nginx.conf has them: the key file needs at least these.' \
        'map_hash_bucket_size 128;' 'map_hash_max_size 8192;' "include \"$snippets/http.conf\";")"
    nginx_reload
    tell "Put this into the server { } of your site, and reload nginx: include \"$directory/snippets/stack-orchestrator.conf\";"
}
