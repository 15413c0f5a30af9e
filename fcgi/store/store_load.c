/* store_load: what a batch reads once the rows are locked. Writer's thread. */
#include "store/store_private.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/times.h"
#include "database/sql.h"
#include "rules/key.h"
#include "store/store_activity.h"
#include "store/store_manifest.h"
#include "store/table.h"

#include <string.h>

struct loading {
    struct pool *pool;
    struct map manifests; /* by number */
    bool broken;
};

enum load_set {
    SET_SETTINGS,
    SET_MANIFESTS,
    SET_STACKS,
    SET_NOTES,
    SET_FAILURES,
    SET_LEASES,
    SET_DEPLOY_TIMES,
    SET_ACTIVITY,
    SET_BRANCHES,
    SET_KEY_ENDS,
    SET_HOLD
};

static void load_settings(struct pool *pool, const struct database_row *row)
{
    pool->prefix = mem_strdup(row->values[0]);
    pool->initial_commit = mem_strdup(row->values[1]);
    pool->max_stacks = (uint32_t)database_row_uint(row, 2, 0);
    pool->lease_s = (uint32_t)database_row_uint(row, 3, 0);
    pool->max_lease_s = (uint32_t)database_row_uint(row, 4, 0);
    pool->wait_s = (uint32_t)database_row_uint(row, 5, 0);
    pool->next_lease_number = database_row_uint(row, 6, 0);
    pool->quarantine_after = (uint32_t)database_row_uint(row, 7, 0);
    pool->settle_s = (uint32_t)database_row_uint(row, 8, 0);
    pool->max_held = database_row_int(row, 9, -1);
    pool->main_branch = mem_strdup(row->values[10]);
    pool->first_fence = database_row_uint(row, 11, 0);
    pool->pause.since = database_row_int(row, 12, 0);
    pool->pause.by = mem_strdup(row->values[13]);
    pool->pause.reason = mem_strdup(row->values[14]);
    pool->next_event_number = database_row_uint(row, 15, 1);
}

static void load_stack(struct loading *loading, const struct database_row *row)
{
    struct column_references references = {loading->pool, &loading->manifests};
    struct stack *stack = mem_zalloc(sizeof *stack);

    table_read(&table_stack, row, &references, stack);
    pool_add_stack(loading->pool, stack);
}

static void load_note(struct loading *loading, const struct database_row *row)
{
    struct column_references references = {loading->pool, &loading->manifests};
    uint64_t number = database_row_uint(row, 0, 0);
    struct stack *stack =
        number < loading->pool->stacks_size ? loading->pool->stacks[number] : NULL;

    if (stack && !stack->note_number) {
        table_read(&table_stack_note, row, &references, stack);
    } else {
        log_error("database: stack %s has %s", row->values[0],
                  stack ? "two notes" : "a note, but no row");
        loading->broken = true;
    }
}

static void load_failure(struct loading *loading, const struct database_row *row)
{
    uint64_t number = database_row_uint(row, 0, 0);
    struct stack *stack =
        number < loading->pool->stacks_size ? loading->pool->stacks[number] : NULL;
    struct failure *failure;

    if (!stack) {
        log_error("database: stack %s has a failure, but no row", row->values[0]);
        loading->broken = true;
        return;
    }
    failure = mem_zalloc(sizeof *failure);
    *failure = (struct failure){.lease_number = database_row_uint(row, 1, 0),
                                .branch = mem_strdup(row->values[2]),
                                .job_name = mem_strdup(row->values[3]),
                                .job_url = mem_strdup(row->values[4]),
                                .at = database_row_int(row, 5, 0),
                                .stored = true};
    health_add(&stack->health, failure);
}

static void load_lease(struct loading *loading, const struct database_row *row)
{
    struct column_references references = {loading->pool, &loading->manifests};
    struct lease *lease = mem_zalloc(sizeof *lease);

    table_read(&table_lease, row, &references, lease);
    lease->renewed_at = lease->granted_at;
    lease->wait_until = lease->call_no; /* one column for both: they differ by a few microseconds */
    if (lease->state == LEASE_ACTIVE && !lease->stack) {
        log_error("database: lease %llu has no stack", (unsigned long long)lease->number);
        loading->broken = true;
        lease->units = lease->stack_content = NULL; /* not counted yet */
        lease_free(lease);
        return;
    }
    pool_add_lease(loading->pool, lease);
}

static void load_manifest(struct loading *loading, const struct database_row *row)
{
    struct manifest *manifest =
        store_manifest_read(row->values[1], row->lengths[1], database_row_uint(row, 0, 0));

    if (!manifest) {
        log_error("database: the units of manifest %s are broken", row->values[0]);
        loading->broken = true;
        return;
    }
    map_put(&loading->manifests, manifest->number, manifest);
}

static void load_row(void *context, const struct database_row *row)
{
    struct loading *loading = context;

    switch ((enum load_set)row->set) {
    case SET_SETTINGS:
        load_settings(loading->pool, row);
        break;
    case SET_MANIFESTS:
        load_manifest(loading, row);
        break;
    case SET_STACKS:
        load_stack(loading, row);
        break;
    case SET_NOTES:
        load_note(loading, row);
        break;
    case SET_FAILURES:
        load_failure(loading, row);
        break;
    case SET_LEASES:
        load_lease(loading, row);
        break;
    case SET_DEPLOY_TIMES:
        store_activity_add_time(loading->pool, row);
        break;
    case SET_ACTIVITY:
        store_activity_add(loading->pool, row, &loading->manifests);
        break;
    case SET_BRANCHES:
        store_activity_add_branch(loading->pool, row, &loading->manifests);
        break;
    case SET_KEY_ENDS:
        key_add_end(&loading->pool->key_ends, row->values[0],
                    (uint32_t)database_row_uint(row, 1, 0), database_row_int(row, 2, 0));
        break;
    case SET_HOLD:
        loading->pool->mean_hold_s = (double)database_row_int(row, 0, 0) / (double)TIMES_SECOND;
        break;
    }
}

