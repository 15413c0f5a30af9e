/* batch: one transaction for all that waits; see writer.c for the order of things. */
#include "batch.h"

#include "answers.h"
#include "buf.h"
#include "clerk.h"
#include "log.h"
#include "parking.h"
#include "project.h"
#include "store.h"
#include "times.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TRIES_MAX     10
#define RECONNECT_S   5   /* for an answer that is due: did the COMMIT happen? */
#define LOADS_A_WATCH 16  /* projects that are looked at for the first time, per watch */
#define BATCH_MAX     512 /* commands */

struct batch {
    struct store *store;
    struct clerk clerk;
    struct answers answers;
    struct projects projects;
    uint32_t waiting_per_project_max;
    uint32_t waiting_max;

    struct command *pending; /* in the order of their arrival */
    struct command **pending_end;
    size_t alone; /* of the pending commands, how many must run alone: their batch failed */

    struct project **members; /* of the batch at work */
    size_t member_count;

    int64_t clock_us; /* the database's clock */
    int64_t clock_ms; /* and ours at the same time */
    bool committing;  /* the COMMIT was sent */
};

/* Setting up */

struct batch *batch_new(const struct config *config, struct gateway *gateway, int waker)
{
    struct batch *batch = mem_zalloc(sizeof *batch);

    batch->store = store_new(config);
    batch->clerk = (struct clerk){.instance = store_instance(batch->store),
                                  .request_grace_us = config->request_grace_s * TIMES_SECOND,
                                  .startup_grace_us = config->startup_grace_s * TIMES_SECOND};
    batch->waiting_per_project_max = (uint32_t)config->max_waiting_per_project;
    batch->waiting_max = (uint32_t)config->max_waiting;
    batch->pending_end = &batch->pending;
    batch->answers.gateway = gateway;
    batch->answers.parking = parking_new(waker);
    if (batch->answers.parking)
        return batch;
    store_free(batch->store);
    free(batch);
    return NULL;
}

void batch_free(struct batch *batch)
{
    projects_free(&batch->projects);
    parking_free(batch->answers.parking);
    store_free(batch->store);
    free(batch->members);
    free((void *)batch->clerk.others);
    free(batch);
}

void batch_leave(struct batch *batch)
{
    store_leave(batch->store);
}

bool batch_connect(struct batch *batch)
{
    int64_t reconnected = 0;

    if (store_connect(batch->store, &reconnected) != DATABASE_OK)
        return false;
    if (reconnected)
        batch->clerk.up_since = reconnected;
    return true;
}

/* Work */

static void push(struct batch *batch, struct command *command)
{
    command->next = NULL;
    *batch->pending_end = command;
    batch->pending_end = &command->next;
}

static void push_first(struct batch *batch, struct command *command)
{
    command->next = batch->pending;
    if (!batch->pending)
        batch->pending_end = &command->next;
    batch->pending = command;
}

static struct command *pop(struct batch *batch)
{
    struct command *command = batch->pending;

    batch->pending = command->next;
    if (!batch->pending)
        batch->pending_end = &batch->pending;
    command->next = NULL;
    return command;
}

void batch_add(struct batch *batch, struct command *commands)
{
    while (commands) {
        struct command *next = commands->next;
        push(batch, commands);
        commands = next;
    }
}

/* A command of our own about a request; runs before what callers sent later. */
static void push_own(struct batch *batch, const struct project *project, enum verb verb,
                     uint64_t number, const uint8_t *lease_id)
{
    struct command *command = command_new(verb);

    command->project = mem_strdup(project->name);
    command->request_number = number;
    if (lease_id)
        memcpy(command->lease_id, lease_id, LEASE_ID_SIZE);
    push_first(batch, command);
}

void batch_wait(struct batch *batch, int64_t timeout_ms)
{
    const struct parked *gone;

    parking_wait(batch->answers.parking, timeout_ms);
    while ((gone = parking_next_gone(batch->answers.parking)) != NULL) {
        struct project *project = gone->owner;
        uint64_t number = gone->number;
        struct client client;

        parking_take(batch->answers.parking, &project->lot, number, &client);
        gateway_drop(client);
        push_own(batch, project, VERB_HANG_UP, number, NULL);
    }
}

static int64_t to_ms(const struct batch *batch, int64_t time_us)
{
    /* One more, so that it is surely due by then. */
    return time_us == TIMES_NEVER ? INT64_MAX
                                  : batch->clock_ms + (time_us - batch->clock_us) / 1000 + 1;
}

