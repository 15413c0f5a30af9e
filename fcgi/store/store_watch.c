/* store_watch: this program and the others, as the table `instance` has them. Writer's thread. */
#include "store/store_private.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/times.h"
#include "database/sql.h"

#include <stdio.h>

/* An instance that was silent for this long is dead. */
#define SILENCE_S 2

/* An earlier run at our own place, whose socket we have, is dead sooner. Two hosts may have one
 * name, so the other one is given the time for a heartbeat. */
#define PREDECESSOR_S 1

/* But after an outage of the database all were silent: nobody is dead yet. */
#define SILENCE_AFTER_OUTAGE_S 3600

void store_add_heartbeat(struct buf *sql, const struct store *store, const char *last_batch)
{
    buf_printf(sql,
               "INSERT INTO instance (instance_id, host, last_batch, heartbeat, started)"
               " VALUES (%llu,",
               (unsigned long long)store->instance);
    sql_text(sql, store->place);
    buf_printf(sql, ",%s,UTC_TIMESTAMP(6),UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE%s",
               last_batch ? last_batch : "0", last_batch ? " last_batch=VALUES(last_batch)," : "");
    buf_puts(sql, " heartbeat=VALUES(heartbeat);");
}

static void take_watch(void *context, const struct database_row *row)
{
    enum { SET_NOW, SET_HEARTBEAT, SET_VERSIONS };
    struct store_watch *watch = context;
    struct store_row *seen;

    if (row->set == SET_NOW) {
        watch->now.said = database_row_int(row, 0, 0);
        watch->now.answered = times_monotonic_us();
        return;
    }
    watch->rows = mem_realloc(watch->rows, (watch->count + 1) * sizeof *watch->rows);
    seen = &watch->rows[watch->count++];
    seen->id = (uint32_t)database_row_uint(row, 0, 0);
    seen->version = database_row_uint(row, 1, 0);
    snprintf(seen->name, sizeof seen->name, "%s", row->values[2]);
}

enum database_status store_watch(struct store *store, struct store_watch *watch)
{
    struct buf *sql = store_start_sql(store);

    *watch = (struct store_watch){0};
    buf_puts(sql, "SELECT " STORE_NOW_US ";"); /* first, before what takes its time */
    store_add_heartbeat(sql, store, NULL);
    buf_puts(sql, "SELECT project_id, version, name FROM project");
    watch->now.asked = times_monotonic_us();
    return database_run(store->database, sql, take_watch, watch);
}

static void take_other(void *context, const struct database_row *row)
{
    struct store_others *others = context;

    others->instances =
        mem_realloc(others->instances, (others->count + 1) * sizeof *others->instances);
    others->instances[others->count++] = database_row_uint(row, 0, 0);
}

enum database_status store_find_others(struct store *store, bool was_away,
                                       struct store_others *others)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;

    *others = (struct store_others){0};
    buf_printf(sql,
               "SELECT instance_id FROM instance WHERE instance_id <> %llu"
               " AND heartbeat > UTC_TIMESTAMP(6) - INTERVAL %d SECOND AND NOT (host = ",
               (unsigned long long)store->instance, was_away ? SILENCE_AFTER_OUTAGE_S : SILENCE_S);
    sql_text(sql, store->place);
    buf_puts(sql, " AND heartbeat < ");
    sql_time(sql, store->started);
    buf_puts(sql, " AND UTC_TIMESTAMP(6) > ");
    sql_time(sql, store->started + PREDECESSOR_S * TIMES_SECOND);
    buf_puts(sql, ")");
    status = database_run(store->database, sql, take_other, others);
    if (status == DATABASE_OK)
        store->has_others = others->count > 0;
    return status;
}

void store_leave(struct store *store)
{
    struct buf *sql = store_start_sql(store);

    if (!database_is_connected(store->database))
        return;
    buf_printf(sql, "DELETE FROM instance WHERE instance_id = %llu",
               (unsigned long long)store->instance);
    if (database_run(store->database, sql, NULL, NULL) != DATABASE_OK)
        log_info("couldn't sign off; the others will see it by the heartbeat");
}
