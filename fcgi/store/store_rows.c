/* store_rows: see store_rows.h. Writer's thread. */
#include "store/store_rows.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/times.h"
#include "rules/key.h"
#include "store/store_activity.h"
#include "store/store_manifest.h"
#include "store/table.h"

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

void store_rows_take(struct loading *loading, enum load_set set, const struct database_row *row)
{
    switch (set) {
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
