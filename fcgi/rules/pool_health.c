/* pool_health: what the end of a lease says of the health of its stack. Writer's thread. */
#include "rules/pool_private.h"

#include "base/times.h"
#include "rules/content.h"

#include <stdlib.h>

/* Whether the lease's deploy may be at work still. */
static bool is_deploying(const struct lease *lease)
{
    if (!lease->units)
        return !lease->deployed_at;
    return !lease->is_marked &&
           content_is_in_work(lease->stack->content, lease->units, lease->stack_content);
}

/* Deploys of enough branches failed here while another stack was deployed well, and the pool can
 * spare this one: a broken main must not empty it. */
static bool is_broken(const struct pool *pool, const struct stack *stack)
{
    int64_t since = health_first_failure(&stack->health);
    uint32_t quarantined = 0;
    bool others_do_well = false;

    if (!pool->quarantine_after || stack->health.failure_count < pool->quarantine_after)
        return false;
    for (size_t i = 1; i < pool->stacks_size; i++) {
        const struct stack *at = pool->stacks[i];
        if (!at || at == stack || at->state == STACK_DELETED)
            continue;
        quarantined += at->state == STACK_QUARANTINED;
        if (at->health.deployed_at >= since)
            others_do_well = true;
    }
    return others_do_well && 2 * (quarantined + 1) <= pool->max_stacks;
}

/* The deploy failed by itself: it may be the stack's fault. */
static void note_failure(struct pool *pool, const struct lease *lease)
{
    struct stack *stack = lease->stack;
    char *reason;

    health_note_failure(&stack->health, &(struct failure){.lease_number = lease->number,
                                                          .branch = lease->branch,
                                                          .job_name = lease->job_name,
                                                          .job_url = lease->job_url,
                                                          .at = pool->now});
    pool_touch_stack(pool, stack, STACK_HEALTH);
    if (stack->next_state != STACK_AVAILABLE || !is_broken(pool, stack))
        return;
    reason = health_reason(&stack->health);
    stack->next_state = STACK_QUARANTINED;
    pool_set_aside(pool, stack, "stack-orchestrator", reason, 0);
    free(reason);
}

/* The job left in the middle of its deploy, which is not the stack's fault. */
static void note_cut_off(struct pool *pool, struct stack *stack)
{
    health_note_cut_off(&stack->health, pool->now);
    pool_touch_stack(pool, stack, STACK_HEALTH);
}

void pool_settle_health(struct pool *pool, const struct lease *lease, enum lease_state state)
{
    bool taken = state == LEASE_EXPIRED || state == LEASE_REVOKED;

    if (taken ? is_deploying(lease) : lease->is_cut_off)
        note_cut_off(pool, lease->stack);
    else if (lease->has_failed)
        note_failure(pool, lease);
}
