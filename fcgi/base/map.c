/* map: linear probing; removal moves later entries up, so there are no tombstones. */
#include "base/map.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t home(const struct map *map, uint64_t key)
{
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> 20) & (map->size - 1);
}

static bool is_at(const struct map_slot *slot, uint64_t key, const char *name)
{
    return slot->key == key && (!name || strcmp(slot->name, name) == 0);
}

/* Where the key is, or would be. */
static struct map_slot *find(const struct map *map, uint64_t key, const char *name)
{
    size_t at = home(map, key);

    while (map->slots[at].value && !is_at(&map->slots[at], key, name))
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
            *find(map, old.slots[i].key, old.slots[i].name) = old.slots[i];
    free(old.slots);
}

static void *get(const struct map *map, uint64_t key, const char *name)
{
    return map->size ? find(map, key, name)->value : NULL;
}

static void put(struct map *map, uint64_t key, const char *name, void *value)
{
    struct map_slot *slot;

    if ((map->count + 1) * 4 > map->size * 3)
        grow(map);
    slot = find(map, key, name);
    if (!slot->value)
        map->count++;
    *slot = (struct map_slot){.key = key, .name = name, .value = value};
}

static void *take(struct map *map, uint64_t key, const char *name)
{
    struct map_slot *slot = map->size ? find(map, key, name) : NULL;
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

void *map_get(const struct map *map, uint64_t key)
{
    return get(map, key, NULL);
}

void map_put(struct map *map, uint64_t key, void *value)
{
    put(map, key, NULL, value);
}

void *map_remove(struct map *map, uint64_t key)
{
    return take(map, key, NULL);
}

static uint64_t hash(const char *name)
{
    return mem_hash(name, strlen(name));
}

void *map_get_named(const struct map *map, const char *name)
{
    return get(map, hash(name), name);
}

void map_put_named(struct map *map, const char *name, void *value)
{
    put(map, hash(name), name, value);
}

void *map_remove_named(struct map *map, const char *name)
{
    return take(map, hash(name), name);
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
