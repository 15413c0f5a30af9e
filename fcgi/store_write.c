/* store_write: one INSERT … ON DUPLICATE KEY UPDATE a table and batch; all by primary key. */
#include "store_write.h"

#include "json.h"
#include "store_tables.h"
#include "times.h"

#include <stdlib.h>
#include <string.h>

/* Far below every server's max_allowed_packet: a row has some 16 KiB at most. */
#define TEXT_MAX (1024 * 1024)
#define ROWS_MAX 100

/* Values of a row */

static void add_uint(struct buf *sql, uint64_t value)
{
    buf_puts(sql, ",");
    buf_uint(sql, value);
}

static void add_optional(struct buf *sql, uint64_t value)
{
    if (value)
        add_uint(sql, value);
    else
        buf_puts(sql, ",NULL");
}

static void add_text(struct buf *sql, const char *text)
{
    buf_puts(sql, ",");
    sql_text(sql, text);
}

static void add_time(struct buf *sql, int64_t time_us)
{
    buf_puts(sql, ",");
    sql_time(sql, time_us);
}

/* Tables */

/* Rows of one statement. */
struct chunk {
    struct database *database;
    struct buf *sql;
    const struct pool *pool;
    const struct table *table;
    unsigned parts; /* that are written; 0: the rows are new */
    const void *rows[ROWS_MAX];
    size_t count;
    enum database_status status;
};

/* Runs what has gathered, so that no text outgrows what the server takes. */
static enum database_status run_if_large(struct database *database, struct buf *sql)
{
    enum database_status status = DATABASE_OK;

    if (sql->len > TEXT_MAX) {
        status = database_run(database, sql, NULL, NULL);
        status = database_fault(database, "midBatch", status);
        buf_clear(sql);
    }
    return status;
}

static void flush(struct chunk *chunk)
{
    if (chunk->count > 0 && chunk->parts)
        table_update(chunk->sql, chunk->table, chunk->pool->id, chunk->rows, chunk->count,
                     chunk->parts);
    else if (chunk->count > 0)
        table_insert(chunk->sql, chunk->table, chunk->pool->id, chunk->rows, chunk->count);
    chunk->count = 0;
    if (chunk->status == DATABASE_OK)
        chunk->status = run_if_large(chunk->database, chunk->sql);
}

static void add_row(struct chunk *chunk, const void *row)
{
    chunk->rows[chunk->count++] = row;
    if (chunk->count == ROWS_MAX)
        flush(chunk);
}

static enum database_status write_stacks(struct chunk chunk)
{
    chunk.table = &table_stack;
    for (const struct stack *at = chunk.pool->dirty_stacks; at; at = at->next_dirty)
        chunk.parts |= at->changed;
    for (const struct stack *at = chunk.pool->dirty_stacks; at; at = at->next_dirty)
        add_row(&chunk, at);
    flush(&chunk);
    return chunk.status;
}

static enum database_status write_history(struct chunk chunk)
{
    chunk.table = &table_history;
    for (const struct lease *at = chunk.pool->ended_leases; at; at = at->next_dirty)
        add_row(&chunk, at);
    flush(&chunk);
    return chunk.status;
}

static enum database_status write_leases(struct chunk chunk, bool are_stored)
{
    chunk.table = &table_lease;
    chunk.parts = are_stored ? LEASE_LIFE : 0;
    for (const struct lease *at = chunk.pool->dirty_leases; at; at = at->next_dirty)
        if (at->stored == are_stored)
            add_row(&chunk, at);
    flush(&chunk);
    return chunk.status;
}

static void delete_ended(struct buf *sql, const struct pool *pool)
{
    bool any = false;

    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty) {
        if (!at->stored)
            continue;
        if (any)
            buf_puts(sql, ",");
        else
            buf_printf(sql,
                       "DELETE lease FROM lease FORCE INDEX (PRIMARY)"
                       " WHERE project_id = %u AND lease_no IN (",
                       pool->id);
        buf_uint(sql, at->number);
        any = true;
    }
    if (any)
        buf_puts(sql, ");");
}

static void add_key(struct buf *sql, const struct pool *pool, const struct lease *lease,
                    const char **separator)
{
    if (lease->stored || !lease->request_id)
        return;
    buf_printf(sql, "%s(%u", *separator, pool->id);
    add_text(sql, lease->request_id);
    add_uint(sql, lease->number);
    add_time(sql, pool->now);
    buf_puts(sql, ")");
    *separator = ",";
}

static void write_keys(struct buf *sql, const struct pool *pool)
{
    static const char start[] =
        "INSERT INTO request_key (project_id, request_id, lease_no, created) VALUES ";
    const char *separator = start;

    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        add_key(sql, pool, at, &separator);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        add_key(sql, pool, at, &separator);
    if (separator != start)
        buf_puts(sql,
                 " ON DUPLICATE KEY UPDATE lease_no=VALUES(lease_no), created=VALUES(created);");
}

