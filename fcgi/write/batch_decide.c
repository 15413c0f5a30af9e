/* batch_decide: what becomes of the commands, in memory. Writer's thread. */
#include "write/batch_private.h"

#include "rules/key.h"

/* A leaseId that isn't the present one: was it ever right for that stack? */
static enum database_status judge_lease_id(struct office *office, const struct pool *pool,
                                           struct command *command)
{
    bool was_leased = false;
    enum database_status status = store_was_leased(office->store, pool, command->result.stack,
                                                   command->lease_id, &was_leased);

    if (was_leased)
        command->result.code = command->verb == VERB_RELEASE ? RESULT_NO_EFFECT : RESULT_LEASE_LOST;
    return status;
}

/* A request that isn't live: was there one of that number? */
static enum database_status judge_number(struct office *office, const struct pool *pool,
                                         struct command *command)
{
    enum database_status status =
        store_find_ended(office->store, pool, command->as.cancel.number, &command->past);

    if (command->past.number)
        command->result.code = RESULT_NO_EFFECT;
    return status;
}

/* What a pool doesn't remember, history may. */
static enum database_status look_back(struct office *office, const struct pool *pool,
                                      struct command *command)
{
    switch (command->result.code) {
    case RESULT_WRONG_LEASE_ID:
        return judge_lease_id(office, pool, command);
    case RESULT_NO_REQUEST:
        return command->verb == VERB_CANCEL && command->as.cancel.number
                   ? judge_number(office, pool, command)
                   : DATABASE_OK;
    default:
        return DATABASE_OK;
    }
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* `waiting`: how many of the project did before this batch, wherever they are parked, if at all. */
static void grant(struct office *office, struct desk *desk, uint32_t waiting)
{
    struct pool *pool = desk->pool;
    size_t parked = parking_count(office->delivery.parking);
    uint32_t room = parked < office->waiting_max ? office->waiting_max - (uint32_t)parked : 0;

    clerk_settle_due(&office->clerk, pool);
    clerk_grant(&office->clerk, pool);
    for (struct command *at = desk->commands.first; at; at = at->next)
        if (at->verb == VERB_REQUEST && at->result.code == RESULT_NOT_NOW)
            clerk_grant_refresh(&office->clerk, pool, at);
    office->clerk.waiting_max = least(waiting + room, office->waiting_per_project_max);
    clerk_end_waits(&office->clerk, pool);
}

/* Its key ended after nginx had checked it. */
static bool is_refused(const struct pool *pool, const struct command *command)
{
    return command->has_client &&
           key_has_ended(&pool->key_ends, command->key_name, command->key_number, pool->now);
}

static enum database_status decide_desk(struct office *office, struct desk *desk)
{
    enum database_status status = store_find_past(office->store, desk->pool, desk->commands.first);
    uint32_t waiting = desk->pool->waiting_count;

    for (struct command *at = desk->commands.first; at && status == DATABASE_OK; at = at->next) {
        /* Discard what an earlier attempt left. */
        at->result = (struct result){.added = at->result.added};
        if (is_refused(desk->pool, at)) {
            at->result.code = RESULT_KEY_ENDED;
            continue;
        }
        clerk_run(&office->clerk, desk->pool, at);
        status = look_back(office, desk->pool, at);
    }
    if (status == DATABASE_OK)
        grant(office, desk, waiting);
    return status;
}

enum database_status batch_decide(struct batch *batch)
{
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < batch->count && status == DATABASE_OK; i++)
        status = decide_desk(batch->office, batch->desks[i]);
    return status;
}
