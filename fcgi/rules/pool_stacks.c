/* pool_stacks: the stacks of a pool; which are idle, and in what order. Writer's thread. */
#include "rules/pool_private.h"

#include "base/mem.h"
#include "base/times.h"
#include "rules/activity.h"

#include <stdlib.h>
#include <string.h>

struct stack *pool_stack(const struct pool *pool, uint32_t number)
{
    struct stack *stack = number < pool->stacks_size ? pool->stacks[number] : NULL;
    return stack && stack->state != STACK_DELETED ? stack : NULL;
}

struct stack *pool_stack_named(const struct pool *pool, const char *name)
{
    size_t prefix_len = strlen(pool->prefix);
    unsigned long number;
    char *end;

    if (strncmp(name, pool->prefix, prefix_len) != 0)
        return NULL;
    name += prefix_len;
    if (*name < '1' || *name > '9') /* no sign, no space, no leading zero */
        return NULL;
    number = strtoul(name, &end, 10);
    return *end || number > STACK_NUMBER_MAX ? NULL : pool_stack(pool, (uint32_t)number);
}

struct stack *pool_last_stack(const struct pool *pool)
{
    for (size_t number = pool->stacks_size; number-- > 1;)
        if (pool_stack(pool, (uint32_t)number))
            return pool->stacks[number];
    return NULL;
}

void pool_touch_stack(struct pool *pool, struct stack *stack, unsigned changes)
{
    if (!stack->changed) {
        stack->next_dirty = pool->dirty_stacks;
        pool->dirty_stacks = stack;
    }
    if (changes & ~stack->changed & STACK_NOTE)
        stack->note_number++;
    stack->changed |= changes;
}

bool pool_wants_in_vain(const struct pool *pool, const struct lease *lease)
{
    return lease->wanted_stack && !pool_stack(pool, lease->wanted_stack);
}

const struct manifest *pool_will_run(const struct stack *stack)
{
    const struct manifest *units = stack->lease ? stack->lease->units : NULL;

    return units ? units : stack->content;
}

struct reach *pool_reach(const struct pool *pool, struct manifest *units, const struct reach *base)
{
    struct reach *reach = reach_new(units, &pool->deploy_times);
    struct reach_path *path = base ? reach_path_new(base, reach, &pool->deploy_times) : NULL;

    for (uint32_t i = 1; i < pool->stacks_size && path; i++)
        if (pool->stacks[i])
            reach_follow(path, reach, i, pool_will_run(pool->stacks[i]));
    reach_path_free(path);
    return reach;
}

