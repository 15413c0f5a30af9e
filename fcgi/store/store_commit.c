/*
 * store_commit: how a batch ends. Writer's thread.
 *
 * A whole batch is one text, unless it grows very large; Galera gets its statements one by one. For
 * a stack that is borrowed, while no other instance is alive:
 *
 *     START TRANSACTION;
 *     UPDATE project SET version = version + 1, next_lease_no = 8
 *         WHERE project_id = 1 AND version = 41;
 *     INSERT INTO instance (instance_id, host, last_batch, heartbeat, started)
 *         VALUES (…, IF(ROW_COUNT() = 1 AND …the clock is right…, 17, NULL), …)
 *         ON DUPLICATE KEY UPDATE last_batch = VALUES(last_batch), …;
 *     UPDATE stack …; INSERT INTO lease …; INSERT INTO request_key …;
 *     COMMIT;
 *
 * What was decided in memory holds only if the project still has the version that is remembered.
 * No statement can say "if not, roll back" without a round trip, but a failed one ends the text.
 * So the number of the batch becomes NULL unless the UPDATE before it has found each version, and
 * last_batch is NOT NULL: the server refuses the row (error 1048), runs nothing of the rest, and
 * nothing is committed. database_status takes that error as DATABASE_RETRY: the writer rolls back,
 * reads the pools anew, and runs the batch again. No other value of a batch may be NULL where the
 * schema forbids it; a fault there would be taken for the same.
 *
 * The same number tells what came of a COMMIT whose answer was lost: see store_was_committed().
 */
#include "store/store_private.h"

#include "database/sql.h"
#include "store/store_changes.h"
#include "store/store_write.h"

#include <stddef.h>

/* How far a batch that didn't ask the database for the time may be from it. */
#define CLOCK_TOLERANCE_US 500000

/* Moves the changed pools to the front; returns how many there are. */
static size_t sort_out(struct pool *pools[], size_t count)
{
    size_t changed = 0;

    for (size_t i = 0; i < count; i++) {
        struct pool *pool = pools[i];
        if (!pool_is_dirty(pool))
            continue;
        pools[i] = pools[changed];
        pools[changed++] = pool;
    }
    return changed;
}

/* WHERE: the rows of those pools whose versions are still the remembered ones. */
static void add_versions(struct buf *sql, struct pool *const pools[], size_t count)
{
    if (count == 1) { /* most often; the server has less to parse */
        buf_printf(sql, " WHERE project_id = %u AND version = %llu", pools[0]->id,
                   (unsigned long long)pools[0]->version);
        return;
    }
    buf_puts(sql, " WHERE project_id IN (");
    for (size_t i = 0; i < count; i++)
        buf_printf(sql, "%s%u", i ? "," : "", pools[i]->id);
    buf_puts(sql, ") AND version = CASE project_id");
    for (size_t i = 0; i < count; i++)
        buf_printf(sql, " WHEN %u THEN %llu", pools[i]->id, (unsigned long long)pools[i]->version);
    buf_puts(sql, " END");
}

/* What a column becomes: for each project the number at `offset` of its pool. */
static void add_counter(struct buf *sql, struct pool *const pools[], size_t count, size_t offset)
{
    if (count == 1) {
        buf_uint(sql, *(const uint64_t *)((const char *)pools[0] + offset));
        return;
    }
    buf_puts(sql, "CASE project_id");
    for (size_t i = 0; i < count; i++)
        buf_printf(sql, " WHEN %u THEN %llu", pools[i]->id,
                   (unsigned long long)*(const uint64_t *)((const char *)pools[i] + offset));
    buf_puts(sql, " END");
}

static bool have_events(struct pool *const pools[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pools[i]->events)
            return true;
    return false;
}

static void raise_versions(struct buf *sql, struct pool *const pools[], size_t count)
{
    buf_puts(sql, "UPDATE project SET version = version + 1, next_lease_no = ");
    add_counter(sql, pools, count, offsetof(struct pool, next_lease_number));
    if (have_events(pools, count)) {
        buf_puts(sql, ", next_event_no = ");
        add_counter(sql, pools, count, offsetof(struct pool, next_event_number));
    }
    add_versions(sql, pools, count);
    buf_puts(sql, ";");
    for (size_t i = 0; i < count; i++)
        pools[i]->version++;
}

/* What must hold of a batch that has locked nothing, beyond the versions that it raises. */
static void add_assumptions(struct buf *sql, int64_t now, struct pool *const unchanged[],
                            size_t count)
{
    buf_puts(sql, " AND ABS(TIMESTAMPDIFF(MICROSECOND,UTC_TIMESTAMP(6),");
    sql_time(sql, now);
    buf_printf(sql, ")) < %d", CLOCK_TOLERANCE_US);
    if (count > 0) {
        buf_puts(sql, " AND (SELECT COUNT(*) FROM project");
        add_versions(sql, unchanged, count);
        buf_printf(sql, ") = %zu", count);
    }
}

