/* buf: a growing byte buffer. */
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

#endif
