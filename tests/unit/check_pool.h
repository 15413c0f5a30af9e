/* check_pool: what must be true of a pool after every step, told by looking at all of it. */
#ifndef CHECK_POOL_H
#define CHECK_POOL_H

#include "unit.h"

#include "base/mem.h"
#include "base/times.h"
#include "rules/activity.h"
#include "rules/clerk.h"
#include "rules/content.h"
#include "rules/event.h"
#include "rules/pool.h"

#include <string.h>

/* Counted anew: who refers to which manifest. */
struct uses {
    const struct manifest *manifest[1000];
    unsigned count[1000];
    size_t size;
};

static inline void count_use(struct uses *uses, const struct manifest *manifest)
{
    size_t at = 0;

    if (!manifest)
        return;
    while (at < uses->size && uses->manifest[at] != manifest)
        at++;
    if (at == uses->size) {
        assert_true(at < COUNT(uses->count));
        uses->manifest[uses->size] = manifest;
        uses->count[uses->size++] = 0;
    }
    uses->count[at]++;
}

static inline void check_stack(const struct pool *pool, const struct stack *stack, uint32_t number)
{
    bool is_lent = stack->state == STACK_LEASED || stack->state == STACK_DRAINING;

    assert_int_equal(stack->number, number);
    assert_int_equal(stack->lease != NULL, is_lent);
    if (stack->lease) {
        assert_int_equal(stack->lease->state, LEASE_ACTIVE);
        assert_ptr_equal(stack->lease->stack, stack);
        assert_int_equal(stack->lease->fence, stack->fence);
        assert_ptr_equal(pool_lease(pool, stack->lease->number), stack->lease);
    } else {
        assert_int_equal(stack->next_state, STACK_AVAILABLE);
    }
    if (stack->state == STACK_AVAILABLE || stack->state == STACK_DELETED) {
        assert_null(stack->owner);
        assert_null(stack->reason);
    } else if (stack->state == STACK_LEASED && stack->next_state == STACK_AVAILABLE) {
        assert_null(stack->owner); /* of a hold that is over */
        assert_null(stack->reason);
    } else if (stack->state == STACK_HELD) {
        assert_true(stack->held_until > 0);
    }
    if (stack->held_by_job)
        assert_int_equal(stack->state == STACK_HELD || stack->next_state == STACK_HELD, true);
    if (stack->content)
        assert_true(stack->content->count <= CONTENT_UNITS_MAX);
    if (stack->state == STACK_DELETED) {
        assert_int_equal(stack->health.failed_deploys, 0);
        assert_int_equal(stack->health.unsettled_since, 0);
        assert_null(stack->content);
        assert_null(pool_stack(pool, number));
    } else {
        assert_ptr_equal(pool_stack(pool, number), stack);
    }
    assert_false(stack->reserved);
}

static inline void check_stacks(const struct pool *pool, struct uses *uses)
{
    uint32_t count = 0;
    uint32_t job_holds = 0;
    uint32_t available = 0;
    uint32_t idle = 0;
    const struct stack *before = NULL;

    assert_true(pool->stacks_size == 0 || !pool->stacks[0]);
    for (uint32_t number = 1; number < pool->stacks_size; number++) {
        const struct stack *stack = pool->stacks[number];
        if (!stack)
            continue;
        check_stack(pool, stack, number);
        count_use(uses, stack->content);
        count += stack->state != STACK_DELETED;
        available += stack->state == STACK_AVAILABLE;
        job_holds += stack->held_by_job;
    }
    assert_int_equal(pool->stack_count, count);
    assert_int_equal(pool->job_holds, job_holds);
    for (const struct stack *at = pool->idle_first; at; before = at, at = at->idle_next) {
        assert_int_equal(at->state, STACK_AVAILABLE);
        assert_ptr_equal(at->idle_previous, before);
        assert_true(!before || before->modified <= at->modified);
        idle++;
    }
    assert_ptr_equal(pool->idle_last, before);
    assert_int_equal(idle, available);
    assert_int_equal(pool->idle_count, available);
    assert_int_equal(pool->reserved_new, 0);
}

