/* pool: what one project is made of; its changes since the last commit. No SQL, no I/O. */
#include "rules/pool.h"

#include "base/mem.h"
#include "base/times.h"
#include "rules/activity.h"
#include "rules/key.h"
#include "rules/pool_private.h"
#include "rules/reach.h"

#include <stdlib.h>
#include <string.h>

struct pool *pool_new(uint32_t id, const char *name)
{
    struct pool *pool = mem_zalloc(sizeof *pool);

    pool->id = id;
    pool->name = mem_strdup(name);
    pool->deadline = TIMES_NEVER;
    pool->next_event_number = 1;
    pool->max_held = -1;
    pool->activity = activity_new();
    return pool;
}

static void stack_free(struct stack *stack)
{
    free(stack->branch);
    free(stack->commit);
    free(stack->owner);
    free(stack->reason);
    health_free(&stack->health);
    free(stack);
}

void lease_free(struct lease *lease)
{
    char *const texts[] = {lease->request_id, lease->key_name,     lease->branch,
                           lease->commit,     lease->job_url,      lease->job_name,
                           lease->job_user,   lease->stack_commit, lease->previous_branch};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    manifest_unref(lease->units);
    manifest_unref(lease->stack_content);
    reach_free(lease->reach);
    free(lease);
}

static void free_actions(struct pool *pool)
{
    while (pool->actions) {
        struct action *action = pool->actions;
        pool->actions = action->next;
        free(action->key_name);
        free(action->detail);
        free(action->reason);
        free(action);
    }
}

static void free_ended(struct pool *pool)
{
    while (pool->ended_leases) {
        struct lease *lease = pool->ended_leases;
        pool->ended_leases = lease->next_dirty;
        lease_free(lease);
    }
}

void pool_free(struct pool *pool)
{
    struct lease *lease;
    struct manifest *manifest;

    if (!pool)
        return;
    free_ended(pool);
    pool_forget_events(pool);
    free_actions(pool);
    for (size_t at = 0; (lease = map_next(&pool->leases, &at));)
        lease_free(lease);
    for (size_t i = 0; i < pool->stacks_size; i++) {
        if (pool->stacks[i]) {
            manifest_unref(pool->stacks[i]->content);
            stack_free(pool->stacks[i]);
        }
    }
    for (size_t i = 0; i < pool->touched_count; i++)
        manifest_unref(pool->touched[i]);
    for (size_t at = 0; (manifest = map_next(&pool->manifests, &at));)
        manifest_unref(manifest);
    map_free(&pool->manifests);
    key_free_ends(&pool->key_ends);
    map_free(&pool->leases);
    map_free(&pool->requests);
    free(pool->touched);
    free(pool->stacks);
    free(pool->name);
    free(pool->prefix);
    free(pool->initial_commit);
    free(pool->main_branch);
    free(pool->pause.by);
    free(pool->pause.reason);
    activity_free(pool->activity);
    activity_free(pool->remembered);
    deploy_times_free(&pool->deploy_times);
    free(pool);
}

bool pool_is_dirty(const struct pool *pool)
{
    return pool->settings_dirty || pool->dirty_stacks || pool->dirty_leases || pool->ended_leases ||
           pool->touched_count || pool->actions || pool->events || pool->activity->changed ||
           pool->deploy_times.changed;
}

void pool_due_at(struct pool *pool, int64_t time_us)
{
    if (time_us < pool->deadline)
        pool->deadline = time_us;
}

void pool_settle(struct pool *pool)
{
    for (struct stack *stack = pool->dirty_stacks; stack; stack = stack->next_dirty) {
        stack->changed = 0;
        for (struct failure *at = stack->health.failures; at && !at->stored; at = at->next)
            at->stored = true;
    }
    for (struct lease *lease = pool->dirty_leases; lease; lease = lease->next_dirty) {
        lease->dirty = false;
        lease->stored = true;
        lease->just_granted = false;
        lease->asker = NULL;
    }
    pool->dirty_stacks = NULL;
    pool->dirty_leases = NULL;
    pool->settings_dirty = false;
    free_ended(pool);
    pool_forget_events(pool);
    free_actions(pool);
    activity_settle(pool->activity);
    deploy_times_settle(&pool->deploy_times);
    pool_settle_manifests(pool);
}

void pool_pause(struct pool *pool, const char *by, const char *reason)
{
    if (!pool->pause.since)
        pool->pause.since = pool->now;
    mem_replace(&pool->pause.by, by);
    mem_replace(&pool->pause.reason, reason);
    pool->settings_dirty = true;
}

void pool_resume(struct pool *pool)
{
    pool->pause.since = 0;
    mem_replace(&pool->pause.by, NULL);
    mem_replace(&pool->pause.reason, NULL);
    pool->settings_dirty = true;
}

void pool_record(struct pool *pool, const struct command *command, uint32_t stack_number,
                 const char *detail)
{
    struct action *action = mem_zalloc(sizeof *action);
    struct action **link = &pool->actions;

    action->verb = command->verb;
    action->stack_number = stack_number;
    action->key_name = mem_strdup(command->key_name);
    action->detail = mem_strdup(detail);
    action->reason = mem_strdup(command->reason);
    while (*link) /* in the order in which they were done */
        link = &(*link)->next;
    *link = action;
    pool_tell_action(pool, action);
}
