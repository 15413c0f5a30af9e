/*
 * clerk: commands, time and grants on one pool. Called by write/batch on the writer's thread, which
 * owns the pool.
 */
#include "rules/clerk.h"

#include "base/mem.h"
#include "base/times.h"
#include "rules/clerk_due.h"
#include "rules/clerk_private.h"
#include "rules/match.h"

#include <stdlib.h>

static clerk_verb *function_of(enum verb verb)
{
    switch (verb) {
    case VERB_REQUEST:
        return clerk_request;
    case VERB_MARK:
        return clerk_mark;
    case VERB_MARK_UNITS:
        return clerk_mark_units;
    case VERB_RELEASE:
        return clerk_release;
    case VERB_EXTEND:
        return clerk_extend;
    case VERB_CANCEL:
        return clerk_cancel;
    case VERB_DELETE_LAST:
        return clerk_delete_last;
    case VERB_HOLD:
        return clerk_hold;
    case VERB_QUARANTINE:
        return clerk_quarantine;
    case VERB_REINSTATE:
        return clerk_reinstate;
    case VERB_REVOKE:
        return clerk_revoke;
    case VERB_ADD_STACKS:
        return clerk_add_stacks;
    case VERB_DELETE_STACK:
        return clerk_delete_stack;
    case VERB_UPDATE_PROJECT:
        return clerk_update_project;
    case VERB_PRIORITIZE:
        return clerk_prioritize;
    case VERB_HANG_UP:
        return clerk_hang_up;
    }
    abort();
}

void clerk_run(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    function_of(command->verb)(clerk, pool, command);
}

/* What is due */

/* The stack that it waits for was deleted. */
static void end_in_vain(struct pool *pool, struct lease *lease)
{
    lease->stack_gone = true;
    pool_end_lease(pool, lease, LEASE_CANCELLED, OUTCOME_NONE);
}

static void end_due_lease(const struct clerk *clerk, struct pool *pool, struct lease *lease)
{
    if (lease->state == LEASE_ACTIVE)
        pool_end_lease(pool, lease, LEASE_EXPIRED, OUTCOME_NONE);
    else if (pool_wants_in_vain(pool, lease))
        end_in_vain(pool, lease);
    else if (lease->instance == 0)
        pool_end_lease(pool, lease, lease->timed_out ? LEASE_TIMED_OUT : LEASE_ABANDONED,
                       OUTCOME_NONE);
    else if (lease->instance != clerk->instance)
        clerk_request_disconnect(clerk, pool, lease, DEPARTURE_SENT_AWAY);
    /* Our own waits may still be granted; clerk_end_waits() ends them. */
}

