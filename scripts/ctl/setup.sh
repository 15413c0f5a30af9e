# shellcheck shell=bash
# setup: the first steps on a server. Each may be done already.

# shellcheck disable=SC2034 # used by name
setup_help='Usage: orchestratorctl setup [--admin FILE] [--project NAME]
           [--host NAME [--certificate FILE --certificate-key FILE] | --path /PATH] [--metrics]

It can run again: it makes what is missing and keeps what is there. It also keeps the site of the host
with your changes, unless --certificate or --metrics ask for a new one.
  - the system user, passwords of the two database users, the database, its tables, the key file
  - with --host: a site of nginx for this host name, with a self-signed certificate unless one is given
    (as files that nginx can read); it fails unless https://NAME/readyz answers on this machine in the end
  - with --path: a file to include in the `server { }` of your own site, to serve it below /PATH there
  - with --metrics: a listener for Prometheus at 127.0.0.1:9436
  - with --project: a project and a key of each role, which are printed once
  - starts the services
--admin FILE is an option file ([client]) of an administrator account of the database. Without it:
/etc/stack-orchestrator/admin.cnf if there is one, else root by unix socket.'

# A password that the service's group ($2) may read, too.
make_password()
{
    local file=$1 group=${2:-}

    [[ -n $file && ! -s $file ]] || return 0
    mkdir -p "${file%/*}"
    od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n' >"$file.new"
    if [[ -n $group ]] && getent group "$group" >/dev/null; then
        chgrp "$group" "$file.new"
        chmod 640 "$file.new"
    fi
    mv "$file.new" "$file"
    note "made $file"
}

# Leaves the names of a certificate and its key in `certificate` and `certificate_key`.
make_certificate()
{
    local host=$1 directory

    directory=$(dirname "$(readlink -f "$config_file")")/tls
    certificate=$directory/$host.pem certificate_key=$directory/$host.key
    [[ ! -s $certificate ]] || return 0
    mkdir -p "$directory"
    chmod 755 "$directory"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 825 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host" -addext 'extendedKeyUsage=serverAuth' -addext 'keyUsage=critical,digitalSignature' \
        -keyout "$certificate_key" -out "$certificate" 2>"$scratch/openssl" || die "openssl: $(tail -n 1 "$scratch/openssl")"
    chmod 644 "$certificate"
    note "made a self-signed certificate: clients need $certificate; setup --certificate takes a real one"
}

setup_project()
{
    local name=$1 role lines key

    projects
    [[ " ${rows[*]} " == *" $name "* ]] || project_create "$name"
    for role in ci viewer admin; do
        keys_read
        if [[ -n $(keys_named "$name-$role" <<<"$lines") ]]; then
            note "key $name-$role is there already; \`orchestratorctl key rotate\` makes a new one"
        else
            key=$(json='' && key_create "$name" "$role" "$name-$role")
            printf '%-8s %s\n' "$role" "$key"
        fi
    done
}

# Checks first what nginx would refuse after everything else is done.
check_place()
{
    [[ -z $host ]] || check_host "$host" "$setup_help"
    [[ -z $path ]] || check_path "$path" "$setup_help"
    [[ -z $host$path ]] || command -v nginx >/dev/null || die 'nginx is not installed here'
    [[ -z $certificate || -r $certificate && -r $certificate_key ]] ||
        die "can't read $([[ -r $certificate ]] && printf %s "$certificate_key" || printf %s "$certificate"); nothing was changed"
    [[ -z $admin ]] || check_admin "$admin"
}

setup()
{
    local admin='' host='' certificate='' certificate_key='' path='' metrics='' project='' word

    while (($#)); do
        if [[ $1 == --metrics ]]; then
            metrics=1
            shift
            continue
        fi
        case $1 in
        --admin | --host | --certificate | --certificate-key | --path | --project) (($# > 1)) || usage "$1 needs a value" "$setup_help" ;;
        *) usage "unknown argument $1" "$setup_help" ;;
        esac
        word=${1#--}
        printf -v "${word//-/_}" %s "$2"
        shift 2
    done
    [[ -z $host || -z $path ]] || usage '--host and --path exclude each other' "$setup_help"
    [[ -z $certificate || -n $host ]] || usage '--certificate goes with --host' "$setup_help"
    [[ -z $metrics || -n $host$path ]] || usage '--metrics goes with --host or --path' "$setup_help"
    [[ ${certificate:+x} == "${certificate_key:+x}" ]] || usage '--certificate and --certificate-key belong together' "$setup_help"
    check_place
    need_scratch
    if [[ -z $admin && -e ${config_file%/*}/admin.cnf ]]; then
        admin=${config_file%/*}/admin.cnf
    fi
    # The package makes it; `make install` doesn't.
    if [[ $(id -u) == 0 && ${config[socket]} == - ]] && ! getent passwd stack-orchestrator >/dev/null; then
        useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin stack-orchestrator
        note 'made the system user stack-orchestrator'
    fi
    make_password "${config[database_password_file]}" stack-orchestrator
    make_password "${config[migration_password_file]}"
    database_create ${admin:+--admin "$admin"}
    (json='' && migrate)
    if [[ ! -e ${config[keys_file]} ]]; then
        keys_lock
        keys_put ''
        exec {keys_lock}>&-
    fi
    if [[ -d /run/systemd/system && ${config[socket]} == - ]]; then
        systemctl enable --quiet --now stack-orchestrator.socket stack-orchestrator-keys.timer
        systemctl enable --quiet --now stack-orchestrator.service
    fi
    [[ -z $host ]] || setup_site "$host" "$certificate" "$certificate_key" "$metrics"
    [[ -z $path ]] || setup_path "$path" "$metrics"
    [[ -z $project ]] || setup_project "$project"
}
