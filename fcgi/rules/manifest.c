/*
 * manifest: sorted arrays, compared in one walk. Reference counts are one thread's at a time: the
 * worker's that reads the body, then the writer's.
 */
#include "rules/manifest.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const void *left, const void *right)
{
    const struct unit *a = left;
    const struct unit *b = right;
    return strcmp(a->name, b->name);
}

static char *copy_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static void add_hashes(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++) {
        const struct unit *unit = &manifest->units[i];
        uint64_t pair[] = {manifest->names_hash, mem_hash(unit->name, strlen(unit->name))};
        manifest->names_hash = mem_hash(pair, sizeof pair);
        manifest->prints[i] = mem_hash(unit->fingerprint, strlen(unit->fingerprint));
    }
}

struct manifest *manifest_new(const struct unit *units, size_t count)
{
    size_t text_size = 0;
    struct manifest *manifest;
    char *text;

    for (size_t i = 0; i < count; i++)
        text_size += strlen(units[i].name) + strlen(units[i].fingerprint) + 2;
    manifest =
        mem_alloc(sizeof *manifest + count * (sizeof(struct unit) + sizeof(uint64_t)) + text_size);
    *manifest = (struct manifest){.references = 1, .count = count};
    if (count)
        memcpy(manifest->units, units, count * sizeof(struct unit));
    qsort(manifest->units, count, sizeof(struct unit), compare_names);
    manifest->prints = (uint64_t *)(manifest->units + count);
    text = (char *)(manifest->prints + count);
    for (size_t i = 0; i < count; i++) {
        manifest->units[i].name = copy_text(&text, manifest->units[i].name);
        manifest->units[i].fingerprint = copy_text(&text, manifest->units[i].fingerprint);
    }
    manifest->hash = mem_hash(manifest->prints + count, text_size);
    add_hashes(manifest);
    return manifest;
}

struct manifest *manifest_ref(struct manifest *manifest)
{
    if (manifest)
        manifest->references++;
    return manifest;
}

void manifest_unref(struct manifest *manifest)
{
    if (manifest && --manifest->references == 0)
        free(manifest);
}

bool manifest_equal(const struct manifest *left, const struct manifest *right)
{
    if (left == right)
        return true;
    if (!left || !right || left->hash != right->hash || left->count != right->count)
        return false;
    return manifest_distance(left, right) == 0;
}

bool manifest_shares_names(const struct manifest *left, const struct manifest *right)
{
    size_t l = 0;
    size_t r = 0;

    while (l < left->count && r < right->count) {
        int order = strcmp(left->units[l].name, right->units[r].name);
        if (order == 0)
            return true;
        if (order < 0)
            l++;
        else
            r++;
    }
    return false;
}

void manifest_compare(const struct manifest *needs, const struct manifest *runs,
                      void (*visit)(void *context, enum manifest_difference kind, const char *name),
                      void *context)
{
    size_t runs_count = runs ? runs->count : 0;
    size_t n = 0;
    size_t r = 0;

    while (n < needs->count || r < runs_count) {
        int order = n == needs->count ? 1
                    : r == runs_count ? -1
                                      : strcmp(needs->units[n].name, runs->units[r].name);
        if (order < 0)
            visit(context, UNIT_CHANGED, needs->units[n++].name);
        else if (order > 0)
            visit(context, UNIT_REMOVED, runs->units[r++].name);
        else {
            if (strcmp(needs->units[n].fingerprint, runs->units[r].fingerprint) != 0)
                visit(context, UNIT_CHANGED, needs->units[n].name);
            n++;
            r++;
        }
    }
}

void manifest_skim(const struct manifest *needs, const struct manifest *runs,
                   void (*visit)(void *context, enum manifest_difference kind, const char *name),
                   void *context)
{
    if (!runs || needs->names_hash != runs->names_hash || needs->count != runs->count) {
        manifest_compare(needs, runs, visit, context);
        return;
    }
    for (size_t i = 0; i < needs->count; i++)
        if (needs->prints[i] != runs->prints[i])
            visit(context, UNIT_CHANGED, needs->units[i].name);
}

static void count_visit(void *context, enum manifest_difference kind, const char *name)
{
    size_t *count = context;
    (void)kind;
    (void)name;
    ++*count;
}

size_t manifest_distance(const struct manifest *needs, const struct manifest *runs)
{
    size_t count = 0;

    if (needs != runs)
        manifest_compare(needs, runs, count_visit, &count);
    return count;
}

const char *manifest_find(const struct manifest *manifest, const char *name, size_t hint)
{
    size_t from = 0;
    size_t to = manifest->count;

    if (hint < manifest->count && strcmp(manifest->units[hint].name, name) == 0)
        return manifest->units[hint].fingerprint;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(manifest->units[middle].name, name);
        if (order == 0)
            return manifest->units[middle].fingerprint;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static void change_visit(void *context, enum manifest_difference kind, const char *name)
{
    bool *changed = context;
    (void)name;
    *changed |= kind == UNIT_CHANGED;
}

bool manifest_covers(const struct manifest *runs, const struct manifest *needs)
{
    bool changed = false;

    manifest_compare(needs, runs, change_visit, &changed);
    return !changed;
}
