/* render: the only place where results become HTTP statuses. */
#include "write/render.h"

#include "write/render_private.h"

#include <stdio.h>

static void name_stack(const struct pool *pool, const struct stack *stack, char *name, size_t size)
{
    if (stack)
        snprintf(name, size, "%s%u", pool->prefix, stack->number);
    else
        name[0] = '\0';
}

enum result_code render_result_of(const struct lease *lease)
{
    switch (lease->state) {
    case LEASE_WAITING:
        return lease->instance == 0 ? RESULT_WAIT_OVER : RESULT_WAITING;
    case LEASE_ACTIVE:
        return RESULT_GRANTED;
    case LEASE_TIMED_OUT:
    case LEASE_ABANDONED:
        return lease->queue_full ? RESULT_QUEUE_FULL : RESULT_WAIT_OVER;
    case LEASE_SUPERSEDED:
        return RESULT_SUPERSEDED;
    case LEASE_CANCELLED:
    case LEASE_RELEASED:
    case LEASE_EXPIRED:
    case LEASE_REVOKED:
        break;
    }
    return lease->stack_gone ? RESULT_NO_STACK : RESULT_CANCELLED;
}

void render_request(const struct pool *pool, const struct lease *lease, enum result_code code,
                    struct ignored_fields *ignored, struct response *response)
{
    struct command command = {
        .verb = VERB_REQUEST, .ignored = ignored, .result = {.code = code, .lease = lease}};
    render_command(pool, &command, response);
}

/* Done */

static void render_stacks_added(const struct pool *pool, const struct command *command,
                                struct response *response)
{
    struct json_writer *json = response_open();
    char text[128];

    snprintf(text, sizeof text, "%u stacks added", command->result.count);
    json_put_string(json, "message", text);
    json_open_array(json, "stacks");
    for (uint32_t i = 0; i < command->result.count; i++) {
        snprintf(text, sizeof text, "%s%u", pool->prefix, command->result.added[i]);
        json_put_string(json, NULL, text);
    }
    json_close_array(json);
    response_close(response, 200, json);
}

static void render_released(const struct pool *pool, const struct command *command,
                            const char *name, struct response *response)
{
    struct json_writer *json;
    char text[256];

    if (command->as.release.outcome != OUTCOME_HOLD) {
        render_success_say(command, response, "Stack %s released", name);
        return;
    }
    json = response_open();
    snprintf(text, sizeof text, "Stack %s released", name);
    if (command->result.code == RESULT_DONE && !command->result.is_held && !pool_may_hold(pool))
        snprintf(text, sizeof text, "Stack %s released, not held: jobs hold %u stacks already",
                 name, pool->job_holds);
    json_put_string(json, "message", text);
    json_put_bool(json, "held", command->result.is_held);
    render_success_close(command, json, response);
}

static void render_done(const struct pool *pool, const struct command *command,
                        struct response *response)
{
    const struct stack *stack = command->result.stack;
    char name[128];

    name_stack(pool, stack, name, sizeof name);
    switch (command->verb) {
    case VERB_MARK:
        render_success_say(command, response, "Last commit of stack %s updated", name);
        break;
    case VERB_MARK_UNITS:
        render_success_say(command, response, "Units of stack %s marked", name);
        break;
    case VERB_RELEASE:
        render_released(pool, command, name, response);
        break;
    case VERB_EXTEND:
        render_extended(pool, command, response);
        break;
    case VERB_CANCEL:
        render_success_say(command, response, "Request cancelled");
        break;
    case VERB_DELETE_LAST:
    case VERB_DELETE_STACK:
        render_success_say(command, response, "Stack %s deleted", name);
        break;
    case VERB_HOLD:
        render_success_say(command, response, "Stack %s %s", name,
                           stack && stack->lease ? "is held once its job gives it back" : "held");
        break;
    case VERB_QUARANTINE:
        render_success_say(command, response, "Stack %s %s", name,
                           stack->lease ? "is quarantined once its job gives it back"
                                        : "quarantined");
        break;
    case VERB_REINSTATE:
        render_success_say(command, response, "Stack %s reinstated", name);
        break;
    case VERB_REVOKE:
        render_success_say(command, response, "Lease of stack %s revoked", name);
        break;
    case VERB_ADD_STACKS:
        render_stacks_added(pool, command, response);
        break;
    case VERB_UPDATE_PROJECT:
        render_success_say(command, response, "Project %s updated", pool->name);
        break;
    case VERB_PRIORITIZE:
        render_success_say(command, response, "Request %llu has priority %d",
                           (unsigned long long)command->result.lease->number,
                           command->result.lease->priority);
        break;
    case VERB_REQUEST:
    case VERB_HANG_UP:
        response_error(response, 500, "internal", "Unexpected result");
        break;
    }
}

