/*
 * match: which waiting request gets which stack. Pure: reads a pool, changes nothing.
 *
 * 1. Requests stand in line by rank (priority, and one step more for every minute waited), then
 *    by number. One that nobody is connected for is passed over without counting.
 * 2. As long as there are stacks for all, each takes in turn the stack that fits it best: with
 *    units the cheapest in the long run (see price.h), then the one idle longest; without units the
 * one of the lowest number last used by its branch, else the one idle longest. Stacks that are not
 *    well (see health_rank()) come after all others, and after a new one. With none idle, a new
 *    one.
 * 3. With fewer stacks than requests, a stack may go to whichever of the first MATCH_WINDOW has to
 *    deploy least on it, compared with what the busy stacks would cost that request. But nobody is
 * passed over more than MATCH_PASSES times.
 * 4. A stack that a job holds is its branch's: before all this, the first request of that branch
 *    gets it, unless it doesn't want it.
 * 5. A request for one particular stack stands beside the line, so it holds nobody up. It gets that
 *    stack once it is idle and nobody of the line stands before the request. As ranks rise, nobody
 *    who comes later passes it for ever.
 * 6. While the project is paused, nobody gets anything.
 */
#ifndef MATCH_H
#define MATCH_H

#include "rules/pool.h"

#define MATCH_WINDOW 5
#define MATCH_PASSES 5
#define MATCH_FRESH  2

struct match {
    struct lease *lease;
    struct stack *stack; /* NULL: the new one of number `number` */
    uint32_t number;
    struct lease *passed[MATCH_WINDOW]; /* those before it in the line, which are passed over */
    size_t passed_count;
};

/* The next grant; false: nobody can get anything. Call again once it has been carried out, or
 * once `reserved` is set on both sides because another instance must carry it out. */
bool match_next(const struct pool *pool, struct match *match);

/* The stack for a scheduled refresh: of the idle ones that suit the branch best (health_rank()),
 * the one furthest from `units` (NULL: idle longest) that no job had lately. NULL: not now, since
 * fewer than two can be lent, somebody waits, or MATCH_FRESH of them run `units` already and of the
 * others it is known what they run. */
struct stack *match_refresh(const struct pool *pool, struct manifest *units, const char *branch,
                            bool *is_fresh);

#endif
