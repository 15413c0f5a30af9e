/* batch_run: one transaction, from its commands to their answers. Writer's thread. */
#include "write/batch_private.h"

#include "base/buf.h"
#include "base/metrics.h"
#include "base/times.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TRIES_MAX   10
#define RECONNECT_S 5   /* for an answer that is due: did the COMMIT happen? */
#define BATCH_MAX   512 /* commands */
#define LATER_MS    1000

static int64_t to_ms(const struct batch *batch, int64_t time_us)
{
    /* One more, so that it is surely due by then. */
    return time_us == TIMES_NEVER ? INT64_MAX
                                  : database_clock_here(&batch->clock, time_us) / 1000 + 1;
}

static void add_member(struct batch *batch, struct project *project)
{
    if (project->is_member)
        return;
    project->is_member = true;
    batch->members =
        mem_realloc(batch->members, (batch->member_count + 1) * sizeof(struct project *));
    batch->members[batch->member_count++] = project;
}

/* How many commands it took. */
static size_t gather(struct batch *batch)
{
    bool alone = batch->alone > 0;
    size_t most = alone ? 1 : BATCH_MAX;
    struct project *project;
    size_t count;

    for (count = 0; batch->pending.first && count < most; count++) {
        struct command *command = command_list_pop(&batch->pending);
        project = projects_get(&batch->projects, command->project);
        command_list_push(&project->commands, command);
        add_member(batch, project);
    }
    if (alone)
        batch->alone--;
    while ((!alone || batch->member_count == 0) &&
           (project = projects_next_due(&batch->projects)) != NULL)
        add_member(batch, project);
    return count;
}

static void forget_pools(struct batch *batch)
{
    for (size_t i = 0; i < batch->member_count; i++)
        project_forget(batch->members[i]);
}

/* A leaseId that isn't the present one: was it ever right for that stack? */
static enum database_status judge_lease_id(struct batch *batch, const struct pool *pool,
                                           struct command *command)
{
    bool was_leased = false;
    enum database_status status =
        store_was_leased(batch->store, pool, command->answer.stack, command->lease_id, &was_leased);

    if (was_leased)
        command->answer.result =
            command->verb == VERB_RELEASE ? RESULT_NO_EFFECT : RESULT_LEASE_LOST;
    return status;
}

/* A request that isn't live: was there one of that number? */
static enum database_status judge_number(struct batch *batch, const struct pool *pool,
                                         struct command *command)
{
    enum database_status status =
        store_find_ended(batch->store, pool, command->request_number, &command->past);

    if (command->past.number)
        command->answer.result = RESULT_NO_EFFECT;
    return status;
}

/* What a pool doesn't remember, history may. */
static enum database_status look_back(struct batch *batch, const struct pool *pool,
                                      struct command *command)
{
    switch (command->answer.result) {
    case RESULT_WRONG_LEASE_ID:
        return judge_lease_id(batch, pool, command);
    case RESULT_NO_REQUEST:
        return command->request_number ? judge_number(batch, pool, command) : DATABASE_OK;
    default:
        return DATABASE_OK;
    }
}

/* `waiting`: how many of the project did before this batch, wherever they are parked, if at all. */
static void grant(struct batch *batch, struct project *project, uint32_t waiting)
{
    struct pool *pool = project->pool;
    size_t parked = parking_count(batch->answers.parking);
    uint32_t room = parked < batch->waiting_max ? batch->waiting_max - (uint32_t)parked : 0;

    clerk_settle_due(&batch->clerk, pool);
    clerk_grant(&batch->clerk, pool);
    for (struct command *at = project->commands.first; at; at = at->next)
        if (at->verb == VERB_REQUEST && at->answer.result == RESULT_NOT_NOW)
            clerk_grant_refresh(&batch->clerk, pool, at);
    batch->clerk.waiting_max = waiting + room;
    if (batch->clerk.waiting_max > batch->waiting_per_project_max)
        batch->clerk.waiting_max = batch->waiting_per_project_max;
    clerk_end_waits(&batch->clerk, pool);
}