static void add_load_sql(struct buf *sql, uint32_t project)
{
    buf_printf(sql,
               "SELECT prefix, initial_commit, max_stacks, lease_s, max_lease_s, wait_s,"
               " next_lease_no, quarantine_after, settle_s, max_held, main_branch, first_fence,"
               " " SQL_MICROSECONDS "paused_at), paused_by, pause_reason, next_event_no"
               " FROM project WHERE project_id = %u;",
               project);
    buf_printf(sql, "SELECT manifest_no, units FROM manifest WHERE project_id = %u;", project);
    table_select(sql, &table_stack, project);
    table_select(sql, &table_stack_note, project);
    buf_printf(sql,
               "SELECT stack_no, lease_no, branch, job_name, job_url, " SQL_MICROSECONDS
               "failed_at) FROM stack_failure WHERE project_id = %u ORDER BY stack_no, failed_at, "
               "lease_no;",
               project);
    table_select(sql, &table_lease, project);
    store_activity_select(sql, project);
    buf_printf(sql,
               "SELECT ended_key.name, number, " SQL_MICROSECONDS
               "ends_at) FROM ended_key JOIN project ON project.name = ended_key.project"
               " WHERE project_id = %u;",
               project);
    buf_printf(sql,
               "SELECT CAST(AVG(hold) AS SIGNED) FROM (SELECT"
               " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
               " WHERE project_id = %u AND granted_at IS NOT NULL"
               " ORDER BY ended_at DESC LIMIT 50) AS latest",
               project);
}

enum database_status store_load(struct store *store, struct pool *pool)
{
    struct loading loading = {.pool = pool};
    struct buf *sql = store_start_sql(store);
    enum database_status status;
    struct manifest *manifest;

    add_load_sql(sql, pool->id);
    status = database_run(store->database, sql, load_row, &loading);
    for (size_t at = 0; (manifest = map_next(&loading.manifests, &at));)
        pool_add_manifest(pool, manifest);
    map_free(&loading.manifests);
    pool_end_load(pool);
    return status == DATABASE_OK && loading.broken ? DATABASE_ERROR : status;
}

/* Looking up */

static void take_past(void *context, const struct database_row *row)
{
    struct past_request *past = context;

    past->number = database_row_uint(row, 0, 0);
    past->ended = row->values[1] != NULL;
    if (past->ended) {
        past->state = (enum lease_state)words_find_lease_state(row->values[1]);
        past->outcome =
            row->values[2] ? (enum outcome)words_find_outcome(row->values[2]) : OUTCOME_NONE;
        past->ended_at = database_row_int(row, 3, 0);
    }
}

struct finding {
    const struct pool *pool;
    struct command *commands;
};

static bool needs_past(const struct pool *pool, const struct command *command)
{
    const char *id = command_request_id(command);

    return id && !pool_request(pool, id);
}

static void take_found(void *context, const struct database_row *row)
{
    struct finding *finding = context;

    for (struct command *at = finding->commands; at; at = at->next)
        if (needs_past(finding->pool, at) && strcmp(command_request_id(at), row->values[4]) == 0)
            take_past(&at->past, row);
}

enum database_status store_find_past(struct store *store, const struct pool *pool,
                                     struct command *commands)
{
    struct finding finding = {.pool = pool, .commands = commands};
    struct buf *sql = store_start_sql(store);
    const char *separator = "";
    enum database_status status = DATABASE_OK;

    buf_printf(sql,
               "SELECT k.lease_no, h.state, h.outcome, " SQL_MICROSECONDS
               "h.ended_at), k.request_id"
               " FROM request_key k JOIN history h USING (project_id, lease_no)"
               " WHERE h.ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY"
               " AND k.project_id = %u AND k.request_id IN (",
               pool->id);
    for (struct command *at = commands; at; at = at->next) {
        at->past = (struct past_request){0};
        if (needs_past(pool, at)) {
            buf_puts(sql, separator);
            sql_text(sql, command_request_id(at));
            separator = ",";
        }
    }
    buf_puts(sql, ")");
    if (*separator)
        status = database_run(store->database, sql, take_found, &finding);
    return status;
}

enum database_status store_find_ended(struct store *store, const struct pool *pool, uint64_t number,
                                      struct past_request *past)
{
    struct buf *sql = store_start_sql(store);

    *past = (struct past_request){0};
    buf_printf(sql,
               "SELECT lease_no, state, outcome, " SQL_MICROSECONDS "ended_at) FROM history"
               " WHERE project_id = %u AND lease_no = %llu",
               pool->id, (unsigned long long)number);
    return database_run(store->database, sql, take_past, past);
}

enum database_status store_was_leased(struct store *store, const struct pool *pool,
                                      const struct stack *stack, const uint8_t *lease_id,
                                      bool *was_leased)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;
    int64_t count = 0;

    /* Bounded: a guesser must not make us read years of history. */
    buf_printf(sql,
               "SELECT COUNT(*) FROM (SELECT lease_id FROM history WHERE project_id = %u"
               " AND stack_no = %u ORDER BY ended_at DESC LIMIT 1000) AS latest WHERE lease_id = ",
               pool->id, stack->number);
    sql_bytes(sql, lease_id, LEASE_ID_SIZE);
    status = database_run(store->database, sql, store_take_number, &count);
    *was_leased = count > 0;
    return status;
}
