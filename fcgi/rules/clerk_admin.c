/* clerk_admin: the verbs of administrators, each recorded with who, when and why. Writer's thread.
 */
#include "rules/clerk_private.h"

#include "base/mem.h"
#include "base/times.h"

#include <stdio.h>
#include <string.h>

/* The named stack, or NULL with the result set. */
static struct stack *find_stack(struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);

    command->result.stack = stack;
    command->result.code = stack ? RESULT_DONE : RESULT_NO_STACK;
    return stack;
}

static void delete_stack(struct pool *pool, struct stack *stack)
{
    pool_set_content(pool, stack, NULL);
    pool_move_stack(pool, stack, STACK_DELETED);
}

void clerk_delete_last(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_last_stack(pool);

    (void)clerk;
    command->result.stack = stack;
    if (!stack) {
        command->result.code = RESULT_NO_MORE_STACK;
    } else if (stack->lease) {
        command->result.code = RESULT_STACK_LEASED;
    } else if (stack->state == STACK_HELD || stack->state == STACK_QUARANTINED) {
        command->result.code = RESULT_INVALID_STATE;
    } else {
        delete_stack(pool, stack);
        pool_record(pool, command, stack->number, NULL);
        command->result.code = RESULT_DONE;
    }
}

/* Holds or quarantines: at once, or when the job gives the stack back. */
static void set_aside(struct pool *pool, struct command *command, enum stack_state state)
{
    const struct command_set_aside *said = &command->as.set_aside;
    struct stack *stack = find_stack(pool, command);

    if (!stack)
        return;
    if (stack->state == STACK_DRAINING) {
        command->result.code = RESULT_INVALID_STATE;
        return;
    }
    pool_set_aside(pool, stack, said->owner ? said->owner : command->key_name, command->reason,
                   said->hold_s < 0 ? CLERK_HOLD_S : (uint32_t)said->hold_s);
    if (stack->lease) {
        stack->next_state = state;
        pool_touch_stack(pool, stack, STACK_LIFE);
        if (said->revoke)
            pool_end_lease(pool, stack->lease, LEASE_REVOKED, OUTCOME_NONE);
    } else {
        pool_move_stack(pool, stack, state);
    }
    pool_record(pool, command, stack->number, stack->lease ? "once it is given back" : NULL);
}

void clerk_hold(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    (void)clerk;
    set_aside(pool, command, STACK_HELD);
}

void clerk_quarantine(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    (void)clerk;
    set_aside(pool, command, STACK_QUARANTINED);
}

/* A job ends its own hold. */
static void end_hold(struct pool *pool, struct stack *stack, struct command *command)
{
    if (!command->has_lease_id)
        command->result.code = RESULT_LEASE_ID_REQUIRED;
    else if (!clerk_is_hold_of(stack, command))
        command->result.code = RESULT_WRONG_LEASE_ID;
    else if (stack->state == STACK_HELD && stack->held_by_job)
        pool_move_stack(pool, stack, STACK_AVAILABLE);
    else /* an administrator's word counts more */
        command->result.code =
            stack->state == STACK_AVAILABLE ? RESULT_NO_EFFECT : RESULT_INVALID_STATE;
}

void clerk_reinstate(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = find_stack(pool, command);

    (void)clerk;
    if (!stack)
        return;
    if (!command->by_admin) {
        end_hold(pool, stack, command);
        return;
    }
    switch (stack->state) {
    case STACK_HELD:
    case STACK_QUARANTINED:
        pool_note_care(pool, stack);
        pool_move_stack(pool, stack, STACK_AVAILABLE);
        break;
    case STACK_LEASED:
    case STACK_DRAINING:
        stack->next_state = STACK_AVAILABLE;
        pool_set_aside(pool, stack, NULL, NULL, 0);
        pool_move_stack(pool, stack, STACK_LEASED);
        break;
    case STACK_AVAILABLE:
    case STACK_DELETED:
        command->result.code = RESULT_NO_EFFECT;
        return;
    }
    pool_record(pool, command, stack->number, NULL);
}

void clerk_revoke(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = find_stack(pool, command);
    int64_t fence = command->as.revoke.fence;

    (void)clerk;
    if (!stack)
        return;
    if (!stack->lease || (fence >= 0 && (uint64_t)fence != stack->lease->fence)) {
        command->result.code = RESULT_INVALID_STATE;
        return;
    }
    pool_record(pool, command, stack->number, NULL);
    pool_end_lease(pool, stack->lease, LEASE_REVOKED, OUTCOME_NONE);
}

