#!/usr/bin/env bats
# GET /capacity: how many stacks a team needs, from the jobs that it had.

# shellcheck disable=SC2030,SC2031,SC2153 # bats: a test is a subshell; the harness sets STATUS and such
load ../lib/api

setup_file()
{
    start_instance
}

teardown_file()
{
    stop_instance
}

# jobs TIMES TOGETHER FIRST: at so many times, 1,500 s apart, so many jobs asked for a stack; each had its own for 600 s.
jobs()
{
    query "INSERT INTO history (project_id, lease_no, state, key_name, branch, purpose, asked_at, granted_at, ended_at)
        WITH RECURSIVE numbers AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 999)
        SELECT project_id, $3 + $2 * a.n + b.n, 'released', 'ci', 'main', 'test', began, began, began + INTERVAL 600 SECOND
        FROM project, numbers b, (SELECT n, NOW() - INTERVAL 20 DAY + INTERVAL 1500 * n SECOND AS began FROM numbers) a
        WHERE name = '$PROJECT' AND a.n < $1 AND b.n < $2"
}

@test "what jobs would have waited, and the fewest stacks that reach the target" {
    new_project --max-stacks 5
    post /addStacks '{"count":2}'
    get /capacity
    expect 200 '.jobs == 0 and .current == 2 and .recommended == null and .stacks == [] and .busiestHour == {"start":null,"jobs":0}' \
        '.target.p95WaitSeconds == 60 and .days == 28'
    jobs 10 4 1
    get '/capacity?targetSeconds=0'
    expect 200 '.jobs == 40 and .recommended == 4 and .meanHoldSeconds == 600 and .busiestHour.jobs == 12' \
        '[.stacks[].stacks] == [1, 2, 3, 4, 5]' \
        '.stacks[1] | .meanWaitSeconds == 300 and .p95WaitSeconds == 600' \
        '.stacks[3] | .meanWaitSeconds == 0 and .p95WaitSeconds == 0'
    get '/capacity?targetSeconds=600'
    expect 200 '.recommended == 2'
}

@test "of many more stacks than are needed, those about as many as are needed are shown" {
    new_project --max-stacks 90
    post /addStacks '{"count":90}'
    jobs 10 4 1
    get '/capacity?targetSeconds=0'
    expect 200 '.recommended == 4 and .current == 90' '.stacks | length == 31 and .[0].stacks == 4'
}

@test "when no number of stacks is enough, none is recommended" {
    new_project --max-stacks 1
    post /addStacks '{"count":1}'
    jobs 2 1000 1
    jobs 2 1000 3001
    get '/capacity?targetSeconds=0'
    expect 200 '.jobs == 4000 and .recommended == null'
}

@test "the answer is as fresh as the jobs" {
    new_project
    jobs 10 4 1
    get '/capacity?targetSeconds=0'
    expect 200 '.recommended == 4'
    query "DELETE FROM history"
    jobs 10 8 1001
    get '/capacity?targetSeconds=0'
    expect 200 '.recommended == 8'
}
