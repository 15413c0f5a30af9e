/*
 * map: 64-bit keys, or names, to pointers; open addressing. One map has keys of one kind. One
 * thread at a time.
 */
#ifndef MAP_H
#define MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t key;     /* with a name: its hash */
    const char *name; /* NULL in a map of numbers */
    void *value;      /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t size; /* a power of two, or 0 */
    size_t count;
};

void *map_get(const struct map *map, uint64_t key);       /* NULL: not there */
void map_put(struct map *map, uint64_t key, void *value); /* replaces; value isn't NULL */
void *map_remove(struct map *map, uint64_t key);          /* what was there, or NULL */
void map_free(struct map *map);                           /* not the values */

/* The same by name. The map keeps the pointer: the name must live as long as its value. */
void *map_get_named(const struct map *map, const char *name);
void map_put_named(struct map *map, const char *name, void *value);
void *map_remove_named(struct map *map, const char *name);

/* Walks over all values: start with *at = 0; NULL at the end. Don't change the map meanwhile. */
void *map_next(const struct map *map, size_t *at);

#endif
