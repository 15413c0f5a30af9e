/* match: see match.h for the rule. */
#include "rules/match.h"

#include "rules/activity.h"
#include "rules/price.h"
#include "rules/reach.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* The idle stack that fits a request best. */
struct choice {
    struct stack *stack; /* NULL: none is idle */
    unsigned rank;       /* 0: it is well; see health_rank() */
};

/* The line */

static bool is_there(const struct lease *lease)
{
    return lease->instance != 0 && !lease->reserved;
}

static bool stands_in_line(const struct lease *lease)
{
    return is_there(lease) && !lease->wanted_stack;
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
            if (!best || pool_stands_before(pool, cursor[i], *best))
                best = &cursor[i];
        }
        if (!best)
            break;
        window[count++] = *best;
        *best = (*best)->next;
    }
    return count;
}

/* Which stack */

/* Whether a request may get it at all. */
static bool is_free(const struct pool *pool, const struct stack *stack)
{
    return !stack->reserved && !pool_is_resting(pool, stack);
}

static struct choice choose_by_branch(const struct pool *pool, const char *branch)
{
    struct choice choice = {NULL, 0};

    for (struct stack *at = pool->idle_first; at; at = at->idle_next) {
        unsigned rank = health_rank(&at->health, branch);
        bool is_own = at->branch && strcmp(at->branch, branch) == 0; /* the latest of them counts */
        if (is_free(pool, at) &&
            (!choice.stack || rank < choice.rank || (rank == choice.rank && is_own)))
            choice = (struct choice){at, rank};
    }
    return choice;
}

static struct choice choose_by_units(const struct pool *pool, struct lease *lease)
{
    struct choice choice = {NULL, 0};
    struct price_list list;
    double least = INFINITY;

    price_begin(&list, pool, lease);
    for (struct stack *at = pool->idle_first; at; at = at->idle_next) {
        unsigned rank = health_rank(&at->health, lease->branch);
        double price;
        if (!is_free(pool, at) || (choice.stack && rank > choice.rank))
            continue;
        price = price_of(&list, at);
        if (!choice.stack || rank < choice.rank || price < least) {
            choice = (struct choice){at, rank};
            least = price;
        }
    }
    return choice;
}

static struct choice choose_stack(const struct pool *pool, struct lease *lease)
{
    return lease->units ? choose_by_units(pool, lease) : choose_by_branch(pool, lease->branch);
}

/* Which request */

/* Idle ones that may be granted, counted up to `most`. */
static uint32_t count_free(const struct pool *pool, uint32_t most)
{
    uint32_t count = 0;

    for (const struct stack *at = pool->idle_first; at && count < most; at = at->idle_next)
        count += is_free(pool, at);
    return count;
}

/* Stacks there are for the line. */
static uint32_t supply(const struct pool *pool)
{
    if (pool->stack_count + pool->reserved_new < pool->max_stacks)
        return UINT32_MAX; /* there are stacks to create: no shortage that affinity must settle */
    return count_free(pool, MATCH_WINDOW);
}

/* A request that names no units yields only to one that the stack fits in part. */
static bool yields(const struct lease *lease, const struct lease *other, const struct stack *stack)
{
    return lease->units || manifest_distance(other->units, stack->content) < other->units->count;
}

/* Which request of the window is chosen when there are fewer stacks than requests. */
static size_t choose_request(const struct pool *pool, struct lease *const window[], size_t count,
                             struct choice *choice)
{
    size_t chosen = 0;
    double least;

    *choice = choose_stack(pool, window[0]);
    least = price_relative(pool, window[0], choice->stack);
    for (size_t i = 1; i < count; i++) {
        struct choice other;
        double cost;

        if (window[i - 1]->passed_over >= MATCH_PASSES)
            break; /* nobody may pass it any more */
        if (!window[i]->units)
            continue;
        other = choose_by_units(pool, window[i]);
        if (!other.stack)
            break;
        cost = price_relative(pool, window[i], other.stack);
        if (cost < least && yields(window[chosen], window[i], other.stack)) {
            chosen = i;
            *choice = other;
            least = cost;
        }
    }
    return chosen;
}

/* Holds */

static bool may_resume(const struct lease *lease, const struct stack *stack)
{
    return is_there(lease) && !lease->wont_resume && strcmp(lease->branch, stack->branch) == 0 &&
           (!lease->wanted_stack || lease->wanted_stack == stack->number);
}

/* The first request that the held stack is for. */
static struct lease *find_resuming(const struct pool *pool, const struct stack *stack)
{
    struct lease *first = NULL;

    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        struct lease *at = pool->queue_first[i];
        while (at && !may_resume(at, stack))
            at = at->next;
        if (at && (!first || pool_stands_before(pool, at, first)))
            first = at;
    }
    return first;
}

static bool find_resumed(const struct pool *pool, struct match *match)
{
    for (size_t i = 1; i < pool->stacks_size && pool->job_holds > 0; i++) {
        struct stack *at = pool->stacks[i];
        if (!at || at->state != STACK_HELD || !at->held_by_job || at->reserved || !at->branch)
            continue;
        match->stack = at;
        match->lease = find_resuming(pool, at);
        if (match->lease)
            return true;
    }
    match->stack = NULL;
    return false;
}

