/* text: whether bytes are the characters that they should be. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8: shortest forms, no surrogates, nothing above U+10FFFF (RFC 3629). */
bool text_is_utf8(const char *text, size_t len);

/* What a JSON text does that RFC 8259 forbids and yajl lets pass, NULL if nothing: one half of a
 * surrogate pair without the other, an open string at the end, vertical tab or form feed as space.
 */
const char *text_json_fault(const char *json, size_t len);

/* How many bytes of `text` to show where there is room for `most`, without cutting a character. */
int text_fit(const char *text, int most);

#endif
