/* same_pool: whether two pools are the same project at the same time, told by looking at all of
 * them. */
#ifndef SAME_POOL_H
#define SAME_POOL_H

#include "unit.h"

#include "base/map.h"
#include "rules/activity.h"
#include "rules/pool.h"

#include <string.h>

static inline void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a && b)
        assert_string_equal(a, b);
}

static inline void same_manifest(const struct manifest *a, const struct manifest *b)
{
    assert_true(manifest_equal(a, b));
    if (!a || !b)
        return;
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->uses, b->uses);
    assert_int_equal(a->stored, b->stored);
    assert_int_equal(a->touched, b->touched);
}

static inline uint64_t number_of_stack(const struct stack *stack)
{
    return stack ? stack->number : 0;
}

static inline uint64_t number_of_lease(const struct lease *lease)
{
    return lease ? lease->number : 0;
}

static inline void same_health(const struct health *a, const struct health *b)
{
    const struct failure *left = a->failures;
    const struct failure *right = b->failures;

    assert_int_equal(a->deployed_at, b->deployed_at);
    assert_int_equal(a->failed_deploys, b->failed_deploys);
    assert_int_equal(a->failed_since, b->failed_since);
    same_text(a->failed_branch, b->failed_branch);
    assert_int_equal(a->failure_count, b->failure_count);
    assert_int_equal(a->unsettled_since, b->unsettled_since);
    for (; left && right; left = left->next, right = right->next) {
        assert_int_equal(left->lease_number, right->lease_number);
        same_text(left->branch, right->branch);
        same_text(left->job_name, right->job_name);
        same_text(left->job_url, right->job_url);
        assert_int_equal(left->at, right->at);
        assert_int_equal(left->stored, right->stored);
    }
    assert_true(!left && !right);
}

static inline void same_stack(const struct stack *a, const struct stack *b)
{
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->next_state, b->next_state);
    assert_int_equal(a->fence, b->fence);
    same_text(a->branch, b->branch);
    same_text(a->commit, b->commit);
    same_manifest(a->content, b->content);
    assert_int_equal(number_of_lease(a->lease), number_of_lease(b->lease));
    assert_int_equal(a->note_number, b->note_number);
    same_text(a->owner, b->owner);
    same_text(a->reason, b->reason);
    assert_int_equal(a->hold_s, b->hold_s);
    assert_int_equal(a->held_until, b->held_until);
    assert_int_equal(a->held_by_job, b->held_by_job);
    assert_memory_equal(a->hold_lease_id, b->hold_lease_id, LEASE_ID_SIZE);
    assert_int_equal(a->created, b->created);
    assert_int_equal(a->modified, b->modified);
    same_health(&a->health, &b->health);
    assert_int_equal(a->grant_no, b->grant_no);
    assert_int_equal(a->changed, b->changed);
    assert_int_equal(number_of_stack(a->idle_previous), number_of_stack(b->idle_previous));
    assert_int_equal(number_of_stack(a->idle_next), number_of_stack(b->idle_next));
}

/* But for renewed_at and wait_until: each program knows of its own calls a little more than the
 * rows. */
static inline void same_lease(const struct lease *a, const struct lease *b)
{
    assert_int_equal(a->state, b->state);
    same_text(a->request_id, b->request_id);
    same_text(a->key_name, b->key_name);
    same_text(a->branch, b->branch);
    same_text(a->commit, b->commit);
    same_manifest(a->units, b->units);
    assert_int_equal(a->purpose, b->purpose);
    same_text(a->job_url, b->job_url);
    same_text(a->job_name, b->job_name);
    same_text(a->job_user, b->job_user);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->asked_priority, b->asked_priority);
    assert_int_equal(a->lease_s, b->lease_s);
    assert_int_equal(a->passed_over, b->passed_over);
    assert_int_equal(a->asked_at, b->asked_at);
    assert_true(a->instance == b->instance);
    assert_int_equal(a->call_no, b->call_no);
    assert_int_equal(a->place_until, b->place_until);
    assert_int_equal(a->grace_s, b->grace_s);
    assert_int_equal(a->timed_out, b->timed_out);
    assert_memory_equal(a->lease_id, b->lease_id, LEASE_ID_SIZE);
    assert_int_equal(a->is_protected, b->is_protected);
    assert_int_equal(number_of_stack(a->stack), number_of_stack(b->stack));
    assert_int_equal(a->fence, b->fence);
    assert_int_equal(a->is_new, b->is_new);
    same_text(a->stack_commit, b->stack_commit);
    same_manifest(a->stack_content, b->stack_content);
    assert_int_equal(a->changed_units, b->changed_units);
    assert_int_equal(a->estimated_deploy_s, b->estimated_deploy_s);
    assert_int_equal(a->granted_at, b->granted_at);
    assert_int_equal(a->expires_at, b->expires_at);
    assert_int_equal(a->deployed_at, b->deployed_at);
    assert_int_equal(a->is_marked, b->is_marked);
    assert_int_equal(a->is_whole, b->is_whole);
    assert_int_equal(a->wont_resume, b->wont_resume);
    assert_int_equal(a->wanted_stack, b->wanted_stack);
    assert_int_equal(a->stored, b->stored);
    assert_int_equal(a->dirty, b->dirty);
    assert_int_equal(number_of_lease(a->previous), number_of_lease(b->previous));
    assert_int_equal(number_of_lease(a->next), number_of_lease(b->next));
}

