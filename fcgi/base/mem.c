/* mem: see mem.h. Any thread. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mem_fail(void)
{
    static const char text[] = "error out of memory\n";
    fputs(text, stderr);
    abort();
}

void *mem_alloc(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory)
        mem_fail();
    return memory;
}

void *mem_zalloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        mem_fail();
    return memory;
}

void *mem_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        mem_fail();
    return memory;
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *mem_grow(void *array, size_t *size, size_t index, size_t item_size)
{
    size_t grown = index < 8 ? 16 : 2 * index;
    char *bytes;

    if (index < *size)
        return array;
    bytes = mem_realloc(array, grown * item_size);
    memset(bytes + *size * item_size, 0, (grown - *size) * item_size);
    *size = grown;
    return bytes;
}

char *mem_strdup(const char *text)
{
    return text ? mem_strndup(text, strlen(text)) : NULL;
}

void mem_replace(char **text, const char *value)
{
    char *copy = mem_strdup(value);
    free(*text);
    *text = copy;
}

uint64_t mem_hash(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}
