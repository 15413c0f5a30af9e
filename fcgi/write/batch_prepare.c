/* batch_prepare: the rows of a batch's projects, and the pools that go with them. Writer's thread.
 */
#include "write/batch_private.h"

#include "base/mem.h"
#include "base/times.h"
#include "rules/activity.h"

#include <stdlib.h>
#include <string.h>

/* Which row is the project's; `count`: it could not be locked. */
static size_t find_row(const struct store_begin *begin, const char *name)
{
    size_t at = 0;

    while (at < begin->count && strcmp(begin->rows[at].name, name) != 0)
        at++;
    return at;
}

/* A parked client whose request is no longer what it was: another instance or the administrator's
 * tool changed it. */
static enum database_status reconcile_one(struct office *office, struct desk *desk, uint64_t number)
{
    const struct parked *parked = parking_get(&desk->lot, number);
    struct lease *lease = pool_lease(desk->pool, number);
    struct past_request past;
    enum database_status status;

    if (lease && lease->call_no != parked->call_no) {
        delivery_number(&office->delivery, desk, number, RESULT_REPLACED);
    } else if (lease && lease->state == LEASE_ACTIVE) {
        delivery_parked(&office->delivery, desk, lease, RESULT_GRANTED);
    } else if (lease && lease->instance == 0) {
        lease->instance = office->clerk.instance; /* we were taken for dead */
        pool_touch_lease(desk->pool, lease);
        pool_due_at(desk->pool, lease->wait_until);
    } else if (!lease) {
        status = store_find_ended(office->store, desk->pool, number, &past);
        if (status != DATABASE_OK)
            return status;
        delivery_number(&office->delivery, desk, number,
                        !past.number || past.state == LEASE_ABANDONED ||
                                past.state == LEASE_TIMED_OUT
                            ? RESULT_SHUTTING_DOWN
                        : past.state == LEASE_SUPERSEDED ? RESULT_SUPERSEDED
                                                         : RESULT_CANCELLED);
    }
    return DATABASE_OK;
}

static enum database_status reconcile(struct office *office, struct desk *desk)
{
    size_t count;
    uint64_t *numbers = desk_parked_numbers(desk, INT64_MAX, &count);
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < count && status == DATABASE_OK; i++)
        status = reconcile_one(office, desk, numbers[i]);
    free(numbers);
    return status;
}

/* The same of the parked clients whose leases are among the changes. */
static enum database_status reconcile_changes(struct office *office, struct desk *desk,
                                              const struct numbers *leases)
{
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < leases->count && status == DATABASE_OK; i++)
        if (parking_get(&desk->lot, leases->at[i]))
            status = reconcile_one(office, desk, leases->at[i]);
    return status;
}

static bool is_known(const struct clerk *clerk, uint64_t instance)
{
    for (size_t i = 0; i < clerk->other_count; i++)
        if (clerk->others[i] == instance)
            return true;
    return instance == 0 || instance == clerk->instance;
}

/* An instance that has begun since the latest look must not be taken for dead. */
static enum database_status look_for_new_instances(struct office *office, const struct pool *pool,
                                                   const struct numbers *leases)
{
    for (size_t i = 0; i < leases->count; i++) {
        const struct lease *lease = pool_lease(pool, leases->at[i]);
        if (lease && !is_known(&office->clerk, lease->instance))
            return contact_find_others(office);
    }
    return DATABASE_OK;
}

/* Another project has its name now. */
static void forget_project(struct office *office, struct desk *desk)
{
    delivery_no_parked(&office->delivery, desk);
    desk_forget(desk);
    activity_free(desk->activity);
    desk->activity = NULL;
}

static enum database_status load(struct office *office, struct desk *desk,
                                 const struct store_row *row, int64_t now)
{
    enum database_status status;

    desk_open(desk, row->id);
    desk->pool->version = row->version;
    desk->pool->now = now;
    status = store_load(office->store, desk->pool);
    if (status == DATABASE_OK)
        status = contact_find_others(office);
    if (status == DATABASE_OK)
        status = reconcile(office, desk);
    return status;
}

/* The pool has been made what the database has. */
static enum database_status look_around(struct office *office, struct desk *desk,
                                        const struct numbers *leases)
{
    enum database_status status = look_for_new_instances(office, desk->pool, leases);

    if (status == DATABASE_OK)
        status = reconcile_changes(office, desk, leases);
    return status;
}

/* Reads what others changed in the pools that are remembered. Those of which it can't be told are
 * forgotten. */
