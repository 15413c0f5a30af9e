#!/usr/bin/env bats
# Who gets in, and may do what: keys, roles, limits.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    # A key may do 200 calls at once here; strangers 50, as usual.
    start_instance --set nginx.key_burst=200 --set nginx.key_rate=50
    NAME=auth new_project
    new_key ci
    new_key viewer
    NAME=victim new_project --prefix victim-
}

teardown_file()
{
    stop_instance
}

setup()
{
    as admin auth
}

READS=(/listStacks /status /history /actions)
CI_CALLS=(/requestStack /setLastDeployedCommit /releaseStack /deleteLastStack /extendLease /cancelRequest /markUnits /reinstateStack)
ADMIN_CALLS=(/holdStack /quarantineStack /revokeLease /addStacks /deleteStack /updateProject)

# from N: another address of this machine, so that the limit on strangers counts anew.
from()
{
    printf '%s\n' --interface "127.1.0.$1"
}

# key_file TEXT ...: a file of header lines for curl.
key_file()
{
    printf 'X-API-Key: %s\n' "$@" >"$KEYS/custom"
    AS=$KEYS/custom
}

@test "without a key: 401 on every call but the open ones, with how to authenticate" {
    AS=
    for path in "${READS[@]}"; do
        call GET "$path"
        expect_error 401 unauthorized
        [[ -n $(header www-authenticate) ]]
    done
    expect_each POST 401 '.error.code == "unauthorized"' "${CI_CALLS[@]}" "${ADMIN_CALLS[@]}" /nothing
    expect_each GET 401 '.error.code == "unauthorized"' "${CI_CALLS[@]}" /nothing /metrics
}

@test "without a key: /, /healthz, /readyz and /openapi.json" {
    AS=
    expect_each GET 200 .status /healthz /readyz
    call GET /
    expect 200
    [[ $(header content-type) == text/html* ]]
    call GET /openapi.json
    [[ $STATUS != 401 && $STATUS != 403 ]]
}