bool batch_has_work(const struct batch *batch)
{
    return batch->pending || batch->projects.due_count > 0;
}

int64_t batch_deadline_ms(const struct batch *batch)
{
    return batch->projects.deadline_ms;
}

/* The batch at work */

static void add_member(struct batch *batch, struct project *project)
{
    if (project->is_member)
        return;
    project->is_member = true;
    batch->members =
        mem_realloc(batch->members, (batch->member_count + 1) * sizeof(struct project *));
    batch->members[batch->member_count++] = project;
}

static void remove_member(struct batch *batch, size_t at)
{
    struct project *project = batch->members[at];

    project->is_member = false;
    batch->members[at] = batch->members[--batch->member_count];
}

static void gather(struct batch *batch)
{
    size_t most = batch->alone > 0 ? 1 : BATCH_MAX;
    struct project *project;

    for (size_t count = 0; batch->pending && count < most; count++) {
        struct command *command = pop(batch);
        project = projects_get(&batch->projects, command->project);
        project_add(project, command);
        add_member(batch, project);
    }
    if (batch->alone > 0) {
        batch->alone--;
        return;
    }
    while ((project = projects_next_due(&batch->projects, times_monotonic_ms())) != NULL)
        add_member(batch, project);
}

/* Gives a member's commands back, before all that came later. */
static void postpone(struct batch *batch, struct project *project)
{
    struct command *reversed = NULL;

    while (project->commands) {
        struct command *command = project_take(project);
        command->next = reversed;
        reversed = command;
    }
    while (reversed) {
        struct command *next = reversed->next;
        push_first(batch, reversed);
        reversed = next;
    }
}

static void forget_pools(struct batch *batch)
{
    for (size_t i = 0; i < batch->member_count; i++)
        project_forget(batch->members[i]);
}

/* The project's row, if it could be locked. */
static const struct store_project *find_row(const struct store_begin *begin, const char *name)
{
    for (size_t i = 0; i < begin->project_count; i++)
        if (strcmp(begin->projects[i].name, name) == 0)
            return &begin->projects[i];
    return NULL;
}

/* A parked client whose request is no longer what it was: another host or the administrator's
 * tool changed it. */
static enum database_status reconcile_one(struct batch *batch, struct project *project,
                                          uint64_t number)
{
    struct lease *lease = pool_lease(project->pool, number);
    struct past_request past;
    enum database_status status;

    if (lease && lease->state == LEASE_ACTIVE) {
        answers_parked(&batch->answers, project, lease, RESULT_GRANTED);
    } else if (lease && lease->instance == 0) {
        lease->instance = batch->clerk.instance; /* we were taken for dead */
        pool_touch_lease(project->pool, lease);
    } else if (lease && lease->instance != batch->clerk.instance) {
        answers_number(&batch->answers, project, number, RESULT_REPLACED);
    } else if (!lease) {
        status = store_find_ended(batch->store, project->pool, number, &past);
        if (status != DATABASE_OK)
            return status;
        answers_number(&batch->answers, project, number,
                       !past.number || past.state == LEASE_ABANDONED ? RESULT_SHUTTING_DOWN
                       : past.state == LEASE_SUPERSEDED              ? RESULT_SUPERSEDED
                                                                     : RESULT_CANCELLED);
    }
    return DATABASE_OK;
}

static enum database_status reconcile(struct batch *batch, struct project *project)
{
    size_t count;
    uint64_t *numbers = project_parked_numbers(project, &count);
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < count && status == DATABASE_OK; i++)
        status = reconcile_one(batch, project, numbers[i]);
    free(numbers);
    return status;
}

/* Makes the remembered pool what the database has, under the row lock. */
static enum database_status refresh_pool(struct batch *batch, struct project *project,
                                         const struct store_project *row, int64_t now)
{
    enum database_status status = DATABASE_OK;

    if (project->pool && (project->pool->id != row->id || project->pool->version != row->version))
        project_forget(project);
    if (project->pool) {
        project->pool->now = now;
        return DATABASE_OK;
    }
    project->pool = project_new_pool(row);
    project->pool->now = now;
    status = store_load(batch->store, project->pool);
    if (status == DATABASE_OK)
        status = reconcile(batch, project);
    return status;
}

static enum database_status lock_members(struct batch *batch)
{
    const char **names = mem_alloc((batch->member_count + 1) * sizeof(char *));
    struct store_begin begin;
    enum database_status status;

