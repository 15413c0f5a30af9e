/* content: several sorted manifests, walked side by side. */
#include "rules/content.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* A place in a sorted manifest; NULL counts as one without units. */
struct walk {
    const struct manifest *manifest;
    size_t at;
};

static const struct unit *walk_unit(const struct walk *walk)
{
    return walk->manifest && walk->at < walk->manifest->count ? &walk->manifest->units[walk->at]
                                                              : NULL;
}

/* The least name that none of them has passed; NULL: they are through. */
static const char *next_name(const struct walk *walks, size_t count)
{
    const char *least = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct unit *unit = walk_unit(&walks[i]);
        if (unit && (!least || strcmp(unit->name, least) < 0))
            least = unit->name;
    }
    return least;
}

/* Moves past the unit of that name and returns its fingerprint; NULL: it isn't there. */
static const char *take(struct walk *walk, const char *name)
{
    const struct unit *unit = walk_unit(walk);

    if (!unit || strcmp(unit->name, name) != 0)
        return NULL;
    walk->at++;
    return unit->fingerprint;
}

/* The most units that can come of them. */
static size_t most_units(const struct walk *walks, size_t count)
{
    size_t units = 1;

    for (size_t i = 0; i < count; i++)
        units += walks[i].manifest ? walks[i].manifest->count : 0;
    return units;
}

struct manifest *content_mark(const struct manifest *runs, const struct manifest *marks,
                              const struct manifest *removed)
{
    struct walk walks[] = {{runs, 0}, {marks, 0}, {removed, 0}};
    struct unit *units = mem_alloc(most_units(walks, 3) * sizeof *units);
    struct manifest *content;
    size_t count = 0;
    const char *name;

    while ((name = next_name(walks, 3)) != NULL) {
        const char *before = take(&walks[0], name);
        const char *mark = take(&walks[1], name);
        const char *gone = take(&walks[2], name);
        const char *after = gone ? NULL : mark ? mark : before;
        if (after)
            units[count++] = (struct unit){name, after};
    }
    content = manifest_new(units, count);
    free(units);
    return content;
}

struct manifest *content_forget(const struct manifest *runs, const struct manifest *needs,
                                const struct manifest *granted, bool distrust)
{
    struct walk walks[] = {{runs, 0}, {needs, 0}, {granted, 0}};
    struct unit *units = mem_alloc(most_units(walks, 3) * sizeof *units);
    struct manifest *content;
    size_t count = 0;
    const char *name;

    while ((name = next_name(walks, 3)) != NULL) {
        const char *now = take(&walks[0], name);
        const char *need = take(&walks[1], name);
        const char *before = take(&walks[2], name);
        bool told = !text_same(need, before);
        bool marked = !distrust && !text_same(now, before);
        if (told && !marked)
            now = UNIT_UNKNOWN;
        if (now)
            units[count++] = (struct unit){name, now};
    }
    content = manifest_new(units, count);
    free(units);
    return content;
}

bool content_is_in_work(const struct manifest *runs, const struct manifest *needs,
                        const struct manifest *granted)
{
    struct walk walks[] = {{runs, 0}, {needs, 0}, {granted, 0}};
    bool in_work = false;
    const char *name;

    while (!in_work && (name = next_name(walks, 3)) != NULL) {
        const char *now = take(&walks[0], name);
        const char *need = take(&walks[1], name);
        const char *before = take(&walks[2], name);
        in_work = text_same(now, before) ? !text_same(need, before) : text_same(now, UNIT_UNKNOWN);
    }
    return in_work;
}
