/* copy_pool: a pool as store_load() finds it after what the original holds was written. */
#ifndef COPY_POOL_H
#define COPY_POOL_H

#include "base/mem.h"
#include "rules/activity.h"
#include "rules/pool.h"

#include <string.h>

static inline struct manifest *copy_manifest(struct map *copies, const struct manifest *manifest)
{
    struct manifest *copy;

    if (!manifest)
        return NULL;
    copy = map_get(copies, manifest->number);
    if (!copy) {
        copy = manifest_new(manifest->units, manifest->count);
        copy->number = manifest->number;
        copy->stored = true;
        map_put(copies, manifest->number, copy);
    }
    return copy;
}

/* The oldest first, as they are loaded. */
static inline void copy_failures(struct health *health, const struct failure *failure)
{
    struct failure *copy;

    if (!failure)
        return;
    copy_failures(health, failure->next);
    copy = mem_alloc(sizeof *copy);
    *copy = (struct failure){.lease_number = failure->lease_number,
                             .branch = mem_strdup(failure->branch),
                             .job_name = mem_strdup(failure->job_name),
                             .job_url = mem_strdup(failure->job_url),
                             .at = failure->at,
                             .stored = true};
    health_add(health, copy);
}

static inline void copy_stack(struct pool *pool, struct map *manifests, const struct stack *stack)
{
    struct stack *copy = mem_alloc(sizeof *copy);

    *copy = (struct stack){.number = stack->number,
                           .state = stack->state,
                           .next_state = stack->next_state,
                           .fence = stack->fence,
                           .branch = mem_strdup(stack->branch),
                           .commit = mem_strdup(stack->commit),
                           .content = copy_manifest(manifests, stack->content),
                           .note_number = stack->note_number,
                           .owner = mem_strdup(stack->owner),
                           .reason = mem_strdup(stack->reason),
                           .hold_s = stack->hold_s,
                           .held_until = stack->held_until,
                           .held_by_job = stack->held_by_job,
                           .created = stack->created,
                           .modified = stack->modified,
                           .health = stack->health,
                           .grant_no = stack->grant_no};
    memcpy(copy->hold_lease_id, stack->hold_lease_id, LEASE_ID_SIZE);
    copy->health.failed_branch = mem_strdup(stack->health.failed_branch);
    copy->health.failures = NULL;
    copy->health.failure_count = 0;
    copy_failures(&copy->health, stack->health.failures);
    pool_add_stack(pool, copy);
}

static inline void copy_lease(struct pool *pool, struct map *manifests, const struct lease *lease)
{
    struct lease *copy = mem_alloc(sizeof *copy);

    *copy = (struct lease){.number = lease->number,
                           .state = lease->state,
                           .request_id = mem_strdup(lease->request_id),
                           .key_name = mem_strdup(lease->key_name),
                           .branch = mem_strdup(lease->branch),
                           .commit = mem_strdup(lease->commit),
                           .units = copy_manifest(manifests, lease->units),
                           .purpose = lease->purpose,
                           .job_url = mem_strdup(lease->job_url),
                           .job_name = mem_strdup(lease->job_name),
                           .job_user = mem_strdup(lease->job_user),
                           .priority = lease->priority,
                           .asked_priority = lease->asked_priority,
                           .lease_s = lease->lease_s,
                           .passed_over = lease->passed_over,
                           .asked_at = lease->asked_at,
                           .instance = lease->instance,
                           .wait_until = lease->wait_until,
                           .call_no = lease->call_no,
                           .place_until = lease->place_until,
                           .grace_s = lease->grace_s,
                           .timed_out = lease->timed_out,
                           .is_protected = lease->is_protected,
                           .fence = lease->fence,
                           .is_new = lease->is_new,
                           .stack_commit = mem_strdup(lease->stack_commit),
                           .stack_content = copy_manifest(manifests, lease->stack_content),
                           .changed_units = lease->changed_units,
                           .estimated_deploy_s = lease->estimated_deploy_s,
                           .granted_at = lease->granted_at,
                           .renewed_at = lease->granted_at,
                           .expires_at = lease->expires_at,
                           .deployed_at = lease->deployed_at,
                           .is_marked = lease->is_marked,
                           .is_whole = lease->is_whole,
                           .wont_resume = lease->wont_resume,
                           .wanted_stack = lease->wanted_stack};
    memcpy(copy->lease_id, lease->lease_id, LEASE_ID_SIZE);
    if (lease->stack)
        copy->stack = pool_stack(pool, lease->stack->number);
    pool_add_lease(pool, copy);
}

static inline void copy_times(struct pool *pool, const struct deploy_times *times)
{
    const struct deploy_time *row;

    for (size_t at = 0; (row = map_next(&times->by_unit, &at)) != NULL;) {
        struct deploy_time *copy = mem_alloc(sizeof *copy);
        *copy = (struct deploy_time){.unit = mem_strdup(row->unit),
                                     .mean_ms = row->mean_ms,
                                     .weight_ms = row->weight_ms,
                                     .deploys = row->deploys,
                                     .measured_at = row->measured_at};
        deploy_times_add(&pool->deploy_times, copy);
    }
}

static inline void copy_activity(struct pool *pool, struct map *manifests,
                                 const struct activity *activity)
{
    struct reach *main = activity->main;

    pool_add_activity(pool, main ? copy_manifest(manifests, main->content) : NULL, activity->grants,
                      activity->job_work, activity->refreshed);
    for (size_t i = 0; i < activity->branch_count; i++) {
        const struct active_branch *branch = &activity->branches[i];
        pool_add_branch(pool, branch->name, copy_manifest(manifests, branch->reach->content),
                        branch->grant, branch->is_merged);
    }
}

/* Into an empty pool. */
static inline void copy_rows(struct pool *pool, const struct pool *old)
{
    struct map manifests = {0};
    const struct lease *lease;
    struct manifest *manifest;

    pool->prefix = mem_strdup(old->prefix);
    pool->initial_commit = mem_strdup(old->initial_commit);
    pool->max_stacks = old->max_stacks;
    pool->lease_s = old->lease_s;
    pool->max_lease_s = old->max_lease_s;
    pool->wait_s = old->wait_s;
    pool->quarantine_after = old->quarantine_after;
    pool->settle_s = old->settle_s;
    pool->max_held = old->max_held;
    pool->main_branch = mem_strdup(old->main_branch);
    pool->pause =
        (struct pause){old->pause.since, mem_strdup(old->pause.by), mem_strdup(old->pause.reason)};
    pool->next_lease_number = old->next_lease_number;
    pool->next_event_number = old->next_event_number;
    pool->mean_hold_s = old->mean_hold_s;
    for (size_t i = 1; i < old->stacks_size; i++)
        if (old->stacks[i])
            copy_stack(pool, &manifests, old->stacks[i]);
    for (size_t at = 0; (lease = map_next(&old->leases, &at)) != NULL;)
        copy_lease(pool, &manifests, lease);
    copy_times(pool, &old->deploy_times);
    copy_activity(pool, &manifests, old->activity);
    for (size_t at = 0; (manifest = map_next(&manifests, &at)) != NULL;)
        pool_add_manifest(pool, manifest);
    map_free(&manifests);
    pool_end_load(pool);
}

static inline struct pool *copy_pool(const struct pool *old)
{
    struct pool *pool = pool_new(old->id, old->name);

    pool->version = old->version;
    pool->now = old->now;
    copy_rows(pool, old);
    return pool;
}

#endif