/* One particular stack */

/* NULL: it can't be lent now. */
static struct stack *wanted_stack(const struct pool *pool, const struct lease *lease)
{
    struct stack *stack = pool_stack(pool, lease->wanted_stack);

    return stack && stack->state == STACK_AVAILABLE && is_free(pool, stack) ? stack : NULL;
}

/* The first of those whose stack can be lent, unless `first` of the line stands before it. */
static bool find_wanting(const struct pool *pool, const struct lease *first, struct match *match)
{
    struct lease *found = NULL;

    for (size_t i = 0; i < PRIORITY_COUNT && pool->wanting_count > 0; i++)
        for (struct lease *at = pool->queue_first[i]; at; at = at->next)
            if (at->wanted_stack && is_there(at) && wanted_stack(pool, at) &&
                (!found || pool_stands_before(pool, at, found)))
                found = at;
    if (!found || (first && pool_stands_before(pool, first, found)))
        return false;
    match->lease = found;
    match->stack = wanted_stack(pool, found);
    return true;
}

bool match_next(const struct pool *pool, struct match *match)
{
    struct lease *window[MATCH_WINDOW];
    size_t count;
    uint32_t stacks;
    struct choice choice;

    *match = (struct match){0};
    if (pool->pause.since)
        return false;
    count = head_of_line(pool, window);
    stacks = supply(pool);
    if (find_resumed(pool, match) || find_wanting(pool, count ? window[0] : NULL, match))
        return true;
    if (count == 0 || stacks == 0)
        return false;
    if (stacks < count)
        match->passed_count = choose_request(pool, window, count, &choice);
    else
        choice = choose_stack(pool, window[0]);
    if (!choice.stack || choice.rank > 0)
        match->number = pool_free_number(pool);
    if (!match->number)
        match->stack = choice.stack;
    if (!match->stack && !match->number)
        return false;
    match->lease = window[match->passed_count];
    memcpy(match->passed, window, match->passed_count * sizeof(struct lease *));
    return true;
}

/* Refresh */

static bool suits(const struct pool *pool, const struct stack *stack, const char *branch,
                  unsigned rank)
{
    return is_free(pool, stack) && health_rank(&stack->health, branch) == rank;
}

/* How well the best of them suits the branch. */
static unsigned best_rank(const struct pool *pool, const char *branch)
{
    unsigned best = UINT_MAX;

    for (const struct stack *at = pool->idle_first; at; at = at->idle_next) {
        unsigned rank = health_rank(&at->health, branch);
        if (is_free(pool, at) && rank < best)
            best = rank;
    }
    return best;
}

/* Whether a job had it while the latest grants were made, as many as there are other stacks: its
 * branch may come back soon. */
static bool was_granted_lately(const struct pool *pool, const struct stack *stack)
{
    return stack->grant_no > 0 && pool->activity->grants - stack->grant_no < pool->stack_count - 1;
}

/* Of those that no job had lately the stack furthest from the content. */
static struct stack *furthest(const struct pool *pool, const char *branch, struct reach *reach,
                              bool only_unknown)
{
    unsigned rank = best_rank(pool, branch);
    struct stack *found = NULL;
    uint64_t most = 0;

    for (struct stack *at = pool->idle_first; at; at = at->idle_next) {
        uint64_t distance;
        if (only_unknown && at->content)
            continue;
        distance = reach_distance(reach, &pool->deploy_times, at->number, at->content);
        if (distance > most && suits(pool, at, branch, rank) && !was_granted_lately(pool, at)) {
            found = at;
            most = distance;
        }
    }
    return found;
}

static struct stack *idle_longest(const struct pool *pool, const char *branch)
{
    unsigned rank = best_rank(pool, branch);
    struct stack *at = pool->idle_first;

    while (at && !suits(pool, at, branch, rank))
        at = at->idle_next;
    return at;
}

/* Enough for the jobs that branch off main. */
static bool has_fresh(const struct pool *pool, struct reach *reach)
{
    uint32_t fresh = 0;

    for (struct stack *at = pool->idle_first; at; at = at->idle_next)
        fresh += is_free(pool, at) &&
                 reach_distance(reach, &pool->deploy_times, at->number, at->content) == 0;
    return fresh >= MATCH_FRESH;
}

struct stack *match_refresh(const struct pool *pool, struct manifest *units, const char *branch,
                            bool *is_fresh)
{
    struct lease *window[MATCH_WINDOW];
    struct stack *found;
    struct reach *reach;

    if (pool->pause.since || count_free(pool, 2) < 2 || head_of_line(pool, window) > 0)
        return NULL;
    if (!units)
        return idle_longest(pool, branch);
    reach = pool_reach(pool, units, pool->activity->main);
    *is_fresh = has_fresh(pool, reach);
    found = furthest(pool, branch, reach, *is_fresh);
    reach_free(reach);
    return found;
}