static enum database_status run_project(struct batch *batch, struct project *project)
{
    enum database_status status =
        store_find_past(batch->store, project->pool, project->commands.first);
    uint32_t waiting = project->pool->waiting_count;

    for (struct command *at = project->commands.first; at && status == DATABASE_OK; at = at->next) {
        /* Of an attempt before, nothing may stay. */
        at->answer = (struct answer){.added = at->answer.added};
        clerk_run(&batch->clerk, project->pool, at);
        status = look_back(batch, project->pool, at);
    }
    if (status == DATABASE_OK)
        grant(batch, project, waiting);
    return status;
}

static enum database_status attempt(struct batch *batch)
{
    struct pool **pools;
    enum database_status status;

    batch->committing = false;
    status = batch_prepare_members(batch);
    for (size_t i = 0; i < batch->member_count && status == DATABASE_OK; i++)
        status = run_project(batch, batch->members[i]);
    if (status != DATABASE_OK)
        return status;
    pools = mem_alloc((batch->member_count + 1) * sizeof(struct pool *));
    for (size_t i = 0; i < batch->member_count; i++)
        pools[i] = batch->members[i]->pool;
    batch->committing = true;
    status = store_commit(batch->store, pools, batch->member_count);
    free(pools);
    return status;
}

static enum database_status was_committed(struct batch *batch, bool *committed)
{
    const char **names = batch_member_names(batch);
    enum database_status status =
        store_was_committed(batch->store, names, batch->member_count, committed);

    free(names);
    return status;
}

/* The connection broke. Whether to go on, and `*committed`. */
static bool reconnect(struct batch *batch, bool *committed)
{
    int64_t until_ms = times_monotonic_ms() + RECONNECT_S * 1000;

    *committed = false;
    for (;;) {
        if (batch_connect(batch)) {
            if (!batch->committing)
                return true;
            if (was_committed(batch, committed) == DATABASE_OK)
                return true;
        }
        /* With nothing in doubt nobody need wait for the answer. */
        if (!batch->committing || times_monotonic_ms() > until_ms)
            return false;
        poll(NULL, 0, 100);
    }
}

static void take_back_undelivered(struct batch *batch)
{
    struct undelivered *at;

    while ((at = answers_next_undelivered(&batch->answers)) != NULL) {
        batch_hang_up(batch, at->project, at->number, at->wait_until);
        free(at);
    }
}

static void count_leases(const struct pool *pool)
{
    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        if (at->just_granted)
            metrics_count_grant(pool->name, at->is_new, at->changed_units,
                                at->granted_at - at->asked_at);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        metrics_count_end(pool->name, at->state - LEASE_RELEASED,
                          at->granted_at ? at->ended_at - at->granted_at : -1);
}

static void settle(struct batch *batch)
{
    for (size_t i = 0; i < batch->member_count; i++) {
        struct project *project = batch->members[i];

        count_leases(project->pool);
        answers_project(&batch->answers, project);
        take_back_undelivered(batch);
        pool_settle(project->pool);
        project->deadline_ms = to_ms(batch, project->pool->deadline);
        project->is_member = false;
        projects_note(&batch->projects, project);
    }
    batch->member_count = 0;
    metrics_set_parked(parking_count(batch->answers.parking));
}

/* Nobody knows whether the COMMIT happened: callers are told so, and what they might have been
 * granted goes back. Only our own commands may be run again without harm. */
static void give_up_in_doubt(struct batch *batch, struct project *project)
{
    struct command_list own = {0};
    struct command *command;

    while ((command = command_list_pop(&project->commands)) != NULL) {
        const struct lease *lease = command->answer.lease;

        if (!command->has_client) {
            command_list_push(&own, command);
            continue;
        }
        if (command->verb == VERB_REQUEST && lease && lease->asker == command)
            batch_hang_up(batch, project, lease->number, command->wait_until);
        answers_command(&batch->answers, project, command, RESULT_IN_DOUBT);
        command_free(command);
    }
    command_list_put_back(&batch->pending, &own);
}

