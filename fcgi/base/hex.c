/* hex: see hex.h. */
#include "base/hex.h"

static void write_pair(char *pair, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";

    pair[0] = digits[byte >> 4];
    pair[1] = digits[byte & 15];
}

void hex_write(char *text, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < len; i++)
        write_pair(text + 2 * i, at[i]);
    text[2 * len] = '\0';
}

void hex_put(struct buf *out, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    char pair[2];

    for (size_t i = 0; i < len; i++) {
        write_pair(pair, at[i]);
        buf_append(out, pair, 2);
    }
}

/* The value of a digit; -1: it isn't one. */
static int read_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool hex_read(const char *digits, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = read_digit(digits[2 * i]);
        int low = high < 0 ? -1 : read_digit(digits[2 * i + 1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