    for (size_t i = 0; i < batch->member_count; i++)
        names[i] = batch->members[i]->name;
    status = store_begin(batch->store, names, batch->member_count, &begin);
    free(names);
    free((void *)batch->clerk.others);
    batch->clerk.others = begin.others;
    batch->clerk.other_count = begin.other_count;
    begin.others = NULL;
    batch->clock_us = begin.now;
    batch->clock_ms = times_monotonic_ms();
    for (size_t i = batch->member_count; i-- > 0 && status == DATABASE_OK;) {
        struct project *project = batch->members[i];
        const struct store_project *row = find_row(&begin, project->name);

        if (row) {
            status = refresh_pool(batch, project, row, begin.now);
            continue;
        }
        if (begin.busy_count > 0) { /* perhaps this one: it is another host's turn */
            postpone(batch, project);
            project->deadline_ms = batch->clock_ms + 2;
        } else {
            answers_no_project(&batch->answers, project);
            project_forget(project);
        }
        remove_member(batch, i);
    }
    store_begin_free(&begin);
    return status;
}

/* A leaseId that isn't the present one: was it ever right for that stack? */
static enum database_status judge_lease_id(struct batch *batch, const struct pool *pool,
                                           struct command *command)
{
    enum database_status status;
    bool was_leased = false;

    if (command->answer.result != RESULT_WRONG_LEASE_ID)
        return DATABASE_OK;
    status =
        store_was_leased(batch->store, pool, command->answer.stack, command->lease_id, &was_leased);
    if (was_leased)
        command->answer.result =
            command->verb == VERB_RELEASE ? RESULT_NO_EFFECT : RESULT_LEASE_LOST;
    return status;
}

static void grant(struct batch *batch, struct project *project)
{
    struct pool *pool = project->pool;
    size_t parked = parking_count(batch->answers.parking);
    uint32_t room = parked < batch->waiting_max ? batch->waiting_max - (uint32_t)parked : 0;

    clerk_settle_due(&batch->clerk, pool);
    clerk_grant(&batch->clerk, pool);
    for (struct command *at = project->commands; at; at = at->next)
        if (at->verb == VERB_REQUEST && at->answer.result == RESULT_NOT_NOW)
            clerk_grant_refresh(pool, at);
    batch->clerk.waiting_max = batch->waiting_per_project_max;
    if (room < batch->clerk.waiting_max)
        batch->clerk.waiting_max = (uint32_t)project->lot.count + room;
    if (batch->clerk.waiting_max > batch->waiting_per_project_max)
        batch->clerk.waiting_max = batch->waiting_per_project_max;
    clerk_end_waits(&batch->clerk, pool);
}

static enum database_status run_project(struct batch *batch, struct project *project)
{
    enum database_status status = store_find_past(batch->store, project->pool, project->commands);

    for (struct command *at = project->commands; at && status == DATABASE_OK; at = at->next) {
        if (batch->answers.draining)
            at->wait_s = 0;
        clerk_run(&batch->clerk, project->pool, at);
        status = judge_lease_id(batch, project->pool, at);
    }
    if (status == DATABASE_OK)
        grant(batch, project);
    return status;
}

static enum database_status attempt(struct batch *batch)
{
    enum database_status status = lock_members(batch);
    struct pool **pools;

