#!/usr/bin/env bats
# ci-stack killed at random times, 200 times over. It takes some five minutes.

bats_require_minimum_version 1.5.0
load ../ci/helpers

setup_file() { start_service; }
teardown_file() { stop_service; }
setup() { new_app; }

@test "200 times KILL at any time: nothing is left leased, no process and no file" {
    kill_at_any_time 200
}
