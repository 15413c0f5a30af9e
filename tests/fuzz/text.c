/* text: any bytes where characters are looked at, and any name where a word is expected. */
#include "fuzz.h"

#include "base/text.h"
#include "rules/words.h"

#include <stdbool.h>

/* Table 3-7 of the Unicode standard, row by row. */
static bool is_well_formed(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char first[2];
        unsigned char second[2];
        size_t len;
    } rows[] = {
        {{0x00, 0x7f}, {0x00, 0xff}, 1}, {{0xc2, 0xdf}, {0x80, 0xbf}, 2},
        {{0xe0, 0xe0}, {0xa0, 0xbf}, 3}, {{0xe1, 0xec}, {0x80, 0xbf}, 3},
        {{0xed, 0xed}, {0x80, 0x9f}, 3}, {{0xee, 0xef}, {0x80, 0xbf}, 3},
        {{0xf0, 0xf0}, {0x90, 0xbf}, 4}, {{0xf1, 0xf3}, {0x80, 0xbf}, 4},
        {{0xf4, 0xf4}, {0x80, 0x8f}, 4},
    };

    while (left > 0) {
        size_t row = 0;

        while (row < sizeof rows / sizeof rows[0] &&
               (at[0] < rows[row].first[0] || at[0] > rows[row].first[1]))
            row++;
        if (row == sizeof rows / sizeof rows[0] || rows[row].len > left)
            return false;
        if (rows[row].len > 1 && (at[1] < rows[row].second[0] || at[1] > rows[row].second[1]))
            return false;
        for (size_t i = 2; i < rows[row].len; i++)
            if ((at[i] & 0xc0) != 0x80)
                return false;
        at += rows[row].len;
        left -= rows[row].len;
    }
    return true;
}

static void check_fit(const char *text, int most)
{
    size_t len = strlen(text);
    int fit = text_fit(text, most);

    check(fit >= 0 && fit <= most && (size_t)fit <= len);
    if ((size_t)most >= len)
        check((size_t)fit == len);
    else if (text_is_utf8(text, len)) /* no character is cut, and none left out that had room */
        check(text_is_utf8(text, (size_t)fit) && most - fit < 4);
}

static void check_words(const char *text)
{
    int found = words_find_stack_state(text);

    check(found < 0 || strcmp(words_stack_state((enum stack_state)found), text) == 0);
    found = words_find_lease_state(text);
    check(found < 0 || strcmp(words_lease_state((enum lease_state)found), text) == 0);
    found = words_find_outcome(text);
    check(found < 0 || strcmp(words_outcome((enum outcome)found), text) == 0);
    found = words_find_purpose(text);
    check(found < 0 || strcmp(words_purpose((enum purpose)found), text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    const char *fault = text_json_fault((const char *)data, size);

    check(!fault || *fault);
    check(text_is_utf8((const char *)data, size) == is_well_formed(data, size));
    for (int most = 0; most < 8; most++)
        check_fit(text, most);
    check_fit(text, size ? data[0] : 80);
    check_words(text);
    free(text);
    return 0;
}
