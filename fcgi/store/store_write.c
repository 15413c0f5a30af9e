/* store_write: what a batch changed, all by primary key, with as few statements as it takes. */
#include "store/store_write.h"

#include "base/times.h"
#include "database/sql.h"
#include "store/store_activity.h"
#include "store/store_event.h"
#include "store/store_manifest.h"
#include "store/table.h"

/* Far below every server's max_allowed_packet: a row has some 16 KiB at most. */
#define TEXT_MAX (1024 * 1024)
#define ROWS_MAX 100

/* The batch as it is written. */
struct writing {
    struct database *database;
    struct buf *sql;
    struct pool *const *pools;
    size_t count;
    enum database_status status;
};

/* One statement for the rows of all pools, because the number of statements is what costs. */
struct statement {
    struct writing *writing;
    const struct table *table;
    unsigned changes; /* that are written; 0: the rows are new */
    bool may_be_new;
    struct table_row rows[ROWS_MAX];
    size_t count;
};

/* Runs what has gathered, so that no text outgrows what the server takes. */
static void run_if_large(struct writing *writing)
{
    if (writing->status != DATABASE_OK || writing->sql->len <= TEXT_MAX)
        return;
    writing->status = database_write(writing->database, writing->sql);
    writing->status = database_fault(writing->database, "midBatch", writing->status);
    buf_clear(writing->sql);
}

static void flush(struct statement *statement)
{
    struct buf *sql = statement->writing->sql;

    if (statement->count > 0 && !statement->changes)
        table_insert(sql, statement->table, statement->rows, statement->count);
    else if (statement->count == 1 && !statement->may_be_new)
        table_update(sql, statement->table, &statement->rows[0], statement->changes);
    else if (statement->count > 0)
        table_put(sql, statement->table, statement->rows, statement->count, statement->changes);
    statement->count = 0;
    run_if_large(statement->writing);
}

static void add_row(struct statement *statement, const struct pool *pool, const void *object)
{
    statement->rows[statement->count++] = (struct table_row){pool->id, object};
    if (statement->count == ROWS_MAX)
        flush(statement);
}

static void write_stacks(struct writing *writing)
{
    struct statement statement = {.writing = writing, .table = &table_stack};

    for (size_t i = 0; i < writing->count; i++)
        for (const struct stack *at = writing->pools[i]->dirty_stacks; at; at = at->next_dirty)
            statement.changes |= at->changed & STACK_ROW;
    statement.may_be_new = statement.changes & STACK_BIRTH;
    for (size_t i = 0; i < writing->count; i++)
        for (const struct stack *at = writing->pools[i]->dirty_stacks; at; at = at->next_dirty)
            if (at->changed & STACK_ROW)
                add_row(&statement, writing->pools[i], at);
    flush(&statement);
}

/* The row of a stack's new note takes the place of the one before. Found by the key: see
 * delete_ended(). */
static void write_notes(struct writing *writing)
{
    static const char start[] = "DELETE stack_note FROM stack_note FORCE INDEX (PRIMARY) WHERE ";
    struct statement statement = {.writing = writing, .table = &table_stack_note};
    const char *separator = start;

    for (size_t i = 0; i < writing->count; i++) {
        const struct pool *pool = writing->pools[i];
        for (const struct stack *at = pool->dirty_stacks; at; at = at->next_dirty) {
            if (!(at->changed & STACK_NOTE) || at->note_number == 1)
                continue;
            buf_printf(writing->sql, "%sproject_id=%u AND stack_no=%u AND note_no=%llu", separator,
                       pool->id, at->number, (unsigned long long)at->note_number - 1);
            separator = " OR ";
        }
    }
    if (separator != start)
        buf_puts(writing->sql, ";");
    for (size_t i = 0; i < writing->count; i++)
        for (const struct stack *at = writing->pools[i]->dirty_stacks; at; at = at->next_dirty)
            if (at->changed & STACK_NOTE)
                add_row(&statement, writing->pools[i], at);
    flush(&statement);
}

