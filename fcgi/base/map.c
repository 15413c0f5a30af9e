/* map: linear probing; removal moves later entries up, so there are no tombstones. */
#include "base/map.h"

#include "base/buf.h"

#include <stdlib.h>

static size_t home(const struct map *map, uint64_t key)
{
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> 20) & (map->size - 1);
}

static struct map_slot *find(const struct map *map, uint64_t key)
{
    size_t at = home(map, key);

    while (map->slots[at].value && map->slots[at].key != key)
        at = (at + 1) & (map->size - 1);
    return &map->slots[at];
}

static void grow(struct map *map)
{
    struct map old = *map;

    map->size = old.size ? old.size * 2 : 16;
    map->slots = mem_zalloc(map->size * sizeof *map->slots);
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i].value)
            *find(map, old.slots[i].key) = old.slots[i];
    free(old.slots);
}

void *map_get(const struct map *map, uint64_t key)
{
    return map->size ? find(map, key)->value : NULL;
}

void map_put(struct map *map, uint64_t key, void *value)
{
    struct map_slot *slot;

    if ((map->count + 1) * 4 > map->size * 3)
        grow(map);
    slot = find(map, key);
    if (!slot->value)
        map->count++;
    *slot = (struct map_slot){.key = key, .value = value};
}

void *map_remove(struct map *map, uint64_t key)
{
    struct map_slot *slot = map->size ? find(map, key) : NULL;
    void *value;
    size_t hole;

    if (!slot || !slot->value)
        return NULL;
    value = slot->value;
    hole = (size_t)(slot - map->slots);
    for (size_t at = (hole + 1) & (map->size - 1); map->slots[at].value;
         at = (at + 1) & (map->size - 1)) {
        size_t wants = home(map, map->slots[at].key);
        /* An entry may move up only if its home isn't between the hole and it. */
        if (((at - wants) & (map->size - 1)) >= ((at - hole) & (map->size - 1))) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = NULL;
    map->count--;
    return value;
}

void map_free(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

void *map_next(const struct map *map, size_t *at)
{
    while (*at < map->size) {
        void *value = map->slots[(*at)++].value;
        if (value)
            return value;
    }
    return NULL;
}
