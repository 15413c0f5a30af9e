/* store: the writer's transactions: how they begin. */
#include "store/store.h"

#include "base/mem.h"
#include "base/times.h"
#include "database/sql.h"
#include "store/store_changes.h"
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

static void take_changes(struct store_begin *begin, const struct database_row *row)
{
    for (size_t i = 0; i < begin->count; i++)
        if (begin->rows[i].id == store_changes_project(row))
            store_changes_take(&begin->changes[i], row);
}

static void take_begin(void *context, const struct database_row *row)
{
    enum { SET_BEGUN, SET_LOCKED, SET_CHANGES };
    struct store_begin *begin = context;
    struct store_row *locked;

    if (row->set == SET_CHANGES) {
        take_changes(begin, row);
        return;
    }
    locked = &begin->rows[begin->count++];
    locked->id = (uint32_t)database_row_uint(row, 0, 0);
    locked->version = database_row_uint(row, 1, 0);
    snprintf(locked->name, sizeof locked->name, "%s", row->values[2]);
    locked->next_lease_number = database_row_uint(row, 3, 0);
    locked->next_event_number = database_row_uint(row, 4, 0);
    begin->now.said = database_row_int(row, 5, 0);
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

enum database_status store_begin(struct store *store, const char *const names[],
                                 struct pool *const pools[], size_t count,
                                 struct store_begin *begin)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;

    *begin = (struct store_begin){0};
    begin->rows = mem_zalloc((count + 1) * sizeof *begin->rows);
    begin->changes = mem_zalloc((count + 1) * sizeof *begin->changes);
    /* SKIP LOCKED: a project locked by another instance doesn't hold up the rest. SYSDATE: the time
     * the row was read; UTC_TIMESTAMP would give the time the statement began. */
    buf_puts(sql,
             "START TRANSACTION;"
             "SELECT project_id, version, name, next_lease_no, next_event_no, " SQL_MICROSECONDS
             "SYSDATE(6)) FROM project WHERE name IN ");
    store_add_names(sql, names, count);
    buf_puts(sql, " ORDER BY project_id FOR UPDATE SKIP LOCKED");
    store_changes_select(sql, pools, count);
    store->has_begun = true;
    begin->now.asked = times_monotonic_us();
    status = database_run(store->database, sql, take_begin, begin);
    if (status == DATABASE_OK && begin->count < count)
        status = count_busy(store, names, count, begin);
    return status;
}

void store_begin_free(struct store_begin *begin)
{
    for (size_t i = 0; i < begin->count; i++)
        changes_free(&begin->changes[i]);
    free(begin->changes);
    free(begin->rows);
    *begin = (struct store_begin){0};
}