/* Records the batch number in our row. It becomes NULL if the UPDATE did not find every version;
 * the NOT NULL column then fails the whole text. */
static void number_batch(struct buf *sql, const struct store *store, struct pool *const pools[],
                         size_t count, size_t changed)
{
    struct buf number = {0};

    buf_printf(&number, "IF(ROW_COUNT() = %zu", changed);
    if (!store->has_begun)
        add_assumptions(&number, pools[0]->now, pools + changed, count - changed);
    buf_printf(&number, ",%llu,NULL)", (unsigned long long)store->batch);
    store_add_heartbeat(sql, store, number.data);
    buf_free(&number);
}

/* The lost statements may still be running, or not even have begun; on a cluster another node
 * doesn't wait for their locks. So first commit a change to the same versions: after that the lost
 * batch is either there or can never be. */
static void prepare_settling(struct store *store, struct pool *const pools[], size_t count)
{
    struct buf *sql = &store->settling;

    buf_clear(sql);
    buf_puts(sql, "UPDATE project SET version = version + 1 WHERE project_id IN (0");
    for (size_t i = 0; i < count; i++)
        buf_printf(sql, ",%u", pools[i]->id);
    buf_puts(sql, ")");
}

static enum database_status write_and_commit(struct store *store, struct pool *const pools[],
                                             size_t count, size_t changed)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;

    if (!store->has_begun)
        buf_puts(sql, "START TRANSACTION;");
    raise_versions(sql, pools, changed);
    number_batch(sql, store, pools, count, changed);
    status = store_write_pools(store->database, sql, pools, changed);
    if (status != DATABASE_OK)
        return status;
    if (store->has_others)
        store_changes_write(sql, pools, changed);
    buf_puts(sql, "COMMIT;");
    status = database_fault(store->database, "beforeCommit", DATABASE_OK);
    if (status == DATABASE_OK)
        status = database_write(store->database, sql);
    status = database_fault(store->database, "afterCommit", status);
    if (status == DATABASE_LOST)
        prepare_settling(store, pools, changed);
    return status;
}

/* Nothing is to be written, but responses are about to be made from what is remembered. */
static enum database_status check_versions(struct store *store, struct pool *const pools[],
                                           size_t count)
{
    struct buf *sql = store_start_sql(store);
    int64_t found = 0;
    enum database_status status;

    buf_puts(sql, "SELECT COUNT(*) FROM project");
    add_versions(sql, pools, count);
    status = database_run(store->database, sql, store_take_number, &found);
    return status == DATABASE_OK && found != (int64_t)count ? DATABASE_RETRY : status;
}

static enum database_status roll_back(struct store *store)
{
    struct buf *sql = store_start_sql(store);

    buf_puts(sql, "ROLLBACK");
    store->has_begun = false;
    return database_run(store->database, sql, NULL, NULL);
}

void store_rollback(struct store *store)
{
    roll_back(store);
}

enum database_status store_commit(struct store *store, struct pool *pools[], size_t count)
{
    size_t changed = sort_out(pools, count);
    enum database_status status;

    store->batch++; /* first: a batch that is lost midway must not look committed */
    if (changed > 0)
        status = write_and_commit(store, pools, count, changed);
    else if (store->has_begun)
        status = roll_back(store);
    else
        status = check_versions(store, pools, count);
    if (status == DATABASE_OK)
        store->has_begun = false;
    return status;
}

static void take_last_batch(void *context, const struct database_row *row)
{
    enum { SET_BEGUN, SET_LOCKED, SET_LAST_BATCH };

    if (row->set == SET_LAST_BATCH)
        *(int64_t *)context = database_row_int(row, 0, -1);
}

enum database_status store_was_committed(struct store *store, const char *const names[],
                                         size_t count, bool *was_committed)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;
    int64_t batch = -1;

    /* store_connect() has settled it: what isn't there now will never be. */
    buf_puts(sql, "START TRANSACTION;SELECT project_id FROM project WHERE name IN ");
    store_add_names(sql, names, count);
    buf_printf(sql,
               " ORDER BY project_id FOR UPDATE;"
               "SELECT last_batch FROM instance WHERE instance_id = %llu;"
               "ROLLBACK",
               (unsigned long long)store->instance);
    status = database_run(store->database, sql, take_last_batch, &batch);
    *was_committed = batch >= 0 && (uint64_t)batch == store->batch;
    return status;
}