/* By number of the stack: so each stack goes to the end of the idle ones. */
static int compare_due(const void *left, const void *right)
{
    const struct lease *a = *(struct lease *const *)left;
    const struct lease *b = *(struct lease *const *)right;
    uint32_t stack_a = a->stack ? a->stack->number : 0;
    uint32_t stack_b = b->stack ? b->stack->number : 0;

    if (stack_a != stack_b)
        return stack_a < stack_b ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void end_due_leases(const struct clerk *clerk, struct pool *pool)
{
    struct lease **due;
    struct lease *lease;
    size_t count = 0;

    due = mem_alloc((pool->leases.count + 1) * sizeof(struct lease *));
    for (size_t at = 0; (lease = map_next(&pool->leases, &at));)
        if (clerk_due_at(clerk, pool, lease) <= pool->now)
            due[count++] = lease;
    qsort(due, count, sizeof(struct lease *), compare_due);
    for (size_t i = 0; i < count; i++)
        end_due_lease(clerk, pool, due[i]);
    free(due);
}

void clerk_settle_due(const struct clerk *clerk, struct pool *pool)
{
    if (pool->deadline > pool->now)
        return;
    end_due_leases(clerk, pool);
    if (pool->wanting_count > 0) /* a stack that others want may have been deleted just now */
        end_due_leases(clerk, pool);
    for (size_t i = 1; i < pool->stacks_size; i++) {
        struct stack *stack = pool->stacks[i];
        if (stack && stack->state == STACK_HELD && stack->held_until <= pool->now)
            pool_move_stack(pool, stack, STACK_AVAILABLE);
    }
}

/* Grants */

static void carry_out(struct pool *pool, const struct match *match)
{
    struct stack *stack = match->stack ? match->stack : pool_create_stack(pool, match->number);

    for (size_t i = 0; i < match->passed_count; i++) {
        match->passed[i]->passed_over++;
        pool_touch_lease(pool, match->passed[i]);
    }
    pool_activate(pool, match->lease, stack, match->stack == NULL);
}

/* Another instance holds the connection of that request; it will look within 100 ms. */
static void reserve(struct pool *pool, const struct match *match)
{
    match->lease->reserved = true;
    if (match->stack)
        match->stack->reserved = true;
    else
        pool->reserved_new++;
}

static void clear_reservations(struct pool *pool)
{
    pool->reserved_new = 0;
    for (size_t i = 1; i < pool->stacks_size; i++)
        if (pool->stacks[i])
            pool->stacks[i]->reserved = false;
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        for (struct lease *at = pool->queue_first[i]; at; at = at->next)
            at->reserved = false;
}

/* Those that didn't wait, and got a stack at once. */
static void supersede_for_granted(struct pool *pool)
{
    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        if (at->just_granted && !at->request_id && at->asker && at->asker->as.request.supersede)
            clerk_request_supersede_older(pool, at);
}

/* Whether anything is left for another instance to grant. */
static bool grant(const struct clerk *clerk, struct pool *pool)
{
    struct match match;
    bool reserved = false;

    while (match_next(pool, &match)) {
        if (match.lease->instance == clerk->instance) {
            carry_out(pool, &match);
        } else {
            reserve(pool, &match);
            reserved = true;
        }
    }
    if (reserved)
        clear_reservations(pool);
    return reserved;
}

void clerk_grant(const struct clerk *clerk, struct pool *pool)
{
    uint32_t waiting;
    bool reserved;

    do { /* again, if what was left for another instance's request is free now */
        reserved = grant(clerk, pool);
        waiting = pool->waiting_count;
        supersede_for_granted(pool);
    } while (reserved && pool->waiting_count < waiting);
}

void clerk_grant_refresh(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    static const struct clerk nobody = {0};
    const struct command_request *request = &command->as.request;
    struct stack *stack;

    if (request->request_id && pool_request(pool, request->request_id)) {
        /* An earlier command of this batch used the same requestId. */
        clerk_request(clerk, pool, command);
        return;
    }
    stack = match_refresh(pool, request->units, request->branch, &command->result.is_fresh);
    if (!stack)
        return;
    command->result.lease = clerk_request_enqueue(&nobody, pool, command);
    pool_activate(pool, pool_lease(pool, command->result.lease->number), stack, false);
    command->result.code = RESULT_GRANTED;
}

/* Waits */

/* All that end in one batch are told their places as they were before. */
static void end_wait(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                     bool *numbered)
{
    if (!*numbered)
        pool_number_queue(pool);
    *numbered = true;
    clerk_request_disconnect(clerk, pool, lease, DEPARTURE_TIMED_OUT);
}

static bool is_wait_over(const struct clerk *clerk, const struct pool *pool,
                         const struct lease *lease)
{
    return lease->state == LEASE_WAITING && lease->instance == clerk->instance &&
           lease->wait_until <= pool->now;
}

/* Ends new requests that may not wait and have no place to keep; then, newest first (dirty_leases
 * is in that order), those for which the queue has no room. */
static void turn_away(const struct clerk *clerk, struct pool *pool, bool *numbered)
{
    struct lease *next;

    for (struct lease *at = pool->dirty_leases; at; at = next) {
        next = at->next_dirty;
        if (is_wait_over(clerk, pool, at) && !at->request_id)
            end_wait(clerk, pool, at, numbered);
    }
    for (struct lease *at = pool->dirty_leases; at; at = next) {
        next = at->next_dirty;
        if (pool->waiting_count > clerk->waiting_max && !at->stored && at->state == LEASE_WAITING) {
            at->queue_full = true;
            pool_end_lease(pool, at, LEASE_TIMED_OUT, OUTCOME_NONE);
        } else if (is_wait_over(clerk, pool, at)) {
            end_wait(clerk, pool, at, numbered);
        }
    }
}

static void end_parked_waits(const struct clerk *clerk, struct pool *pool, bool *numbered)
{
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        struct lease *next;
        for (struct lease *at = pool->queue_first[i]; at; at = next) {
            next = at->next;
            if (is_wait_over(clerk, pool, at))
                end_wait(clerk, pool, at, numbered);
        }
    }
}

static void find_deadline(const struct clerk *clerk, struct pool *pool)
{
    struct lease *lease;

    pool->deadline = TIMES_NEVER;
    for (size_t at = 0; (lease = map_next(&pool->leases, &at));)
        pool_due_at(pool, clerk_due_at(clerk, pool, lease));
    for (size_t i = 1; i < pool->stacks_size; i++) {
        const struct stack *at = pool->stacks[i];
        if (at && at->state == STACK_HELD)
            pool_due_at(pool, at->held_until);
        else if (at && pool_is_resting(pool, at))
            pool_due_at(pool, pool_rest_end(pool, at));
    }
}

void clerk_end_waits(const struct clerk *clerk, struct pool *pool)
{
    bool numbered = false;

    turn_away(clerk, pool, &numbered);
    if (pool->deadline > pool->now)
        return;
    end_parked_waits(clerk, pool, &numbered);
    find_deadline(clerk, pool);
}