static void add_failure(struct buf *sql, const struct pool *pool, const struct stack *stack,
                        const struct failure *failure, const char **separator)
{
    buf_printf(sql, "%s(%u,%u,%llu", *separator, pool->id, stack->number,
               (unsigned long long)failure->lease_number);
    sql_next_text(sql, failure->branch);
    sql_next_text(sql, failure->job_name);
    sql_next_text(sql, failure->job_url);
    sql_next_time(sql, failure->at);
    buf_puts(sql, ")");
    *separator = ",";
}

/* Deletions come first: a stack may fail again in the batch that cured it. */
static void write_failures(struct writing *writing)
{
    static const char start[] = "INSERT INTO stack_failure"
                                " (project_id,stack_no,lease_no,branch,job_name,job_url,failed_at)"
                                " VALUES ";
    const char *separator = start;

    for (size_t i = 0; i < writing->count; i++)
        for (const struct stack *at = writing->pools[i]->dirty_stacks; at; at = at->next_dirty)
            if (at->changed & STACK_CURED)
                buf_printf(writing->sql,
                           "DELETE stack_failure FROM stack_failure FORCE INDEX (PRIMARY)"
                           " WHERE project_id=%u AND stack_no=%u;",
                           writing->pools[i]->id, at->number);
    for (size_t i = 0; i < writing->count; i++)
        for (const struct stack *at = writing->pools[i]->dirty_stacks; at; at = at->next_dirty)
            for (const struct failure *failure = at->health.failures;
                 at->changed & STACK_HEALTH && failure && !failure->stored; failure = failure->next)
                add_failure(writing->sql, writing->pools[i], at, failure, &separator);
    if (separator != start)
        buf_puts(writing->sql, ";");
}

static void write_history(struct writing *writing)
{
    struct statement statement = {.writing = writing, .table = &table_history};

    for (size_t i = 0; i < writing->count; i++)
        for (const struct lease *at = writing->pools[i]->ended_leases; at; at = at->next_dirty)
            add_row(&statement, writing->pools[i], at);
    flush(&statement);
}

static void write_leases(struct writing *writing, bool are_stored)
{
    struct statement statement = {
        .writing = writing, .table = &table_lease, .changes = are_stored ? LEASE_LIFE : 0};

    for (size_t i = 0; i < writing->count; i++)
        for (const struct lease *at = writing->pools[i]->dirty_leases; at; at = at->next_dirty)
            if (at->stored == are_stored)
                add_row(&statement, writing->pools[i], at);
    flush(&statement);
}

/* The numbers of one project. */
static void add_ended(struct buf *sql, const struct pool *pool, const char **separator)
{
    bool any = false;

    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty) {
        if (!at->stored)
            continue;
        if (any)
            buf_puts(sql, ",");
        else
            buf_printf(sql, "%sproject_id = %u AND lease_no IN (", *separator, pool->id);
        buf_uint(sql, at->number);
        any = true;
    }
    if (!any)
        return;
    buf_puts(sql, ")");
    *separator = " OR ";
}

/* Forced to the primary key: a table scan, which the optimizer prefers on small tables, would run
 * into other instances' locks. */
static void delete_ended(struct writing *writing)
{
    static const char start[] = "DELETE lease FROM lease FORCE INDEX (PRIMARY) WHERE ";
    const char *separator = start;

    for (size_t i = 0; i < writing->count; i++)
        add_ended(writing->sql, writing->pools[i], &separator);
    if (separator != start)
        buf_puts(writing->sql, ";");
}

static void add_key(struct buf *sql, const struct pool *pool, const struct lease *lease,
                    const char **separator)
{
    if (lease->stored || !lease->request_id)
        return;
    buf_printf(sql, "%s(%u", *separator, pool->id);
    sql_next_text(sql, lease->request_id);
    sql_next_number(sql, lease->number);
    sql_next_time(sql, pool->now);
    buf_puts(sql, ")");
    *separator = ",";
}

