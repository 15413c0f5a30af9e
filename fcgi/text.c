/* text: checks of characters. No state; any thread. */
#include "text.h"

#include <stdint.h>
#include <string.h>

/* RFC 3629: shortest form only, no surrogates, nothing above U+10FFFF. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80   ? 1
                 : at[0] < 0xc0 ? 0
                 : at[0] < 0xe0 ? 2
                 : at[0] < 0xf0 ? 3
                 : at[0] < 0xf8 ? 4
                                : 0;
    uint32_t point;

    if (len < 2 || len > left)
        return len <= left ? len : 0;
    point = at[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (at[i] & 0x3fu);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return len;
}

bool text_is_utf8(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t step = utf8_sequence((const unsigned char *)text + i, len - i);
        if (!step)
            return false;
        i += step;
    }
    return true;
}

static unsigned escape_value(const char *digits, size_t left)
{
    static const char hex[] = "0123456789abcdef";
    unsigned value = 0;

    for (size_t i = 0; i < 4; i++) {
        const char *at = i < left ? memchr(hex, digits[i] | 0x20, 16) : NULL;
        if (!at)
            return 0; /* a syntax error, which yajl finds itself */
        value = value * 16 + (unsigned)(at - hex);
    }
    return value;
}

bool text_has_half_pair(const char *json, size_t len)
{
    bool wants_low = false;

    for (size_t i = 0; i < len; i++) {
        bool is_escape = json[i] == '\\';
        unsigned value = is_escape && i + 1 < len && json[i + 1] == 'u'
                             ? escape_value(json + i + 2, len - i - 2)
                             : 0;
        bool is_low = value >= 0xdc00 && value <= 0xdfff;

        if (is_low != wants_low)
            return true;
        wants_low = value >= 0xd800 && value <= 0xdbff;
        i += is_escape ? (value ? 5 : 1) : 0;
    }
    return wants_low;
}
