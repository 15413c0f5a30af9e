/* buf: a growing byte buffer. Out of memory ends the program: nothing useful is left to do. */
#ifndef BUF_H
#define BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NUL-terminated whenever it isn't NULL */
    size_t len;
    size_t cap;
};

void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_puts(struct buf *buf, const char *text);
/* In decimal. */
void buf_uint(struct buf *buf, uint64_t number);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *buf); /* empties it, keeps the memory */
void buf_free(struct buf *buf);

/* malloc, calloc, realloc and strdup that never return NULL; a NULL text gives NULL. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);

/* Frees *text and puts a copy of `value` (may be NULL) in its place. */
void mem_replace(char **text, const char *value);

/* 64-bit FNV-1a; for hash tables of our own, never for secrets. */
uint64_t mem_hash(const void *bytes, size_t len);

#endif