static void give_up(struct batch *batch)
{
    for (size_t i = 0; i < batch->member_count; i++) {
        struct project *project = batch->members[i];

        if (batch->committing)
            give_up_in_doubt(batch, project);
        else
            command_list_put_back(&batch->pending, &project->commands);
        project_forget(project);
        project->is_member = false;
        project->deadline_ms = 0;
        projects_note(&batch->projects, project);
    }
    batch->member_count = 0;
}

/* Its statements fail even alone. A caller is told; what we owe, as taking back a grant that nobody
 * heard of, is tried again until it works (the database's disk may be full). */
static void refuse_alone(struct batch *batch, struct project *project)
{
    const struct command *first = project->commands.first;

    if (!first || first->has_client) {
        answers_refuse(&batch->answers, project, RESULT_NO_DATABASE);
        return;
    }
    command_list_push(&batch->later, command_list_pop(&project->commands));
    batch->later_ms = times_monotonic_ms() + LATER_MS;
}

/* How many batches it takes to run each command, and each project that was only due, alone. */
static size_t count_parts(const struct batch *batch)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->member_count; i++) {
        const struct command *first = batch->members[i]->commands.first;
        for (const struct command *at = first; at; at = at->next)
            count++;
        if (!first)
            count++;
    }
    return count;
}

/* A statement failed for good. If it may have been another's, each gets its own chance. */
static void isolate(struct batch *batch)
{
    size_t parts = count_parts(batch);

    store_rollback(batch->store);
    forget_pools(batch);
    for (size_t i = 0; i < batch->member_count; i++) {
        struct project *project = batch->members[i];
        bool again = parts > 1 && !project->commands.first;

        if (parts > 1)
            command_list_put_back(&batch->pending, &project->commands);
        else
            refuse_alone(batch, project);
        project->is_member = false;
        project->deadline_ms = again ? 0 : times_monotonic_ms() + LATER_MS;
        projects_note(&batch->projects, project);
    }
    if (parts > 1)
        batch->alone = parts;
    batch->member_count = 0;
}

/* With jitter, so that two hosts don't meet again and again. */
static void wait_a_little(int try)
{
    unsigned char jitter = 0;

    if (getrandom(&jitter, 1, 0) == 1)
        poll(NULL, 0, 1 + jitter % (5 * (try + 1)));
}

static bool run_once(struct batch *batch)
{
    enum database_status status = DATABASE_RETRY;
    bool committed = false;
    size_t count;
    int64_t started_us = times_monotonic_us();

    count = gather(batch);
    for (int try = 0; try < TRIES_MAX && batch->member_count > 0; try++) {
        status = attempt(batch);
        if (status == DATABASE_LOST) {
            if (!reconnect(batch, &committed))
                break;
            status = committed ? DATABASE_OK : DATABASE_RETRY;
        } else if (status == DATABASE_RETRY) {
            store_rollback(batch->store);
        }
        if (status != DATABASE_RETRY)
            break;
        forget_pools(batch);
        wait_a_little(try);
    }
    if (status == DATABASE_OK && batch->member_count == 0)
        wait_a_little(0); /* another host is at all of them */
    if (status == DATABASE_OK) {
        metrics_count_batch(count, times_monotonic_us() - started_us);
        settle(batch);
    } else if (status == DATABASE_LOST) {
        give_up(batch);
    } else if (batch->member_count > 0) {
        isolate(batch);
    }
    return status != DATABASE_LOST;
}

bool batch_run(struct batch *batch)
{
    if (times_monotonic_ms() >= batch->later_ms)
        command_list_put_back(&batch->pending, &batch->later);
    projects_find_due(&batch->projects, times_monotonic_ms());
    return !batch_has_work(batch) || run_once(batch);
}