static inline void check_lease(const struct pool *pool, const struct lease *lease)
{
    assert_ptr_equal(pool_lease(pool, lease->number), lease);
    assert_true(lease->number < pool->next_lease_number);
    if (lease->request_id)
        assert_ptr_equal(pool_request(pool, lease->request_id), lease); /* the only one */
    assert_false(lease->reserved);
    assert_true(lease->priority >= PRIORITY_MIN && lease->priority <= PRIORITY_MAX);
    if (lease->state == LEASE_ACTIVE) {
        assert_non_null(lease->stack);
        assert_ptr_equal(lease->stack->lease, lease);
        assert_int_equal(lease->instance, 0);
        assert_true(lease->granted_at > 0 && lease->expires_at > 0);
        if (lease->request_id)
            assert_true(lease->is_protected);
    } else {
        assert_int_equal(lease->state, LEASE_WAITING);
        assert_null(lease->stack);
        assert_null(lease->stack_content);
        assert_int_equal(lease->granted_at, 0);
        assert_true(lease->instance || lease->request_id); /* only a requestId keeps a place */
    }
}

static inline void check_queue(const struct pool *pool, size_t waiting)
{
    size_t count = 0;
    uint32_t wanting = 0;

    for (int i = 0; i < PRIORITY_COUNT; i++) {
        const struct lease *before = NULL;
        for (const struct lease *at = pool->queue_first[i]; at; before = at, at = at->next) {
            assert_int_equal(at->state, LEASE_WAITING);
            assert_int_equal(at->priority, PRIORITY_MIN + i);
            assert_ptr_equal(at->previous, before);
            assert_true(!before || before->number < at->number);
            assert_ptr_equal(pool_lease(pool, at->number), at);
            wanting += at->wanted_stack != 0;
            count++;
        }
        assert_ptr_equal(pool->queue_last[i], before);
    }
    assert_int_equal(count, waiting);
    assert_int_equal(pool->waiting_count, waiting);
    assert_int_equal(pool->wanting_count, wanting);
}

static inline void check_leases(const struct pool *pool, struct uses *uses)
{
    size_t waiting = 0;
    size_t named = 0;
    size_t indexed = 0;
    const struct lease *lease;

    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;) {
        check_lease(pool, lease);
        count_use(uses, lease->units);
        count_use(uses, lease->stack_content);
        waiting += lease->state == LEASE_WAITING;
        named += lease->request_id != NULL;
    }
    check_queue(pool, waiting);
    for (size_t at = 0; (lease = map_next(&pool->requests, &at)) != NULL;)
        indexed++;
    assert_int_equal(indexed, named);
}

static inline void check_activity(const struct pool *pool, struct uses *uses)
{
    const struct activity *activity = pool->activity;

    if (activity->main)
        count_use(uses, activity->main->content);
    for (size_t i = 0; i < activity->branch_count; i++) {
        const struct active_branch *branch = &activity->branches[i];
        count_use(uses, branch->reach->content);
        assert_true(branch->grant > 0 && branch->grant <= activity->grants);
    }
}

static inline void check_deploy_times(const struct deploy_times *times)
{
    struct deploy_times again = {0};
    const struct deploy_time *row;

    for (size_t at = 0; (row = map_next(&times->by_unit, &at)) != NULL;) {
        struct deploy_time *copy = mem_alloc(sizeof *copy);
        assert_true(row->weight_ms > 0 && row->deploys > 0);
        *copy = *row;
        copy->unit = mem_strdup(row->unit);
        deploy_times_add(&again, copy);
    }
    assert_int_equal(again.mean_sum_ms, times->mean_sum_ms);
    assert_int_equal(again.weight_sum_ms, times->weight_sum_ms);
    assert_true(again.edition == times->edition);
    deploy_times_free(&again);
}

/* Numbered without gaps, up to the next. */
static inline void check_events(const struct pool *pool)
{
    uint64_t count = 0;

    for (const struct event *at = pool->events; at; at = at->next)
        count++;
    for (const struct event *at = pool->events; at; at = at->next)
        assert_int_equal(at->number, pool->next_event_number - count--);
}

