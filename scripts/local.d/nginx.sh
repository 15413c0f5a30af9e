# shellcheck shell=bash
# nginx: its files, its port, how it starts.

# fill FROM TO: replaces each @NAME@ by values[NAME]. False: TO had the same content already.
declare -A values=()
fill()
{
    local content name

    content=$(<"$1")
    for name in "${!values[@]}"; do
        content=${content//"@$name@"/"${values[$name]}"}
    done
    ! [[ -e $2 && $content == "$(<"$2")" ]] || return 1
    printf '%s\n' "$content" >"$2"
}

# Sets `nginx_changed` if a running nginx has to reload.
nginx_files()
{
    local limit version share=$source_root/nginx from to options http2=' http2' http2_line=''

    limit=$(ulimit -n)
    [[ $limit != unlimited ]] || limit=1048576
    version=$(nginx -v 2>&1 | sed 's/.*nginx\/\([0-9]*\)\.\([0-9]*\)\.\([0-9]*\).*/\1 \2 \3/')
    read -r _ minor patch <<<"$version"
    # The parameter of `listen` is deprecated since 1.25.1, the directive doesn't exist before.
    if ((minor > 25 || (minor == 25 && patch >= 1))); then
        http2='' http2_line=$'\n        http2 on;'
    fi
    # so_keepalive: a vanished client's waiting request ends within two minutes.
    options="ssl$http2 backlog=4096 so_keepalive=60s:15s:4"
    values=(
        [USER]=$([[ $(id -u) != 0 ]] || printf 'user %s %s;' "$(id -un)" "$(id -gn)")
        [WORKERS]=$(($(nproc) < 4 ? $(nproc) : 4))
        [FILES]=$limit
        [CONNECTIONS]=$((limit > 33000 ? 32768 : limit - 200))
        [LISTEN]="        listen 127.0.0.1:$port $options;$(
            [[ ! -e /proc/net/if_inet6 ]] || ! grep -q '^0\{31\}1 ' /proc/net/if_inet6 || printf '\n        listen [::1]:%s %s;' "$port" "$options"
        )$http2_line"
        [RUN]=$run [LOG]=$var/log [TEMP]=$var/tmp [TLS]=$var/tls [ETC]=$var/etc/nginx [SHARE]=$share
        [METRICS_LISTEN]="unix:$run/metrics.sock"
        [KEYS_FILE]=$var/etc/keys.map [SOCKET]=${settings[set.nginx.socket]:-$run/fcgi.sock}
        [KEY_RATE]=${settings[set.nginx.key_rate]:-1000}
        [KEY_BURST]=${settings[set.nginx.key_burst]:-5000}
        [STRANGER_RATE]=${settings[set.nginx.stranger_rate]:-10}
        [STRANGER_BURST]=${settings[set.nginx.stranger_burst]:-50}
    )
    mkdir -p "$var/etc/nginx"
    for from in "$share"/*.conf; do
        case $from in
        */site.conf | */path.conf) continue ;; # for servers that somebody has
        */nginx.conf) to=$var/etc/nginx.conf ;;
        *) to=$var/etc/nginx/${from##*/} ;;
        esac
        ! fill "$from" "$to" || nginx_changed=1
    done
}

healthy()
{
    [[ $(curl --silent --max-time 5 --cacert "$var/tls/ca.pem" --output /dev/null --write-out '%{http_code}' \
        "https://127.0.0.1:$port/healthz") == 200 ]]
}

port_is_taken()
{
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null
}

# Refuses a port that another program has. Our own nginx, or what is left of it, doesn't count.
check_port()
{
    local wanted=${settings[port]:-0} ours=''

    [[ ! -s $var/port ]] || read -r ours <"$var/port"
    [[ $wanted != 0 ]] && port_is_taken "$wanted" || return 0
    if [[ $wanted == "$ours" ]] && { pid_of nginx >/dev/null || [[ -s $var/run/nginx.group && -n $(nginx_group "$(<"$var/run/nginx.group")") ]]; }; then
        return 0
    fi
    die "port $wanted is taken by another program; choose another one: make run PORT=n (0: any that is free)"
}

# A free port below the range that the kernel gives to clients; the last one again if possible.
choose_port()
{
    port=
    [[ $1 != 0 || ! -s $var/port ]] || read -r port <"$var/port"
    while [[ -z $port ]] || port_is_taken "$port"; do
        port=$((20000 + RANDOM % 12000))
    done
}

start_nginx()
{
    local pid='' launched='' nginx_changed attempt command=(nginx -c "$var/etc/nginx.conf")

    # Without -e (before 1.19.5), a plain user's nginx complains about /var/log/nginx.
    ! nginx -h 2>&1 | grep -q '^ *-e ' || command+=(-e "$var/log/nginx-error.log")
    # Workers of a killed master still hold the port.
    pid_of nginx >/dev/null || end_part nginx 10
    for ((attempt = 0; attempt < 20; attempt++)); do
        port=${settings[port]}
        if pid=$(pid_of nginx); then
            [[ $port != 0 ]] || read -r port <"$var/port"
        elif [[ $port == 0 ]]; then
            choose_port "$attempt"
        fi
        printf '%s\n' "$port" >"$var/port"
        printf 'https://127.0.0.1:%s\n' "$port" >"$var/url"
        nginx_changed=''
        nginx_files
        if [[ -n $pid ]]; then
            [[ -z $nginx_changed ]] || kill -HUP "$pid"
            launched=$pid
        else
            : >"$var/log/nginx.log"
            # A killed nginx leaves it behind, and the next one can't bind it.
            rm -f "$run/metrics.sock"
            launch nginx nginx.log "${command[@]}"
            cp "$var/run/nginx.pid" "$var/run/nginx.group"
        fi
        ! await 30 healthy || return 0
        # Somebody else was faster to take the port that we chose: choose another.
        if [[ ${settings[port]} != 0 ]] || ! gone "$launched" || ! grep -q 'Address already in use' "$var/log/nginx.log"; then
            break
        fi
    done
    show_log nginx.log
    show_log nginx-error.log
    show_log program.log
    die "https://127.0.0.1:$port/healthz does not answer"
}
