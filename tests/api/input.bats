#!/usr/bin/env bats
# Bad input gets a status, a code, and a message that says which field and why. It costs no stack, no
# place in the queue, no thread and no connection.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance
    NAME=input new_project --max-stacks 3 --wait-seconds 2
    AS=$KEYS/input-admin take
}

teardown_file()
{
    stop_instance
}

setup()
{
    as admin input
    BEFORE=$(pool)
}

# After each test the pool is as it was, and the service serves.
teardown()
{
    local after

    as admin input
    after=$(pool)
    [[ $after == "$BEFORE" ]] || complain "the pool was changed: $BEFORE became $after"
    take && give
    call GET /readyz
    expect 200
}

pool()
{
    peek /status | jq -c '[.stacks[] | select(.state != "available")], .queue, .project' |
        sed 's/"expiresInSeconds":[0-9]*//'
}

# bad PATH CODE TEXT BODY ...: each body gets 400, that code and a message with that text.
bad()
{
    local path=$1 code=$2 text

    text=$(jq -Rn '$ARGS.positional[0]' --args "$3")
    shift 3
    expect_each POST 400 ".error | .code == \"$code\" and (.message | contains($text))" "${@/#/$path }"
}

# bad_field PATH FIELD BODY ...: 400 invalidField that names the field.
bad_field()
{
    refused "$1" invalidField "$2" "${@:3}"
}

missing()
{
    refused "$1" missingField "$2" "${@:3}"
}

refused()
{
    local path=$1 code=$2 field=$3

    shift 3
    expect_each POST 400 ".error | .code == \"$code\" and .field == \"$field\" and (.message | contains(\"\\\"$field\\\"\"))" "${@/#/$path }"
}

# good PATH BODY ...: the body is accepted (what it names isn't there: 404).
good()
{
    local path=$1

    shift
    expect_each POST 404 '.error.code == "unknownStack"' "${@/#/$path }"
}

repeat()
{
    printf "%*s" "$2" '' | sed "s/ /$1/g"
}

# A body of requestStack with N units.
units()
{
    jq -cn --argjson n "$1" '{units: ([range($n) | {key: "u\(.)", value: "f"}] | from_entries)}'
}

@test "what is not JSON: 400 invalidJson with the place" {
    bad /requestStack invalidJson 'not valid JSON' 'branch=main' '{' '{"branch"' '{"branch":"a' '{"branch":"a"' '{branch:"a"}' \
        "{'branch':'a'}" '{"branch":"a",}' '{"a":1 "b":2}' '[1,2' 'nul' '{"a":01}' '{"a":+1}' '{"a":.5}' '{"a":1.}' '{"a":NaN}' \
        '{"a":tru}' '{"a":"\x"}' '{"a":"\u12"}' $'{"a":"tab\there"}' $'{"a":"line\nhere"}' '/* c */{}' '{}//' $'\xef\xbb\xbf{}'
}

@test "JSON of another type than an object: 400 invalidJson" {
    bad /requestStack invalidJson 'must be a JSON object' '[]' '[{"branch":"a"}]' '"branch"' 7 -1.5e3 true null
}

@test "bytes after the value: 400 invalidJson" {
    bad /requestStack invalidJson '' '{}{}' '{} x' '{}]' '{},' '{}1' '{"branch":"a"}}'
}

@test "a name twice in one object: 400 invalidJson that names it" {
    bad /requestStack invalidJson '"branch"' '{"branch":"a","branch":"a"}' '{"branch":"a","x":1,"branch":"b"}' \
        '{"branch":"a","\u0062ranch":"b"}'
    bad /requestStack invalidJson '"u"' '{"units":{"u":"1","u":"2"}}'
    bad /requestStack invalidJson '"deep"' '{"x":[{"deep":1,"deep":2}]}'
    bad /releaseStack invalidJson '"stackName"' '{"stackName":"test-1","stackName":"test-2"}'
}

@test "NUL in a string or a name: 400 invalidJson" {
    bad /requestStack invalidJson NUL '{"branch":"a\u0000b"}' '{"a\u0000b":1}' '{"x":["\u0000"]}'
    printf '{"branch":"a\0b"}' >"$BATS_TEST_TMPDIR/nul"
    post /requestStack '' --data-binary "@$BATS_TEST_TMPDIR/nul"
    expect_error 400 invalidJson
}

