/* pool_leases: the leases of a pool: its queue, grants and ends. Writer's thread. */
#include "rules/pool_private.h"

#include "base/mem.h"
#include "base/times.h"
#include "rules/content.h"

#include <string.h>
#include <sys/random.h>

/* Weight of one more hold in the running mean. */
#define HOLD_WEIGHT 0.1

static int queue_of(const struct lease *lease)
{
    return lease->priority - PRIORITY_MIN;
}

static void queue_insert(struct pool *pool, struct lease *lease)
{
    struct lease **first = &pool->queue_first[queue_of(lease)];
    struct lease **last = &pool->queue_last[queue_of(lease)];
    struct lease *before = *last;

    while (before && before->number > lease->number)
        before = before->previous;
    lease->previous = before;
    lease->next = before ? before->next : *first;
    *(lease->previous ? &lease->previous->next : first) = lease;
    *(lease->next ? &lease->next->previous : last) = lease;
    pool->waiting_count++;
    pool->wanting_count += lease->wanted_stack != 0;
}

void pool_leave_queue(struct pool *pool, struct lease *lease)
{
    *(lease->previous ? &lease->previous->next : &pool->queue_first[queue_of(lease)]) = lease->next;
    *(lease->next ? &lease->next->previous : &pool->queue_last[queue_of(lease)]) = lease->previous;
    lease->previous = lease->next = NULL;
    pool->waiting_count--;
    pool->wanting_count -= lease->wanted_stack != 0;
}

struct lease *pool_lease(const struct pool *pool, uint64_t number)
{
    return map_get(&pool->leases, number);
}

struct lease *pool_ended_request(const struct pool *pool, const char *request_id)
{
    struct lease *lease = pool->ended_leases;

    while (lease && (!lease->request_id || strcmp(lease->request_id, request_id) != 0))
        lease = lease->next_dirty;
    return lease;
}

struct lease *pool_request(const struct pool *pool, const char *request_id)
{
    return map_get_named(&pool->requests, request_id);
}

static void index_lease(struct pool *pool, struct lease *lease)
{
    map_put(&pool->leases, lease->number, lease);
    if (lease->request_id)
        map_put_named(&pool->requests, lease->request_id, lease);
}

void pool_unindex_lease(struct pool *pool, struct lease *lease)
{
    map_remove(&pool->leases, lease->number);
    if (lease->request_id)
        map_remove_named(&pool->requests, lease->request_id);
}

/* When something may happen to a lease that was loaded, or sooner: see clerk_due_at(). */
static int64_t may_be_due_at(const struct pool *pool, const struct lease *lease)
{
    int64_t soon = pool->now + TIMES_SECOND;

    if (lease->state == LEASE_ACTIVE)
        return lease->expires_at;
    if (lease->instance == 0)
        return lease->place_until;
    return lease->wait_until < soon ? lease->wait_until : soon;
}

void pool_add_lease(struct pool *pool, struct lease *lease)
{
    struct manifest *const used[] = {lease->units, lease->stack_content};

    for (size_t i = 0; i < 2; i++) {
        if (used[i]) {
            used[i]->uses++;
            manifest_ref(used[i]);
        }
    }
    lease->stored = true;
    index_lease(pool, lease);
    if (lease->state == LEASE_WAITING) {
        queue_insert(pool, lease);
    } else {
        lease->stack->lease = lease;
    }
    pool_due_at(pool, may_be_due_at(pool, lease));
}

void pool_touch_lease(struct pool *pool, struct lease *lease)
{
    if (lease->dirty)
        return;
    lease->dirty = true;
    lease->previous_dirty = NULL;
    lease->next_dirty = pool->dirty_leases;
    if (lease->next_dirty)
        lease->next_dirty->previous_dirty = lease;
    pool->dirty_leases = lease;
}

