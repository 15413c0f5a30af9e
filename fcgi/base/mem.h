/* mem: memory that never fails. Out of memory ends the program: nothing useful is left to do. */
#ifndef MEM_H
#define MEM_H

#include <stddef.h>
#include <stdint.h>

__attribute__((noreturn)) void mem_fail(void);

/* malloc, calloc, realloc and strdup that never return NULL; a NULL text gives NULL. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);

/* An array that has room for the item at `index`: grown to twice that if need be, with zeros. *size
 * counts items of `item_size` bytes. */
void *mem_grow(void *array, size_t *size, size_t index, size_t item_size);

/* Frees *text and puts a copy of `value` (may be NULL) in its place. */
void mem_replace(char **text, const char *value);

/* 64-bit FNV-1a; for hash tables of our own, never for secrets. */
uint64_t mem_hash(const void *bytes, size_t len);

#endif
