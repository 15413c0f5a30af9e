/* key: see key.h. */
#include "rules/key.h"

#include "base/mem.h"

#include <stdlib.h>

struct key_end {
    char *name;
    uint32_t number;
    int64_t ends_at;
};

void key_add_end(struct map *ends, const char *name, uint32_t number, int64_t ends_at)
{
    struct key_end *end = mem_zalloc(sizeof *end);

    *end = (struct key_end){.name = mem_strdup(name), .number = number, .ends_at = ends_at};
    map_put_named(ends, end->name, end);
}

bool key_has_ended(const struct map *ends, const char *name, uint32_t number, int64_t now)
{
    const struct key_end *end = map_get_named(ends, name);

    return end && (number < end->number || (number == end->number && end->ends_at <= now));
}

void key_free_ends(struct map *ends)
{
    struct key_end *end;

    for (size_t at = 0; (end = map_next(ends, &at));) {
        free(end->name);
        free(end);
    }
    map_free(ends);
}
