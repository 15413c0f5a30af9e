#!/usr/bin/env bats
# What nginx answers by itself, and what it lets through.

load helpers

setup_file()
{
    start_instance_in "$instance" --set nginx.stranger_rate=1 --set nginx.stranger_burst=20
    ctl project create web
    key=$(ctl key create web ci web-ci)
    export key
}

teardown_file()
{
    stop_instance
}

# is_error STATUS CODE: `output` is an HTTP answer with this status and JSON.
is_error()
{
    local head body

    output=${output//$'\r'/}
    head=${output%%$'\n\n'*}
    body=${output#*$'\n\n'}
    grep -qE "^HTTP/[0-9.]+ $1( |$)" <<<"$head" || { echo "not $1: $output" && return 1; }
    grep -qi '^content-type: application/json$' <<<"$head" || { echo "not JSON: $output" && return 1; }
    grep -qi '^x-content-type-options: nosniff$' <<<"$head"
    grep -qi '^strict-transport-security: ' <<<"$head"
    jq -e --arg code "$2" '.error.code == $code and (.error.message | length > 0)' <<<"$body"
}

answer()
{
    curl --silent --show-error --include --max-time 30 --cacert "$VAR/tls/ca.pem" "$@"
}

letters()
{
    head -c "$1" /dev/zero | tr '\0' a
}

@test "what can't be parsed is a 400 in JSON" {
    local text
    for text in 'GARBAGE\r\n\r\n' 'GET / HTTP/1.1\r\n\r\n' 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n' 'GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n' \
        "GET / HTTP/1.1\r\nHost: x\r\nA: $(letters 5000)\r\n\r\n" 'POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'; do
        run raw "$text"
        is_error 400 badRequest
    done
}

@test "plain HTTP to the TLS port is a 400 in JSON" {
    run answer "$(sed 's/^https/http/' "$VAR/url")/"
    is_error 400 httpsRequired
}

@test "a request line that is too long is a 414" {
    run raw "GET /$(letters 5000) HTTP/1.1\r\nHost: x\r\n\r\n"
    is_error 414 uriTooLong
}

@test "a body over 256 KiB is a 413, whichever way it comes" {
    local way
    letters 262145 >"$BATS_TEST_TMPDIR/large"
    for way in --http1.1 --http2 '--http1.1 --header Transfer-Encoding:chunked' '--http2 --header Content-Length:'; do
        # shellcheck disable=SC2086
        run answer $way --header "X-API-Key: $key" --data-binary "@$BATS_TEST_TMPDIR/large" "$(<"$VAR/url")/listStacks"
        # HTTP/1.1 says "100 Continue" first.
        output=${output#HTTP/1.1 100 Continue*$'\n'$'\r'$'\n'}
        is_error 413 bodyTooLarge
    done
    letters 262144 >"$BATS_TEST_TMPDIR/fits"
    [ "$(status "$key" /requestStack --data-binary "@$BATS_TEST_TMPDIR/fits")" = 400 ]
}

@test "no key, a wrong key and an empty one are a 401 with WWW-Authenticate" {
    local header
    for header in 'X-Other: x' 'X-API-Key: x' 'X-API-Key;' "X-API-Key: ${key}0" "X-API-Key: ${key%?}" "X_API_Key: $key"; do
        run answer --header "$header" "$(<"$VAR/url")/listStacks"
        is_error 401 unauthorized
        grep -qi '^www-authenticate: ' <<<"$output"
    done
}

@test "a static file is only read" {
    local method
    run answer "$(<"$VAR/url")/"
    grep -qi '^content-type: text/html' <<<"$output"
    grep -qi '^content-security-policy: ' <<<"$output"
    for method in POST PUT DELETE OPTIONS; do
        run answer --request "$method" "$(<"$VAR/url")/"
        is_error 405 methodNotAllowed
        grep -qi '^allow: GET, HEAD$' <<<"$output"
    done
}

@test "internal paths are not found" {
    local path
    for path in /-so/error/forbidden /-so/error/badRequest /-so/error/unauthorized /-so/; do
        run answer "$(<"$VAR/url")$path"
        is_error 404 notFound
    done
}

@test "headers named like our parameters change nothing" {
    local viewer header arguments=()
    viewer=$(ctl key create web viewer web-viewer)
    for header in SO-ROLE SO_ROLE HTTP-SO-ROLE Role X-SO-Role; do
        arguments+=(--header "$header: admin")
    done
    for header in SO-PROJECT SO_PROJECT SO-KEY-NAME SO_KEY_NAME REQUEST_METHOD DOCUMENT-URI; do
        arguments+=(--header "$header: other")
    done
    [ "$(status "$viewer" /listStacks "${arguments[@]}")" = 200 ]
    [ "$(status "$viewer" /requestStack --request POST "${arguments[@]}")" = 403 ]
}

@test "a path is read in its plain form" {
    [ "$(status "$key" '//%6cistStacks' --path-as-is)" = 200 ]
    [ "$(status "$key" '/x/../listStacks' --path-as-is)" = 200 ]
}

@test "wrong keys are limited by address; good keys and open paths are not" {
    local i
    for ((i = 0; i < 200; i++)); do
        run answer --header 'X-API-Key: wrong' "$(<"$VAR/url")/listStacks"
        [[ $output != *' 401'* ]] && break
    done
    is_error 429 tooManyRequests
    grep -qi '^retry-after: 1$' <<<"$output"
    [ "$(status "$key" /listStacks)" = 200 ]
    [ "$(status '' /healthz)" = 200 ]
}

@test "a program that is down is a 502 with Retry-After, and comes back without a reload" {
    "$ROOT/scripts/local" kill program --var "$VAR"
    run answer --header "X-API-Key: $key" "$(<"$VAR/url")/listStacks"
    is_error 502 badGateway
    grep -qi '^retry-after: ' <<<"$output"
    "$ROOT/scripts/local" restart program --var "$VAR"
    [ "$(status "$key" /listStacks)" = 200 ]
}

@test "TLS 1.2 and 1.3 only, HTTP/2 and HTTP/1.1" {
    local url
    url=$(<"$VAR/url")
    [ "$(answer --http2 --output /dev/null --write-out '%{http_version}' "$url/healthz")" = 2 ]
    [ "$(answer --http1.1 --output /dev/null --write-out '%{http_version}' "$url/healthz")" = 1.1 ]
    answer --tlsv1.2 --tls-max 1.2 --output /dev/null "$url/healthz"
    answer --tlsv1.3 --output /dev/null "$url/healthz"
    run openssl s_client -connect "127.0.0.1:$(<"$VAR/port")" -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null
    [ "$status" -ne 0 ]
    answer --output /dev/null "https://localhost:$(<"$VAR/port")/healthz"
}

@test "no key is in any log" {
    [ "$(status "$key" "/listStacks?a=b" --header 'X-Other: x')" = 200 ]
    grep -q '"key":"web-ci"' "$VAR/log/nginx-access.log"
    jq -es 'all(.[]; .requestId | test("^[0-9a-f]{32}$"))' "$VAR/log/nginx-access.log"
    run grep -rlE "$key|[?]a=b" "$VAR/log"
    [ -z "$output" ]
}
