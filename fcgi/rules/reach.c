/* reach: see reach.h. */
#include "rules/reach.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct reach *reach_new(struct manifest *content)
{
    struct reach *reach = mem_zalloc(sizeof *reach);

    reach->content = manifest_ref(content);
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
    size_t hint;
};

struct reach_path {
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

struct reach_path *reach_path_new(const struct manifest *from, const struct manifest *to)
{
    struct reach_path *path = mem_zalloc(sizeof *path);

    path->most = to->count / NEAR_PART;
    path->steps = mem_alloc((path->most + 1) * sizeof *path->steps);
    if (path->most > 0)
        manifest_compare(to, from, add_step, path);
    if (path->most == 0 || path->count > path->most) {
        reach_path_free(path);
        return NULL;
    }
    for (size_t i = 0, at = 0; i < path->count; i++) { /* by name, as the units are */
        struct step *step = &path->steps[i];
        while (at < to->count && strcmp(to->units[at].name, step->name) < 0)
            at++;
        step->hint = at;
        step->before = manifest_find(from, step->name, at);
        step->after = manifest_find(to, step->name, at);
    }
    return path;
}

void reach_path_free(struct reach_path *path)
{
    if (!path)
        return;
    free(path->steps);
    free(path);
}

void reach_follow(struct reach *reach, const struct reach *base, const struct reach_path *path,
                  uint32_t number, const struct manifest *runs)
{
    struct reach_entry *entry = entry_of(reach, number);
    const struct reach_entry *known = number < base->size ? &base->entries[number] : NULL;

    if (!runs || !known || !known->is_known || known->hash != runs->hash)
        return;
    *entry = *known;
    for (size_t i = 0; i < path->count; i++) {
        const struct step *step = &path->steps[i];
        const char *runs_it = manifest_find(runs, step->name, step->hint);
        entry->distance += !text_same(step->after, runs_it);
        entry->distance -= !text_same(step->before, runs_it);
    }
}

uint32_t reach_distance(struct reach *reach, uint32_t number, const struct manifest *runs)
{
    uint64_t hash = runs ? runs->hash : 0;
    struct reach_entry *entry = entry_of(reach, number);

    if (entry->is_known && entry->hash == hash)
        return entry->distance;
    if (!reach->latest.is_known || reach->latest.hash != hash)
        reach->latest =
            (struct reach_entry){hash, (uint32_t)manifest_distance(reach->content, runs), true};
    *entry = reach->latest;
    return entry->distance;
}