static void write_actions(struct buf *sql, const struct pool *pool)
{
    static const char *const verbs[] = {
        [VERB_DELETE_LAST] = "deleteLastStack", [VERB_HOLD] = "holdStack",
        [VERB_QUARANTINE] = "quarantineStack",  [VERB_REINSTATE] = "reinstateStack",
        [VERB_REVOKE] = "revokeLease",          [VERB_ADD_STACKS] = "addStacks",
        [VERB_DELETE_STACK] = "deleteStack",    [VERB_UPDATE_PROJECT] = "updateProject",
    };
    const char *separator =
        "INSERT INTO action (project_id, at, key_name, verb, stack_no, detail, reason) VALUES ";

    if (!pool->actions)
        return;
    for (const struct action *at = pool->actions; at; at = at->next) {
        buf_printf(sql, "%s(%u", separator, pool->id);
        add_time(sql, pool->now);
        add_text(sql, at->key_name);
        buf_printf(sql, ",'%s'", verbs[at->verb]);
        add_optional(sql, at->stack_number);
        add_text(sql, at->detail);
        add_text(sql, at->reason);
        buf_puts(sql, ")");
        separator = ",";
    }
    buf_puts(sql, ";");
}

static void write_project(struct buf *sql, struct pool *pool)
{
    pool->version++;
    buf_printf(sql, "UPDATE project SET version = %llu, next_lease_no = %llu",
               (unsigned long long)pool->version, (unsigned long long)pool->next_lease_number);
    if (pool->settings_dirty) {
        buf_puts(sql, ", prefix = ");
        sql_text(sql, pool->prefix);
        buf_puts(sql, ", initial_commit = ");
        sql_text(sql, pool->initial_commit);
        buf_printf(sql,
                   ", max_stacks = %u, lease_s = %u, max_lease_s = %u, wait_s = %u, modified = ",
                   pool->max_stacks, pool->lease_s, pool->max_lease_s, pool->wait_s);
        sql_time(sql, pool->now);
    }
    buf_printf(sql, " WHERE project_id = %u;", pool->id);
}

/* Manifests */

static void add_units(struct buf *sql, const struct manifest *manifest)
{
    struct json_writer *json = json_writer_new();
    struct buf text = {0};

    json_open_object(json, NULL);
    for (size_t i = 0; i < manifest->count; i++)
        json_put_string(json, manifest->units[i].name, manifest->units[i].fingerprint);
    json_close_object(json);
    json_writer_take(json, &text);
    sql_text(sql, text.data);
    buf_free(&text);
    json_writer_free(json);
}

static void write_manifest(struct buf *sql, const struct pool *pool,
                           const struct manifest *manifest)
{
    if (manifest->uses > 0 && !manifest->stored) {
        buf_printf(sql, "INSERT INTO manifest (project_id, manifest_no, units) VALUES (%u",
                   pool->id);
        add_uint(sql, manifest->number);
        buf_puts(sql, ",");
        add_units(sql, manifest);
        buf_puts(sql, ");");
    } else if (manifest->uses == 0 && manifest->stored) {
        buf_printf(sql, "DELETE FROM manifest WHERE project_id = %u AND manifest_no = %llu;",
                   pool->id, (unsigned long long)manifest->number);
    }
}

struct manifest *store_read_manifest(const char *json, size_t len, uint64_t number)
{
    char why[200];
    struct json_document *document = json_parse(json, len, why, sizeof why);
    const struct json_value *root = document ? json_root(document) : NULL;
    struct manifest *manifest = NULL;
    struct unit *units;
    size_t count = 0;

    if (root && root->type == JSON_OBJECT) {
        units = mem_alloc((root->length + 1) * sizeof *units);
        for (const struct json_value *at = root->first; at; at = at->next)
            units[count++] = (struct unit){
                .name = at->key, .fingerprint = at->type == JSON_STRING ? at->string : ""};
        manifest = manifest_new(units, count);
        manifest->number = number;
        manifest->stored = true;
        free(units);
    }
    json_free(document);
    return manifest;
}

/* All of it */

enum database_status store_write_pool(struct database *database, struct buf *sql, struct pool *pool)
{
    struct chunk chunk = {.database = database, .sql = sql, .pool = pool};
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < pool->touched_count && status == DATABASE_OK; i++) {
        write_manifest(sql, pool, pool->touched[i]);
        status = run_if_large(database, sql);
    }
    chunk.status = status;
    if (chunk.status == DATABASE_OK)
        chunk.status = write_stacks(chunk);
    if (chunk.status == DATABASE_OK)
        chunk.status = write_history(chunk);
    if (chunk.status == DATABASE_OK)
        chunk.status = write_leases(chunk, false);
    if (chunk.status == DATABASE_OK)
        chunk.status = write_leases(chunk, true);
    if (chunk.status != DATABASE_OK)
        return chunk.status;
    write_keys(sql, pool);
    delete_ended(sql, pool);
    write_actions(sql, pool);
    write_project(sql, pool);
    return run_if_large(database, sql);
}
