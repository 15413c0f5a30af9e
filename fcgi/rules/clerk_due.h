/*
 * clerk_due: the clerk's settings, and when something is due by itself. Reads a pool, changes
 * nothing. Called by the other files of `clerk`, on the writer's thread.
 */
#ifndef CLERK_DUE_H
#define CLERK_DUE_H

#include "rules/pool.h"

struct clerk {
    uint64_t instance;      /* this one */
    const uint64_t *others; /* that are alive */
    size_t other_count;
    int64_t request_grace_us;
    int64_t startup_grace_us;
    int64_t up_since;       /* when this instance got its database, by the database's clock; but of
                             * many short times in a row one near the first */
    int64_t unsteady_since; /* the first of these */
    uint32_t waiting_max;   /* per project */
};

/* The database is there again. `was_steady`: before that it was there for longer than the grace
 * times. If not, they begin anew, but not for ever: leases must end though the database flaps. */
void clerk_due_note_up(struct clerk *clerk, int64_t now, bool was_steady);

/* How long the request keeps its place when its caller leaves. */
int64_t clerk_due_grace_us(const struct clerk *clerk, const struct lease *lease);
/* When something happens to the lease unless a caller does something first. */
int64_t clerk_due_at(const struct clerk *clerk, const struct pool *pool, const struct lease *lease);
/* Whether an active lease's time is over, so that it ends in this batch. */
bool clerk_due_is_over(const struct clerk *clerk, const struct pool *pool,
                       const struct lease *lease);

#endif
