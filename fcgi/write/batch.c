/* batch: see batch.h. */
#include "write/batch.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "base/times.h"
#include "write/batch_private.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>

#define TRIES_MAX   10
#define RECONNECT_S 5   /* while responses are due: did the COMMIT happen? */
#define BATCH_MAX   512 /* commands */

static void add_desk(struct batch *batch, struct desk *desk)
{
    if (desk->in_batch)
        return;
    desk->in_batch = true;
    batch->desks = mem_realloc(batch->desks, (batch->count + 1) * sizeof(struct desk *));
    batch->desks[batch->count++] = desk;
}

/* How many commands it took. */
static size_t gather(struct batch *batch)
{
    struct office *office = batch->office;
    bool alone = office->alone > 0;
    size_t most = alone ? 1 : BATCH_MAX;
    struct desk *desk;
    size_t count;

    for (count = 0; office->pending.first && count < most; count++) {
        struct command *command = command_list_pop(&office->pending);
        desk = desks_get(&office->desks, command->project);
        command_list_push(&desk->commands, command);
        add_desk(batch, desk);
    }
    if (alone)
        office->alone--;
    while ((!alone || batch->count == 0) && (desk = desks_next_due(&office->desks)) != NULL)
        add_desk(batch, desk);
    return count;
}

static enum database_status commit(struct batch *batch)
{
    struct pool **pools = batch_pools(batch);
    enum database_status status;

    batch->committing = true;
    status = store_commit(batch->office->store, pools, batch->count);
    free(pools);
    return status;
}

static enum database_status attempt(struct batch *batch)
{
    enum database_status status;

    batch->committing = false;
    status = batch_prepare(batch);
    if (status == DATABASE_OK)
        status = batch_decide(batch);
    if (status == DATABASE_OK)
        status = commit(batch);
    return status;
}

/* After the connection broke: has the COMMIT happened? DATABASE_OK: yes. DATABASE_RETRY: no. */
static enum database_status ask_fate(const struct batch *batch)
{
    const char **names;
    enum database_status status;
    bool committed = false;

    if (!batch->committing)
        return DATABASE_RETRY;
    names = batch_names(batch);
    status = store_was_committed(batch->office->store, names, batch->count, &committed);
    free(names);
    if (status != DATABASE_OK)
        return DATABASE_LOST;
    return committed ? DATABASE_OK : DATABASE_RETRY;
}

/* The same, connecting first. DATABASE_LOST: it can't be learned in time. */
static enum database_status reconnect(struct batch *batch)
{
    int64_t until_ms = times_monotonic_ms() + RECONNECT_S * 1000;

    for (;;) {
        enum database_status status = DATABASE_LOST;

        if (contact_connect(batch->office) == CONTACT_OK)
            status = ask_fate(batch);
        if (status != DATABASE_LOST)
            return status;
        /* With nothing in doubt, nobody need wait for the database. */
        if (!batch->committing || times_monotonic_ms() > until_ms)
            return DATABASE_LOST;
        poll(NULL, 0, 100);
    }
}

/* With jitter, so that two instances don't meet again and again. */
static void wait_a_little(int try)
{
    unsigned char jitter = 0;

    if (getrandom(&jitter, 1, 0) == 1)
        poll(NULL, 0, 1 + jitter % (5 * (try + 1)));
}

static enum database_status try_until_known(struct batch *batch)
{
    enum database_status status = DATABASE_RETRY;

    for (int try = 0; try < TRIES_MAX && batch->count > 0; try++) {
        status = attempt(batch);
        if (status == DATABASE_LOST)
            status = reconnect(batch);
        else if (status == DATABASE_RETRY)
            store_rollback(batch->office->store);
        if (status != DATABASE_RETRY)
            break;
        batch_forget_pools(batch);
        wait_a_little(try);
    }
    return status;
}

enum contact_status batch_run(struct office *office)
{
    struct batch batch = {.office = office};
    int64_t started_us = times_monotonic_us();
    enum database_status status;
    size_t count;

    if (!office_find_work(office))
        return CONTACT_OK;
    count = gather(&batch);
    status = try_until_known(&batch);
    if (status == DATABASE_OK && batch.count == 0)
        poll(NULL, 0, 1); /* another instance is at all of them, but not for long */
    if (status == DATABASE_OK) {
        metrics_count_batch(count, times_monotonic_us() - started_us);
        batch_settle(&batch);
    } else if (status == DATABASE_LOST) {
        batch_give_up(&batch);
    } else if (batch.count > 0) {
        batch_isolate(&batch);
    }
    free(batch.desks);
    return status == DATABASE_LOST ? CONTACT_LOST : CONTACT_OK;
}
