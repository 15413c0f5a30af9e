/* clerk_request: the verbs about a request: ask, ask again, cancel, hang up. Writer's thread. */
#include "rules/clerk_private.h"

#include "base/mem.h"
#include "base/text.h"
#include "rules/clerk_call.h"
#include "rules/clerk_due.h"

#include <string.h>

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The number of the stack that it names; 0: none. */
static uint32_t wanted_stack(const struct pool *pool, const struct command *command)
{
    const struct stack *stack =
        command->stack_name ? pool_stack_named(pool, command->stack_name) : NULL;

    return stack ? stack->number : 0;
}

struct lease *clerk_request_enqueue(const struct clerk *clerk, struct pool *pool,
                                    struct command *command)
{
    struct command_request *request = &command->as.request;
    struct lease *lease = mem_zalloc(sizeof *lease);
    uint32_t lease_s = request->lease_s < 0 ? pool->lease_s : (uint32_t)request->lease_s;

    lease->request_id = mem_strdup(request->request_id);
    lease->key_name = mem_strdup(command->key_name);
    lease->branch = mem_strdup(request->branch);
    lease->commit = mem_strdup(request->commit);
    lease->purpose = request->purpose;
    lease->job_url = mem_strdup(request->job_url);
    lease->job_name = mem_strdup(request->job_name);
    lease->job_user = mem_strdup(request->job_user);
    lease->priority = request->priority;
    lease->asked_priority = request->priority;
    lease->lease_s = least(lease_s, pool->max_lease_s);
    lease->grace_s = request->grace_s;
    lease->wont_resume = request->wont_resume;
    lease->wanted_stack = wanted_stack(pool, command);
    lease->instance = clerk->instance;
    clerk_call_wait(pool, lease, request);
    lease->asker = command;
    pool_enqueue(pool, lease, request->units);
    return lease;
}

void clerk_request_supersede_older(struct pool *pool, const struct lease *newer)
{
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        struct lease *next;
        for (struct lease *at = pool->queue_first[i]; at; at = next) {
            next = at->next;
            if (at->number < newer->number && strcmp(at->branch, newer->branch) == 0)
                pool_end_lease(pool, at, LEASE_SUPERSEDED, OUTCOME_NONE);
        }
    }
}

