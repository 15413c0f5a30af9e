/*
 * store_load: what a batch reads once the rows are locked: all of a project; or what others changed
 * in it, by the table `batch`. Writer's thread.
 */
#include "store/store_private.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/times.h"
#include "database/sql.h"
#include "rules/key.h"
#include "store/store_activity.h"
#include "store/store_changes.h"
#include "store/store_manifest.h"
#include "store/table.h"

#include <string.h>

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
    SET_HOLD,
    SET_COUNT
};

/* How a pool is filled; or, with `changes`, brought up to date. */
struct loading {
    struct pool *pool;
    struct changes *changes;
    enum load_set sets[SET_COUNT]; /* the results, in their order */
    size_t set_count;
    struct map manifests; /* by number */
    struct map fresh;     /* those of them that the pool doesn't have yet */
    struct map replaced;  /* leases that were taken out, by number */
    size_t stack_count;   /* that were read */
    bool is_missing;      /* a manifest that is referred to */
    bool broken;
};

static void load_settings(struct pool *pool, const struct database_row *row)
{
    mem_replace(&pool->prefix, row->values[0]);
    mem_replace(&pool->initial_commit, row->values[1]);
    pool->max_stacks = (uint32_t)database_row_uint(row, 2, 0);
    pool->lease_s = (uint32_t)database_row_uint(row, 3, 0);
    pool->max_lease_s = (uint32_t)database_row_uint(row, 4, 0);
    pool->wait_s = (uint32_t)database_row_uint(row, 5, 0);
    pool->next_lease_number = database_row_uint(row, 6, 0);
    pool->quarantine_after = (uint32_t)database_row_uint(row, 7, 0);
    pool->settle_s = (uint32_t)database_row_uint(row, 8, 0);
    pool->max_held = database_row_int(row, 9, -1);
    mem_replace(&pool->main_branch, row->values[10]);
    pool->first_fence = database_row_uint(row, 11, 0);
    pool->pause.since = database_row_int(row, 12, 0);
    mem_replace(&pool->pause.by, row->values[13]);
    mem_replace(&pool->pause.reason, row->values[14]);
    pool->next_event_number = database_row_uint(row, 15, 1);
}

static struct column_references references_of(struct loading *loading)
{
    return (struct column_references){loading->pool, &loading->manifests, &loading->is_missing};
}

static void load_stack(struct loading *loading, const struct database_row *row)
{
    struct column_references references = references_of(loading);
    uint32_t number = (uint32_t)database_row_uint(row, 0, 0);
    struct stack *stack = NULL;

    if (loading->changes)
        stack = pool_reopen_stack(loading->pool, number, loading->changes->parts);
    if (!stack)
        stack = mem_zalloc(sizeof *stack);
    loading->stack_count++;
    table_read(&table_stack, row, &references, stack);
    pool_add_stack(loading->pool, stack);
}

