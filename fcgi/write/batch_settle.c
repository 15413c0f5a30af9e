/* batch_settle: how a batch ends: what its clients hear, and what is tried again. Writer's thread.
 */
#include "write/batch_private.h"

#include "base/buf.h"
#include "base/metrics.h"
#include "base/times.h"

#include <stdlib.h>

#define LATER_MS 1000

void batch_forget_pools(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        desk_forget(batch->desks[i]);
}

static int64_t to_ms(const struct office *office, int64_t time_us)
{
    /* One more, so that it is surely due by then. */
    return time_us == TIMES_NEVER ? INT64_MAX
                                  : database_clock_here(&office->clock, time_us) / 1000 + 1;
}

static void take_back_undelivered(struct office *office)
{
    struct undelivered *at;

    while ((at = delivery_next_undelivered(&office->delivery)) != NULL) {
        office_hang_up(office, at->desk, at->number, at->call_no, at->sent_away);
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

void batch_settle(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct desk *desk = batch->desks[i];

        count_leases(desk->pool);
        delivery_desk(&batch->office->delivery, desk);
        take_back_undelivered(batch->office);
        pool_settle(desk->pool);
        desk->deadline_ms = to_ms(batch->office, desk->pool->deadline);
        desk->used_ms = times_monotonic_ms();
        desk->in_batch = false;
        desks_note(&batch->office->desks, desk);
    }
    batch->count = 0;
    metrics_set_parked(parking_count(batch->office->delivery.parking));
}

/* Nobody knows whether the COMMIT happened: callers are told so, and what they might have been
 * granted goes back. Only our own commands may be run again without harm. */
static void give_up_in_doubt(struct office *office, struct desk *desk)
{
    struct command_list own = {0};
    struct command *command;

    while ((command = command_list_pop(&desk->commands)) != NULL) {
        const struct lease *lease = command->result.lease;

        if (!command->has_client) {
            command_list_push(&own, command);
            continue;
        }
        if (command->verb == VERB_REQUEST && lease && lease->asker == command)
            office_hang_up(office, desk, lease->number, command->as.request.call_no, true);
        delivery_command(&office->delivery, desk, command, RESULT_IN_DOUBT);
        command_free(command);
    }
    command_list_put_back(&office->pending, &own);
}

void batch_give_up(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct desk *desk = batch->desks[i];

        if (batch->committing)
            give_up_in_doubt(batch->office, desk);
        else
            command_list_put_back(&batch->office->pending, &desk->commands);
        desk_forget(desk);
        desk->in_batch = false;
        desk->deadline_ms = 0;
        desks_note(&batch->office->desks, desk);
    }
    batch->count = 0;
}

/* The batch fails even alone. A client gets an error. Our own command (taking back an undelivered
 * grant) is retried, since the disk may only be full. */
static void refuse_alone(struct office *office, struct desk *desk)
{
    const struct command *first = desk->commands.first;

    if (!first || first->has_client) {
        delivery_refuse(&office->delivery, desk, RESULT_NO_DATABASE);
        return;
    }
    command_list_push(&office->later, command_list_pop(&desk->commands));
    office->later_ms = times_monotonic_ms() + LATER_MS;
}

/* How many batches it takes to run each command, and each desk that was only due, alone. */
static size_t count_parts(const struct batch *batch)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const struct command *first = batch->desks[i]->commands.first;
        for (const struct command *at = first; at; at = at->next)
            count++;
        if (!first)
            count++;
    }
    return count;
}

/* A statement failed for good. If it may have been another's, each gets its own chance. */
void batch_isolate(struct batch *batch)
{
    size_t parts = count_parts(batch);

    store_rollback(batch->office->store);
    batch_forget_pools(batch);
    for (size_t i = 0; i < batch->count; i++) {
        struct desk *desk = batch->desks[i];
        bool again = parts > 1 && !desk->commands.first;

        if (parts > 1)
            command_list_put_back(&batch->office->pending, &desk->commands);
        else
            refuse_alone(batch->office, desk);
        desk->in_batch = false;
        desk->deadline_ms = again ? 0 : times_monotonic_ms() + LATER_MS;
        desks_note(&batch->office->desks, desk);
    }
    if (parts > 1)
        batch->office->alone = parts;
    batch->count = 0;
}