static inline void same_settings(const struct pool *a, const struct pool *b)
{
    assert_int_equal(a->id, b->id);
    same_text(a->name, b->name);
    same_text(a->prefix, b->prefix);
    same_text(a->initial_commit, b->initial_commit);
    same_text(a->main_branch, b->main_branch);
    assert_int_equal(a->max_stacks, b->max_stacks);
    assert_int_equal(a->lease_s, b->lease_s);
    assert_int_equal(a->max_lease_s, b->max_lease_s);
    assert_int_equal(a->wait_s, b->wait_s);
    assert_int_equal(a->quarantine_after, b->quarantine_after);
    assert_int_equal(a->settle_s, b->settle_s);
    assert_int_equal(a->max_held, b->max_held);
    assert_int_equal(a->pause.since, b->pause.since);
    same_text(a->pause.by, b->pause.by);
    same_text(a->pause.reason, b->pause.reason);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->next_lease_number, b->next_lease_number);
    assert_int_equal(a->first_fence, b->first_fence);
    assert_int_equal(a->next_event_number, b->next_event_number);
    assert_int_equal(a->key_ends.count, b->key_ends.count);
}

static inline void same_activity(const struct activity *a, const struct activity *b)
{
    assert_int_equal(a->grants, b->grants);
    assert_true(a->job_work == b->job_work && a->refreshed == b->refreshed);
    same_manifest(a->main ? a->main->content : NULL, b->main ? b->main->content : NULL);
    assert_int_equal(a->branch_count, b->branch_count);
    for (size_t i = 0; i < a->branch_count; i++) {
        same_text(a->branches[i].name, b->branches[i].name);
        same_manifest(a->branches[i].reach->content, b->branches[i].reach->content);
        assert_int_equal(a->branches[i].grant, b->branches[i].grant);
        assert_int_equal(a->branches[i].is_merged, b->branches[i].is_merged);
    }
}

static inline void same_times(const struct deploy_times *a, const struct deploy_times *b)
{
    const struct deploy_time *row;

    assert_int_equal(a->by_unit.count, b->by_unit.count);
    assert_true(a->edition == b->edition && a->mean_sum_ms == b->mean_sum_ms);
    for (size_t at = 0; (row = map_next(&a->by_unit, &at)) != NULL;) {
        const struct deploy_time *other = map_get_named(&b->by_unit, row->unit);
        assert_non_null(other);
        assert_int_equal(row->mean_ms, other->mean_ms);
        assert_int_equal(row->weight_ms, other->weight_ms);
        assert_int_equal(row->deploys, other->deploys);
        assert_int_equal(row->measured_at, other->measured_at);
    }
}

/* But for the mean hold, which each program keeps by what it saw, and what is due: see
 * check_pool.h. */
static inline void same_pool(const struct pool *a, const struct pool *b)
{
    const struct lease *lease;
    const struct manifest *manifest;

    same_settings(a, b);
    for (size_t i = 0; i < a->stacks_size || i < b->stacks_size; i++) {
        const struct stack *left = i < a->stacks_size ? a->stacks[i] : NULL;
        const struct stack *right = i < b->stacks_size ? b->stacks[i] : NULL;
        assert_int_equal(left == NULL, right == NULL);
        if (left && right)
            same_stack(left, right);
    }
    assert_int_equal(number_of_stack(a->idle_first), number_of_stack(b->idle_first));
    assert_int_equal(number_of_stack(a->idle_last), number_of_stack(b->idle_last));
    assert_int_equal(a->leases.count, b->leases.count);
    for (size_t at = 0; (lease = map_next(&a->leases, &at)) != NULL;) {
        assert_non_null(pool_lease(b, lease->number));
        same_lease(lease, pool_lease(b, lease->number));
    }
    assert_int_equal(a->manifests.count, b->manifests.count);
    for (size_t at = 0; (manifest = map_next(&a->manifests, &at)) != NULL;)
        same_manifest(manifest, map_get(&b->manifests, manifest->hash));
    same_activity(a->activity, b->activity);
    same_times(&a->deploy_times, &b->deploy_times);
}

#endif
