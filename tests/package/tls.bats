#!/usr/bin/env bats
# What testssl.sh says of a private instance. Takes two minutes.

load ../ctl/helpers
bats_require_minimum_version 1.5.0

setup_file()
{
    start_instance_in "$instance"
}

teardown_file()
{
    stop_instance
}

@test "a TLS scanner finds nothing" {
    local findings
    ADDITIONAL_CA_FILES=$VAR/tls/ca.pem run timeout 500 testssl --quiet --color 0 --warnings batch -p -s -P -S -h -U \
        --jsonfile "$BATS_TEST_TMPDIR/tls.json" "localhost:$(<"$VAR/port")" </dev/null
    jq -e 'length > 50' "$BATS_TEST_TMPDIR/tls.json" >/dev/null || { tail -n 20 <<<"$output" && return 1; }
    # A private authority revokes nothing and has no DNS record; the engine is one of the scanner's own.
    findings=$(jq -r '.[] | select(.severity | . != "OK" and . != "INFO") | "\(.severity) \(.id): \(.finding)"' "$BATS_TEST_TMPDIR/tls.json" |
        grep -vE '^[A-Z]+ (cert_revocation|DNS_CAArecord|engine_problem|scanTime|sessionresumption_ticket)' || true)
    echo "$findings"
    [ -z "$findings" ]
}