@test "a wrong, empty or cut key: 401" {
    good=$(sed 's/.*: //' "$AS")
    for key in '' x "${good:1}" "${good}0" "${good:0:63}x" " $good x" "\"$good\"" "$(printf 0%.0s {1..64})" default hostnames include '~' '*'; do
        key_file "$key"
        call GET /listStacks
        expect_error 401 unauthorized
    done
    # In another header or place it is no key.
    for option in "--header=Authorization: Bearer $good" "--header=X-API-Keys: $good" "--header=X_API_Key: $good" "--cookie=X-API-Key=$good"; do
        printf '%s = "%s"\n' "$(cut -d= -f1 <<<"${option#--}")" "$(cut -d= -f2- <<<"$option")" >"$BATS_TEST_TMPDIR/option"
        AS='' call GET /listStacks '' --config "$BATS_TEST_TMPDIR/option"
        expect_error 401 unauthorized
    done
}

@test "a key in upper case is the same key, of the same project and role" {
    as viewer
    key_file "$(sed 's/.*: //' "$AS" | tr a-f A-F)"
    call GET /status
    expect 200 '.project.name == "auth"'
    call POST /requestStack
    expect_error 403 forbidden
}

@test "two X-API-Key headers: the second never counts" {
    good=$(sed 's/.*: //' "$AS")
    key_file nothing "$good"
    call GET /listStacks
    expect_error 401 unauthorized
    as viewer
    viewer=$(sed 's/.*: //' "$AS")
    key_file "$viewer" "$good"
    call POST /addStacks '{"count":1}'
    [[ $STATUS == 401 || $STATUS == 403 ]]
}

@test "a viewer reads everything of its project and changes nothing: 403" {
    as viewer
    expect_each GET 200 'type == "object"' "${READS[@]}"
    expect_each POST 403 '.error.code == "forbidden"' "${CI_CALLS[@]}" "${ADMIN_CALLS[@]}"
    get /status
    expect 200 '.stacks == []'
}

@test "a ci key reads and does what jobs do; an admin's calls get 403" {
    as ci
    expect_each GET 200 'type == "object"' "${READS[@]}"
    expect_each POST 403 '.error.code == "forbidden"' "${ADMIN_CALLS[@]}" "${ADMIN_CALLS[@]/%/ \{\"stackName\":\"test-1\",\"count\":1\}}"
    for path in "${CI_CALLS[@]}"; do
        call POST "$path" '{"stackName":7,"branch":7,"requestId":7}'
        [[ $STATUS == 400 || ($path == /deleteLastStack && $STATUS == 200) ]] || complain "$path"
    done
    get /status
    expect 200 '.stacks == []'
}

@test "an admin does everything of its project" {
    expect_each GET 200 'type == "object"' "${READS[@]}"
    for path in "${CI_CALLS[@]}" "${ADMIN_CALLS[@]}"; do
        call POST "$path" '{"stackName":7,"branch":7,"requestId":7,"maxStacks":-1}'
        [[ $STATUS == 400 || ($path == /deleteLastStack && $STATUS == 200) ]] || complain "$path"
    done
}

@test "an admin of one project is nobody in another" {
    as admin victim
    take
    as admin auth
    for path in /holdStack /quarantineStack /reinstateStack /revokeLease /deleteStack /releaseStack; do
        call POST $path '{"stackName":"victim-1"}'
        expect_error 404 unknownStack
    done
    call POST /cancelRequest '{"requestNumber":1}'
    expect_error 404 unknownRequest
    as admin victim
    sees /status '[.stacks[].state] == ["leased"]'
    give
}

@test "headers named like the program's parameters get nowhere" {
    as viewer
    headers=()
    for name in SO_PROJECT SO-Project SO_ROLE SO-Role SO_KEY_NAME SO-Key-Name HTTP_SO_PROJECT HTTP-SO-Role X-SO-Project X-SO-Role X-Project X-Role; do
        case ${name,,} in
        *project) headers+=(--header "$name: victim") ;;
        *) headers+=(--header "$name: admin") ;;
        esac
    done
    headers+=(--header 'DOCUMENT_URI: /addStacks' --header 'Document-URI: /addStacks' --header 'REQUEST_METHOD: POST' --header 'Request-Method: POST'
        --header 'X-HTTP-Method-Override: POST' --header 'X-Original-URL: /addStacks' --header 'X-Rewrite-URL: /addStacks' --header 'X-Forwarded-For: 127.0.0.1')
    call GET /status '' "${headers[@]}"
    expect 200 '.project.name == "auth"'
    for path in /requestStack /addStacks /updateProject; do
        call POST $path '{"count":1,"maxStacks":1}' "${headers[@]}"
        expect_error 403 forbidden
    done
    AS=
    call GET /status '' "${headers[@]}"
    expect_error 401 unauthorized
    as admin
    sees /actions '.actions == []'
    as admin victim
    sees /status '.project.name == "victim" and .project.maxStacks == 10'
}

@test "a new key works once it is printed, a revoked one no longer once revoke returns" {
    for round in 1 2 3; do
        PROJECT=auth new_key ci "round-$round"
        call GET /listStacks
        expect 200
        ctl key revoke "round-$round"
        call GET /listStacks
        expect_error 401 unauthorized
    done
}

@test "key list shows names, projects and roles, never a key" {
    list=$(ctl key list && ctl key list --json)
    [[ $list == *auth-viewer* ]]
    refute grep --ignore-case --fixed-strings --file "$SECRETS" <<<"$list"
}

@test "creating and revoking keys drops no waiting request" {
    NAME=steady new_project --max-stacks 1
    take
    later plain POST /requestStack
    waiting 1
    later named POST /requestStack '{"requestId":"steady"}' --http1.1
    waiting 2
    new_key viewer
    ctl key revoke steady-viewer
    new_key ci
    as admin
    waiting 2
    give
    answer_of plain
    expect 200
    lease_from_answer
    give
    answer_of named
    expect 200 '.requestId == "steady"'
}

no_units_are_kept()
{
    [[ $(query "SELECT COUNT(*) FROM manifest JOIN project USING (project_id) WHERE name = '$PROJECT'") == 0 ]]
}

@test "revoking a key ends its waiting requests; stacks that are lent stay lent" {
    NAME=leaver new_project --max-stacks 1
    new_key ci
    take
    later mine POST /requestStack '{"branch":"mine","units":{"a":"1"}}'
    waiting 1
    as admin
    later other POST /requestStack '{"branch":"other"}'
    waiting 2
    ctl key revoke leaver-ci
    answer_of mine
    expect_error 409 cancelled
    eventually no_units_are_kept
    sees /status '[.queue[].branch] == ["other"] and [.stacks[].state] == ["leased"]'
    sees /history '.requests | length == 1 and .[0].state == "cancelled"'
    post /releaseStack '{"stackName":"test-1"}'
    expect 200
    answer_of other
    expect 200
}