@test "bad UTF-8: overlong forms, surrogates, lone bytes, above U+10FFFF: 400 invalidJson" {
    local bytes bodies=()

    for bytes in '\xc0\xaf' '\xc1\xbf' '\xe0\x80\xaf' '\xf0\x80\x80\xaf' '\xed\xa0\x80' '\xed\xbf\xbf' '\xf4\x90\x80\x80' \
        '\xf5\x80\x80\x80' '\xff' '\xfe' '\x80' '\xc3' '\xe2\x82' '\xf0\x9f\x98' '\xc3\x28' '\xf8\x88\x80\x80\x80' 'Latin \xe9'; do
        bodies+=("$(printf '{"branch":"%b"}' "$bytes")" "$(printf '{"x%b":1}' "$bytes")")
    done
    bad /requestStack invalidJson '' "${bodies[@]}"
}

@test "half a surrogate pair as an escape: 400 invalidJson; a whole one is a character" {
    bad /requestStack invalidJson surrogate '{"branch":"\ud800"}' '{"branch":"\udc00"}' '{"branch":"\ud83dx"}' \
        '{"branch":"\udc00\ud800"}' '{"branch":"\ud83d\ud83d\ude00"}' '{"\ud800":1}'
    good /releaseStack '{"stackName":"\ud83d\ude00"}' '{"stackName":"\\ud800"}' '{"stackName":"\\\\udc00"}'
}

@test "nested deeper than 16 levels: 400 invalidJson; 16 are accepted" {
    bad /releaseStack invalidJson deep "{\"x\":$(repeat '[' 16)$(repeat ']' 16)}" "$(repeat '[' 100000)" \
        "$(repeat '{"a":' 17)1$(repeat '}' 17)"
    good /releaseStack "{\"stackName\":\"no\",\"x\":$(repeat '[' 15)$(repeat ']' 15)}"
}

@test "a body of 256 KiB is read, one byte more gets 413, also when its length isn't declared" {
    {
        printf '{"stackName":"no","x":"'
        head -c $((262144 - 25)) /dev/zero | tr '\0' x
        printf '"}'
    } >"$BATS_TEST_TMPDIR/large"
    [[ $(stat -c %s "$BATS_TEST_TMPDIR/large") == 262144 ]]
    for protocol in --http1.1 --http2; do
        post /releaseStack '' --data-binary "@$BATS_TEST_TMPDIR/large" $protocol
        expect_error 404 unknownStack
    done
    post /releaseStack '' --data-binary "@$BATS_TEST_TMPDIR/large" --http1.1 --header 'Transfer-Encoding: chunked'
    expect_error 404 unknownStack
    printf ' ' >>"$BATS_TEST_TMPDIR/large"
    for protocol in --http1.1 --http2; do
        post /releaseStack '' --data-binary "@$BATS_TEST_TMPDIR/large" $protocol
        expect_error 413 bodyTooLarge
    done
    post /releaseStack '' --data-binary "@$BATS_TEST_TMPDIR/large" --http1.1 --header 'Transfer-Encoding: chunked'
    expect_error 413 bodyTooLarge
    post /releaseStack '' --data-binary "@$BATS_TEST_TMPDIR/large" --http2 --header 'Content-Length:'
    expect_error 413 bodyTooLarge
}

@test "2,000 units are accepted, 2,001 are not" {
    post /requestStack "$(units 2000)"
    expect 200 '.changedUnits | length == 2000'
    lease_from_answer
    give
    bad_field /requestStack units "$(units 2001)"
}

@test "units must be an object of fingerprints of 1 to 255 bytes with names of 1 to 255 bytes" {
    long=$(repeat x 256)
    bad_field /requestStack units '{"units":[]}' '{"units":"a"}' '{"units":7}' '{"units":true}' '{"units":{"a":1}}' '{"units":{"a":null}}' \
        '{"units":{"a":""}}' '{"units":{"":"f"}}' '{"units":{"a":{}}}' '{"units":{"a":["f"]}}' "{\"units\":{\"a\":\"$long\"}}" "{\"units\":{\"$long\":\"f\"}}"
    post /requestStack "{\"units\":{\"${long:1}\":\"${long:1}\"}}"
    expect 200 '.changedUnits[0] | length == 255'
    lease_from_answer
    give
    post /requestStack '{"units":{}}'
    expect 200 '.changedUnits == []'
    lease_from_answer
    give
}

