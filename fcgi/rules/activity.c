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
    free(activity->granted);
    free(activity);
}

void activity_note_main(struct activity *activity, struct reach *reach)
{
    const struct manifest *units = reach->content;
    const struct manifest *old = activity->main ? activity->main->content : NULL;
    double step = old ? (double)manifest_distance(old, units) : 0;

    for (size_t i = 0; step > 0 && i < activity->branch_count; i++) {
        const struct manifest *content = activity->branches[i].reach->content;
        double nearer =
            (double)manifest_distance(content, old) - (double)manifest_distance(content, units);
        if (nearer >= MERGED_PART * step)
            activity->branches[i].is_merged = true;
    }
    reach_free(activity->main);
    activity->main = reach;
}

const struct reach *activity_near(const struct activity *activity, const char *branch)
{
    for (size_t i = 0; i < activity->branch_count; i++)
        if (strcmp(activity->branches[i].name, branch) == 0)
            return activity->branches[i].reach;
    return activity->main;
}

/* The row of a branch; the one that was active longest ago makes room. */
static struct active_branch *row_of(struct activity *activity, const char *name)
{
    struct active_branch *oldest = activity->branches;

    for (size_t i = 0; i < activity->branch_count; i++) {
        struct active_branch *at = &activity->branches[i];
        if (strcmp(at->name, name) == 0)
            return at;
        if (at->grant < oldest->grant)
            oldest = at;
    }
    if (activity->branch_count < ACTIVITY_BRANCHES)
        oldest = &activity->branches[activity->branch_count++];
    mem_replace(&oldest->name, name);
    return oldest;
}

void activity_note_grant(struct activity *activity, const char *branch, struct reach *reach,
                         uint32_t number, uint32_t cost)
{
    struct active_branch *row;

    activity->job_work = faded(activity->job_work) + cost;
    activity->refreshed = faded(activity->refreshed);
    activity->grants++;
    activity->granted =
        mem_grow(activity->granted, &activity->granted_size, number, sizeof *activity->granted);
    activity->granted[number] = activity->grants;
    if (!branch) {
        reach_free(reach);
        return;
    }
    row = row_of(activity, branch);
    reach_free(row->reach);
    row->reach = reach;
    row->grant = activity->grants;
    row->is_merged = false;
}

void activity_note_refresh(struct activity *activity, uint32_t cost)
{
    activity->refreshed += cost;
}

bool activity_was_granted(const struct activity *activity, uint32_t number, uint64_t count)
{
    return number < activity->granted_size && activity->granted[number] > 0 &&
           activity->grants - activity->granted[number] < count;
}
