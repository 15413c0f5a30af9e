/* clerk_job: the verbs of CI jobs. Writer's thread, under the project's row lock. */
#include "rules/clerk_private.h"

#include "base/buf.h"
#include "base/times.h"

#include <string.h>

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* In constant time: the time of an answer must not tell how much of a guess was right. */
static bool is_lease_id(const struct lease *lease, const struct command *command)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < LEASE_ID_SIZE; i++)
        difference |= lease->lease_id[i] ^ command->lease_id[i];
    return difference == 0;
}

/* Of each call another one, so that it tells which call a request had last. */
static void set_wait(const struct pool *pool, struct lease *lease, struct command *command)
{
    uint32_t wait_s = command->wait_s < 0 ? pool->wait_s : (uint32_t)command->wait_s;
    int64_t wait_until = pool->now + wait_s * TIMES_SECOND;

    lease->wait_until = wait_until != lease->wait_until ? wait_until : wait_until + 1;
    command->wait_until = lease->wait_until;
}

/* A caller shows to have the grant. Another program may still mean to take it back, for a call
 * before this that it could not answer. */
static void note_heard(struct lease *lease)
{
    lease->wait_until++;
}

/* requestStack */

struct lease *clerk_new_lease(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct lease *lease = mem_zalloc(sizeof *lease);
    uint32_t lease_s = command->lease_s < 0 ? pool->lease_s : (uint32_t)command->lease_s;

    lease->request_id = mem_strdup(command->request_id);
    lease->key_name = mem_strdup(command->key_name);
    lease->branch = mem_strdup(command->branch);
    lease->commit = mem_strdup(command->commit);
    lease->purpose = command->purpose;
    lease->job_url = mem_strdup(command->job_url);
    lease->job_name = mem_strdup(command->job_name);
    lease->job_user = mem_strdup(command->job_user);
    lease->priority = command->priority;
    lease->lease_s = least(lease_s, pool->max_lease_s);
    lease->instance = clerk->instance;
    set_wait(pool, lease, command);
    lease->asker = command;
    pool_enqueue(pool, lease, command->units);
    return lease;
}

static void supersede_older(struct pool *pool, const struct lease *newer)
{
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        struct lease *next;
        for (struct lease *at = pool->queue_first[i]; at; at = next) {
            next = at->next;
            if (at != newer && strcmp(at->branch, newer->branch) == 0)
                pool_end_lease(pool, at, LEASE_SUPERSEDED, OUTCOME_NONE);
        }
    }
}

/* The field in which a repeated request differs from what it said before; NULL: none. */
static const char *mismatch(const struct lease *lease, const struct command *command)
{
    if (strcmp(lease->branch, command->branch) != 0)
        return "branch";
    if (!same_text(lease->commit, command->commit))
        return "commit";
    if (!manifest_equal(lease->units, command->units))
        return "units";
    return lease->purpose == command->purpose ? NULL : "purpose";
}

/* It ended in this very batch, so the database doesn't know yet. */
static void note_ended(const struct lease *lease, struct past_request *past)
{
    *past = (struct past_request){.number = lease->number,
                                  .ended = true,
                                  .state = lease->state,
                                  .outcome = lease->outcome,
                                  .ended_at = lease->ended_at};
}

static void repeat_request(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                           struct command *command)
{
    const char *field = mismatch(lease, command);

    command->answer.lease = lease;
    if (field) {
        command->answer.result = RESULT_REQUEST_MISMATCH;
        command->answer.field = field;
    } else if (clerk_is_over(clerk, pool, lease)) {
        pool_end_lease(pool, lease, LEASE_EXPIRED, OUTCOME_NONE);
        note_ended(lease, &command->past);
        command->answer.result = RESULT_REQUEST_ENDED;
    } else if (lease->state == LEASE_ACTIVE) {
        note_heard(lease);
        pool_touch_lease(pool, lease);
        command->answer.result = RESULT_GRANTED;
    } else {
        lease->asker = command;
        lease->instance = clerk->instance;
        lease->timed_out = false;
        set_wait(pool, lease, command);
        pool_touch_lease(pool, lease);
        pool_due_at(pool, lease->wait_until);
        command->answer.result = RESULT_WAITING;
    }
}

static bool may_ask_again(const struct past_request *past)
{
    return !past->number || past->state == LEASE_TIMED_OUT || past->state == LEASE_ABANDONED;
}

void clerk_request(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct lease *lease = command->request_id ? pool_request(pool, command->request_id) : NULL;
    struct lease *ended =
        command->request_id ? pool_ended_request(pool, command->request_id) : NULL;

    if (!lease && ended)
        note_ended(ended, &command->past);
    if (lease) {
        repeat_request(clerk, pool, lease, command);
    } else if (!may_ask_again(&command->past)) {
        command->answer.result = RESULT_REQUEST_ENDED;
    } else if (command->purpose == PURPOSE_REFRESH) {
        command->answer.result = RESULT_NOT_NOW; /* until clerk_grant_refresh() */
    } else {
        lease = clerk_new_lease(clerk, pool, command);
        if (command->supersede)
            supersede_older(pool, lease);
        command->answer.lease = lease;
        command->answer.result = RESULT_WAITING;
    }
}

