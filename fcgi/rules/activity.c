/* activity: see activity.h. */
#include "rules/activity.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A branch is merged once a step of main has brought main this much nearer to it. */
#define MERGED_PART .3

/* What is left of what earlier grants weigh, after one more. */
static double faded(double weight)
{
    return weight * 63 / 64;
}

struct activity *activity_new(void)
{
    return mem_zalloc(sizeof(struct activity));
}

void activity_free(struct activity *activity)
{
    if (!activity)
        return;
    for (size_t i = 0; i < activity->branch_count; i++) {
        reach_free(activity->branches[i].reach);
        free(activity->branches[i].name);
    }
    reach_free(activity->main);
    free(activity);
}

struct active_branch *activity_find(struct activity *activity, const char *branch)
{
    for (size_t i = 0; i < activity->branch_count; i++)
        if (strcmp(activity->branches[i].name, branch) == 0)
            return &activity->branches[i];
    return NULL;
}

static struct active_branch *find_oldest(struct activity *activity)
{
    struct active_branch *oldest = activity->branches;

    for (size_t i = 1; i < activity->branch_count; i++)
        if (activity->branches[i].grant < oldest->grant)
            oldest = &activity->branches[i];
    return oldest;
}

struct active_branch *activity_place(struct activity *activity, const char *branch)
{
    struct active_branch *place = activity_find(activity, branch);

    if (place)
        return place;
    if (activity->branch_count < ACTIVITY_BRANCHES)
        place = &activity->branches[activity->branch_count++];
    else
        place = find_oldest(activity);
    mem_replace(&place->name, branch);
    return place;
}

void activity_note_step(struct activity *activity, const struct deploy_times *times,
                        const struct manifest *units)
{
    const struct manifest *old = activity->main ? activity->main->content : NULL;
    double step = old ? (double)deploy_times_distance(times, old, units) : 0;

    for (size_t i = 0; step > 0 && i < activity->branch_count; i++) {
        struct active_branch *at = &activity->branches[i];
        double before;
        double after;
        if (at->is_merged)
            continue;
        before = (double)deploy_times_distance(times, at->reach->content, old);
        after = (double)deploy_times_distance(times, at->reach->content, units);
        if (before - after >= MERGED_PART * step)
            at->is_merged = at->changed = true;
    }
    activity->changed = true;
}

void activity_note_grant(struct activity *activity, uint64_t cost_ms)
{
    activity->job_work = faded(activity->job_work) + (double)cost_ms;
    activity->refreshed = faded(activity->refreshed);
    activity->grants++;
    activity->changed = true;
}

void activity_note_refresh(struct activity *activity, uint64_t cost_ms)
{
    activity->refreshed += (double)cost_ms;
    activity->changed = true;
}

void activity_settle(struct activity *activity)
{
    for (size_t i = 0; i < activity->branch_count; i++)
        activity->branches[i].changed = false;
    activity->changed = false;
}
