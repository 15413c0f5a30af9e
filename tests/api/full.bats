#!/usr/bin/env bats
# How many requests may wait at one program.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance --set max_waiting=3
}

teardown_file()
{
    stop_instance
}

@test "requests that wait beyond max_waiting get 503 queueFull, whatever their project" {
    NAME=one new_project --max-stacks 0
    NAME=two new_project --max-stacks 0
    later first POST /requestStack
    waiting 1
    as admin one
    later second POST /requestStack
    later third POST /requestStack
    waiting 2
    post /requestStack
    expect_error 503 queueFull
    as admin two
    post /requestStack
    expect_error 503 queueFull
    hang_up first
    waiting 0
    later fourth POST /requestStack
    waiting 1
    for caller in second third fourth; do
        hang_up "$caller"
    done
}

@test "places whose callers are away take no room" {
    NAME=away new_project --max-stacks 0
    for number in 1 2 3; do
        later "caller-$number" POST /requestStack "{\"requestId\":\"away-$number\"}"
        waiting 1
        hang_up "caller-$number"
        waiting 0
    done
    later here POST /requestStack
    waiting 1
}

@test "no key and no leaseId was logged" {
    assert_no_secret_was_logged
}