void clerk_disconnect(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                      bool timed_out)
{
    if (!lease->request_id) {
        pool_end_lease(pool, lease, timed_out ? LEASE_TIMED_OUT : LEASE_ABANDONED, OUTCOME_NONE);
        return;
    }
    lease->instance = 0;
    lease->timed_out = timed_out;
    lease->place_until = pool->now + clerk->request_grace_us;
    pool_touch_lease(pool, lease);
    pool_due_at(pool, lease->place_until);
}

static void take_back(const struct clerk *clerk, struct pool *pool, struct lease *lease)
{
    pool_untouch(lease);
    if (lease->request_id && lease->purpose == PURPOSE_TEST) {
        pool_requeue(pool, lease);
        clerk_disconnect(clerk, pool, lease, false);
    } else {
        pool_end_lease(pool, lease, LEASE_RELEASED, OUTCOME_NOT_DEPLOYED);
    }
}

void clerk_hang_up(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct lease *lease = pool_lease(pool, command->request_number);

    if (!lease || lease->wait_until != command->wait_until)
        return; /* another call came after the one that nobody hears of */
    if (lease->state == LEASE_ACTIVE)
        take_back(clerk, pool, lease);
    else if (lease->instance == clerk->instance)
        clerk_disconnect(clerk, pool, lease, false);
}

void clerk_cancel(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct lease *lease = command->request_id ? pool_request(pool, command->request_id)
                                              : pool_lease(pool, command->request_number);

    (void)clerk;
    command->answer.lease = lease;
    if (!lease && command->request_id && pool_ended_request(pool, command->request_id)) {
        command->answer.result = RESULT_NO_EFFECT;
    } else if (!lease) {
        command->answer.result = command->past.number ? RESULT_NO_EFFECT : RESULT_NO_REQUEST;
    } else if (lease->state == LEASE_ACTIVE) {
        command->answer.result = RESULT_INVALID_STATE;
    } else {
        pool_end_lease(pool, lease, LEASE_CANCELLED, OUTCOME_NONE);
        command->answer.result = RESULT_DONE;
    }
}

/* Leases in use */

/* Whether the caller may act on the stack's lease. Sets answer.result if not. */
static bool may_act(struct lease *lease, struct command *command)
{
    if (command->has_lease_id && !is_lease_id(lease, command)) {
        command->answer.result =
            RESULT_WRONG_LEASE_ID; /* the writer looks whether it was ever right */
        return false;
    }
    if (!command->has_lease_id && lease->is_protected) {
        command->answer.result = RESULT_LEASE_ID_REQUIRED;
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
    command->answer.stack = stack;
    command->answer.result = RESULT_DONE;
    if (!stack) {
        command->answer.result = RESULT_NO_STACK;
        return;
    }
    if (!lease && command->has_lease_id) {
        command->answer.result = RESULT_LEASE_LOST;
        return;
    }
    if (lease && !may_act(lease, command))
        return;
    pool_set_commit(pool, stack, command->commit);
    pool_set_content(pool, stack, lease ? lease->units : NULL);
    pool_move_stack(pool, stack, stack->state);
    if (lease) {
        lease->deployed_at = pool->now;
        note_heard(lease);
        pool_touch_lease(pool, lease);
    }
}

static void ask_to_hold(struct pool *pool, struct stack *stack, const struct lease *lease,
                        const struct command *command)
{
    bool hold = command->outcome == OUTCOME_HOLD;

    if (!hold && command->outcome != OUTCOME_QUARANTINE)
        return;
    if (hold && stack->next_state == STACK_QUARANTINED)
        return; /* broken is the stronger word: it must not come back by itself */
    stack->next_state = hold ? STACK_HELD : STACK_QUARANTINED;
    pool_set_aside(pool, stack, lease->job_user ? lease->job_user : command->key_name,
                   command->reason,
                   command->lease_s < 0 ? CLERK_HOLD_S : (uint32_t)command->lease_s);
}

void clerk_release(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;

    (void)clerk;
    command->answer.stack = stack;
    if (!stack) {
        command->answer.result = RESULT_NO_STACK;
    } else if (!lease) {
        command->answer.result = RESULT_NO_EFFECT;
    } else if (may_act(lease, command)) {
        ask_to_hold(pool, stack, lease, command);
        pool_end_lease(pool, lease, LEASE_RELEASED, command->outcome);
        command->answer.result = RESULT_DONE;
    }
}

void clerk_extend(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    struct stack *stack = pool_stack_named(pool, command->stack_name);
    struct lease *lease = stack ? stack->lease : NULL;
    int64_t seconds;
    int64_t last;

    (void)clerk;
    command->answer.stack = stack;
    command->answer.lease = lease;
    if (!stack) {
        command->answer.result = RESULT_NO_STACK;
        return;
    }
    last = lease ? lease->granted_at + pool->max_lease_s * TIMES_SECOND : 0;
    if (!lease || !is_lease_id(lease, command) || last <= pool->now) {
        command->answer.result = RESULT_LEASE_LOST;
    } else {
        seconds = command->lease_s < 0 ? (int64_t)lease->lease_s : command->lease_s;
        lease->expires_at = pool->now + seconds * TIMES_SECOND;
        if (lease->expires_at > last)
            lease->expires_at = last;
        lease->renewed_at = pool->now;
        lease->is_protected = true;
        note_heard(lease);
        pool_touch_lease(pool, lease);
        pool_due_at(pool, lease->expires_at);
        command->answer.result = RESULT_DONE;
    }
}
