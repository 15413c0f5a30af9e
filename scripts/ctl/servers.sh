# shellcheck shell=bash
# What nginx serves by its whole configuration, and how a call of it fares.

# Of each `server { }` in what `nginx -T` printed: address, port, first name, certificates, included files;
# tabs between them, and spaces between the last ones.
nginx_servers()
{
    awk '
        # Strings and variables keep no sign that means something outside.
        function plain(line, result, quote)
        {
            result = ""
            while (match(line, /"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047|\$\{[a-z0-9_]+\}/)) {
                quote = substr(line, RSTART, RLENGTH)
                gsub(/[{};#]/, "?", quote)
                result = result substr(line, 1, RSTART - 1) quote
                line = substr(line, RSTART + RLENGTH)
            }
            line = result line
            sub(/(^|[ \t])#.*/, "", line)
            return line
        }
        function directive(text, words, count)
        {
            gsub(/["\047;]/, "", text)
            count = split(text, words)
            if (words[1] == "listen" && (address == "" || text ~ / ssl( |$)/ && !tls)) {
                tls = text ~ / ssl( |$)/
                address = words[2]
                port = address
                if (address ~ /^[0-9]+$/) address = "127.0.0.1"
                else if (address ~ /:[0-9]+$/) sub(/:[0-9]+$/, "", address)
                if (!sub(/.*:/, "", port) && port !~ /^[0-9]+$/) port = 443
                if (address ~ /^(\*|0\.0\.0\.0)$/) address = "127.0.0.1"
                if (address == "[::]") address = "[::1]"
            } else if (words[1] == "server_name" && name == "")
                name = words[2]
            else if (words[1] == "ssl_certificate")
                certificates = certificates (certificates == "" ? "" : " ") words[2]
            else if (words[1] == "include")
                includes = includes (includes == "" ? "" : " ") words[2]
        }
        /^# configuration file / { depth = inside = 0; text = ""; next }
        {
            rest = text " " plain($0)
            while (match(rest, /[{};]/)) {
                sign = substr(rest, RSTART, 1)
                text = substr(rest, 1, RSTART)
                rest = substr(rest, RSTART + 1)
                if (sign == "{") {
                    depth++
                    if (!inside && text ~ /^[ \t]*server[ \t]*\{$/) {
                        inside = depth
                        address = name = certificates = includes = ""
                        port = 443
                        tls = 0
                    }
                } else if (sign == "}") {
                    if (inside && depth == inside) {
                        printf "%s\t%s\t%s\t%s\t%s\n", address == "" ? "127.0.0.1" : address, port, name == "" ? "-" : name,
                            certificates == "" ? "-" : certificates, includes
                        inside = 0
                    }
                    depth--
                } else if (inside && depth == inside)
                    directive(text)
            }
            text = rest
        }'
}

# The same of those that serve us, of nginx's configuration or of `whole` if that is known: address, port,
# name, certificates, path.
our_servers()
{
    local address port name certificates includes file path whole=${whole:-} site enabled snippet around

    nginx_places
    [[ -n $whole ]] || whole=$(nginx -T -q -c "${config[nginx_config]}" 2>/dev/null) || return 0
    while IFS=$'\t' read -r address port name certificates includes; do
        for file in $includes; do
            path=-
            # shellcheck disable=SC2053 # an include may be a pattern
            if [[ $snippet == $file ]]; then
                path=$(sed -n 's/^location = \(\/[^ ]*\) {$/\1/p' "$snippet" | head -n 1)
            elif [[ $file != "$(nginx_directory)/server.conf" ]]; then
                continue
            fi
            printf '%s\t%s\t%s\t%s\t%s\n' "$address" "$port" "$name" "$certificates" "$path"
            break
        done
    done < <(nginx_servers <<<"$whole")
}

# call_readyz https://HOST:PORT/PATH ADDRESS: prints 200, or why not. Whether its certificate is good is another question.
call_readyz()
{
    local host port answer

    port=${1#https://*:}
    port=${port%%/*}
    host=${1#https://}
    host=${host%%:*}
    answer=$(curl --silent --show-error --insecure --noproxy '*' --max-time 10 --resolve "$host:$port:$2" \
        --write-out '\n%{http_code}' "$1" 2>&1) || {
        printf '%s' "$(head -n 1 <<<"$answer" | sed 's/^curl: ([0-9]*) //')"
        return
    }
    case ${answer##*$'\n'} in
    200) [[ $answer == *'"ready"'* ]] && printf 200 || printf 'something else answers there' ;;
    *) printf 'status %s' "${answer##*$'\n'}" ;;
    esac
}

# The name of the program that listens on a port, where it can be seen.
port_owner()
{
    command -v ss >/dev/null || return 0
    ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | sort -u | paste -sd ' '
}
