/* match: see match.h for the rule. */
#include "rules/match.h"

#include <string.h>

/* Costs: how many units would be deployed. A request without units has no cost of its own and
 * never overtakes anybody. */
#define COST_UNKNOWN SIZE_MAX

static bool stands_in_line(const struct lease *lease)
{
    return lease->instance != 0 && !lease->reserved;
}

/* The first of the line into `window`, best rank first. */
static size_t head_of_line(const struct pool *pool, struct lease *window[MATCH_WINDOW])
{
    struct lease *cursor[PRIORITY_COUNT];
    size_t count = 0;

    memcpy(cursor, pool->queue_first, sizeof cursor);
    while (count < MATCH_WINDOW) {
        struct lease **best = NULL;
        for (size_t i = 0; i < PRIORITY_COUNT; i++) {
            while (cursor[i] && !stands_in_line(cursor[i]))
                cursor[i] = cursor[i]->next;
            if (!cursor[i])
                continue;
            /* Within one priority the older always ranks higher, so only the heads compete. */
            if (!best || pool_rank(pool, cursor[i]) > pool_rank(pool, *best) ||
                (pool_rank(pool, cursor[i]) == pool_rank(pool, *best) &&
                 cursor[i]->number < (*best)->number))
                best = &cursor[i];
        }
        if (!best)
            break;
        window[count++] = *best;
        *best = (*best)->next;
    }
    return count;
}

static struct stack *best_by_branch(const struct pool *pool, const char *branch)
{
    struct stack *same_branch = pool_idle_of_branch(pool, branch);
    struct stack *longest_idle = pool->idle_first;

    while (longest_idle && longest_idle->reserved)
        longest_idle = longest_idle->idle_next;
    return same_branch ? same_branch : longest_idle;
}

/* Neighbours in the idle list often run the same: don't compare what was just compared. */
static struct stack *best_by_units(const struct pool *pool, const struct manifest *units,
                                   size_t *cost)
{
    const struct manifest *compared = NULL;
    size_t distance = COST_UNKNOWN;
    struct stack *best = NULL;

    *cost = COST_UNKNOWN;
    for (struct stack *at = pool->idle_first; at && *cost > 0; at = at->idle_next) {
        if (at->reserved)
            continue;
        if (distance == COST_UNKNOWN || at->content != compared)
            distance = manifest_distance(units, at->content);
        compared = at->content;
        if (!best || distance < *cost) {
            best = at;
            *cost = distance;
        }
    }
    return best;
}

static struct stack *best_stack(const struct pool *pool, const struct lease *lease, size_t *cost)
{
    if (lease->units)
        return best_by_units(pool, lease->units, cost);
    *cost = COST_UNKNOWN;
    return best_by_branch(pool, lease->branch);
}

static uint32_t supply(const struct pool *pool)
{
    uint32_t idle = 0;

    if (pool->stack_count + pool->reserved_new < pool->max_stacks)
        return UINT32_MAX; /* there are stacks to create: no shortage that affinity must settle */
    for (const struct stack *at = pool->idle_first; at && idle < MATCH_WINDOW; at = at->idle_next)
        idle += !at->reserved;
    return idle;
}

/* Who of the window is chosen when there are fewer stacks than requests. */
static size_t choose(const struct pool *pool, struct lease *const window[], size_t count,
                     struct stack **stack)
{
    size_t chosen = 0;
    size_t cost;

    *stack = best_stack(pool, window[0], &cost);
    for (size_t i = 1; i < count && cost > 0; i++) {
        size_t other_cost;
        struct stack *other;

        if (window[i - 1]->passed_over >= MATCH_PASSES)
            break; /* nobody may pass it any more */
        if (!window[i]->units)
            continue;
        other = best_by_units(pool, window[i]->units, &other_cost);
        if (other_cost < cost && other_cost < window[i]->units->count) {
            chosen = i;
            cost = other_cost;
            *stack = other;
        }
    }
    return chosen;
}

bool match_next(const struct pool *pool, struct match *match)
{
    struct lease *window[MATCH_WINDOW];
    size_t count = head_of_line(pool, window);
    uint32_t stacks = supply(pool);
    size_t chosen = 0;
    size_t cost;

    *match = (struct match){0};
    if (count == 0 || stacks == 0)
        return false;
    if (stacks < count)
        chosen = choose(pool, window, count, &match->stack);
    else
        match->stack = best_stack(pool, window[0], &cost);
    if (!match->stack)
        match->number = pool_free_number(pool);
    if (!match->stack && !match->number)
        return false;
    match->lease = window[chosen];
    while (match->passed_count < chosen) {
        match->passed[match->passed_count] = window[match->passed_count];
        match->passed_count++;
    }
    return true;
}

/* How much nearer than the furthest a stack may be and still count as far: nothing as long as few
 * units differ. Replayed histories of real repositories gave the figures. */
static size_t far_enough(size_t most)
{
    return most < 5 ? most : most - most / 5 * 2;
}

struct stack *match_refresh(const struct pool *pool, const struct manifest *units)
{
    struct lease *window[MATCH_WINDOW];
    struct stack *at;
    size_t most = 0;

    if (pool->idle_count < 2 || head_of_line(pool, window) > 0)
        return NULL;
    for (at = pool->idle_first; at && units; at = at->idle_next) {
        size_t distance = manifest_distance(units, at->content);
        if (distance > most)
            most = distance;
    }
    for (at = pool->idle_first; at && units; at = at->idle_next)
        if (manifest_distance(units, at->content) >= far_enough(most))
            return at;
    return pool->idle_first;
}
