/* json_private: the document that `json` fills while yajl reads. If a function returns false or
 * NULL, parsing ends, and `failure` says why. */
#ifndef JSON_PRIVATE_H
#define JSON_PRIVATE_H

#include "base/json.h"

struct json_level {
    struct json_value *container;
    struct json_value *last;
    const char *name; /* waits for its value */
};

struct json_document {
    struct json_value *root;
    struct json_allocation *allocations;
    struct json_level levels[JSON_DEPTH_MAX];
    int depth;
    size_t values;
    char failure[160]; /* what our own checks found; empty: nothing */
};

void json_document_fail(struct json_document *document, const char *why);
/* NULL: it isn't UTF-8, or holds a NUL. */
const char *json_document_copy(struct json_document *document, const unsigned char *text,
                               size_t len);
/* Adds the next value where the text is now. NULL: there are too many. */
struct json_value *json_document_add(struct json_document *document, enum json_type type);
/* Sets the name of the next value. */
bool json_document_name(struct json_document *document, const unsigned char *text, size_t len);
/* An array or an object begins, and ends. */
bool json_document_open(struct json_document *document, enum json_type type);
bool json_document_close(struct json_document *document);

#endif
