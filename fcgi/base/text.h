/* text: whether bytes are valid characters, and whether two texts are the same. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8: shortest forms, no surrogates, nothing above U+10FFFF (RFC 3629). */
bool text_is_utf8(const char *text, size_t len);

/* Faults of a JSON text that yajl lets pass (RFC 8259): half a surrogate pair, an open string at
 * the end, vertical tab or form feed as space. NULL: none. */
const char *text_json_fault(const char *json, size_t len);

/* NULL is the same as NULL only. */
bool text_same(const char *left, const char *right);

/* How many bytes of `text` fit into `most` without cutting a character. */
int text_fit(const char *text, int most);

#endif
