/* render_lease: what a request or a holder learns of a lease, and of the stacks that others have.
 */
#include "write/render_private.h"

#include "base/hex.h"
#include "base/times.h"

#include <stdio.h>
#include <string.h>

#define HOLDERS_MAX 20

static void put_lease_id(struct json_writer *json, const struct lease *lease)
{
    char text[2 * LEASE_ID_SIZE + 1];

    hex_write(text, lease->lease_id, LEASE_ID_SIZE);
    json_put_string(json, "leaseId", text);
    explicit_bzero(text, sizeof text);
}

static void put_stack_name(struct json_writer *json, const struct pool *pool, uint32_t number)
{
    char name[128];

    snprintf(name, sizeof name, "%s%u", pool->prefix, number);
    json_put_string(json, "stackName", name);
}

static int64_t seconds_left(const struct pool *pool, int64_t time_us)
{
    return time_us > pool->now ? (time_us - pool->now) / TIMES_SECOND : 0;
}

static void put_expiry(struct json_writer *json, const struct pool *pool, const struct lease *lease)
{
    json_put_integer(json, "fence", (int64_t)lease->fence);
    json_put_time(json, "expiresAt", lease->expires_at);
    json_put_integer(json, "expiresInSeconds", seconds_left(pool, lease->expires_at));
}

struct unit_list {
    struct json_writer *json;
    enum manifest_difference kind;
};

static void put_unit(void *context, enum manifest_difference kind, const char *name)
{
    struct unit_list *list = context;

    if (kind == list->kind)
        json_put_string(list->json, NULL, name);
}

static void put_units(struct json_writer *json, const struct lease *lease)
{
    static const struct {
        const char *name;
        enum manifest_difference kind;
    } lists[] = {{"changedUnits", UNIT_CHANGED}, {"removedUnits", UNIT_REMOVED}};

    for (size_t i = 0; lease->units && i < 2; i++) {
        struct unit_list list = {.json = json, .kind = lists[i].kind};
        json_open_array(json, lists[i].name);
        manifest_compare(lease->units, lease->stack_content, put_unit, &list);
        json_close_array(json);
    }
}

void render_granted(const struct pool *pool, const struct command *command,
                    struct response *response)
{
    const struct lease *lease = command->result.lease;
    struct json_writer *json = response_open();

    put_stack_name(json, pool, lease->stack->number);
    json_put_string(json, "lastDeployedCommit", lease->stack_commit);
    put_lease_id(json, lease);
    put_expiry(json, pool, lease);
    json_put_bool(json, "isNew", lease->is_new);
    json_put_bool(json, "unsettled", lease->stack->health.unsettled_since != 0);
    put_units(json, lease);
    if (lease->estimated_deploy_s >= 0)
        json_put_integer(json, "estimatedDeploySeconds", lease->estimated_deploy_s);
    json_put_integer(json, "requestNumber", (int64_t)lease->number);
    if (lease->request_id)
        json_put_string(json, "requestId", lease->request_id);
    json_put_number(json, "waitedSeconds",
                    (double)(lease->granted_at - lease->asked_at) / (double)TIMES_SECOND, 3);
    render_success_close(command, json, response);
}

static void put_holder(struct json_writer *json, const struct pool *pool, const struct lease *lease)
{
    json_open_object(json, NULL);
    put_stack_name(json, pool, lease->stack->number);
    json_put_string(json, "branch", lease->branch);
    if (lease->job_url || lease->job_name || lease->job_user) {
        json_open_object(json, "job");
        json_put_string(json, "url", lease->job_url);
        json_put_string(json, "name", lease->job_name);
        json_put_string(json, "user", lease->job_user);
        json_close_object(json);
    }
    json_put_integer(json, "expiresInSeconds", seconds_left(pool, lease->expires_at));
    json_close_object(json);
}

/* Which leases have the stacks, and why others can't be lent. */
static void put_scarcity(struct json_writer *json, const struct pool *pool)
{
    uint32_t held = 0;
    uint32_t quarantined = 0;
    uint32_t unsettled = 0;
    uint32_t holders = 0;

    json_open_array(json, "holders");
    for (size_t i = 1; i < pool->stacks_size; i++) {
        const struct stack *at = pool->stacks[i];
        if (!at)
            continue;
        held += at->state == STACK_HELD;
        quarantined += at->state == STACK_QUARANTINED;
        unsettled += at->state == STACK_AVAILABLE && pool_is_resting(pool, at);
        if (at->lease && holders++ < HOLDERS_MAX)
            put_holder(json, pool, at->lease);
    }
    json_close_array(json);
    json_put_integer(json, "held", held);
    json_put_integer(json, "quarantined", quarantined);
    json_put_integer(json, "unsettled", unsettled);
}

void render_put_pause(struct json_writer *json, const struct pool *pool)
{
    if (!pool->pause.since)
        return;
    json_open_object(json, "pause");
    json_put_time(json, "since", pool->pause.since);
    json_put_string(json, "by", pool->pause.by);
    json_put_string(json, "reason", pool->pause.reason);
    json_close_object(json);
}

static void say_wait_over(const struct pool *pool, const struct lease *lease, char *text,
                          size_t size)
{
    const struct stack *wanted = pool_stack(pool, lease->wanted_stack);

    if (pool->pause.since)
        snprintf(text, size, "The project is paused%s%s", pool->pause.reason ? ": " : "",
                 pool->pause.reason ? pool->pause.reason : "");
    else if (wanted)
        snprintf(text, size, "Stack %s%u did not become available within the wait: it is %s",
                 pool->prefix, wanted->number, words_stack_state(wanted->state));
    else
        snprintf(text, size, "No stack became available within the wait");
}

void render_wait_over(const struct pool *pool, const struct lease *lease, struct response *response)
{
    char text[400];
    struct json_writer *json;
    int64_t retry_s = lease->estimate_s < RETRY_MAX_S ? lease->estimate_s : RETRY_MAX_S;

    say_wait_over(pool, lease, text, sizeof text);
    json = response_open_error("noStackAvailable", text);
    json_put_integer(json, "position", lease->position);
    json_put_integer(json, "estimatedWaitSeconds", lease->estimate_s);
    json_put_integer(json, "requestNumber", (int64_t)lease->number);
    json_put_string(json, "requestId", lease->request_id);
    put_scarcity(json, pool);
    render_put_pause(json, pool);
    /* A caller with a requestId keeps its place by calling again at once. */
    response_retry_after(response, lease->request_id ? RETRY_SOON_S : retry_s);
    response_close_error(response, 503, json);
}

void render_extended(const struct pool *pool, const struct command *command,
                     struct response *response)
{
    struct json_writer *json = response_open();

    put_stack_name(json, pool, command->result.stack->number);
    put_expiry(json, pool, command->result.lease);
    json_put_bool(json, "atMaximum", command->result.is_at_most);
    response_close(response, 200, json);
}
