/* store: transactions of the writer. What a batch reads stands here, what it writes in store_write.
 */
#include "store/store.h"

#include "base/log.h"
#include "base/times.h"
#include "database/sql.h"
#include "store/store_private.h"
#include "store/store_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOW_US SQL_MICROSECONDS "UTC_TIMESTAMP(6))"

/* An instance that was silent for so long is dead. */
#define SILENCE_S 2

/* The server ends a writer's connection that was silent for so long, or a broken network would
 * leave a transaction there, with its locks, for hours. Ours is never silent: it watches
 * (writer.c). */
#define IDLE_S 5

/* But after an outage of the database all were silent: nobody is dead yet. */
#define SILENCE_AFTER_OUTAGE_S 3600

/* Where this program runs: no two living ones have the same socket. */
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

    store->database = database_new(config);
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
    *(int64_t *)context = database_int(row, 0, 0);
}

/* Connecting */

/* The newest migration that this program knows. */
#define SCHEMA 1

static void take_schema(void *context, const struct database_row *row)
{
    int64_t *schema = context;

    schema[0] = database_int(row, 0, 0);
    schema[1] = database_int(row, 1, 0);
}

/* Newer schemas are fine as long as they say that this program can live with them, so that several
 * hosts can be upgraded one after the other. */
static enum database_status check_schema(struct store *store)
{
    struct buf *sql = store_start_sql(store);
    int64_t schema[2] = {0, 0}; /* newest version, oldest program for it */
    enum database_status status;

    buf_puts(sql, "SELECT COALESCE(MAX(version), 0), COALESCE(MAX(oldest_program), 0)"
                  " FROM schema_version WHERE finished IS NOT NULL");
    status = database_run(store->database, sql, take_schema, schema);
    if (status != DATABASE_OK)
        return status;
    if (schema[0] >= SCHEMA && schema[1] <= SCHEMA) {
        store->schema_is_wrong = false;
        return DATABASE_OK;
    }
    if (!store->schema_is_wrong && schema[0] < SCHEMA) /* once, not at every attempt */
        log_error(
            "the database has schema %lld, this program needs %d: run orchestratorctl migrate",
            (long long)schema[0], SCHEMA);
    else if (!store->schema_is_wrong)
        log_error("the database's schema needs a program for schema %lld, this one is for %d",
                  (long long)schema[1], SCHEMA);
    store->schema_is_wrong = true;
    return DATABASE_ERROR;
}

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

/* What a new connection begins with. */
static enum database_status sign_on(struct store *store, struct database_time *now)
{
    struct buf *sql;
    enum database_status status = check_schema(store);

    store->has_begun = false;
    if (status == DATABASE_OK && store->settling.len) {
        status = database_run(store->database, &store->settling, NULL, NULL);
        if (status == DATABASE_OK)
            buf_clear(&store->settling);
    }
    if (status == DATABASE_OK) {
        sql = store_start_sql(store);
        buf_printf(sql, "SET SESSION wait_timeout = %d;", IDLE_S);
        buf_puts(sql, "DELETE FROM instance WHERE host = "); /* whose socket we have now */
        sql_text(sql, store->place);
        buf_printf(sql, " AND instance_id <> %llu;", (unsigned long long)store->instance);
        store_add_heartbeat(sql, store, NULL);
        buf_puts(sql, "SELECT " NOW_US);
        now->asked = times_monotonic_us();
        status = database_run(store->database, sql, store_take_number, &now->said);
        now->answered = times_monotonic_us();
    }
    if (status != DATABASE_OK)
        database_disconnect(store->database);
    return status;
}

enum database_status store_connect(struct store *store, struct database_time *reconnected)
{
    enum database_status status;
    struct database_time now = {0};

    if (database_is_connected(store->database))
        return DATABASE_OK;
    status = database_connect(store->database);
    if (status == DATABASE_OK)
        status = sign_on(store, &now);
    if (status == DATABASE_OK)
        *reconnected = now;
    return status;
}

