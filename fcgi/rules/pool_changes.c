/*
 * pool_changes: what a batch changed in a pool; and how what other programs changed takes the place
 * of what a pool remembers, so that it becomes what loading all of it would make. Writer's thread.
 */
#include "rules/pool_private.h"

#include "base/mem.h"
#include "rules/activity.h"

#include <stdlib.h>

/* What this batch changed */

static void find_stacks(const struct pool *pool, struct changes *changes)
{
    for (const struct stack *at = pool->dirty_stacks; at; at = at->next_dirty) {
        numbers_add(&changes->stacks, at->number);
        if (at->changed & STACK_NOTE)
            changes->parts |= PART_NOTES;
        if (at->changed & (STACK_HEALTH | STACK_CURED))
            changes->parts |= PART_FAILURES;
    }
}

static void find_leases(const struct pool *pool, struct changes *changes)
{
    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        numbers_add(&changes->leases, at->number);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        if (at->stored)
            numbers_add(&changes->leases, at->number);
}

void pool_find_changes(const struct pool *pool, struct changes *changes)
{
    find_stacks(pool, changes);
    find_leases(pool, changes);
    for (size_t i = 0; i < pool->touched_count; i++)
        if (pool->touched[i]->uses > 0 && !pool->touched[i]->stored)
            numbers_add(&changes->manifests, pool->touched[i]->number);
    changes->mean_hold_s = pool->mean_hold_s;
    if (pool->settings_dirty)
        changes->parts |= PART_SETTINGS;
    if (pool->activity->changed)
        changes->parts |= PART_ACTIVITY;
    if (pool->deploy_times.changed)
        changes->parts |= PART_DEPLOY_TIMES;
}

/* What others changed. Uses are counted without a look at what becomes unused: those who ended the
 * last use deleted the manifest's row, too. */

static void release(struct manifest *manifest)
{
    if (manifest)
        manifest->uses--;
}

struct lease *pool_take_out_lease(struct pool *pool, uint64_t number)
{
    struct lease *lease = pool_lease(pool, number);

    if (!lease)
        return NULL;
    if (lease->state == LEASE_WAITING)
        pool_leave_queue(pool, lease);
    else
        lease->stack->lease = NULL;
    pool_unindex_lease(pool, lease);
    release(lease->units);
    release(lease->stack_content);
    return lease;
}

struct stack *pool_reopen_stack(struct pool *pool, uint32_t number, unsigned parts)
{
    struct stack *stack = number < pool->stacks_size ? pool->stacks[number] : NULL;
    struct stack kept;

    if (!stack)
        return NULL;
    if (stack->state == STACK_AVAILABLE)
        pool_remove_idle(pool, stack);
    pool->stack_count -= stack->state != STACK_DELETED;
    pool->job_holds -= stack->held_by_job;
    release(stack->content);
    manifest_unref(stack->content);
    free(stack->branch);
    free(stack->commit);
    mem_replace(&stack->health.failed_branch, NULL);
    kept = (struct stack){.number = number, .lease = stack->lease};
    if (parts & PART_NOTES) {
        free(stack->owner);
        free(stack->reason);
    } else {
        kept.note_number = stack->note_number;
        kept.owner = stack->owner;
        kept.reason = stack->reason;
    }
    if (parts & PART_FAILURES) {
        health_free(&stack->health);
    } else {
        kept.health.failures = stack->health.failures;
        kept.health.failure_count = stack->health.failure_count;
    }
    *stack = kept;
    return stack;
}

void pool_reopen_activity(struct pool *pool)
{
    struct activity *activity = pool->activity;

    if (activity->main)
        release(activity->main->content);
    for (size_t i = 0; i < activity->branch_count; i++)
        release(activity->branches[i].reach->content);
    activity_free(pool->remembered);
    pool->remembered = activity;
    pool->activity = activity_new();
}

static void drop_unused(struct pool *pool)
{
    struct manifest **unused = mem_alloc((pool->manifests.count + 1) * sizeof(struct manifest *));
    struct manifest *manifest;
    size_t count = 0;

    for (size_t at = 0; (manifest = map_next(&pool->manifests, &at)) != NULL;)
        if (manifest->uses == 0 && !manifest->touched)
            unused[count++] = manifest;
    for (size_t i = 0; i < count; i++) {
        map_remove(&pool->manifests, unused[i]->hash);
        manifest_unref(unused[i]);
    }
    free(unused);
}

void pool_end_changes(struct pool *pool, const struct changes *changes)
{
    for (size_t i = 0; i < changes->stacks.count; i++) {
        struct stack *stack = pool->stacks[changes->stacks.at[i]];
        if (stack->state == STACK_AVAILABLE)
            pool_insert_idle(pool, stack);
        if (stack->state == STACK_DELETED)
            pool_due_at(pool, pool->now); /* for those who wait for this one */
    }
    pool->mean_hold_s = changes->mean_hold_s;
    drop_unused(pool);
    activity_free(pool->remembered);
    pool->remembered = NULL;
}