@test "texts of the wrong type or over 255 bytes: 400 invalidField with the field's name" {
    local field long fits

    long=$(repeat ö 128)
    fits=$(repeat ö 127)
    for field in branch commit requestId; do
        bad_field /requestStack "$field" "{\"$field\":7}" "{\"$field\":true}" "{\"$field\":[]}" "{\"$field\":{}}" "{\"$field\":\"$long\"}"
    done
    bad_field /requestStack requestId '{"requestId":""}'
    bad_field /releaseStack stackName '{"stackName":7}' '{"stackName":["test-1"]}' "{\"stackName\":\"$long\"}"
    bad_field /releaseStack leaseId '{"stackName":"test-1","leaseId":7}' "{\"stackName\":\"test-1\",\"leaseId\":\"$long\"}"
    bad_field /setLastDeployedCommit lastDeployedCommit '{"stackName":"test-1","lastDeployedCommit":7}' \
        "{\"stackName\":\"test-1\",\"lastDeployedCommit\":\"$long\"}"
    good /setLastDeployedCommit "{\"stackName\":\"no\",\"lastDeployedCommit\":\"$fits\"}"
    good /releaseStack "{\"stackName\":\"$fits\"}"
}

@test "a field that must be there and is missing or null: 400 missingField with its name" {
    missing /releaseStack stackName '' '{}' '{"stackName":null}' '{"leaseId":"a"}'
    missing /setLastDeployedCommit stackName '{}' '{"lastDeployedCommit":"c"}'
    missing /setLastDeployedCommit lastDeployedCommit '{"stackName":"test-1"}' '{"stackName":"test-1","lastDeployedCommit":null}'
    missing /extendLease stackName '{"leaseId":"a"}'
    missing /extendLease leaseId '{"stackName":"test-1"}'
    missing /cancelRequest requestId '{}'
    missing /addStacks count '{}'
    for path in /holdStack /quarantineStack /reinstateStack /revokeLease /deleteStack; do
        missing $path stackName '{}'
    done
}

# limits PATH FIELD LEAST MOST BODY_WITH_@: what is outside or no whole number is refused.
limits()
{
    local wrong bodies=()

    for wrong in $(($3 - 1)) $(($4 + 1)) "$3.5" "\"$3\"" true '[]' '{}' 1e1 99999999999999999999 -99999999999999999999 -0.0; do
        bodies+=("$1 ${5/@/$wrong}")
    done
    expect_each POST 400 ".error | .code == \"invalidField\" and .field == \"$2\" and (.message | contains(\"from $3 to $4\"))" "${bodies[@]}"
}

@test "numbers outside their limits, with fractions, as text: 400 invalidField that names the limits" {
    limits /requestStack waitSeconds 0 3600 '{"waitSeconds":@}'
    limits /requestStack leaseSeconds 1 86400 '{"leaseSeconds":@}'
    limits /requestStack priority -10 10 '{"priority":@}'
    limits /extendLease seconds 1 86400 '{"stackName":"no","leaseId":"a","seconds":@}'
    limits /releaseStack holdSeconds 1 2592000 '{"stackName":"no","holdSeconds":@}'
    limits /holdStack seconds 1 2592000 '{"stackName":"no","seconds":@}'
    limits /addStacks count 1 1000 '{"count":@}'
    limits /updateProject maxStacks 0 100000 '{"maxStacks":@}'
    limits /updateProject leaseSeconds 1 86400 '{"leaseSeconds":@}'
    limits /updateProject maxLeaseSeconds 1 86400 '{"maxLeaseSeconds":@}'
    limits /updateProject waitSeconds 0 3600 '{"waitSeconds":@}'
    bad_field /revokeLease fence '{"stackName":"no","fence":-1}' '{"stackName":"no","fence":1.5}' '{"stackName":"no","fence":"1"}' \
        '{"stackName":"no","fence":9223372036854775808}'
    bad_field /cancelRequest requestNumber '{"requestNumber":0}' '{"requestNumber":-1}' '{"requestNumber":"1"}'
}

@test "numbers at their limits are accepted" {
    good /extendLease '{"stackName":"no","leaseId":"a","seconds":1}' '{"stackName":"no","leaseId":"a","seconds":86400}'
    good /releaseStack '{"stackName":"no","holdSeconds":1}' '{"stackName":"no","holdSeconds":2592000}'
    good /revokeLease '{"stackName":"no","fence":0}' '{"stackName":"no","fence":9223372036854775807}'
    for body in '{"waitSeconds":0}' '{"waitSeconds":3600}' '{"leaseSeconds":1}' '{"leaseSeconds":86400}' '{"priority":-10}' '{"priority":10}'; do
        take "$body"
        give
    done
    post /cancelRequest '{"requestNumber":9223372036854775807}'
    expect_error 404 unknownRequest
}

