/* store: the writer's transactions: how they begin, and what clears old rows away. */
#include "store/store.h"

#include "base/mem.h"
#include "base/times.h"
#include "database/sql.h"
#include "store/store_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Host name and socket: unique among running instances, unless two hosts have one name. */
static void find_place(const char *socket, char *place, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof address - 1;
    char host[128] = "";

    gethostname(host, sizeof host - 1);
    if (strcmp(socket, "-") == 0 &&
        getsockname(STDIN_FILENO, (struct sockaddr *)&address, &len) == 0 &&
        address.sun_family == AF_UNIX)
        socket = address.sun_path;
    snprintf(place, size, "%s:%s", host, socket);
}

struct store *store_new(const struct config *config)
{
    struct store *store = mem_zalloc(sizeof *store);

    store->database = database_new(config, DATABASE_WRITING_S);
    find_place(config->socket, store->place, sizeof store->place);
    while (getrandom(&store->instance, sizeof store->instance, 0) != sizeof store->instance)
        ;
    store->instance |= 1; /* never 0 */
    return store;
}

void store_free(struct store *store)
{
    database_free(store->database);
    buf_free(&store->sql);
    buf_free(&store->settling);
    free(store);
}

uint64_t store_instance(const struct store *store)
{
    return store->instance;
}

struct buf *store_start_sql(struct store *store)
{
    buf_clear(&store->sql);
    return &store->sql;
}

void store_take_number(void *context, const struct database_row *row)
{
    *(int64_t *)context = database_row_int(row, 0, 0);
}

/* Begin */

static void take_begin(void *context, const struct database_row *row)
{
    struct store_begin *begin = context;
    struct store_row *locked = &begin->rows[begin->count++];

    locked->id = (uint32_t)database_row_uint(row, 0, 0);
    locked->version = database_row_uint(row, 1, 0);
    snprintf(locked->name, sizeof locked->name, "%s", row->values[2]);
    begin->now.said = database_row_int(row, 3, 0);
    begin->now.answered = times_monotonic_us();
}

void store_add_names(struct buf *sql, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_puts(sql, i ? "," : "(");
        sql_text(sql, names[i]);
    }
    buf_puts(sql, ")");
}

/* How many of the names exist though they could not be locked. */
static enum database_status count_busy(struct store *store, const char *const names[], size_t count,
                                       struct store_begin *begin)
{
    struct buf *sql = store_start_sql(store);
    int64_t existing = 0;
    enum database_status status;

    buf_puts(sql, "SELECT COUNT(*) FROM project WHERE name IN ");
    store_add_names(sql, names, count);
    status = database_run(store->database, sql, store_take_number, &existing);
    begin->busy_count = (size_t)existing - begin->count;
    return status;
}

enum database_status store_begin(struct store *store, const char *const names[], size_t count,
                                 struct store_begin *begin)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;

    *begin = (struct store_begin){0};
    begin->rows = mem_zalloc((count + 1) * sizeof *begin->rows);
    /* SKIP LOCKED: a project locked by another instance doesn't hold up the rest. SYSDATE: the time
     * the row was read; UTC_TIMESTAMP would give the time the statement began. */
    buf_puts(sql, "START TRANSACTION;"
                  "SELECT project_id, version, name, " SQL_MICROSECONDS
                  "SYSDATE(6)) FROM project WHERE name IN ");
    store_add_names(sql, names, count);
    buf_puts(sql, " ORDER BY project_id FOR UPDATE SKIP LOCKED");
    store->has_begun = true;
    begin->now.asked = times_monotonic_us();
    status = database_run(store->database, sql, take_begin, begin);
    if (status == DATABASE_OK && begin->count < count)
        status = count_busy(store, names, count, begin);
    return status;
}

void store_begin_free(struct store_begin *begin)
{
    free(begin->rows);
    *begin = (struct store_begin){0};
}

/* Purge */

/* Deletes old rows of one project. Finds one that has some by looking at each project's oldest row:
 * an EXISTS would be turned into a join that reads every row that stays. */
static void add_purge(struct buf *sql, const char *table, const char *column, const char *index,
                      int days)
{
    buf_printf(sql,
               "SET @project = (SELECT p.project_id FROM project p WHERE (SELECT t.%s FROM %s t"
               " FORCE INDEX (%s) WHERE t.project_id = p.project_id"
               " ORDER BY t.project_id, t.%s LIMIT 1)"
               " < UTC_TIMESTAMP(6) - INTERVAL %d DAY LIMIT 1);",
               column, table, index, column, days);
    buf_printf(sql,
               "DELETE FROM %s WHERE project_id = @project"
               " AND %s < UTC_TIMESTAMP(6) - INTERVAL %d DAY ORDER BY %s LIMIT 500;",
               table, column, days, column);
}

enum database_status store_purge(struct store *store, int history_days, bool *more)
{
    struct buf *sql = store_start_sql(store);
    int64_t deleted = 0;
    enum database_status status;

    /* Few rows at a time, found by keys, so that no statement takes long or locks much. */
    buf_puts(
        sql,
        "DELETE FROM request_key WHERE created < UTC_TIMESTAMP(6) - INTERVAL 3 DAY"
        " AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.project_id = request_key.project_id"
        " AND l.lease_no = request_key.lease_no)"
        " AND NOT EXISTS (SELECT 1 FROM history h WHERE h.project_id = request_key.project_id"
        " AND h.lease_no = request_key.lease_no"
        " AND h.ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY) LIMIT 500;"
        "DELETE FROM instance WHERE heartbeat < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR LIMIT 100;");
    add_purge(sql, "action", "at", "action_of_project", history_days);
    add_purge(sql, "history", "ended_at", "history_by_end", history_days);
    buf_puts(sql, "SELECT ROW_COUNT()");
    status = database_run(store->database, sql, store_take_number, &deleted);
    *more = deleted > 0;
    return status;
}
