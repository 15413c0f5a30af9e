# shellcheck shell=bash
# nginx's files, printed.

# shellcheck disable=SC2034 # used by name
nginx_help='Usage: orchestratorctl nginx site --host NAME --certificate FILE --certificate-key FILE [--metrics]
       orchestratorctl nginx path /PATH

Prints a file for nginx: a site with a host name of its own, for /etc/nginx/sites-available or conf.d;
or locations below /PATH, to include in the `server { }` of a site that serves other things, too
(which then also needs, once in http { }: map_hash_bucket_size 128; and DIRECTORY/http.conf).'

# Where the snippets for this host are.
nginx_directory()
{
    local directory

    directory=$(dirname "$(readlink -f "$config_file")")/nginx
    [[ -e $directory/http.conf ]] || die "there is no $directory/http.conf; \`make install\` or the package puts it there"
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

# check_host NAME HELP
check_host()
{
    [[ $1 != *[:/]* ]] || usage "--host $1: a name alone, like stacks.example.org" "$2"
    [[ $1 =~ ^[A-Za-z0-9.*_-]{1,253}$ ]] || usage '--host must be a host name' "$2"
}

# check_path PATH HELP
check_path()
{
    [[ ${1%/} =~ ^(/[A-Za-z0-9_-]+)+$ && ${#1} -le 100 ]] || usage '/PATH: letters, digits, _ and - between slashes' "$2"
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
    check_host "$host" "$nginx_help"
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
    check_path "$path" "$nginx_help"
    directory=$(nginx_directory)
    fill_template "$share/nginx/path.conf" "PATH=$path" "ETC=$directory" "LOG=/var/log/nginx"
}