void pool_enqueue(struct pool *pool, struct lease *lease, struct manifest *units)
{
    lease->number = pool->next_lease_number++;
    lease->state = LEASE_WAITING;
    lease->asked_at = pool->now;
    lease->changed_units = lease->estimated_deploy_s = -1;
    lease->units = pool_use_manifest(pool, pool_intern_manifest(pool, units, lease->number));
    pool_note_request(pool, lease);
    index_lease(pool, lease);
    queue_insert(pool, lease);
    pool_touch_lease(pool, lease);
    if (lease->wait_until > pool->now)
        pool_due_at(pool, lease->wait_until);
}

void pool_prioritize(struct pool *pool, struct lease *lease, int priority)
{
    pool_leave_queue(pool, lease);
    lease->priority = priority;
    queue_insert(pool, lease);
    pool_touch_lease(pool, lease);
}

static void new_lease_id(uint8_t lease_id[LEASE_ID_SIZE])
{
    while (getrandom(lease_id, LEASE_ID_SIZE, 0) != LEASE_ID_SIZE)
        ;
}

void pool_activate(struct pool *pool, struct lease *lease, struct stack *stack, bool is_new)
{
    pool_note_grant(pool, lease, stack);
    pool_leave_queue(pool, lease);
    lease->state = LEASE_ACTIVE;
    lease->instance = 0;
    lease->timed_out = false;
    lease->stack = stack;
    lease->fence = ++stack->fence;
    lease->is_new = is_new;
    lease->is_protected = lease->request_id != NULL;
    new_lease_id(lease->lease_id);
    mem_replace(&lease->stack_commit, stack->commit ? stack->commit : pool->initial_commit);
    lease->stack_content = pool_use_manifest(pool, stack->content);
    lease->just_granted = true;
    lease->granted_at = pool->now;
    lease->renewed_at = pool->now;
    lease->expires_at = pool->now + lease->lease_s * TIMES_SECOND;
    lease->deployed_at = 0;
    lease->is_marked = lease->is_whole = false;
    pool_touch_lease(pool, lease);
    pool_due_at(pool, lease->expires_at);

    stack->lease = lease;
    pool_tell_lease(pool, EVENT_GRANTED, lease);
    pool_forget_holder(pool, stack);
    mem_replace(&lease->previous_branch, stack->branch);
    mem_replace(&stack->branch, lease->branch);
    pool_move_stack(pool, stack, STACK_LEASED);
}

/* Moves a stack to its next state, now that its job has given it back. */
static void return_stack(struct pool *pool, struct stack *stack)
{
    enum stack_state state = stack->next_state;

    if (stack->state == STACK_DRAINING)
        state = STACK_DELETED;
    if (state == STACK_DELETED)
        pool_set_content(pool, stack, NULL);
    stack->lease = NULL;
    pool_move_stack(pool, stack, state);
}

void pool_restore_branch(struct lease *lease)
{
    if (lease->previous_branch || lease->is_new)
        mem_replace(&lease->stack->branch, lease->previous_branch);
}

void pool_requeue(struct pool *pool, struct lease *lease)
{
    pool_tell_lease(pool, EVENT_UNDELIVERED, lease);
    return_stack(pool, lease->stack);
    pool_drop_manifest(pool, lease->stack_content);
    lease->stack_content = NULL;
    lease->stack = NULL;
    lease->fence = 0;
    memset(lease->lease_id, 0, sizeof lease->lease_id);
    lease->is_new = false;
    lease->just_granted = false;
    lease->granted_at = 0;
    lease->expires_at = 0;
    lease->changed_units = lease->estimated_deploy_s = -1;
    lease->state = LEASE_WAITING;
    queue_insert(pool, lease);
    pool_touch_lease(pool, lease);
}

/* More units than a content may have: then nothing is known. */
static void forget_unmarked(struct pool *pool, const struct lease *lease)
{
    struct stack *stack = lease->stack;
    struct manifest *content =
        content_forget(stack->content, lease->units, lease->stack_content, lease->is_whole);

    if (content->count <= CONTENT_UNITS_MAX) {
        pool_set_new_content(pool, stack, content);
    } else {
        manifest_unref(content);
        pool_set_content(pool, stack, NULL);
    }
}