static void load_note(struct loading *loading, const struct database_row *row)
{
    struct column_references references = references_of(loading);
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

/* What was found out about the same units is still true. */
static void take_over(struct loading *loading, struct lease *lease)
{
    struct lease *old = map_get(&loading->replaced, lease->number);

    if (!old || old->units != lease->units)
        return;
    lease->reach = old->reach;
    old->reach = NULL;
}

static void load_lease(struct loading *loading, const struct database_row *row)
{
    struct column_references references = references_of(loading);
    struct lease *lease = mem_zalloc(sizeof *lease);

    table_read(&table_lease, row, &references, lease);
    take_over(loading, lease);
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
    if (map_get(&loading->manifests, manifest->number)) {
        log_error("database: manifest %s is there twice", row->values[0]);
        loading->broken = true;
        manifest_unref(manifest);
        return;
    }
    map_put(&loading->manifests, manifest->number, manifest);
    map_put(&loading->fresh, manifest->number, manifest);
}

/* An older program deletes manifests that only the activity refers to. */
static void look_for_manifest(struct loading *loading, const struct database_row *row,
                              unsigned column)
{
    uint64_t number = database_row_uint(row, column, 0);

    if (number && !map_get(&loading->manifests, number))
        loading->is_missing = true;
}

static void load_row(void *context, const struct database_row *row)
{
    struct loading *loading = context;

    switch (loading->sets[row->set]) {
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
        look_for_manifest(loading, row, 0);
        store_activity_add(loading->pool, row, &loading->manifests);
        break;
    case SET_BRANCHES:
        look_for_manifest(loading, row, 1);
        store_activity_add_branch(loading->pool, row, &loading->manifests);
        break;
    case SET_KEY_ENDS:
        key_add_end(&loading->pool->key_ends, row->values[0],
                    (uint32_t)database_row_uint(row, 1, 0), database_row_int(row, 2, 0));
        break;
    case SET_HOLD:
        loading->pool->mean_hold_s = (double)database_row_int(row, 0, 0) / (double)TIMES_SECOND;
        break;
    case SET_COUNT:
        break;
    }
}

/* What is read */

static void expect(struct loading *loading, enum load_set set)
{
    loading->sets[loading->set_count++] = set;
}

static bool is_wanted(const struct loading *loading, enum change_part part)
{
    return !loading->changes || loading->changes->parts & part;
}

static void select_settings(struct loading *loading, struct buf *sql)
{
    buf_printf(sql,
               "SELECT prefix, initial_commit, max_stacks, lease_s, max_lease_s, wait_s,"
               " next_lease_no, quarantine_after, settle_s, max_held, main_branch, first_fence,"
               " " SQL_MICROSECONDS "paused_at), paused_by, pause_reason, next_event_no"
               " FROM project WHERE project_id = %u;",
               loading->pool->id);
    expect(loading, SET_SETTINGS);
}

static void select_manifests(struct loading *loading, struct buf *sql)
{
    buf_printf(sql, "SELECT manifest_no, units FROM manifest WHERE project_id = %u",
               loading->pool->id);
    table_add_numbers(sql, "manifest_no", loading->changes ? &loading->changes->manifests : NULL);
    buf_puts(sql, ";");
    expect(loading, SET_MANIFESTS);
}

static void select_stacks(struct loading *loading, struct buf *sql)
{
    const struct numbers *numbers = loading->changes ? &loading->changes->stacks : NULL;
    uint32_t project = loading->pool->id;

    table_select(sql, &table_stack, project, numbers);
    expect(loading, SET_STACKS);
    if (is_wanted(loading, PART_NOTES)) {
        table_select(sql, &table_stack_note, project, numbers);
        expect(loading, SET_NOTES);
    }
    if (!is_wanted(loading, PART_FAILURES))
        return;
    buf_printf(sql,
               "SELECT stack_no, lease_no, branch, job_name, job_url, " SQL_MICROSECONDS
               "failed_at) FROM stack_failure WHERE project_id = %u",
               project);
    table_add_numbers(sql, "stack_no", numbers);
    buf_puts(sql, " ORDER BY stack_no, failed_at, lease_no;");
    expect(loading, SET_FAILURES);
}

static void select_activity(struct loading *loading, struct buf *sql)
{
    if (is_wanted(loading, PART_DEPLOY_TIMES)) {
        store_activity_select_times(sql, loading->pool->id);
        expect(loading, SET_DEPLOY_TIMES);
    }
    if (is_wanted(loading, PART_ACTIVITY)) {
        store_activity_select(sql, loading->pool->id);
        expect(loading, SET_ACTIVITY);
        expect(loading, SET_BRANCHES);
    }
}

static void select_key_ends(struct loading *loading, struct buf *sql)
{
    buf_printf(sql,
               "SELECT ended_key.name, number, " SQL_MICROSECONDS
               "ends_at) FROM ended_key JOIN project ON project.name = ended_key.project"
               " WHERE project_id = %u;",
               loading->pool->id);
    expect(loading, SET_KEY_ENDS);
}

static void select_hold(struct loading *loading, struct buf *sql)
{
    buf_printf(sql,
               "SELECT CAST(AVG(hold) AS SIGNED) FROM (SELECT"
               " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
               " WHERE project_id = %u AND granted_at IS NOT NULL"
               " ORDER BY ended_at DESC LIMIT 50) AS latest;",
               loading->pool->id);
    expect(loading, SET_HOLD);
}

/* Few statements: their number is what costs. Stacks come before what refers to them. */
static void add_load_sql(struct loading *loading, struct buf *sql)
{
    const struct changes *changes = loading->changes;

    select_settings(loading, sql);
    if (!changes || changes->manifests.count > 0)
        select_manifests(loading, sql);
    if (!changes || changes->stacks.count > 0)
        select_stacks(loading, sql);
    if (!changes || changes->leases.count > 0) {
        table_select(sql, &table_lease, loading->pool->id, changes ? &changes->leases : NULL);
        expect(loading, SET_LEASES);
    }
    select_activity(loading, sql);
    if (!changes) /* a program never changes them */
        select_key_ends(loading, sql);
    if (is_wanted(loading, PART_HISTORY))
        select_hold(loading, sql);
}

static enum database_status load(struct store *store, struct loading *loading)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;
    struct manifest *manifest;

    add_load_sql(loading, sql);
    status = database_run(store->database, sql, load_row, loading);
    for (size_t at = 0; (manifest = map_next(&loading->fresh, &at));)
        pool_add_manifest(loading->pool, manifest);
    map_free(&loading->fresh);
    map_free(&loading->manifests);
    return status;
}

