/* hex: bytes as hexadecimal digits. Written in lower case; both cases are read. */
#ifndef HEX_H
#define HEX_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len digits and a NUL. */
void hex_write(char *text, const void *bytes, size_t len);
void hex_put(struct buf *out, const void *bytes, size_t len);

/* Reads 2 * len digits. false: one of them isn't a digit, and `bytes` is undefined. */
bool hex_read(const char *digits, uint8_t *bytes, size_t len);

#endif
