/* json: the only user of yajl. Strict RFC 8259 in, within limits; JSON out. */
#ifndef JSON_H
#define JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX  16
#define JSON_VALUES_MAX 10000

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_INTEGER, /* without fraction or exponent, fits int64_t */
    JSON_NUMBER,  /* any other number */
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_value {
    enum json_type type;
    bool truth;
    int64_t integer;
    double number;                  /* of JSON_INTEGER and JSON_NUMBER; infinite: out of range */
    const char *string;             /* UTF-8, no NUL inside */
    size_t length;                  /* bytes of string; items of an array; members of an object */
    const char *key;                /* name, if this is a member of an object */
    const struct json_value *first; /* of an array or object, in the order of the text */
    const struct json_value *next;
};

struct json_document;

/* Parses all of `text`. An empty text (or only white space) gives an empty object.
 * On failure returns NULL and says in `why` what is wrong and where: a syntax error, bad UTF-8,
 * NUL in a string, more than JSON_DEPTH_MAX levels or JSON_VALUES_MAX values, a duplicate name,
 * bytes after the value. */
struct json_document *json_parse(const char *text, size_t len, char *why, size_t why_size);
void json_free(struct json_document *document);
const struct json_value *json_root(const struct json_document *document);

/* The member of that name, NULL if there is none. */
const struct json_value *json_member(const struct json_value *object, const char *name);

/* Writing. Names are given with the value; NULL names go into arrays. */
struct json_writer;

struct json_writer *json_writer_new(void);
void json_writer_free(struct json_writer *writer);
/* Appends what was written to `out` and makes the writer ready for the next text. */
void json_writer_take(struct json_writer *writer, struct buf *out);

void json_open_object(struct json_writer *writer, const char *name);
void json_close_object(struct json_writer *writer);
void json_open_array(struct json_writer *writer, const char *name);
void json_close_array(struct json_writer *writer);
void json_put_string(struct json_writer *writer, const char *name,
                     const char *value); /* NULL: null */
void json_put_integer(struct json_writer *writer, const char *name, int64_t value);
void json_put_number(struct json_writer *writer, const char *name, double value, int decimals);
void json_put_bool(struct json_writer *writer, const char *name, bool value);
void json_put_null(struct json_writer *writer, const char *name);
void json_put_time(struct json_writer *writer, const char *name, int64_t time_us);

#endif