void store_disconnect(struct store *store)
{
    database_disconnect(store->database);
}

bool store_fail_back(struct store *store)
{
    struct database_time now = {0};

    return database_fail_back(store->database) && sign_on(store, &now) == DATABASE_OK;
}

const char *store_refusal(const struct store *store)
{
    return database_refusal(store->database);
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

/* Begin */

static void take_time(struct database_time *time, const struct database_row *row, unsigned column)
{
    time->said = database_int(row, column, 0);
    time->answered = times_monotonic_us();
}

static void take_begin(void *context, const struct database_row *row)
{
    struct store_begin *begin = context;
    struct store_project *project = &begin->projects[begin->project_count++];

    project->id = (uint32_t)database_uint(row, 0, 0);
    project->version = database_uint(row, 1, 0);
    snprintf(project->name, sizeof project->name, "%s", row->values[2]);
    take_time(&begin->now, row, 3);
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
    begin->busy_count = (size_t)existing - begin->project_count;
    return status;
}

enum database_status store_begin(struct store *store, const char *const names[], size_t count,
                                 struct store_begin *begin)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;

    *begin = (struct store_begin){0};
    begin->projects = mem_zalloc((count + 1) * sizeof *begin->projects);
    /* SKIP LOCKED: a project that another host is at doesn't hold up the others. SYSDATE: when the
     * row was read, where UTC_TIMESTAMP says when the statement began. */
    buf_puts(sql, "START TRANSACTION;"
                  "SELECT project_id, version, name, " SQL_MICROSECONDS
                  "SYSDATE(6)) FROM project WHERE name IN ");
    store_add_names(sql, names, count);
    buf_puts(sql, " ORDER BY project_id FOR UPDATE SKIP LOCKED");
    store->has_begun = true;
    begin->now.asked = times_monotonic_us();
    status = database_run(store->database, sql, take_begin, begin);
    if (status == DATABASE_OK && begin->project_count < count)
        status = count_busy(store, names, count, begin);
    return status;
}

void store_begin_free(struct store_begin *begin)
{
    free(begin->projects);
    *begin = (struct store_begin){0};
}

/* Watching */

static void take_watch(void *context, const struct database_row *row)
{
    enum { SET_NOW, SET_HEARTBEAT, SET_VERSIONS };
    struct store_watch *watch = context;
    struct store_version *version;

    if (row->set == SET_NOW) {
        take_time(&watch->now, row, 0);
        return;
    }
    watch->versions = mem_realloc(watch->versions, (watch->count + 1) * sizeof *watch->versions);
    version = &watch->versions[watch->count++];
    version->id = (uint32_t)database_uint(row, 0, 0);
    version->version = database_uint(row, 1, 0);
    snprintf(version->name, sizeof version->name, "%s", row->values[2]);
}

enum database_status store_watch(struct store *store, struct store_watch *watch)
{
    struct buf *sql = store_start_sql(store);

    *watch = (struct store_watch){0};
    buf_puts(sql, "SELECT " NOW_US ";"); /* first, before what takes its time */
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
    others->instances[others->count++] = database_uint(row, 0, 0);
}

enum database_status store_find_others(struct store *store, bool was_away,
                                       struct store_others *others)
{
    struct buf *sql = store_start_sql(store);

    *others = (struct store_others){0};
    buf_printf(sql,
               "SELECT instance_id FROM instance WHERE instance_id <> %llu"
               " AND heartbeat > UTC_TIMESTAMP(6) - INTERVAL %d SECOND",
               (unsigned long long)store->instance, was_away ? SILENCE_AFTER_OUTAGE_S : SILENCE_S);
    return database_run(store->database, sql, take_other, others);
}

/* The oldest rows of a project that has some to forget. By a look at the oldest row of each
 * project: an EXISTS would be made a join, and read all that is to stay. */
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