/* Errors */

static void render_request_ended(const struct command *command, struct response *response)
{
    const struct past_request *past = &command->past;
    struct json_writer *json = response_open_error(
        "requestEnded", "The request of this requestId has ended; a new job needs a new requestId");

    json_put_string(json, "state", words_lease_state(past->state));
    json_put_string(json, "outcome", words_outcome(past->outcome));
    json_put_time(json, "endedAt", past->ended_at);
    response_close_error(response, 409, json);
}

static void render_lease_too_long(struct response *response)
{
    struct json_writer *json = response_open_error(
        "invalidField", "Field \"leaseSeconds\" must not be larger than maxLeaseSeconds");

    json_put_string(json, "field", "leaseSeconds");
    response_close_error(response, 400, json);
}

static void render_mismatch(const struct command *command, struct response *response)
{
    struct json_writer *json =
        response_open_error("requestMismatch", "This requestId was first sent with other contents");

    json_put_string(json, "field", command->result.field);
    response_close_error(response, 422, json);
}

static void render_invalid_state(const struct command *command, struct response *response)
{
    const struct result *result = &command->result;
    struct json_writer *json;
    const char *state = result->stack   ? words_stack_state(result->stack->state)
                        : result->lease ? words_lease_state(result->lease->state)
                                        : NULL;

    json = response_open_error("invalidState", command->verb == VERB_REVOKE
                                                   ? "The stack has no such lease"
                                                   : "Not possible in this state");
    json_put_string(json, "state", state);
    response_close_error(response, 409, json);
}

struct error_text {
    int status;
    const char *code;
    const char *message;
};

