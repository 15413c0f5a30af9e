#!/usr/bin/env bats
# scripts/notify: events reach a URL in their order, each at least once, signed, though the URL and the service fail at times.

load helpers
bats_require_minimum_version 1.5.0

setup_file()
{
    start_instance_in "$instance"
    export HOOK=$BATS_FILE_TMPDIR
    "$ROOT/tests/doubles/receiver.py" "$HOOK" 3>&- &
    printf '%s\n' "$!" >"$HOOK/pid"
    eventually test -s "$HOOK/port"
}

teardown_file()
{
    kill "$(<"$HOOK/pid")" || true
    stop_instance
}

# configure NAME [LINE ...]: a project of that name, and what notify reads for it.
configure()
{
    local name=$1

    shift
    ctl project create "$name" --same-prefix --max-stacks 2
    key=$(ctl key create "$name" ci "$name-ci")
    dir=$BATS_TEST_TMPDIR/$name
    state=$dir/state
    mkdir -p "$dir"
    ctl key create "$name" viewer "$name-viewer" >"$dir/key"
    printf 'a secret of the receiver\n' >"$dir/secret"
    printf '%s\n' "service = $(<"$VAR/url")" "cacert = $VAR/tls/ca.pem" "url = http://127.0.0.1:$(<"$HOOK/port")/hook" \
        "project = $name" 'seconds = 0.2' "$@" >"$dir/conf"
}

start_notify()
{
    # Its temporary files are the test's, which kills it.
    TMPDIR=$BATS_TEST_TMPDIR "$ROOT/scripts/notify" "$dir" "$state" 3>&- 2>"$dir/log" &
    notify=$!
}

stop_notify()
{
    kill "$notify"
    wait "$notify" || true
}

# lend N: so many leases, given back.
lend()
{
    local number answer

    for ((number = 0; number < $1; number++)); do
        answer=$(call "$key" /requestStack --request POST --data-raw '{"branch":"a<b","job":{"name":"job & co"}}' | head -n 1)
        [[ $(status "$key" /releaseStack --request POST --data-raw "$(jq -c '{stackName, leaseId, outcome: "success"}' <<<"$answer")") == 200 ]]
    done
}

# What was kept for the project, each once, in the order in which it came.
kept()
{
    jq -r .body "$HOOK/kept" | grep -F "\"project\":\"$1\"" | awk '!seen[$0]++'
}

has_told()
{
    [[ -s $state && $(<"$state") == "$1" ]]
}

@test "every event is told, in order, though the URL fails and notify is killed; what comes twice is the same" {
    configure shop
    start_notify
    eventually has_told 0
    lend 4
    eventually has_told 3
    kill -9 "$notify"
    lend 1
    start_notify
    eventually has_told 10
    stop_notify
    [[ $(kept shop | jq -s -c 'map(.eventNumber)') == '[1,2,3,4,5,6,7,8,9,10]' ]]
    [[ $(kept shop | jq -s -c 'map(.event) | unique') == '["ended","granted"]' ]]
    grep -q 'the URL: HTTP 500; trying again' "$dir/log"
    grep -q 'it works again' "$dir/log"
}

@test "each body is signed, and no secret is among the arguments or in the log" {
    configure signed
    start_notify
    eventually has_told 0
    lend 1
    while ! has_told 2; do
        for file in /proc/[0-9]*/cmdline; do
            tr '\0' ' ' 2>/dev/null <"$file" >>"$dir/arguments" || true
        done
    done
    stop_notify
    run -1 grep -F -e 'a secret of' -e "$(<"$dir/key")" "$dir/arguments" "$dir/log"
    python3 - "$HOOK/kept" <<'END'
import hashlib
import hmac
import json
import sys

for line in open(sys.argv[1], encoding="utf-8"):
    one = json.loads(line)
    good = hmac.new(b"a secret of the receiver", one["body"].encode(), hashlib.sha256).hexdigest()
    assert one["signature"] == "sha256=" + good, one
END
}

@test "a filter leaves out the rest, and slack gets a text" {
    configure texts 'format = slack' 'events = ended:released, action'
    start_notify
    eventually has_told 0
    lend 1
    ctl stack hold test-1 --project texts --reason 'a look'
    eventually has_told 4
    stop_notify
    jq -r .body "$HOOK/kept" | grep -F '"texts: ' | awk '!seen[$0]++' >"$dir/told"
    [[ $(jq -r .text "$dir/told") == 'texts: test-1 released (success): a&lt;b job &amp; co'$'\n''texts: orchestratorctl'*': holdStack test-1: a look' ]]
}

@test "the service may be away meanwhile" {
    configure away
    start_notify
    eventually has_told 0
    local_instance kill program
    eventually grep -q 'the service: HTTP 502; trying again' "$dir/log"
    local_instance restart program
    eventually status_is_ready
    lend 1
    eventually has_told 2
    stop_notify
}

status_is_ready()
{
    [[ $(status '' /readyz) == 200 ]]
}

@test "wrong settings end it with 2, and say which" {
    configure wrong 'format = xml'
    run -2 "$ROOT/scripts/notify" "$dir" "$state"
    [[ $output == *'format must be json or slack'* ]]
    rm "$dir/secret"
    run -2 "$ROOT/scripts/notify" "$dir" "$state"
    [[ $output == *"can't read $dir/secret"* ]]
    run -2 "$ROOT/scripts/notify"
}
