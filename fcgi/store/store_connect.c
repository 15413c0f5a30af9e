/* store_connect: what a new connection of the writer is checked for and begins with. Writer's
 * thread. */
#include "store/store_private.h"

#include "base/log.h"
#include "base/times.h"
#include "database/sql.h"

/* The server ends a writer's connection that was silent for this long, or a broken network would
 * leave a transaction there, with its locks, for hours. Ours is never silent: it watches
 * (writer.c). */
#define IDLE_S 5

/* The newest migration that this program knows. */
#define SCHEMA 10

static void take_schema(void *context, const struct database_row *row)
{
    int64_t *schema = context;

    schema[0] = database_row_int(row, 0, 0);
    schema[1] = database_row_int(row, 1, 0);
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
        store_add_heartbeat(sql, store, NULL);
        buf_puts(sql, "SELECT " STORE_NOW_US);
        now->asked = times_monotonic_us();
        status = database_run(store->database, sql, store_take_number, &now->said);
        now->answered = times_monotonic_us();
        if (!store->started)
            store->started = now->said;
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