/* Without `default`, so that no result can be added without its status. */
static struct error_text error_of(enum result_code code)
{
    switch (code) {
    case RESULT_QUEUE_FULL:
        return (struct error_text){503, "queueFull", "Too many requests are waiting already"};
    case RESULT_NOT_NOW:
        return (struct error_text){503, "notNow",
                                   "A refresh is served only while two stacks are available, "
                                   "nobody waits, and one of them needs it"};
    case RESULT_REPLACED:
        return (struct error_text){409, "replaced",
                                   "Another connection waits for this request now"};
    case RESULT_CANCELLED:
        return (struct error_text){409, "cancelled", "The request was cancelled"};
    case RESULT_SUPERSEDED:
        return (struct error_text){409, "superseded",
                                   "A newer request of this branch has taken its place"};
    case RESULT_KEY_ENDED:
        return (struct error_text){401, "unauthorized", "This key was revoked or has expired"};
    case RESULT_NO_PROJECT:
        return (struct error_text){404, "unknownProject", "The project of this key does not exist"};
    case RESULT_NO_STACK:
        return (struct error_text){404, "unknownStack", "There is no such stack in this project"};
    case RESULT_NO_REQUEST:
        return (struct error_text){404, "unknownRequest",
                                   "There is no such request in this project"};
    case RESULT_STACK_LEASED:
        return (struct error_text){409, "stackLeased",
                                   "The last stack is leased; nothing was deleted"};
    case RESULT_TOO_MANY_STACKS:
        return (struct error_text){409, "tooManyStacks",
                                   "The project would have more than maxStacks stacks"};
    case RESULT_TOO_MANY_UNITS:
        return (struct error_text){409, "tooManyUnits",
                                   "The stack would run more than 4000 units; mark some removed"};
    case RESULT_STACKS_EXIST:
        return (struct error_text){409, "stacksExist",
                                   "The prefix cannot change while the project has stacks"};
    case RESULT_LEASE_ID_REQUIRED:
        return (struct error_text){403, "leaseIdRequired",
                                   "This lease is protected: send its leaseId"};
    case RESULT_WRONG_LEASE_ID:
        return (struct error_text){403, "wrongLeaseId",
                                   "The leaseId is not that of the stack's lease"};
    case RESULT_LEASE_LOST:
        return (struct error_text){410, "leaseLost",
                                   "The lease has ended; the stack may be another job's"};
    case RESULT_NO_DATABASE:
        return (struct error_text){503, "databaseUnavailable",
                                   "The database is not available; nothing was changed"};
    case RESULT_IN_DOUBT:
        return (struct error_text){503, "databaseUnavailable",
                                   "The database went away before it confirmed; repeat the call"};
    case RESULT_SHUTTING_DOWN:
        return (struct error_text){503, "shuttingDown", "The service is restarting"};
    case RESULT_DONE: /* from here: render_command() */
    case RESULT_NO_EFFECT:
    case RESULT_GRANTED:
    case RESULT_WAIT_OVER:
    case RESULT_REQUEST_ENDED:
    case RESULT_LEASE_TOO_LONG:
    case RESULT_REQUEST_MISMATCH:
    case RESULT_INVALID_STATE:
    case RESULT_NO_MORE_STACK:
    case RESULT_DRAINING:
    case RESULT_WAITING: /* has no response yet */
        break;
    }
    return (struct error_text){500, "internal", "Unexpected result"};
}

static void render_not_now(const struct pool *pool, const struct command *command,
                           struct response *response)
{
    struct error_text error = error_of(RESULT_NOT_NOW);
    struct json_writer *json = response_open_error(
        error.code, pool->pause.since ? "The project is paused" : error.message);

    response_retry_after(response, RETRY_MAX_S);
    json_put_bool(json, "fresh", command->result.is_fresh);
    render_put_pause(json, pool);
    response_close_error(response, error.status, json);
}

static void render_error(enum result_code code, struct response *response)
{
    struct error_text error = error_of(code);
    bool crowded = code == RESULT_QUEUE_FULL;

    if (error.status == 503)
        response_retry_after(response, crowded ? RETRY_MAX_S : RETRY_SOON_S);
    response_error(response, error.status, error.code, "%s", error.message);
}

void render_command(const struct pool *pool, const struct command *command,
                    struct response *response)
{
    const struct result *result = &command->result;
    char name[128];

    switch (result->code) {
    case RESULT_DONE:
    case RESULT_NO_EFFECT:
        render_done(pool, command, response);
        break;
    case RESULT_GRANTED:
        render_granted(pool, command, response);
        break;
    case RESULT_WAIT_OVER:
        render_wait_over(pool, result->lease, response);
        break;
    case RESULT_REQUEST_ENDED:
        render_request_ended(command, response);
        break;
    case RESULT_LEASE_TOO_LONG:
        render_lease_too_long(response);
        break;
    case RESULT_REQUEST_MISMATCH:
        render_mismatch(command, response);
        break;
    case RESULT_INVALID_STATE:
        render_invalid_state(command, response);
        break;
    case RESULT_NOT_NOW:
        render_not_now(pool, command, response);
        break;
    case RESULT_NO_MORE_STACK:
        render_success_say(command, response, "No more stack");
        break;
    case RESULT_DRAINING:
        name_stack(pool, result->stack, name, sizeof name);
        render_success_say(command, response, "Stack %s is deleted once its job gives it back",
                           name);
        break;
    default:
        render_error(result->code, response);
        break;
    }
}
