/* reach: see reach.h. */
#include "rules/reach.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct reach *reach_new(struct manifest *content, const struct deploy_times *times)
{
    struct reach *reach = mem_zalloc(sizeof *reach);

    reach->content = manifest_ref(content);
    reach->edition = times->edition;
    return reach;
}

void reach_free(struct reach *reach)
{
    if (!reach)
        return;
    manifest_unref(reach->content);
    free(reach->entries);
    free(reach);
}

static struct reach_entry *entry_of(struct reach *reach, uint32_t number)
{
    reach->entries = mem_grow(reach->entries, &reach->size, number, sizeof *reach->entries);
    return &reach->entries[number];
}

/* Paths: a content of thousands of units mostly differs from the one before it in a few. */

#define NEAR_PART 8 /* of the units at most: one of so many */

struct step {
    const char *name;
    const char *before; /* its fingerprint; NULL: it isn't there */
    const char *after;
    size_t place; /* in the second content, or where it would be */
    uint32_t weight_ms;
};

struct reach_path {
    const struct reach *from;
    const struct manifest *to;
    struct step *steps;
    size_t count;
    size_t most;
};

static void add_step(void *context, enum manifest_difference kind, const char *name)
{
    struct reach_path *path = context;

    (void)kind;
    if (path->count < path->most)
        path->steps[path->count].name = name;
    path->count++;
}

static void find_steps(struct reach_path *path, const struct deploy_times *times)
{
    const struct manifest *to = path->to;

    for (size_t i = 0, at = 0; i < path->count; i++) { /* by name, as the units are */
        struct step *step = &path->steps[i];
        while (at < to->count && strcmp(to->units[at].name, step->name) < 0)
            at++;
        step->place = at;
        step->before = manifest_find(path->from->content, step->name, at);
        step->after = manifest_find(to, step->name, at);
        step->weight_ms = deploy_times_weight(times, step->name);
    }
}

struct reach_path *reach_path_new(const struct reach *from, const struct reach *to,
                                  const struct deploy_times *times)
{
    struct reach_path *path;
    size_t most = to->content->count / NEAR_PART;

    if (most == 0 || from->edition != times->edition)
        return NULL;
    path = mem_zalloc(sizeof *path);
    path->from = from;
    path->to = to->content;
    path->most = most;
    path->steps = mem_alloc(most * sizeof *path->steps);
    manifest_skim(to->content, from->content, add_step, path);
    if (path->count > path->most) {
        reach_path_free(path);
        return NULL;
    }
    find_steps(path, times);
    return path;
}

void reach_path_free(struct reach_path *path)
{
    if (!path)
        return;
    free(path->steps);
    free(path);
}

/* What the step does to the distance of a stack. */
static int64_t change_of(const struct reach_path *path, const struct step *step,
                         const struct manifest *runs)
{
    const struct manifest *from = path->from->content;
    const struct manifest *to = path->to;
    int differed;
    int differs;

    if (runs->names_hash == to->names_hash && from->names_hash == to->names_hash) {
        differed = runs->prints[step->place] != from->prints[step->place];
        differs = runs->prints[step->place] != to->prints[step->place];
    } else {
        const char *runs_it = manifest_find(runs, step->name, step->place);
        differed = !text_same(step->before, runs_it);
        differs = !text_same(step->after, runs_it);
    }
    return (int64_t)step->weight_ms * (differs - differed);
}

void reach_follow(const struct reach_path *path, struct reach *to, uint32_t number,
                  const struct manifest *runs)
{
    const struct reach *from = path->from;
    const struct reach_entry *known = number < from->size ? &from->entries[number] : NULL;
    struct reach_entry *entry;

    if (!runs || !known || !known->is_known || known->hash != runs->hash)
        return;
    entry = entry_of(to, number);
    *entry = *known;
    for (size_t i = 0; i < path->count; i++)
        entry->distance_ms += (uint64_t)change_of(path, &path->steps[i], runs);
}

/* Distances by other deploy times count for nothing. */
static void keep_up(struct reach *reach, const struct deploy_times *times)
{
    if (reach->edition == times->edition)
        return;
    reach->edition = times->edition;
    reach->latest.is_known = false;
    if (reach->size)
        memset(reach->entries, 0, reach->size * sizeof *reach->entries);
}

uint64_t reach_distance(struct reach *reach, const struct deploy_times *times, uint32_t number,
                        const struct manifest *runs)
{
    uint64_t hash = runs ? runs->hash : 0;
    struct reach_entry *entry;

    keep_up(reach, times);
    entry = entry_of(reach, number);
    if (entry->is_known && entry->hash == hash)
        return entry->distance_ms;
    if (!reach->latest.is_known || reach->latest.hash != hash)
        reach->latest =
            (struct reach_entry){hash, deploy_times_distance(times, reach->content, runs), true};
    *entry = reach->latest;
    return entry->distance_ms;
}
