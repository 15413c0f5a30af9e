/* clerk_due: see clerk_due.h. */
#include "rules/clerk_due.h"

#include "base/times.h"

static bool is_alive(const struct clerk *clerk, uint64_t instance)
{
    for (size_t i = 0; i < clerk->other_count; i++)
        if (clerk->others[i] == instance)
            return true;
    return instance == clerk->instance;
}

/* So long at most, in grace times, do they begin anew. */
#define UNSTEADY_MAX 10

void clerk_due_note_up(struct clerk *clerk, int64_t now, bool was_steady)
{
    int64_t latest;

    if (was_steady || !clerk->unsteady_since)
        clerk->unsteady_since = now;
    latest = clerk->unsteady_since + UNSTEADY_MAX * clerk->startup_grace_us;
    clerk->up_since = now < latest ? now : latest;
}

/* While this instance or its database was away no heartbeat could come in, so a lease that was
 * last renewed before that gets the grace time. */
static int64_t lease_end(const struct clerk *clerk, const struct lease *lease)
{
    int64_t earliest = clerk->up_since + clerk->startup_grace_us;

    if (lease->renewed_at >= clerk->up_since || lease->expires_at >= earliest)
        return lease->expires_at;
    return earliest;
}

bool clerk_due_is_over(const struct clerk *clerk, const struct pool *pool,
                       const struct lease *lease)
{
    return lease->state == LEASE_ACTIVE && lease_end(clerk, lease) <= pool->now;
}

int64_t clerk_due_grace_us(const struct clerk *clerk, const struct lease *lease)
{
    return lease->grace_s < 0 ? clerk->request_grace_us : lease->grace_s * TIMES_SECOND;
}

/* Likewise for callers that could not come back to their place. */
static int64_t place_end(const struct clerk *clerk, const struct lease *lease)
{
    int64_t earliest = clerk->up_since + clerk->request_grace_us;

    if (lease->place_until - clerk_due_grace_us(clerk, lease) >= clerk->up_since ||
        lease->place_until >= earliest)
        return lease->place_until;
    return earliest;
}

int64_t clerk_due_at(const struct clerk *clerk, const struct pool *pool, const struct lease *lease)
{
    bool is_ours = lease->instance == 0 || lease->instance == clerk->instance;

    if (lease->state == LEASE_ACTIVE)
        return lease_end(clerk, lease);
    if (is_ours && pool_wants_in_vain(pool, lease))
        return pool->now;
    if (lease->instance == 0)
        return place_end(clerk, lease);
    if (lease->instance == clerk->instance)
        return lease->wait_until;
    return is_alive(clerk, lease->instance) ? pool->now + TIMES_SECOND : pool->now;
}