/* The order of the list. */
static int compare_idle(const struct stack *a, const struct stack *b)
{
    if (a->modified != b->modified)
        return a->modified < b->modified ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

void pool_insert_idle(struct pool *pool, struct stack *stack)
{
    struct stack *before = pool->idle_last;

    /* Nearly always the last place: only the clock of another database server can go back. */
    while (before && compare_idle(before, stack) > 0)
        before = before->idle_previous;
    stack->idle_previous = before;
    stack->idle_next = before ? before->idle_next : pool->idle_first;
    *(stack->idle_previous ? &stack->idle_previous->idle_next : &pool->idle_first) = stack;
    *(stack->idle_next ? &stack->idle_next->idle_previous : &pool->idle_last) = stack;
    pool->idle_count++;
}

void pool_remove_idle(struct pool *pool, struct stack *stack)
{
    *(stack->idle_previous ? &stack->idle_previous->idle_next : &pool->idle_first) =
        stack->idle_next;
    *(stack->idle_next ? &stack->idle_next->idle_previous : &pool->idle_last) =
        stack->idle_previous;
    stack->idle_previous = stack->idle_next = NULL;
    pool->idle_count--;
}

static int compare_places(const void *left, const void *right)
{
    return compare_idle(*(struct stack *const *)left, *(struct stack *const *)right);
}

static void sort_idle(struct pool *pool)
{
    struct stack **idle = mem_alloc((pool->stack_count + 1) * sizeof(struct stack *));
    size_t count = 0;

    for (size_t i = 1; i < pool->stacks_size; i++)
        if (pool->stacks[i] && pool->stacks[i]->state == STACK_AVAILABLE)
            idle[count++] = pool->stacks[i];
    qsort(idle, count, sizeof(struct stack *), compare_places);
    for (size_t i = 0; i < count; i++)
        pool_insert_idle(pool, idle[i]);
    free(idle);
}

void pool_end_load(struct pool *pool)
{
    sort_idle(pool);
    pool_due_at(pool, pool->now); /* the first batch looks what is due */
    activity_free(pool->remembered);
    pool->remembered = NULL;
}

/* Somebody may wait for it then. */
static void await_rest(struct pool *pool, const struct stack *stack)
{
    if (pool_is_resting(pool, stack))
        pool_due_at(pool, pool_rest_end(pool, stack));
}

void pool_add_stack(struct pool *pool, struct stack *stack)
{
    pool->stacks =
        mem_grow(pool->stacks, &pool->stacks_size, stack->number, sizeof(struct stack *));
    pool->stacks[stack->number] = stack;
    if (stack->state != STACK_DELETED)
        pool->stack_count++;
    if (stack->state == STACK_HELD)
        pool_due_at(pool, stack->held_until);
    await_rest(pool, stack);
    if (stack->state != STACK_HELD)
        stack->held_by_job = false; /* a program of schema 1 ended the hold */
    pool->job_holds += stack->held_by_job;
    if (stack->content) {
        stack->content->uses++;
        manifest_ref(stack->content);
    }
}

bool pool_may_hold(const struct pool *pool)
{
    uint32_t half = pool->max_stacks > 1 ? pool->max_stacks / 2 : 1;

    return pool->job_holds < (pool->max_held < 0 ? half : pool->max_held);
}

static void set_job_hold(struct pool *pool, struct stack *stack, bool held_by_job)
{
    if (stack->held_by_job == held_by_job)
        return;
    stack->held_by_job = held_by_job;
    pool->job_holds += held_by_job ? 1 : -1u;
    pool_touch_stack(pool, stack, STACK_ASIDE);
}

void pool_hold_for_job(struct pool *pool, struct stack *stack)
{
    memcpy(stack->hold_lease_id, stack->lease->lease_id, LEASE_ID_SIZE);
    stack->next_state = STACK_HELD;
    set_job_hold(pool, stack, true);
}

bool pool_has_holder(const struct stack *stack)
{
    uint8_t bits = 0;

    for (size_t i = 0; i < LEASE_ID_SIZE; i++)
        bits |= stack->hold_lease_id[i];
    return bits != 0;
}

void pool_forget_holder(struct pool *pool, struct stack *stack)
{
    if (!pool_has_holder(stack))
        return;
    memset(stack->hold_lease_id, 0, LEASE_ID_SIZE);
    pool_touch_stack(pool, stack, STACK_ASIDE);
}

/* What failed before no longer counts. */
static void forget_failures(struct pool *pool, struct stack *stack)
{
    if (health_forget_failures(&stack->health))
        pool_touch_stack(pool, stack, STACK_HEALTH | STACK_CURED);
}

void pool_note_deploy(struct pool *pool, struct stack *stack)
{
    forget_failures(pool, stack);
    stack->health.deployed_at = pool->now;
    pool_touch_stack(pool, stack, STACK_CONTENT);
}

void pool_note_rest(struct pool *pool, struct stack *stack)
{
    if (!stack->health.unsettled_since)
        return;
    stack->health.unsettled_since = 0;
    pool_touch_stack(pool, stack, STACK_HEALTH);
}

void pool_note_care(struct pool *pool, struct stack *stack)
{
    forget_failures(pool, stack);
    pool_note_rest(pool, stack);
}

int64_t pool_rest_end(const struct pool *pool, const struct stack *stack)
{
    return stack->health.unsettled_since + pool->settle_s * TIMES_SECOND;
}

bool pool_is_resting(const struct pool *pool, const struct stack *stack)
{
    return stack->health.unsettled_since && pool_rest_end(pool, stack) > pool->now;
}

static bool is_aside(enum stack_state state)
{
    return state == STACK_HELD || state == STACK_QUARANTINED;
}

/* Those who follow the project learn of it. Grants and ends of leases are told by themselves. */
static void note_move(struct pool *pool, const struct stack *stack, enum stack_state old)
{
    if (stack->state == old)
        return;
    if (is_aside(stack->state))
        pool_tell_stack(pool, stack->state == STACK_HELD ? EVENT_HELD : EVENT_QUARANTINED, stack);
    else if (is_aside(old) && stack->state == STACK_AVAILABLE)
        pool_tell_stack(pool, EVENT_RETURNED, stack);
}

void pool_move_stack(struct pool *pool, struct stack *stack, enum stack_state state)
{
    enum stack_state old = stack->state;

    if (old == STACK_AVAILABLE)
        pool_remove_idle(pool, stack);
    if ((old == STACK_DELETED) != (state == STACK_DELETED))
        pool->stack_count += state == STACK_DELETED ? -1u : 1u;
    stack->state = state;
    stack->modified = pool->now;
    if (state == STACK_AVAILABLE) {
        pool_insert_idle(pool, stack);
        await_rest(pool, stack);
    }
    if (state != STACK_LEASED && state != STACK_DRAINING)
        stack->next_state = STACK_AVAILABLE;
    if (state == STACK_HELD && !stack->held_until) {
        stack->held_until = pool->now + stack->hold_s * TIMES_SECOND;
        pool_due_at(pool, stack->held_until);
        pool_touch_stack(pool, stack, STACK_ASIDE);
    } else if (state != STACK_HELD && stack->held_until) {
        stack->held_until = 0;
        pool_touch_stack(pool, stack, STACK_ASIDE);
    }
    if (state != STACK_HELD)
        set_job_hold(pool, stack, false);
    if (state == STACK_DELETED) {
        pool_note_care(pool, stack);
        pool_due_at(pool, pool->now); /* for those who wait for this one */
    }
    if (state == STACK_AVAILABLE || state == STACK_DELETED ||
        (old == STACK_HELD && state == STACK_LEASED)) /* its branch resumes it */
        pool_set_aside(pool, stack, NULL, NULL, 0);
    pool_touch_stack(pool, stack, STACK_LIFE);
    note_move(pool, stack, old);
}

uint32_t pool_free_number(const struct pool *pool)
{
    uint32_t number = 1;

    if (pool->stack_count + pool->reserved_new >= pool->max_stacks)
        return 0;
    while (pool_stack(pool, number))
        number++;
    return number <= STACK_NUMBER_MAX ? number : 0;
}

struct stack *pool_create_stack(struct pool *pool, uint32_t number)
{
    struct stack *stack = number < pool->stacks_size ? pool->stacks[number] : NULL;

    if (!stack) {
        stack = mem_zalloc(sizeof *stack);
        stack->number = number;
        stack->state = STACK_DELETED;
        stack->fence = pool->first_fence;
        pool_add_stack(pool, stack);
    }
    stack->created = pool->now;
    pool_touch_stack(pool, stack, STACK_BIRTH | STACK_GRANT);
    mem_replace(&stack->branch, NULL);
    pool_set_commit(pool, stack, NULL);
    pool_set_content(pool, stack, NULL);
    stack->health.deployed_at = 0;
    stack->grant_no = 0;
    pool_note_care(pool, stack); /* a program of schema 1 may have deleted it */
    pool_move_stack(pool, stack, STACK_AVAILABLE);
    return stack;
}

void pool_set_content(struct pool *pool, struct stack *stack, struct manifest *content)
{
    struct manifest *old = stack->content;

    if (old == content)
        return;
    stack->content = pool_use_manifest(pool, content);
    pool_drop_manifest(pool, old);
    pool_touch_stack(pool, stack, STACK_CONTENT);
}

void pool_set_new_content(struct pool *pool, struct stack *stack, struct manifest *content)
{
    struct manifest *known = pool_intern_manifest(pool, content, pool->next_lease_number);

    if (known == content)
        pool->next_lease_number++;
    pool_set_content(pool, stack, known);
    manifest_unref(content);
}

void pool_set_commit(struct pool *pool, struct stack *stack, const char *commit)
{
    mem_replace(&stack->commit, commit);
    pool_touch_stack(pool, stack, STACK_CONTENT);
}

void pool_set_aside(struct pool *pool, struct stack *stack, const char *owner, const char *reason,
                    uint32_t hold_s)
{
    set_job_hold(pool, stack, false);
    if (!stack->owner && !stack->reason && !stack->hold_s && !owner && !reason && !hold_s)
        return;
    mem_replace(&stack->owner, owner);
    mem_replace(&stack->reason, reason);
    stack->hold_s = hold_s;
    stack->held_until = 0; /* counts from when it is held */
    pool_touch_stack(pool, stack, STACK_ASIDE | STACK_NOTE);
}
