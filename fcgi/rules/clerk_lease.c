/* clerk_lease: the verbs about a lease in use: mark, extend, release. Writer's thread. */
#include "rules/clerk_private.h"

#include "base/buf.h"
#include "base/times.h"
#include "rules/clerk_call.h"
#include "rules/content.h"

/* In constant time, or it would tell how much of a guess was right. */
static bool is_same(const uint8_t *left, const uint8_t *right)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < LEASE_ID_SIZE; i++)
        difference |= left[i] ^ right[i];
    return difference == 0;
}

static bool is_lease_id(const struct lease *lease, const struct command *command)
{
    return is_same(lease->lease_id, command->lease_id);
}

bool clerk_is_hold_of(const struct stack *stack, const struct command *command)
{
    return is_same(stack->hold_lease_id, command->lease_id) && pool_has_holder(stack);
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

/* The stack that the caller may mark, and its lease; NULL with the result set: none. A stack that
 * nobody has may be marked without a leaseId: *lease is NULL then. */
static struct stack *find_marked(struct pool *pool, struct command *command, struct lease **lease)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);

    *lease = stack ? stack->lease : NULL;
    command->result.stack = stack;
    command->result.code = RESULT_DONE;
    if (!stack)
        command->result.code = RESULT_NO_STACK;
    else if (!*lease && command->has_lease_id)
        command->result.code = RESULT_LEASE_LOST;
    else if (!*lease || may_act(*lease, command))
        return stack;
    return NULL;
}

/* What the holder of the lease says of its stack. */
static void mark_content(struct pool *pool, struct stack *stack, struct lease *lease,
                         bool as_marked)
{
    bool runs_all = !as_marked || (lease->units && stack->content &&
                                   manifest_covers(stack->content, lease->units));

    lease->is_marked = true;
    lease->is_whole = !as_marked;
    if (!as_marked)
        pool_set_content(pool, stack, lease->units);
    pool_note_rest(pool, stack);
    if (runs_all)
        pool_note_deploy(pool, stack);
}

void clerk_mark(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct lease *lease;
    struct stack *stack = find_marked(pool, command, &lease);

    (void)clerk;
    if (!stack)
        return;
    pool_set_commit(pool, stack, command->as.mark.commit);
    if (lease) {
        lease->is_marked = lease->is_whole = false;
        lease->deployed_at = pool->now;
        clerk_call_note_heard(lease);
        pool_touch_lease(pool, lease);
    }
    /* Without the leaseId this may be a late call of an earlier job, so it doesn't say what the
     * stack runs now. */
    if (command->has_lease_id)
        mark_content(pool, stack, lease, command->as.mark.as_marked);
    else
        pool_set_content(pool, stack, NULL);
    pool_move_stack(pool, stack, stack->state);
}

/* Of the units that run now. */
static void note_times(struct pool *pool, const struct command_mark_units *marks)
{
    for (size_t i = 0; i < marks->time_count && marks->units; i++) {
        const struct unit_time *time = &marks->times[i];
        const char *fingerprint = manifest_find(marks->units, time->name, 0);
        if (fingerprint && *fingerprint)
            deploy_times_note(&pool->deploy_times, time->name, time->ms, pool->now);
    }
}

void clerk_mark_units(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const struct command_mark_units *marks = &command->as.mark_units;
    struct manifest *content;
    struct lease *lease;
    struct stack *stack = find_marked(pool, command, &lease);

    (void)clerk;
    if (!stack)
        return;
    content = content_mark(stack->content, marks->units, marks->removed);
    if (content->count > CONTENT_UNITS_MAX) {
        command->result.code = RESULT_TOO_MANY_UNITS;
        manifest_unref(content);
        return;
    }
    pool_set_new_content(pool, stack, content);
    note_times(pool, marks);
    lease->is_marked = lease->is_whole = false;
    clerk_call_note_heard(lease);
    pool_touch_lease(pool, lease);
}

/* Where the stack goes, and in whose name. What an administrator asked for stays, unless the job
 * says that the stack is broken. */
static void set_aside(struct pool *pool, struct stack *stack, const struct lease *lease,
                      const struct command *command)
{
    const struct command_release *release = &command->as.release;
    bool quarantine = release->outcome == OUTCOME_QUARANTINE;
    bool hold = release->outcome == OUTCOME_HOLD && stack->next_state == STACK_AVAILABLE &&
                stack->state == STACK_LEASED && pool_may_hold(pool);

    if (!hold && !quarantine)
        return;
    pool_set_aside(pool, stack, lease->job_user ? lease->job_user : command->key_name,
                   command->reason, release->hold_s < 0 ? CLERK_HOLD_S : (uint32_t)release->hold_s);
    if (hold)
        pool_hold_for_job(pool, stack);
    else
        stack->next_state = STACK_QUARANTINED;
}

void clerk_release(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const struct command_release *release = &command->as.release;
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;

    (void)clerk;
    command->result.stack = stack;
    if (!stack) {
        command->result.code = RESULT_NO_STACK;
    } else if (!lease) {
        command->result.code = RESULT_NO_EFFECT;
        command->result.is_held = stack->held_by_job && clerk_is_hold_of(stack, command);
    } else if (may_act(lease, command)) {
        set_aside(pool, stack, lease, command);
        lease->is_cut_off = release->interrupted;
        lease->has_failed = release->deploy_failed || release->outcome == OUTCOME_DEPLOY_FAILED;
        pool_end_lease(pool, lease, LEASE_RELEASED, release->outcome);
        command->result.code = RESULT_DONE;
        command->result.is_held = stack->state == STACK_HELD;
    }
}

/* When the lease can end at the latest: a maximum that was lowered since takes nothing away. */
static int64_t latest_end(const struct lease *lease, int64_t most)
{
    return most > lease->expires_at ? most : lease->expires_at;
}

void clerk_extend(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;
    int64_t seconds = command->as.extend.lease_s;
    int64_t most;
    int64_t last;

    (void)clerk;
    command->result.stack = stack;
    command->result.lease = lease;
    if (!stack) {
        command->result.code = RESULT_NO_STACK;
        return;
    }
    most = lease ? lease->granted_at + pool->max_lease_s * TIMES_SECOND : 0;
    last = lease ? latest_end(lease, most) : 0;
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
        command->result.is_at_most = lease->expires_at >= most;
        command->result.code = RESULT_DONE;
    }
}