static inline void check_changes(const struct pool *pool)
{
    size_t listed = 0;
    size_t flagged = 0;
    const struct lease *lease;

    check_events(pool);
    for (const struct stack *at = pool->dirty_stacks; at; at = at->next_dirty, listed++)
        assert_true(at->changed);
    for (size_t i = 0; i < pool->stacks_size; i++)
        flagged += pool->stacks[i] && pool->stacks[i]->changed != 0;
    assert_int_equal(listed, flagged);
    listed = flagged = 0;
    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty, listed++)
        assert_true(at->dirty && pool_lease(pool, at->number) == at);
    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;) {
        flagged += lease->dirty;
        assert_true(lease->stored || lease->dirty);
    }
    assert_int_equal(listed, flagged);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty) {
        assert_true(at->state != LEASE_WAITING && at->state != LEASE_ACTIVE);
        assert_null(pool_lease(pool, at->number));
        assert_int_equal(at->ended_at, pool->now);
    }
}

/* A reach of the activity counts as a use. */
static inline unsigned reaches_of(const struct pool *pool, const struct manifest *manifest)
{
    const struct lease *lease;
    unsigned count = 0;

    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;)
        count += lease->reach && lease->reach->content == manifest;
    return count;
}

/* `settled`: nothing is to be written, and nobody outside holds a manifest of the pool. */
static inline void check_manifests(const struct pool *pool, const struct uses *uses, bool settled)
{
    const struct manifest *manifest;
    size_t in_map = 0;

    for (size_t i = 0; i < uses->size; i++) {
        manifest = uses->manifest[i];
        assert_int_equal(manifest->uses, uses->count[i]);
        assert_ptr_equal(map_get(&pool->manifests, manifest->hash), manifest);
        assert_true(manifest->stored || manifest->touched);
        if (settled)
            assert_int_equal(manifest->references, manifest->uses + 1 + reaches_of(pool, manifest));
        else
            assert_true(manifest->references > manifest->uses);
    }
    for (size_t at = 0; (manifest = map_next(&pool->manifests, &at)) != NULL;) {
        in_map++;
        if (settled)
            assert_true(manifest->stored && !manifest->touched && manifest->uses > 0);
        if (!manifest->uses)
            assert_true(manifest->touched); /* its row goes */
    }
    if (settled)
        assert_int_equal(in_map, uses->size);
    for (size_t i = 0; i < pool->touched_count; i++)
        assert_true(pool->touched[i]->touched);
}

static inline int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When the clerk must act on the lease; the grace times as clerk.h has them. */
static inline int64_t lease_is_due(const struct clerk *clerk, const struct pool *pool,
                                   const struct lease *lease)
{
    if (lease->state == LEASE_ACTIVE)
        return lease->renewed_at >= clerk->up_since
                   ? lease->expires_at
                   : later(lease->expires_at, clerk->up_since + clerk->startup_grace_us);
    if (!lease->instance)
        return lease->place_until - clerk_due_grace_us(clerk, lease) >= clerk->up_since
                   ? lease->place_until
                   : later(lease->place_until, clerk->up_since + clerk->request_grace_us);
    /* Another program is given up 2 s after it fell silent. */
    return lease->instance == clerk->instance ? lease->wait_until : pool->now + 2 * TIMES_SECOND;
}

static inline void check_deadline(const struct clerk *clerk, const struct pool *pool)
{
    const struct lease *lease;

    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;)
        assert_true(pool->deadline <= lease_is_due(clerk, pool, lease));
    for (size_t i = 0; i < pool->stacks_size; i++) {
        const struct stack *stack = pool->stacks[i];
        if (stack && stack->state == STACK_HELD)
            assert_true(pool->deadline <= stack->held_until);
        if (stack && stack->state == STACK_AVAILABLE && pool_is_resting(pool, stack))
            assert_true(pool->deadline <= pool_rest_end(pool, stack));
    }
}

static inline void check_pool(const struct clerk *clerk, const struct pool *pool, bool settled)
{
    struct uses *uses = calloc(1, sizeof *uses);

    assert_non_null(uses);
    check_stacks(pool, uses);
    check_leases(pool, uses);
    check_activity(pool, uses);
    check_deploy_times(&pool->deploy_times);
    check_changes(pool);
    check_manifests(pool, uses, settled);
    check_deadline(clerk, pool);
    if (settled)
        assert_false(pool_is_dirty(pool));
    free(uses);
}

#endif
