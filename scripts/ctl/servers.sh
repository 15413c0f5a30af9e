# shellcheck shell=bash
# What nginx serves by its whole configuration, and how a call of it fares.

# Reads what `nginx -T` prints, and prints its directives, includes followed: block, name and value, with tabs between
# them. The block is `main`, `events`, `http` or the number of a `server { }` in it; what lies deeper is left out. For
# the comment at the head of our locations, the name is `below` and the value their path.
nginx_directives()
{
    awk '
        BEGIN {
            token = "^[ \t]*(\"([^\"\\\\]|\\\\.)*\"|\047([^\047\\\\]|\\\\.)*\047|[{};]|" \
                "([^ \t{};\"\047#$]|\\$\\{[A-Za-z0-9_]+\\}|\\$)([^ \t{};$]|\\$\\{[A-Za-z0-9_]+\\}|\\$)*)"
        }
        /^# configuration file .*:$/ { file = substr($0, 22, length($0) - 22); names[++count] = file; next }
        { text[file] = text[file] $0 "\n" }
        END {
            folder = names[1]
            sub(/[^\/]*$/, "", folder)
            read_file(names[1])
        }
        function read_file(file,    lines, n, i, rest, word) {
            if (++nested > 20) return
            n = split(text[file], lines, "\n")
            for (i = 1; i <= n; i++) {
                if (lines[i] ~ /^# stack-orchestrator below .*\/ of a host/) {
                    word = lines[i]
                    gsub(/^.* below |\/ of .*/, "", word)
                    tell("below", word)
                }
                rest = lines[i]
                while (match(rest, token)) {
                    word = substr(rest, 1, RLENGTH)
                    rest = substr(rest, RLENGTH + 1)
                    sub(/^[ \t]*/, "", word)
                    if (word ~ /^["\047]/) take(substr(word, 2, length(word) - 2), 1)
                    else take(word, 0)
                }
            }
            nested--
        }
        function take(word, is_quoted,    name) {
            if (is_quoted || word !~ /^[{};]$/) {
                said = said (said == "" ? "" : " ") word
                return
            }
            if (word == "{") {
                block[++depth] = said
                if (depth == 2 && block[1] == "http" && said == "server") server++
            } else if (word == "}")
                depth--
            else {
                name = said
                sub(/ .*/, "", name)
                sub(/^[^ ]* */, "", said)
                if (name == "include") include(said)
                else tell(name, said)
            }
            said = ""
        }
        function tell(name, value) {
            if (depth == 0) print "main\t" name "\t" value
            else if (depth == 1) print block[1] "\t" name "\t" value
            else if (depth == 2 && block[1] == "http" && block[2] == "server") print server "\t" name "\t" value
        }
        function include(pattern,    i) {
            said = ""
            if (pattern !~ /^\//) pattern = folder pattern
            gsub(/[.+()|^$]/, "\\\\&", pattern)
            gsub(/\*/, "[^/]*", pattern)
            gsub(/\?/, "[^/]", pattern)
            for (i = 1; i <= count; i++)
                if (names[i] ~ "^" pattern "$") {
                    tell("include", names[i])
                    read_file(names[i])
                }
        }'
}

# Each `server { }` that serves us: address, port, first name, certificates (with spaces between them), path, all names;
# tabs between them, and - for nothing. Takes `directives`, or else nginx's present ones.
our_servers()
{
    local directives=${directives:-}

    [[ -n $directives ]] || directives=$(nginx -T -q -c "${config[nginx_config]}" 2>/dev/null | nginx_directives) || return 0
    awk -F '\t' -v ours="$(nginx_directory)/server.conf" '
        $1 !~ /^[0-9]+$/ { next }
        $1 != server {
            tell()
            server = $1
            address = "127.0.0.1"
            port = 443
            name = names = certificates = path = "-"
            is_ours = listens = tls = 0
        }
        $2 == "listen" && (!listens || $3 ~ / ssl( |$)/ && !tls) {
            listens = 1
            tls = $3 ~ / ssl( |$)/
            address = port = $3
            sub(/ .*/, "", address)
            sub(/ .*/, "", port)
            if (address ~ /^[0-9]+$/) address = "127.0.0.1"
            else if (address ~ /:[0-9]+$/) sub(/:[0-9]+$/, "", address)
            if (!sub(/.*:/, "", port) && port !~ /^[0-9]+$/) port = 443
            if (address ~ /^(\*|0\.0\.0\.0)$/) address = "127.0.0.1"
            if (address == "[::]") address = "[::1]"
        }
        $2 == "server_name" && name == "-" { name = names = $3; sub(/ .*/, "", name) }
        $2 == "ssl_certificate" { certificates = (certificates == "-" ? "" : certificates " ") $3 }
        $2 == "include" && $3 == ours { is_ours = 1 }
        $2 == "below" { is_ours = 1; path = $3 }
        END { tell() }
        function tell() { if (is_ours) printf "%s\t%s\t%s\t%s\t%s\t%s\n", address, port, name, certificates, path, names }' <<<"$directives"
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