void clerk_add_stacks(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    uint32_t count = command->as.add_stacks.count;
    char detail[64];
    struct result *result = &command->result;

    (void)clerk;
    if (count > pool->max_stacks || pool->stack_count > pool->max_stacks - count) {
        result->code = RESULT_TOO_MANY_STACKS;
        return;
    }
    result->added = mem_realloc(result->added, count * sizeof(uint32_t));
    for (result->count = 0; result->count < count; result->count++)
        result->added[result->count] = pool_create_stack(pool, pool_free_number(pool))->number;
    snprintf(detail, sizeof detail, "%u stacks", count);
    pool_record(pool, command, 0, detail);
    result->code = RESULT_DONE;
}

void clerk_delete_stack(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = find_stack(pool, command);

    (void)clerk;
    if (!stack)
        return;
    if (stack->lease) {
        pool_move_stack(pool, stack, STACK_DRAINING);
        command->result.code = RESULT_DRAINING;
    } else {
        delete_stack(pool, stack);
    }
    pool_record(pool, command, stack->number, stack->lease ? "once it is given back" : NULL);
}

static int64_t value_of(int64_t wish, uint32_t setting)
{
    return wish >= 0 ? wish : setting;
}

static void set_number(uint32_t *setting, int64_t wish)
{
    if (wish >= 0)
        *setting = (uint32_t)wish;
}

void clerk_update_project(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const struct command_update_project *change = &command->as.update_project;
    char detail[600];

    (void)clerk;
    if (change->prefix && strcmp(change->prefix, pool->prefix) != 0 && pool->stack_count > 0) {
        command->result.code = RESULT_STACKS_EXIST; /* their names would change under their jobs */
        return;
    }
    if (value_of(change->lease_s, pool->lease_s) >
        value_of(change->max_lease_s, pool->max_lease_s)) {
        command->result.code = RESULT_LEASE_TOO_LONG;
        return;
    }
    if (change->prefix)
        mem_replace(&pool->prefix, change->prefix);
    if (change->has_initial_commit)
        mem_replace(&pool->initial_commit, change->initial_commit);
    set_number(&pool->max_stacks, change->max_stacks);
    set_number(&pool->lease_s, change->lease_s);
    set_number(&pool->max_lease_s, change->max_lease_s);
    set_number(&pool->wait_s, change->wait_s);
    set_number(&pool->quarantine_after, change->quarantine_after);
    set_number(&pool->settle_s, change->settle_s);
    if (change->has_max_held)
        pool->max_held = change->max_held;
    if (change->has_main_branch)
        pool_set_main_branch(pool, change->main_branch);
    if (change->has_paused && change->paused)
        pool_pause(pool, command->key_name, command->reason);
    else if (change->has_paused)
        pool_resume(pool);
    pool->settings_dirty = true;
    pool_due_at(pool, pool->now); /* another settle_s, another end of a rest */
    snprintf(detail, sizeof detail,
             "prefix=%s maxStacks=%u leaseSeconds=%u maxLeaseSeconds=%u waitSeconds=%u"
             " quarantineAfter=%u settleSeconds=%u maxHeld=%lld mainBranch=%s paused=%s",
             pool->prefix, pool->max_stacks, pool->lease_s, pool->max_lease_s, pool->wait_s,
             pool->quarantine_after, pool->settle_s, (long long)pool->max_held,
             pool->main_branch ? pool->main_branch : "", pool->pause.since ? "true" : "false");
    pool_record(pool, command, 0, detail);
    command->result.code = RESULT_DONE;
}

void clerk_prioritize(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const struct command_prioritize *wish = &command->as.prioritize;
    struct lease *lease = pool_lease(pool, wish->number);
    char detail[64];

    (void)clerk;
    command->result.lease = lease;
    if (!lease || lease->state != LEASE_WAITING) {
        command->result.code = lease ? RESULT_INVALID_STATE : RESULT_NO_REQUEST;
        return;
    }
    pool_prioritize(pool, lease, wish->priority);
    snprintf(detail, sizeof detail, "request %llu: priority %d", (unsigned long long)lease->number,
             lease->priority);
    pool_record(pool, command, 0, detail);
    command->result.code = RESULT_DONE;
}
