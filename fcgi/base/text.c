/* text: checks of characters. No state; any thread. */
#include "base/text.h"

#include "base/hex.h"

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
    uint8_t bytes[2];

    if (left < 4 || !hex_read(digits, bytes, 2))
        return 0; /* a syntax error, which yajl finds itself */
    return (unsigned)(bytes[0] << 8 | bytes[1]);
}

/* Scans up to the next string; returns where it begins, or sets `*fault`. */
static size_t scan_plain(const char *json, size_t len, size_t at, const char **fault)
{
    while (at < len && json[at] != '"' && !*fault) {
        if (json[at] == '\v' || json[at] == '\f')
            *fault = "a control character stands outside of strings";
        at++;
    }
    return at;
}

/* Scans from behind the opening quote to behind the closing one. */
static size_t scan_string(const char *json, size_t len, size_t at, const char **fault)
{
    bool wants_low = false;

    while (at < len && !*fault) {
        bool is_escape = json[at] == '\\';
        bool is_unicode = is_escape && at + 1 < len && json[at + 1] == 'u';
        unsigned value = is_unicode ? escape_value(json + at + 2, len - at - 2) : 0;

        if ((value >= 0xdc00 && value <= 0xdfff) != wants_low)
            *fault = "a string holds half a surrogate pair";
        if (json[at] == '"')
            return at + 1;
        wants_low = value >= 0xd800 && value <= 0xdbff;
        at += is_escape ? 2 : 1;
        at += value ? 4 : 0;
    }
    if (!*fault)
        *fault = "it is cut short inside a string";
    return at;
}

const char *text_json_fault(const char *json, size_t len)
{
    const char *fault = NULL;
    size_t at = 0;

    while (at < len && !fault) {
        at = scan_plain(json, len, at, &fault);
        if (at < len && !fault)
            at = scan_string(json, len, at + 1, &fault);
    }
    return fault;
}

int text_fit(const char *text, int most)
{
    int len = (int)strnlen(text, (size_t)most + 1);

    if (len <= most)
        return len;
    for (len = most; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
        ;
    return len;
}

bool text_same(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}
