/* batch: what comes in between two transactions; batch_run carries one out. */
#include "write/batch_private.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/times.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* How long after an outage of the database silent instances are not taken for dead. */
#define OUTAGE_ECHO_MS 5000

#define LOADS_A_WATCH 16 /* projects that are looked at for the first time, per watch */

/* Setting up */

struct batch *batch_new(const struct config *config, struct gateway *gateway, int waker)
{
    struct batch *batch = mem_zalloc(sizeof *batch);
    size_t end_count;
    const char *const *ends = words_lease_ends(&end_count);

    metrics_name_ends(ends, end_count);
    batch->store = store_new(config);
    batch->clerk = (struct clerk){.instance = store_instance(batch->store),
                                  .request_grace_us = config->request_grace_s * TIMES_SECOND,
                                  .startup_grace_us = config->startup_grace_s * TIMES_SECOND};
    batch->waiting_per_project_max = (uint32_t)config->max_waiting_per_project;
    batch->waiting_max = (uint32_t)config->max_waiting;
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
    struct command *command;

    command_list_put_back(&batch->pending, &batch->later);
    while ((command = command_list_pop(&batch->pending)) != NULL)
        command_free(command);
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
    struct database_time reconnected = {0};

    if (store_connect(batch->store, &reconnected) != DATABASE_OK)
        return false;
    if (reconnected.said) {
        database_clock_forget(&batch->clock);
        database_clock_take(&batch->clock, &reconnected);
        batch->clerk.up_since = reconnected.said;
        batch->connected_ms = times_monotonic_ms();
    }
    return true;
}

void batch_disconnect(struct batch *batch)
{
    store_disconnect(batch->store);
}

bool batch_improve(struct batch *batch)
{
    if (!store_fail_back(batch->store))
        return false;
    database_clock_forget(&batch->clock);
    return true;
}

const char *batch_refusal(const struct batch *batch)
{
    return store_refusal(batch->store);
}

/* Work */

void batch_add(struct batch *batch, struct command_list commands)
{
    struct command *command;

    while ((command = command_list_pop(&commands)) != NULL)
        command_list_push(&batch->pending, command);
}

void batch_hang_up(struct batch *batch, const struct project *project, uint64_t number,
                   int64_t wait_until)
{
    struct command *command = command_new(VERB_HANG_UP);

    command->project = mem_strdup(project->name);
    command->request_number = number;
    command->wait_until = wait_until;
    command_list_push_first(&batch->pending, command);
}

/* Tells a parked client an error, whatever an unknown COMMIT may have given it meanwhile. */
static void turn_away(struct batch *batch, struct project *project, uint64_t number,
                      enum result result)
{
    int64_t wait_until = parking_get(&project->lot, number)->wait_until;

    answers_number(&batch->answers, project, number, result);
    batch_hang_up(batch, project, number, wait_until);
}

void batch_wait(struct batch *batch, int64_t timeout_ms)
{
    const struct parked *gone;

    parking_wait(batch->answers.parking, timeout_ms);
    while ((gone = parking_next_gone(batch->answers.parking)) != NULL) {
        struct project *project = gone->owner;
        struct client client;

        batch_hang_up(batch, project, gone->number, gone->wait_until);
        parking_take(batch->answers.parking, &project->lot, gone->number, &client);
        gateway_drop(client);
    }
}

bool batch_has_work(const struct batch *batch)
{
    return batch->pending.first || batch->projects.due_count > 0;
}

int64_t batch_deadline_ms(const struct batch *batch)
{
    return batch->projects.deadline_ms;
}

/* What is remembered of it no longer holds: its next batch reads it anew, or finds that the
 * database has it no more, and says so to those who are parked. */
static void doubt(struct batch *batch, struct project *project)
{
    project_forget(project);
    project->deadline_ms = 0;
    projects_note(&batch->projects, project);
}

static void find_deleted(struct batch *batch)
{
    struct project *project;

    for (size_t at = 0; (project = projects_next(&batch->projects, &at)) != NULL;)
        if (project->watched != batch->watches && (project->pool || project->lot.count > 0))
            doubt(batch, project);
}

enum database_status batch_find_others(struct batch *batch)
{
    bool was_away = times_monotonic_ms() - batch->connected_ms < OUTAGE_ECHO_MS;
    struct store_others others;
    enum database_status status = store_find_others(batch->store, was_away, &others);

    if (status == DATABASE_OK) {
        free((void *)batch->clerk.others);
        batch->clerk.others = others.instances;
        batch->clerk.other_count = others.count;
    } else {
        free(others.instances);
    }
    return status;
}

static void compare_versions(struct batch *batch, const struct store_watch *watch)
{
    size_t loads = 0;

    for (size_t i = 0; i < watch->count; i++) {
        const struct store_version *row = &watch->versions[i];
        struct project *project = projects_get(&batch->projects, row->name);

        project->watched = batch->watches;
        if (project->pool ? project->pool->version != row->version || project->pool->id != row->id
                          : loads++ < LOADS_A_WATCH)
            doubt(batch, project);
    }
}

bool batch_watch(struct batch *batch, bool *together)
{
    struct store_watch watch;
    enum database_status status = store_watch(batch->store, &watch);

    batch->watches++;
    database_clock_take(&batch->clock, &watch.now);
    compare_versions(batch, &watch);
    free(watch.versions);
    if (status == DATABASE_OK)
        find_deleted(batch);
    if (status == DATABASE_OK)
        status = batch_find_others(batch);
    *together = batch->clerk.other_count > 0 && parking_count(batch->answers.parking) > 0;
    return status == DATABASE_OK;
}

bool batch_purge(struct batch *batch, int history_days, bool *more)
{
    return store_purge(batch->store, history_days, more) != DATABASE_LOST;
}

void batch_refuse(struct batch *batch)
{
    struct command_list own = {0}; /* must be done once the database is back */
    struct command *command;
    struct parked *over;

    while ((command = command_list_pop(&batch->pending)) != NULL) {
        if (!command->has_client) {
            command_list_push(&own, command);
            continue;
        }
        answers_command(&batch->answers, NULL, command, RESULT_NO_DATABASE);
        command_free(command);
    }
    batch->pending = own;
    batch->alone = 0;
    while ((over = projects_next_over(&batch->projects, times_monotonic_ms())) != NULL)
        turn_away(batch, over->owner, over->number, RESULT_NO_DATABASE);
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
        for (size_t i = 0; i < count; i++)
            turn_away(batch, project, numbers[i], RESULT_SHUTTING_DOWN);
        free(numbers);
    }
}