@test "unknown words, and values that are no booleans: 400 invalidField" {
    bad_field /requestStack purpose '{"purpose":"deploy"}' '{"purpose":"Test"}' '{"purpose":""}' '{"purpose":1}'
    bad_field /requestStack supersede '{"supersede":"yes"}' '{"supersede":1}' '{"supersede":{}}'
    bad_field /releaseStack outcome '{"stackName":"no","outcome":"great"}' '{"stackName":"no","outcome":""}' '{"stackName":"no","outcome":1}'
    bad_field /holdStack revoke '{"stackName":"no","revoke":"true"}'
    good /releaseStack '{"stackName":"no","outcome":"success"}' '{"stackName":"no","outcome":"failed"}' '{"stackName":"no","outcome":"deployFailed"}' \
        '{"stackName":"no","outcome":"notDeployed"}' '{"stackName":"no","outcome":"hold"}' '{"stackName":"no","outcome":"quarantine"}'
}

@test "a reason may have 1,000 bytes" {
    long=$(repeat x 1000)
    for path in /releaseStack /holdStack /quarantineStack /reinstateStack /revokeLease /deleteStack; do
        good $path "{\"stackName\":\"no\",\"reason\":\"$long\"}"
        bad_field $path reason "{\"stackName\":\"no\",\"reason\":\"x$long\"}" "{\"stackName\":\"no\",\"reason\":7}"
    done
}

@test "job is an object; its URL is http or https, and the faulty member is named" {
    bad_field /requestStack job '{"job":"x"}' '{"job":[]}' '{"job":7}'
    bad_field /requestStack job.name '{"job":{"name":7}}' "{\"job\":{\"name\":\"$(repeat x 256)\"}}"
    bad_field /requestStack job.user '{"job":{"user":{}}}'
    bad_field /requestStack job.url '{"job":{"url":"ftp://example.com"}}' '{"job":{"url":"javascript:alert(1)"}}' '{"job":{"url":"//example.com"}}' \
        '{"job":{"url":""}}' '{"job":{"url":" https://example.com"}}' '{"job":{"url":"https://example.com/a b"}}' '{"job":{"url":7}}' \
        '{"job":{"url":"https://example.com/\"onclick=\""}}' '{"job":{"url":"https://example.com/<script>"}}' \
        '{"job":{"url":"https://example.com/\n"}}' "{\"job\":{\"url\":\"https://$(repeat x 2041)\"}}"
    take "{\"job\":{\"url\":\"https://$(repeat x 2040)\",\"name\":null,\"user\":\"\"}}"
    give
}

@test "updateProject takes a prefix of up to 63 letters, digits, dots, underscores and hyphens" {
    bad_field /updateProject prefix '{"prefix":"a/b"}' '{"prefix":"a b"}' '{"prefix":"ä"}' '{"prefix":7}' "{\"prefix\":\"$(repeat x 64)\"}"
    bad_field /updateProject initialCommit '{"initialCommit":7}' "{\"initialCommit\":\"$(repeat x 256)\"}"
}

@test "a leaseId that can't be one is a wrong one: 403" {
    take '{"requestId":"input-lease"}'
    for id in '' x "${LEASE}0" "${LEASE:1}" "${LEASE:1}g" 00000000000000000000000000000000 "$(repeat ö 16)"; do
        post /releaseStack "{\"stackName\":\"$STACK\",\"leaseId\":\"$id\"}"
        expect_error 403 wrongLeaseId
    done
    give
}

@test "queries are checked: 400 invalidField with the name of the parameter" {
    local query queries=(limit=0 limit=101 limit=x limit=-1 limit= limit=1.5 before=0 before=-1 before=x before=99999999999999999999
        since=yesterday since=2026-13-01T00:00:00Z until=7 branch=%zz branch=%4 branch=%00 branch=%ff "branch=$(repeat x 256)" stackName=%c0%af other=x)
    for query in "${queries[@]}"; do
        expect_each GET 400 ".error | .code == \"invalidField\" and .field == \"${query%%=*}\"" "/history?$query" "/actions?$query"
    done
    expect_each GET 400 '.error | .code == "invalidField" and .field == "state"' /history?state={waiting,active,nothing}
    queries=(limit=1 limit=100 before=1 'branch=a%20b+c' branch '&&' 'limit=5&limit=6' state=timedOut since=2026-01-02T03:04:05Z
        until=2026-01-02T03:04:05.678Z)
    expect_each GET 200 '.requests | type == "array"' "${queries[@]/#//history?}"
}