enum database_status store_load(struct store *store, struct pool *pool)
{
    struct loading loading = {.pool = pool};
    enum database_status status = load(store, &loading);

    pool_end_load(pool);
    return status == DATABASE_OK && loading.broken ? DATABASE_ERROR : status;
}

/* Following */

/* Takes out what will be read again. */
static void open_up(struct loading *loading)
{
    struct pool *pool = loading->pool;
    const struct changes *changes = loading->changes;
    struct manifest *manifest;

    for (size_t at = 0; (manifest = map_next(&pool->manifests, &at));)
        map_put(&loading->manifests, manifest->number, manifest);
    for (size_t i = 0; i < changes->leases.count; i++) {
        struct lease *lease = pool_take_out_lease(pool, changes->leases.at[i]);
        if (lease)
            map_put(&loading->replaced, lease->number, lease);
    }
    if (changes->parts & PART_ACTIVITY)
        pool_reopen_activity(pool);
    if (changes->parts & PART_DEPLOY_TIMES) {
        deploy_times_free(&pool->deploy_times);
        pool->deploy_times = (struct deploy_times){0};
    }
}

static void free_replaced(struct loading *loading)
{
    struct lease *lease;

    for (size_t at = 0; (lease = map_next(&loading->replaced, &at));)
        lease_free(lease);
    map_free(&loading->replaced);
}

/* Whether each version since then said what it changed. */
static bool can_follow(const struct pool *pool, const struct store_row *row,
                       struct changes *changes)
{
    numbers_sort(&changes->stacks);
    numbers_sort(&changes->leases);
    numbers_sort(&changes->manifests);
    return row->version > pool->version && changes->batches == row->version - pool->version &&
           changes_count(changes) <= STORE_CHANGES_MAX;
}

enum database_status store_follow(struct store *store, struct pool *pool,
                                  const struct store_row *row, struct changes *changes,
                                  bool *followed)
{
    struct loading loading = {.pool = pool, .changes = changes};
    enum database_status status;

    *followed = false;
    if (!can_follow(pool, row, changes))
        return DATABASE_OK;
    open_up(&loading);
    status = load(store, &loading);
    free_replaced(&loading);
    if (status != DATABASE_OK || loading.broken || loading.is_missing ||
        loading.stack_count != changes->stacks.count)
        return status;
    pool_end_changes(pool, changes);
    pool->version = row->version;
    *followed = true;
    return DATABASE_OK;
}