@test "a key of a deleted project: 401; its waiting requests get an answer" {
    NAME=doomed new_project --max-stacks 1
    take
    later waiter POST /requestStack
    waiting 1
    ctl project delete doomed --force
    call GET /listStacks
    expect_error 401 unauthorized
    answer_of waiter
    [[ $STATUS == 401 || $STATUS == 404 || $STATUS == 409 ]]
}

@test "too many wrong keys from one address: 429 with Retry-After; good keys there go on" {
    key_file wrong
    mapfile -t address < <(from 1)
    printf 'header = "@%s"\ncacert = "%s"\ninterface = "%s"\n' "$AS" "$VAR/tls/ca.pem" "${address[1]}" >"$BATS_TEST_TMPDIR/config"
    curl --silent --config "$BATS_TEST_TMPDIR/config" --output /dev/null --write-out '%{http_code}\n' "$URL/listStacks?[1-150]" >"$BATS_TEST_TMPDIR/codes"
    [[ $(sort -u "$BATS_TEST_TMPDIR/codes" | tr '\n' ' ') == '401 429 ' ]]
    [[ $(head -n 1 "$BATS_TEST_TMPDIR/codes") == 401 && $(grep -c 429 "$BATS_TEST_TMPDIR/codes") -ge 50 ]]
    # Other paths and methods don't help.
    call POST /requestStack '{}' "${address[@]}"
    [[ $STATUS != 429 ]] || expect_error 429 tooManyRequests
    as admin
    call GET /listStacks '' "${address[@]}"
    expect 200
    AS='' call GET /healthz '' "${address[@]}"
    expect 200
    # And other addresses aren't concerned.
    key_file wrong
    mapfile -t address < <(from 2)
    call GET /listStacks '' "${address[@]}"
    expect_error 401 unauthorized
}

@test "too many calls with one key: 429; other keys go on" {
    as viewer
    printf 'header = "@%s"\ncacert = "%s"\n' "$AS" "$VAR/tls/ca.pem" >"$BATS_TEST_TMPDIR/config"
    curl --silent --config "$BATS_TEST_TMPDIR/config" --parallel --parallel-max 10 --output /dev/null --write-out '%{http_code}\n' \
        "$URL/nothing?[1-600]" >"$BATS_TEST_TMPDIR/codes"
    [[ $(sort -u "$BATS_TEST_TMPDIR/codes" | tr '\n' ' ') == '404 429 ' ]]
    [[ $(grep -c 404 "$BATS_TEST_TMPDIR/codes") -ge 200 ]]
    for _ in {1..60}; do
        call GET /nothing
        [[ $STATUS != 429 ]] || break
    done
    [[ $STATUS != 429 ]] || expect_error 429 tooManyRequests
    as admin
    call GET /listStacks
    expect 200
}

@test "logs hold project, role, key name and path, but no query and no key" {
    call GET '/history?branch=in-the-query'
    expect 200
    call GET '/nothing?key=in-the-query'
    [[ -n $(tail -n 50 "$VAR/log/nginx-access.log" | jq -c 'select(.project == "auth" and .role == "admin" and .key == "auth-admin" and .path == "/history" and .status == 200)') ]]
    refute grep --recursive in-the-query "$VAR/log"
}

@test "key file and passwords are readable by their owner only" {
    [[ -z $(find "$VAR/etc" "$VAR/tls" "$VAR/log" -type f -perm /077) ]]
    [[ $(stat -c %a "$VAR") == 700 ]]
}

@test "TLS 1.1 and plain HTTP get nothing; HTTP/1.1 and HTTP/2 both work" {
    call GET /listStacks '' --http1.1
    expect 200
    call GET /listStacks '' --http2
    expect 200
    grep -q '^HTTP/2 200' "$HEADERS"
    call GET /listStacks '' --tls-max 1.1
    expect 000
    call GET /listStacks '' --tls-max 1.2
    expect 200
    [[ -n $(header strict-transport-security) ]]
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
