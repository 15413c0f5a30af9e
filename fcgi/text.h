/* text: whether bytes are the characters that they should be. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8: shortest forms, no surrogates, nothing above U+10FFFF (RFC 3629). */
bool text_is_utf8(const char *text, size_t len);

/* Whether JSON text escapes one half of a surrogate pair without the other (RFC 8259, 8.2). */
bool text_has_half_pair(const char *json, size_t len);

#endif