    batch->committing = false;
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

/* The connection broke. Whether to go on, and `*committed`. */
static bool reconnect(struct batch *batch, bool *committed)
{
    int64_t until_ms = times_monotonic_ms() + RECONNECT_S * 1000;

    *committed = false;
    for (;;) {
        if (batch_connect(batch)) {
            if (!batch->committing)
                return true;
            if (store_was_committed(batch->store, committed) == DATABASE_OK)
                return true;
        }
        /* With nothing in doubt nobody need wait for the answer. */
        if (!batch->committing || times_monotonic_ms() > until_ms)
            return false;
        poll(NULL, 0, 100);
    }
}

static void settle(struct batch *batch)
{
    for (size_t i = 0; i < batch->member_count; i++) {
        struct project *project = batch->members[i];
        struct undelivered *undelivered;

        answers_project(&batch->answers, project);
        while ((undelivered = answers_next_undelivered(&batch->answers)) != NULL) {
            push_own(batch, project, VERB_TAKE_BACK, undelivered->number, undelivered->lease_id);
            push_own(batch, project, VERB_HANG_UP, undelivered->number, NULL);
            free(undelivered);
        }
        pool_settle(project->pool);
        project->deadline_ms = to_ms(batch, project->pool->deadline);
        project->is_member = false;
        projects_note(&batch->projects, project);
    }
    batch->member_count = 0;
}

/* Callers are told 503; should their grant have been committed after all, it goes back. */
static void give_up(struct batch *batch)
{
    for (size_t i = 0; i < batch->member_count; i++) {
        struct project *project = batch->members[i];

        for (struct command *at = project->commands; at && batch->committing; at = at->next) {
            const struct lease *lease = at->answer.lease;
            if (at->verb != VERB_REQUEST || !lease || at->answer.result == RESULT_REQUEST_MISMATCH)
                continue;
            push_own(batch, project, VERB_HANG_UP, lease->number, NULL);
            push_own(batch, project, VERB_TAKE_BACK, lease->number, lease->lease_id);
        }
        postpone(batch, project);
        project_forget(project);
        project->is_member = false;
        project->deadline_ms = 0;
        projects_note(&batch->projects, project);
    }
    batch->member_count = 0;
}

/* A statement failed for good. If there were several commands, each gets its own chance. */
static void isolate(struct batch *batch)
{
    size_t count = 0;

    store_rollback(batch->store);
    forget_pools(batch);
    for (size_t i = 0; i < batch->member_count; i++)
        for (const struct command *at = batch->members[i]->commands; at; at = at->next)
            count++;
    for (size_t i = 0; i < batch->member_count; i++) {
        struct project *project = batch->members[i];
        if (count > 1)
            postpone(batch, project);
        else
            answers_refuse(&batch->answers, project, RESULT_NO_DATABASE);
        project->is_member = false;
        project->deadline_ms = times_monotonic_ms() + 1000;
        projects_note(&batch->projects, project);
    }
    if (count > 1)
        batch->alone = count;
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

    gather(batch);
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
    if (status == DATABASE_OK)
        settle(batch);
    else if (status == DATABASE_LOST)
        give_up(batch);
    else if (batch->member_count > 0)
        isolate(batch);
    return status != DATABASE_LOST;
}

bool batch_run(struct batch *batch)
{
    projects_find_due(&batch->projects, times_monotonic_ms());
    return !batch_has_work(batch) || run_once(batch);
}

bool batch_watch(struct batch *batch, bool *together)
{
    struct store_version *versions = NULL;
    size_t count = 0;
    size_t loads = 0;
    enum database_status status = store_watch(batch->store, &versions, &count);

    for (size_t i = 0; i < count; i++) {
        struct project *project = projects_get(&batch->projects, versions[i].name);
        if (project->pool ? project->pool->version != versions[i].version : loads++ < LOADS_A_WATCH)
            project->deadline_ms = 0;
        projects_note(&batch->projects, project);
    }
    free(versions);
    *together = batch->clerk.other_count > 0 && parking_count(batch->answers.parking) > 0;
    return status == DATABASE_OK;
}

bool batch_purge(struct batch *batch, int history_days, bool *more)
{
    return store_purge(batch->store, history_days, more) != DATABASE_LOST;
}

void batch_refuse(struct batch *batch)
{
    struct command *kept = NULL;
    struct command **kept_end = &kept;
    struct parked *over;

    while (batch->pending) {
        struct command *command = pop(batch);
        if (command->has_client) {
            answers_command(&batch->answers, NULL, command, RESULT_NO_DATABASE);
            command_free(command);
        } else { /* our own: must be done once the database is back */
            *kept_end = command;
            kept_end = &command->next;
        }
    }
    batch->alone = 0;
    batch->pending = kept;
    batch->pending_end = kept_end;
    while ((over = projects_next_over(&batch->projects, times_monotonic_ms())) != NULL) {
        struct project *project = over->owner;
        uint64_t number = over->number;
        answers_number(&batch->answers, project, number, RESULT_NO_DATABASE);
        push_own(batch, project, VERB_HANG_UP, number, NULL);
    }
}

void batch_drain(struct batch *batch)
{
    struct project *project;

    if (batch->answers.draining)
        return;
    batch->answers.draining = true;
    for (size_t at = 0; (project = projects_next(&batch->projects, &at)) != NULL;) {
        size_t count;
        uint64_t *numbers = project_parked_numbers(project, &count);
        for (size_t i = 0; i < count; i++) {
            answers_number(&batch->answers, project, numbers[i], RESULT_SHUTTING_DOWN);
            push_own(batch, project, VERB_HANG_UP, numbers[i], NULL);
        }
        free(numbers);
    }
}