/* What the stack is known to run once its lease ends. */
static void settle_content(struct pool *pool, const struct lease *lease, enum outcome outcome)
{
    struct stack *stack = lease->stack;

    if (outcome == OUTCOME_NOT_DEPLOYED && !lease->has_failed)
        return;
    if (!lease->units)
        pool_set_content(pool, stack, NULL);
    else if (lease->has_failed || !lease->is_marked)
        forget_unmarked(pool, lease);
}

static void forget_change(struct pool *pool, struct lease *lease)
{
    if (!lease->dirty)
        return;
    *(lease->previous_dirty ? &lease->previous_dirty->next_dirty : &pool->dirty_leases) =
        lease->next_dirty;
    if (lease->next_dirty)
        lease->next_dirty->previous_dirty = lease->previous_dirty;
    lease->dirty = false;
}

static void forget_lease(struct pool *pool, struct lease *lease)
{
    forget_change(pool, lease);
    pool_unindex_lease(pool, lease);
    lease->next_dirty = pool->ended_leases;
    pool->ended_leases = lease;
}

void pool_end_lease(struct pool *pool, struct lease *lease, enum lease_state state,
                    enum outcome outcome)
{
    bool waited = lease->state == LEASE_WAITING;

    lease->state = state;
    lease->outcome = outcome;
    pool_tell_lease(pool, EVENT_ENDED, lease);
    if (waited) {
        pool_leave_queue(pool, lease);
    } else {
        double hold_s = (double)(pool->now - lease->granted_at) / (double)TIMES_SECOND;
        double weight = pool->mean_hold_s > 0 ? HOLD_WEIGHT : 1;

        pool->mean_hold_s += weight * (hold_s - pool->mean_hold_s);
        pool_settle_health(pool, lease, state);
        settle_content(pool, lease, outcome);
        return_stack(pool, lease->stack);
    }
    pool_end_use(pool, lease->units);
    pool_end_use(pool, lease->stack_content);
    lease->ended_at = pool->now;
    forget_lease(pool, lease);
}

/* The queue's order */

int64_t pool_rank(const struct pool *pool, const struct lease *lease)
{
    return lease->priority + (pool->now - lease->asked_at) / (60 * TIMES_SECOND);
}

bool pool_stands_before(const struct pool *pool, const struct lease *a, const struct lease *b)
{
    int64_t rank_a = pool_rank(pool, a);
    int64_t rank_b = pool_rank(pool, b);

    return rank_a != rank_b ? rank_a > rank_b : a->number < b->number;
}

/* Stacks that can be lent, now or once they are given back. */
static uint32_t count_lendable(const struct pool *pool)
{
    uint32_t count = 0;

    for (size_t i = 1; i < pool->stacks_size; i++) {
        const struct stack *at = pool->stacks[i];
        count += at && (at->state == STACK_AVAILABLE ||
                        (at->state == STACK_LEASED && at->next_state == STACK_AVAILABLE));
    }
    return count;
}

static int64_t estimate(const struct pool *pool, uint32_t position, uint32_t stacks)
{
    double hold_s = pool->mean_hold_s > 0 ? pool->mean_hold_s : pool->lease_s;
    double wait_s = hold_s * position / (stacks ? stacks : 1);

    return wait_s < 1 ? 1 : (int64_t)(wait_s + 0.5);
}

/* Within one priority the older always ranks higher, so only the heads of the lists compete. */
void pool_number_queue(struct pool *pool)
{
    uint32_t stacks = count_lendable(pool);
    struct lease *heads[PRIORITY_COUNT];
    size_t count = 0;

    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        if (pool->queue_first[i])
            heads[count++] = pool->queue_first[i];
    for (uint32_t position = 1; count > 0; position++) {
        struct lease **first = &heads[0];
        struct lease *lease;

        for (size_t i = 1; i < count; i++)
            if (pool_stands_before(pool, heads[i], *first))
                first = &heads[i];
        lease = *first;
        lease->position = position;
        lease->estimate_s =
            lease->wanted_stack ? estimate(pool, 1, 1) : estimate(pool, position, stacks);
        *first = lease->next ? lease->next : heads[--count];
    }
}