/* The field in which a repeated request differs from what it said before; NULL: none. */
static const char *mismatch(const struct pool *pool, const struct lease *lease,
                            const struct command *command)
{
    const struct command_request *request = &command->as.request;
    uint32_t wanted = wanted_stack(pool, command);

    if (strcmp(lease->branch, request->branch) != 0)
        return "branch";
    if (!text_same(lease->commit, request->commit))
        return "commit";
    if (!manifest_equal(lease->units, request->units))
        return "units";
    if (lease->wanted_stack != wanted || (command->stack_name && !wanted))
        return "stackName";
    return lease->purpose == request->purpose ? NULL : "purpose";
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

/* Another priority than its caller named before. The same again leaves what an administrator set.
 */
static void move(struct pool *pool, struct lease *lease, const struct command_request *request)
{
    if (!request->has_priority || request->priority == lease->asked_priority)
        return;
    lease->asked_priority = request->priority;
    pool_prioritize(pool, lease, request->priority);
}

static void repeat_request(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                           struct command *command)
{
    const char *field = mismatch(pool, lease, command);

    command->result.lease = lease;
    if (field) {
        command->result.code = RESULT_REQUEST_MISMATCH;
        command->result.field = field;
    } else if (clerk_due_is_over(clerk, pool, lease)) {
        pool_end_lease(pool, lease, LEASE_EXPIRED, OUTCOME_NONE);
        note_ended(lease, &command->past);
        command->result.code = RESULT_REQUEST_ENDED;
    } else if (lease->state == LEASE_ACTIVE) {
        clerk_call_note_heard(lease);
        pool_touch_lease(pool, lease);
        command->result.code = RESULT_GRANTED;
    } else {
        lease->asker = command;
        lease->instance = clerk->instance;
        lease->timed_out = false;
        move(pool, lease, &command->as.request);
        lease->grace_s = command->as.request.grace_s;
        clerk_call_wait(pool, lease, &command->as.request);
        pool_touch_lease(pool, lease);
        pool_due_at(pool, lease->wait_until);
        command->result.code = RESULT_WAITING;
    }
}

static bool may_ask_again(const struct past_request *past)
{
    return !past->number || past->state == LEASE_TIMED_OUT || past->state == LEASE_ABANDONED;
}

void clerk_request(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const struct command_request *request = &command->as.request;
    const char *id = request->request_id;
    struct lease *lease = id ? pool_request(pool, id) : NULL;
    struct lease *ended = id ? pool_ended_request(pool, id) : NULL;

    if (!lease && ended)
        note_ended(ended, &command->past);
    if (lease) {
        repeat_request(clerk, pool, lease, command);
    } else if (!may_ask_again(&command->past)) {
        command->result.code = RESULT_REQUEST_ENDED;
    } else if (command->stack_name && !wanted_stack(pool, command)) {
        command->result.code = RESULT_NO_STACK;
    } else if (request->purpose == PURPOSE_REFRESH) {
        command->result.code = RESULT_NOT_NOW; /* until clerk_grant_refresh() */
    } else {
        lease = clerk_request_enqueue(clerk, pool, command);
        /* One that won't wait takes the others' place only if it gets a stack: see clerk_grant().
         */
        if (request->supersede && (request->request_id || lease->wait_until > pool->now))
            clerk_request_supersede_older(pool, lease);
        command->result.lease = lease;
        command->result.code = RESULT_WAITING;
    }
}

void clerk_request_disconnect(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                              enum departure departure)
{
    bool timed_out = departure == DEPARTURE_TIMED_OUT;
    int64_t grace_us = clerk_due_grace_us(clerk, lease);

    if (departure == DEPARTURE_SENT_AWAY && grace_us < clerk->request_grace_us)
        grace_us = clerk->request_grace_us;
    if (!lease->request_id) {
        pool_end_lease(pool, lease, timed_out ? LEASE_TIMED_OUT : LEASE_ABANDONED, OUTCOME_NONE);
        return;
    }
    lease->instance = 0;
    lease->timed_out = timed_out;
    lease->place_until = pool->now + grace_us;
    pool_touch_lease(pool, lease);
    pool_due_at(pool, lease->place_until);
}

static void take_back(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                      enum departure departure)
{
    pool_restore_branch(lease);
    if (lease->request_id && lease->purpose == PURPOSE_TEST) {
        pool_requeue(pool, lease);
        clerk_request_disconnect(clerk, pool, lease, departure);
    } else { /* a refresh never waits; but its requestId may ask again */
        pool_end_lease(pool, lease, lease->request_id ? LEASE_ABANDONED : LEASE_RELEASED,
                       OUTCOME_NOT_DEPLOYED);
    }
}

void clerk_hang_up(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const struct command_hang_up *hang_up = &command->as.hang_up;
    struct lease *lease = pool_lease(pool, hang_up->number);
    enum departure departure = hang_up->sent_away ? DEPARTURE_SENT_AWAY : DEPARTURE_HUNG_UP;

    if (!lease || lease->call_no != hang_up->call_no)
        return; /* another call came after that of the client who is gone */
    if (lease->state == LEASE_ACTIVE)
        take_back(clerk, pool, lease, departure);
    else if (lease->instance == clerk->instance)
        clerk_request_disconnect(clerk, pool, lease, departure);
}

void clerk_cancel(const struct clerk *clerk, struct pool *pool, struct command *command)
{
    const char *id = command->as.cancel.request_id;
    struct lease *lease = id ? pool_request(pool, id) : pool_lease(pool, command->as.cancel.number);

    (void)clerk;
    command->result.lease = lease;
    if (!lease && id && pool_ended_request(pool, id)) {
        command->result.code = RESULT_NO_EFFECT;
    } else if (!lease) {
        command->result.code = command->past.number ? RESULT_NO_EFFECT : RESULT_NO_REQUEST;
    } else if (lease->state == LEASE_ACTIVE) {
        command->result.code = RESULT_INVALID_STATE;
    } else {
        pool_end_lease(pool, lease, LEASE_CANCELLED, OUTCOME_NONE);
        command->result.code = RESULT_DONE;
    }
}
