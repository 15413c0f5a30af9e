/*
 * store_load: what a batch reads once the rows are locked: all of a project; or what others changed
 * in it, by the table `batch`. Writer's thread.
 */
#include "store/store_private.h"

#include "base/mem.h"
#include "database/sql.h"
#include "store/store_activity.h"
#include "store/store_changes.h"
#include "store/store_rows.h"
#include "store/table.h"

#include <stdlib.h>

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

    if (is_wanted(loading, PART_SETTINGS))
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
    if (!changes) {
        select_key_ends(loading, sql); /* a program never changes them */
        select_hold(loading, sql);
    }
}

/* The loadings of one text; rows come in their order. */
struct reading {
    struct loading *all;
    size_t at;
};

static void take_row(void *context, const struct database_row *row)
{
    struct reading *reading = context;
    struct loading *loading = &reading->all[reading->at];

    while (row->set >= loading->first_set + loading->set_count)
        loading = &reading->all[++reading->at];
    store_rows_take(loading, loading->sets[row->set - loading->first_set], row);
}

static void add_manifests(struct loading *loading)
{
    struct manifest *manifest;

    for (size_t at = 0; (manifest = map_next(&loading->fresh, &at));)
        pool_add_manifest(loading->pool, manifest);
    map_free(&loading->fresh);
    map_free(&loading->manifests);
}

static enum database_status load(struct store *store, struct loading all[], size_t count)
{
    struct buf *sql = store_start_sql(store);
    struct reading reading = {.all = all};
    enum database_status status = DATABASE_OK;
    size_t sets = 0;

    for (size_t i = 0; i < count; i++) {
        all[i].first_set = sets;
        add_load_sql(&all[i], sql);
        sets += all[i].set_count;
    }
    if (sets > 0) /* else nothing changed but the counters */
        status = database_run(store->database, sql, take_row, &reading);
    for (size_t i = 0; i < count; i++)
        add_manifests(&all[i]);
    return status;
}

enum database_status store_load(struct store *store, struct pool *pool)
{
    struct loading loading = {.pool = pool};
    enum database_status status = load(store, &loading, 1);

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
static bool can_follow(const struct store_following *following)
{
    struct changes *changes = following->changes;
    uint64_t now = following->row->version;
    uint64_t then = following->pool->version;

    numbers_sort(&changes->stacks);
    numbers_sort(&changes->leases);
    numbers_sort(&changes->manifests);
    return now > then && changes->batches == now - then &&
           changes_count(changes) <= STORE_CHANGES_MAX;
}

static void end_following(struct store_following *following, struct loading *loading)
{
    free_replaced(loading);
    if (loading->broken || loading->is_missing ||
        loading->stack_count != following->changes->stacks.count)
        return;
    pool_end_changes(following->pool, following->changes);
    following->pool->version = following->row->version;
    following->pool->next_lease_number = following->row->next_lease_number;
    following->pool->next_event_number = following->row->next_event_number;
    following->done = true;
}

enum database_status store_follow(struct store *store, struct store_following list[], size_t count)
{
    struct loading *all = mem_zalloc((count + 1) * sizeof *all);
    struct store_following **followed = mem_alloc((count + 1) * sizeof(struct store_following *));
    enum database_status status = DATABASE_OK;
    size_t begun = 0;

    for (size_t i = 0; i < count; i++) {
        list[i].done = false;
        if (!can_follow(&list[i]))
            continue;
        all[begun] = (struct loading){.pool = list[i].pool, .changes = list[i].changes};
        open_up(&all[begun]);
        followed[begun++] = &list[i];
    }
    if (begun > 0)
        status = load(store, all, begun);
    for (size_t i = 0; i < begun; i++)
        end_following(followed[i], &all[i]);
    free(followed);
    free(all);
    return status;
}