@test "a POST route called with GET, HEAD, PUT, PATCH, DELETE or OPTIONS: 405 with Allow: POST" {
    local paths=(/requestStack /releaseStack /deleteLastStack /updateProject)
    for method in GET PUT PATCH DELETE OPTIONS FOO; do
        expect_each $method 405 '.error.code == "methodNotAllowed"' "${paths[@]}"
        call "$method" /requestStack
        expect_error 405 methodNotAllowed
        [[ $(header allow) == POST ]]
    done
    for path in "${paths[@]}"; do
        call HEAD "$path"
        expect 405
        [[ $(header allow) == POST ]]
    done
    call PUT /requestStack '{"branch":"main"}'
    expect_error 405 methodNotAllowed
}

@test "a GET route answers HEAD without a body, and other methods with 405 and Allow" {
    local paths=(/listStacks /status /history /actions /healthz /readyz)
    for path in "${paths[@]}"; do
        call HEAD "$path"
        expect 200
        [[ $(header content-type) == application/json ]]
    done
    for method in POST PUT DELETE; do
        expect_each $method 405 '.error.code == "methodNotAllowed"' "${paths[@]}" "${paths[@]/%/ {\"a\":1\}}"
        call "$method" /listStacks
        [[ $(header allow) == 'GET, HEAD' ]]
    done
    call TRACE /listStacks
    expect_error 405 methodNotAllowed
}

@test "unknown paths: 404, also in another case, with a slash or dot more, or an encoded slash" {
    local paths=(/nothing /requeststack /REQUESTSTACK /requestStack/ /requestStack/x /requestStack.json /v1/requestStack /x%2frequestStack
        /requestStack%2f /requestStack%20 /requestStack%3f /request%5cStack /-/key /-/error/notFound /nginx_status /fcgi/ /.git/config /index.html.bak)
    expect_each GET 404 '.error.code == "notFound"' "${paths[@]}"
    expect_each POST 404 '.error.code == "notFound"' "${paths[@]}"
}

@test "doubled slashes, dots and encoded letters name the same path, with the same rights" {
    local paths=(//listStacks /./listStacks /x/../listStacks /%6cistStacks /%2f/listStacks '/listStacks?x=1')
    expect_each GET 200 '.stacks | length >= 1' "${paths[@]}"
    AS='' expect_each GET 401 '.error.code == "unauthorized"' "${paths[@]}"
}

@test "what nginx itself can't read: JSON errors, too" {
    expect_each GET 400 '.error.code == "badRequest"' /../listStacks /listStacks%00 /%zz /a%
    get /listStacks --http1.1 --header "X-Long: $(repeat x 9000)"
    expect_error 400 badRequest
    get "/listStacks?$(repeat x 9000)" --http1.1
    expect_error 414 uriTooLong
    call GET /listStacks '' --http1.1 --header 'Host:'
    expect_error 400 badRequest
    URL=http${URL#https} get /listStacks
    expect_error 400 httpsRequired
}

@test "a header Idempotency-Key that is too long, not UTF-8 or contradicts the body: 400" {
    post /requestStack '{}' --header "Idempotency-Key: $(repeat x 256)"
    expect_error 400 invalidField '.error.field == "requestId"'
    post /requestStack '{}' --header "Idempotency-Key: $(printf '\xff\xfe')"
    expect_error 400 invalidField '.error.field == "requestId"'
    post /requestStack '{"requestId":"a"}' --header 'Idempotency-Key: b'
    expect_error 400 invalidField '.error.field == "requestId"'
    post /requestStack '{}' --header 'Idempotency-Key: ""'
    expect_error 400 invalidField '.error.field == "requestId"'
}

@test "the first faulty field is named, and nothing is done by half" {
    post /updateProject '{"maxStacks":1,"waitSeconds":-1}'
    expect_error 400 invalidField '.error.field == "waitSeconds"'
    sees /status '.project.maxStacks == 3'
}

@test "bodies that clients cut off half way cost nothing" {
    for _ in 1 2 3 4 5 6; do
        post /requestStack '{"branch":"main"}' --http1.1 --header 'Content-Length: 500' --max-time 0.2
        expect 000
    done
    get /listStacks
    expect 200
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
