/* pool_activity: what a project's activity learns of requests and grants. The contents in it count
 * as used, so that the database keeps them. Writer's thread. */
#include "rules/pool_private.h"

#include "base/mem.h"
#include "base/text.h"
#include "rules/activity.h"

#include <string.h>

static void put(struct pool *pool, struct reach **place, struct reach *reach)
{
    if (reach)
        pool_begin_use(pool, reach->content);
    if (*place)
        pool_end_use(pool, (*place)->content);
    reach_free(*place);
    *place = reach;
}

bool pool_is_main(const struct pool *pool, const char *branch)
{
    if (pool->main_branch)
        return strcmp(branch, pool->main_branch) == 0;
    return strcmp(branch, "main") == 0 || strcmp(branch, "master") == 0;
}

void pool_set_main_branch(struct pool *pool, const char *branch)
{
    if (text_same(branch, pool->main_branch))
        return;
    mem_replace(&pool->main_branch, branch);
    put(pool, &pool->activity->main, NULL);
    pool->activity->changed = true;
}

void pool_note_request(struct pool *pool, const struct lease *lease)
{
    struct activity *activity = pool->activity;
    bool is_test = lease->units && lease->purpose == PURPOSE_TEST;

    if (!is_test || !pool_is_main(pool, lease->branch) ||
        (activity->main && activity->main->content == lease->units))
        return;
    activity_note_step(activity, &pool->deploy_times, lease->units);
    put(pool, &activity->main, pool_reach(pool, lease->units, activity->main));
}

static void note_branch(struct pool *pool, struct lease *lease)
{
    struct active_branch *place = activity_place(pool->activity, lease->branch);

    put(pool, &place->reach,
        lease->reach ? lease->reach : reach_new(lease->units, &pool->deploy_times));
    lease->reach = NULL;
    place->grant = pool->activity->grants;
    place->is_merged = false;
    place->changed = true;
}

void pool_note_grant(struct pool *pool, struct lease *lease, struct stack *stack)
{
    struct deploy_sum sum;

    if (!lease->units)
        return;
    sum = deploy_times_sum(&pool->deploy_times, lease->units, stack->content);
    lease->changed_units = sum.units;
    if (pool->deploy_times.by_unit.count > 0)
        lease->estimated_deploy_s = (int64_t)(sum.mean_ms + 500) / 1000;
    if (lease->purpose == PURPOSE_REFRESH) {
        activity_note_refresh(pool->activity, sum.weight_ms);
        return;
    }
    activity_note_grant(pool->activity, sum.weight_ms);
    stack->grant_no = pool->activity->grants;
    pool_touch_stack(pool, stack, STACK_GRANT);
    if (!pool_is_main(pool, lease->branch))
        note_branch(pool, lease);
}

/* Loading */

/* Of content that the pool before this one knew, what it knew is taken over. */
static struct reach *recall(struct pool *pool, struct reach **known, struct manifest *content)
{
    struct reach *reach = known ? *known : NULL;

    content->uses++;
    if (!reach || !manifest_equal(reach->content, content))
        return reach_new(content, &pool->deploy_times);
    *known = NULL;
    manifest_unref(reach->content);
    reach->content = manifest_ref(content);
    return reach;
}

void pool_add_activity(struct pool *pool, struct manifest *main, uint64_t grants, double job_work,
                       double refreshed)
{
    struct activity *activity = pool->activity;
    struct activity *known = pool->remembered;

    if (main)
        activity->main = recall(pool, known ? &known->main : NULL, main);
    activity->grants = grants;
    activity->job_work = job_work;
    activity->refreshed = refreshed;
}

void pool_add_branch(struct pool *pool, const char *name, struct manifest *units, uint64_t grant,
                     bool is_merged)
{
    struct active_branch *place = activity_place(pool->activity, name);
    struct active_branch *known = pool->remembered ? activity_find(pool->remembered, name) : NULL;

    if (place->reach)
        return; /* an older program made its row's place another's */
    place->reach = recall(pool, known ? &known->reach : NULL, units);
    place->grant = grant;
    place->is_merged = is_merged;
}
