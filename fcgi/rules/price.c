/* price: see price.h. */
#include "rules/price.h"

#include <math.h>
#include <string.h>

#define CREDIT      .6 /* while nobody refreshes stacks */
#define CHARGE      .5
#define CHARGE_FADE 8 /* grants after which a branch counts for a third */
#define FAR_PLACE   4 /* of the stacks nearest to main: how far the rest may count */

static uint64_t distance(const struct deploy_times *times, struct reach *reach,
                         const struct stack *stack)
{
    return reach_distance(reach, times, stack->number, pool_will_run(stack));
}

static struct reach *reach_of(const struct pool *pool, struct lease *lease)
{
    struct reach *main = pool->activity->main;
    const struct active_branch *branch;

    if (main && main->content == lease->units)
        return main;
    if (!lease->reach) {
        branch = activity_find(pool->activity, lease->branch);
        lease->reach = pool_reach(pool, lease->units, branch ? branch->reach : main);
    }
    return lease->reach;
}

static double credit_of(const struct activity *activity)
{
    if (!activity->main)
        return 0;
    if (activity->job_work > 0)
        return CREDIT * fmax(0, 1 - activity->refreshed / activity->job_work);
    return activity->refreshed > 0 ? 0 : CREDIT;
}

/* The distance of the FAR_PLACE-th nearest idle stack: without this bound every job would go to the
 * stack that is furthest. */
static double far_from_main(const struct pool *pool, struct reach *main)
{
    double nearest[FAR_PLACE];

    for (size_t i = 0; i < FAR_PLACE; i++)
        nearest[i] = INFINITY;
    for (struct stack *at = pool->idle_first; at; at = at->idle_next) {
        double behind = (double)distance(&pool->deploy_times, main, at);
        for (size_t i = 0; i < FAR_PLACE; i++) {
            double other = nearest[i];
            if (behind < other) {
                nearest[i] = behind;
                behind = other;
            }
        }
    }
    return nearest[FAR_PLACE - 1];
}

/* Whether jobs may come back for it. */
static bool stays(const struct stack *stack)
{
    return stack && stack->state != STACK_DELETED && stack->state != STACK_DRAINING &&
           stack->state != STACK_QUARANTINED;
}

/* What the branch has to deploy more if the stack that fits it best goes to the job. */
static void add_charge(struct price_list *list, const struct pool *pool,
                       const struct active_branch *branch)
{
    double age = (double)(pool->activity->grants - branch->grant);
    const struct stack *best = NULL;
    double least = INFINITY;
    double second =
        (double)deploy_times_distance(list->times, branch->reach->content, list->job->content);

    for (size_t i = 1; i < pool->stacks_size; i++) {
        double ms;
        if (!stays(pool->stacks[i]))
            continue;
        ms = (double)distance(list->times, branch->reach, pool->stacks[i]);
        if (ms < least) {
            second = fmin(second, least);
            least = ms;
            best = pool->stacks[i];
        } else {
            second = fmin(second, ms);
        }
    }
    if (second > least)
        list->charges[list->charge_count++] =
            (struct price_charge){best, CHARGE * exp(-age / CHARGE_FADE) * (second - least)};
}

void price_begin(struct price_list *list, const struct pool *pool, struct lease *lease)
{
    struct activity *activity = pool->activity;

    *list = (struct price_list){
        .times = &pool->deploy_times, .job = reach_of(pool, lease), .main = activity->main};
    list->credit = credit_of(activity);
    if (activity->main)
        list->far = far_from_main(pool, activity->main);
    for (size_t i = 0; i < activity->branch_count; i++) {
        const struct active_branch *at = &activity->branches[i];
        if (!at->is_merged && strcmp(at->name, lease->branch) != 0 && !pool_is_main(pool, at->name))
            add_charge(list, pool, at);
    }
}

double price_of(const struct price_list *list, const struct stack *stack)
{
    double price = (double)distance(list->times, list->job, stack);
    double charge = 0;

    if (list->main)
        price -= list->credit * fmin((double)distance(list->times, list->main, stack), list->far);
    for (size_t i = 0; i < list->charge_count; i++)
        if (list->charges[i].stack == stack)
            charge += list->charges[i].ms;
    return price + charge;
}

double price_relative(const struct pool *pool, struct lease *lease, const struct stack *stack)
{
    struct reach *reach = lease->units ? reach_of(pool, lease) : NULL;
    uint64_t sum = 0;
    uint32_t count = 0;

    if (!reach)
        return INFINITY;
    for (size_t i = 1; i < pool->stacks_size; i++) {
        const struct stack *at = pool->stacks[i];
        if (at && at->state == STACK_LEASED) {
            sum += distance(&pool->deploy_times, reach, at);
            count++;
        }
    }
    return (double)distance(&pool->deploy_times, reach, stack) - (count ? (double)sum / count : 0);
}
