/* clerk_lease: the verbs about a lease in use: mark, extend, release. Writer's thread. */
#include "rules/clerk_private.h"

#include "base/buf.h"
#include "base/times.h"
#include "rules/clerk_call.h"

/* In constant time: the time of an answer must not tell how much of a guess was right. */
static bool is_lease_id(const struct lease *lease, const struct command *command)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < LEASE_ID_SIZE; i++)
        difference |= lease->lease_id[i] ^ command->lease_id[i];
    return difference == 0;
}

/* Whether the caller may act on the stack's lease. Sets the result if not. */
static bool may_act(struct lease *lease, struct command *command)
{
    if (command->has_lease_id && !is_lease_id(lease, command)) {
        command->result.code =
            RESULT_WRONG_LEASE_ID; /* the writer looks whether it was ever right */
        return false;
    }
    if (!command->has_lease_id && lease->is_protected) {
        command->result.code = RESULT_LEASE_ID_REQUIRED;
        return false;
    }
    if (command->has_lease_id)
        lease->is_protected = true;
    return true;
}

void clerk_mark(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;

    (void)clerk;
    command->result.stack = stack;
    command->result.code = RESULT_DONE;
    if (!stack) {
        command->result.code = RESULT_NO_STACK;
        return;
    }
    if (!lease && command->has_lease_id) {
        command->result.code = RESULT_LEASE_LOST;
        return;
    }
    if (lease && !may_act(lease, command))
        return;
    pool_set_commit(pool, stack, command->as.mark.commit);
    /* Who has no leaseId may be an old job, late: it doesn't know what the lease deploys. */
    pool_set_content(pool, stack, lease && command->has_lease_id ? lease->units : NULL);
    pool_move_stack(pool, stack, stack->state);
    if (lease) {
        lease->deployed_at = pool->now;
        clerk_call_note_heard(lease);
        pool_touch_lease(pool, lease);
    }
}

static void ask_to_hold(struct pool *pool, struct stack *stack, const struct lease *lease,
                        const struct command *command)
{
    const struct command_release *release = &command->as.release;
    bool hold = release->outcome == OUTCOME_HOLD;

    if (!hold && release->outcome != OUTCOME_QUARANTINE)
        return;
    if (hold && stack->next_state == STACK_QUARANTINED)
        return; /* broken is the stronger word: it must not come back by itself */
    stack->next_state = hold ? STACK_HELD : STACK_QUARANTINED;
    pool_set_aside(pool, stack, lease->job_user ? lease->job_user : command->key_name,
                   command->reason, release->hold_s < 0 ? CLERK_HOLD_S : (uint32_t)release->hold_s);
}

void clerk_release(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;

    (void)clerk;
    command->result.stack = stack;
    if (!stack) {
        command->result.code = RESULT_NO_STACK;
    } else if (!lease) {
        command->result.code = RESULT_NO_EFFECT;
    } else if (may_act(lease, command)) {
        ask_to_hold(pool, stack, lease, command);
        pool_end_lease(pool, lease, LEASE_RELEASED, command->as.release.outcome);
        command->result.code = RESULT_DONE;
    }
}

void clerk_extend(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;
    int64_t seconds = command->as.extend.lease_s;
    int64_t last;

    (void)clerk;
    command->result.stack = stack;
    command->result.lease = lease;
    if (!stack) {
        command->result.code = RESULT_NO_STACK;
        return;
    }
    last = lease ? lease->granted_at + pool->max_lease_s * TIMES_SECOND : 0;
    if (!lease || !is_lease_id(lease, command) || last <= pool->now) {
        command->result.code = RESULT_LEASE_LOST;
    } else {
        if (seconds < 0)
            seconds = lease->lease_s;
        lease->expires_at = pool->now + seconds * TIMES_SECOND;
        if (lease->expires_at > last)
            lease->expires_at = last;
        lease->renewed_at = pool->now;
        lease->is_protected = true;
        clerk_call_note_heard(lease);
        pool_touch_lease(pool, lease);
        pool_due_at(pool, lease->expires_at);
        command->result.code = RESULT_DONE;
    }
}