static void write_keys(struct writing *writing)
{
    static const char start[] =
        "INSERT INTO request_key (project_id, request_id, lease_no, created) VALUES ";
    const char *separator = start;

    for (size_t i = 0; i < writing->count; i++) {
        const struct pool *pool = writing->pools[i];
        for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
            add_key(writing->sql, pool, at, &separator);
        for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
            add_key(writing->sql, pool, at, &separator);
    }
    if (separator != start)
        buf_puts(writing->sql,
                 " ON DUPLICATE KEY UPDATE lease_no=VALUES(lease_no), created=VALUES(created);");
}

static void write_actions(struct buf *sql, const struct pool *pool)
{
    const char *separator =
        "INSERT INTO action (project_id, at, key_name, verb, stack_no, detail, reason) VALUES ";

    if (!pool->actions)
        return;
    for (const struct action *at = pool->actions; at; at = at->next) {
        buf_printf(sql, "%s(%u", separator, pool->id);
        sql_next_time(sql, pool->now);
        sql_next_text(sql, at->key_name);
        buf_printf(sql, ",'%s'", command_verb_name(at->verb));
        sql_next_optional(sql, at->stack_number);
        sql_next_text(sql, at->detail);
        sql_next_text(sql, at->reason);
        buf_puts(sql, ")");
        separator = ",";
    }
    buf_puts(sql, ";");
}

static void write_settings(struct buf *sql, const struct pool *pool)
{
    if (!pool->settings_dirty)
        return;
    buf_puts(sql, "UPDATE project SET prefix = ");
    sql_text(sql, pool->prefix);
    buf_puts(sql, ", initial_commit = ");
    sql_text(sql, pool->initial_commit);
    buf_printf(sql,
               ", max_stacks = %u, lease_s = %u, max_lease_s = %u, wait_s = %u,"
               " quarantine_after = %u, settle_s = %u",
               pool->max_stacks, pool->lease_s, pool->max_lease_s, pool->wait_s,
               pool->quarantine_after, pool->settle_s);
    if (pool->max_held < 0)
        buf_puts(sql, ", max_held = NULL");
    else
        buf_printf(sql, ", max_held = %lld", (long long)pool->max_held);
    buf_puts(sql, ", main_branch = ");
    sql_text(sql, pool->main_branch);
    buf_puts(sql, ", paused_at = ");
    sql_time(sql, pool->pause.since);
    buf_puts(sql, ", paused_by = ");
    sql_text(sql, pool->pause.by);
    buf_puts(sql, ", pause_reason = ");
    sql_text(sql, pool->pause.reason);
    buf_puts(sql, ", modified = ");
    sql_time(sql, pool->now);
    buf_printf(sql, " WHERE project_id = %u;", pool->id);
}

static void write_manifests(struct writing *writing)
{
    for (size_t i = 0; i < writing->count; i++) {
        const struct pool *pool = writing->pools[i];
        for (size_t j = 0; j < pool->touched_count; j++) {
            store_manifest_write(writing->sql, pool, pool->touched[j]);
            run_if_large(writing);
        }
    }
}

/* All of it */

enum database_status store_write_pools(struct database *database, struct buf *sql,
                                       struct pool *const pools[], size_t count)
{
    struct writing writing = {
        .database = database, .sql = sql, .pools = pools, .count = count, .status = DATABASE_OK};

    write_manifests(&writing);
    write_stacks(&writing);
    write_notes(&writing);
    write_failures(&writing);
    write_history(&writing);
    write_leases(&writing, false);
    write_leases(&writing, true);
    write_keys(&writing);
    delete_ended(&writing);
    store_event_write(sql, pools, count);
    run_if_large(&writing);
    store_activity_write(sql, pools, count);
    for (size_t i = 0; i < count; i++) {
        store_activity_write_times(sql, pools[i]);
        run_if_large(&writing);
    }
    for (size_t i = 0; i < count; i++) {
        write_actions(sql, pools[i]);
        write_settings(sql, pools[i]);
    }
    run_if_large(&writing);
    return writing.status;
}