static enum database_status follow(struct batch *batch, struct store_begin *begin)
{
    struct store_following *list = mem_zalloc((batch->count + 1) * sizeof *list);
    struct desk **desks = mem_alloc((batch->count + 1) * sizeof(struct desk *));
    enum database_status status;
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct desk *desk = batch->desks[i];
        size_t at = find_row(begin, desk->name);
        const struct store_row *row = &begin->rows[at];
        if (!desk->pool || desk->pool->version == row->version)
            continue;
        list[count] = (struct store_following){desk->pool, row, &begin->changes[at], false};
        desks[count++] = desk;
    }
    status = store_follow(batch->office->store, list, count);
    for (size_t i = 0; i < count && status == DATABASE_OK; i++) {
        if (list[i].done)
            status = look_around(batch->office, desks[i], &list[i].changes->leases);
        else
            desk_forget(desks[i]);
    }
    free(desks);
    free(list);
    return status;
}

/* Makes each pool what the database has, under the row locks. */
static enum database_status refresh_pools(struct batch *batch, struct store_begin *begin,
                                          int64_t now)
{
    enum database_status status;

    for (size_t i = 0; i < batch->count; i++) {
        struct desk *desk = batch->desks[i];
        if (desk->pool && desk->pool->id != begin->rows[find_row(begin, desk->name)].id)
            forget_project(batch->office, desk);
        if (desk->pool)
            desk->pool->now = now;
        desk->is_doubtful = false;
    }
    status = follow(batch, begin);
    for (size_t i = 0; i < batch->count && status == DATABASE_OK; i++) {
        struct desk *desk = batch->desks[i];
        if (!desk->pool)
            status = load(batch->office, desk, &begin->rows[find_row(begin, desk->name)], now);
    }
    return status;
}

static void remove_desk(struct batch *batch, size_t at)
{
    batch->desks[at]->in_batch = false;
    batch->desks[at] = batch->desks[--batch->count];
}

const char **batch_names(const struct batch *batch)
{
    const char **names = mem_alloc((batch->count + 1) * sizeof(char *));

    for (size_t i = 0; i < batch->count; i++)
        names[i] = batch->desks[i]->name;
    return names;
}

struct pool **batch_pools(const struct batch *batch)
{
    struct pool **pools = mem_alloc((batch->count + 1) * sizeof(struct pool *));

    for (size_t i = 0; i < batch->count; i++)
        pools[i] = batch->desks[i]->pool;
    return pools;
}

/* Alone, what is remembered is most likely what the database has: that saves a round trip. The
 * commit does nothing should it be otherwise; then nothing is remembered any more. */
static bool can_assume(const struct batch *batch)
{
    bool can = batch->office->clerk.other_count == 0 &&
               database_clock_is_close(&batch->office->clock, times_monotonic_us());

    for (size_t i = 0; i < batch->count && can; i++)
        can = batch->desks[i]->pool && !batch->desks[i]->is_doubtful;
    return can;
}

/* A batch is never before the last one, unless the database's clock was set back by more than we
 * may be wrong. */
static int64_t tell_time(struct office *office, int64_t now)
{
    if (now > office->now || now + DATABASE_CLOCK_WIDTH_MAX < office->now)
        office->now = now;
    return office->now;
}

static void assume(struct batch *batch)
{
    int64_t now =
        tell_time(batch->office, database_clock_at(&batch->office->clock, times_monotonic_us()));

    for (size_t i = 0; i < batch->count; i++)
        batch->desks[i]->pool->now = now;
}

/* For a desk whose row could not be locked. */
static void dismiss(struct batch *batch, size_t at, bool may_be_busy)
{
    struct desk *desk = batch->desks[at];

    if (may_be_busy) { /* it is another instance's turn */
        command_list_put_back(&batch->office->pending, &desk->commands);
        desk->deadline_ms = times_monotonic_ms() + 2;
        desks_note(&batch->office->desks, desk);
    } else {
        delivery_no_project(&batch->office->delivery, desk);
        desk_forget(desk);
        desk->deadline_ms = INT64_MAX;
    }
    remove_desk(batch, at);
}

static enum database_status lock_rows(struct batch *batch)
{
    const char **names = batch_names(batch);
    struct pool **pools = batch_pools(batch);
    struct store_begin begin;
    enum database_status status;
    int64_t now = 0;

    status = store_begin(batch->office->store, names, pools, batch->count, &begin);
    free(pools);
    free(names);
    database_clock_take(&batch->office->clock, &begin.now);
    if (begin.now.said)
        now = tell_time(batch->office, begin.now.said);
    for (size_t i = batch->count; i-- > 0 && status == DATABASE_OK;)
        if (find_row(&begin, batch->desks[i]->name) == begin.count)
            dismiss(batch, i, begin.busy_count > 0);
    if (status == DATABASE_OK)
        status = refresh_pools(batch, &begin, now);
    store_begin_free(&begin);
    return status;
}

enum database_status batch_prepare(struct batch *batch)
{
    if (!can_assume(batch))
        return lock_rows(batch);
    assume(batch);
    return DATABASE_OK;
}
