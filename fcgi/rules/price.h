/*
 * price: what a stack costs a job in the long run. Pure.
 *
 * What is to be deployed now, less a credit for a stack that is far from main (it will have to be
 * brought up to date anyhow), plus a charge for displacing a branch at work (it will come back for
 * the stack that fits it best). All in milliseconds of deploy time: see deploy_times.h. Lending
 * stacks is a k-server problem, where the nearest server is a poor rule; replayed histories of real
 * repositories gave the figures.
 */
#ifndef PRICE_H
#define PRICE_H

#include "rules/activity.h"
#include "rules/pool.h"

struct price_charge {
    const struct stack *stack;
    double ms;
};

struct price_list {
    const struct deploy_times *times;
    struct reach *job;
    struct reach *main; /* NULL: no credit */
    double credit;      /* for each millisecond that a stack is from main … */
    double far;         /* … and for no more than so many */
    struct price_charge charges[ACTIVITY_BRANCHES];
    size_t charge_count;
};

/* For a request that names units; good until the pool changes. */
void price_begin(struct price_list *list, const struct pool *pool, struct lease *lease);
double price_of(const struct price_list *list, const struct stack *stack);

/* What the request has to deploy on the stack, less what it would have to on a mean one of those
 * that others have at present: the least has most to gain by the stack. Infinite for a request that
 * names no units, so that it never overtakes. */
double price_relative(const struct pool *pool, struct lease *lease, const struct stack *stack);

#endif
