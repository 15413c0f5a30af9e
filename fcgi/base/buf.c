/* buf: see buf.h. No shared state; any thread. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct buf *buf, size_t more)
{
    size_t cap = buf->cap ? buf->cap : 256;

    if (more >= SIZE_MAX / 4 - buf->len)
        mem_fail();
    while (cap < buf->len + more + 1)
        cap *= 2;
    if (cap != buf->cap) {
        buf->data = mem_realloc(buf->data, cap);
        buf->cap = cap;
    }
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    reserve(buf, len);
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_uint(struct buf *buf, uint64_t number)
{
    char digits[20];
    char *at = digits + sizeof digits;

    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    buf_append(buf, at, (size_t)(digits + sizeof digits - at));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    size_t room;
    int len;

    reserve(buf, 100); /* enough for most, so that it is printed only once */
    room = buf->cap - buf->len;
    va_start(args, format);
    len = vsnprintf(buf->data + buf->len, room, format, args);
    va_end(args);
    if (len > 0 && (size_t)len >= room) {
        reserve(buf, (size_t)len);
        va_start(args, format);
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
        va_end(args);
    }
    if (len > 0)
        buf->len += (size_t)len;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}
