/*
 * json: yajl's streaming parser, with what it doesn't check: depth, duplicate names, NUL and
 * malformed UTF-8 (it lets overlong forms, surrogates and code points above 10FFFF pass).
 * No shared state; any thread.
 */
#include "base/json.h"

#include "base/text.h"
#include "base/times.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

struct level {
    struct json_value *container;
    struct json_value *last;
    char *key; /* name that waits for its value */
};

struct allocation {
    struct allocation *next;
    max_align_t bytes[];
};

struct json_document {
    struct json_value *root;
    struct allocation *allocations;
    struct level levels[JSON_DEPTH_MAX];
    int depth;
    size_t values;
    char failure[160]; /* what our own checks found; empty: nothing */
};

static void *document_alloc(struct json_document *document, size_t size)
{
    struct allocation *allocation = mem_zalloc(sizeof *allocation + size);
    allocation->next = document->allocations;
    document->allocations = allocation;
    return allocation->bytes;
}

static int fail(struct json_document *document, const char *why)
{
    snprintf(document->failure, sizeof document->failure, "%s", why);
    return 0;
}

static char *take_string(struct json_document *document, const unsigned char *text, size_t len)
{
    char *copy;

    if (memchr(text, 0, len)) {
        fail(document, "a string holds a NUL character");
        return NULL;
    }
    if (!text_is_utf8((const char *)text, len)) {
        fail(document, "a string is not valid UTF-8");
        return NULL;
    }
    copy = document_alloc(document, len + 1);
    memcpy(copy, text, len);
    return copy;
}

/* NULL: there are too many. */
static struct json_value *add_value(struct json_document *document, enum json_type type)
{
    struct json_value *value;
    struct level *level;

    if (++document->values > JSON_VALUES_MAX) {
        fail(document, "it holds more than 10000 values");
        return NULL;
    }
    value = document_alloc(document, sizeof *value);
    value->type = type;
    if (document->depth == 0) {
        document->root = value;
        return value;
    }
    level = &document->levels[document->depth - 1];
    value->key = level->key;
    level->key = NULL;
    if (level->last)
        level->last->next = value;
    else
        level->container->first = value;
    level->last = value;
    level->container->length++;
    return value;
}

static int on_null(void *context)
{
    return add_value(context, JSON_NULL) != NULL;
}

static int on_boolean(void *context, int truth)
{
    struct json_value *value = add_value(context, JSON_BOOL);

    if (value)
        value->truth = truth != 0;
    return value != NULL;
}

static int on_number(void *context, const char *text, size_t len)
{
    char digits[24];
    struct json_value *value = add_value(context, JSON_NUMBER);
    char *end;

    if (!value || len >= sizeof digits)
        return value != NULL;
    memcpy(digits, text, len);
    digits[len] = '\0';
    errno = 0;
    value->integer = strtoll(digits, &end, 10);
    if (*end == '\0' && errno == 0)
        value->type = JSON_INTEGER;
    return 1;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    char *copy = take_string(context, text, len);
    struct json_value *value;

    if (!copy)
        return 0;
    value = add_value(context, JSON_STRING);
    if (value) {
        value->string = copy;
        value->length = len;
    }
    return value != NULL;
}

static int open_container(struct json_document *document, enum json_type type)
{
    struct json_value *value;

    if (document->depth == JSON_DEPTH_MAX)
        return fail(document, "it is nested too deep (16 levels at most)");
    value = add_value(document, type);
    if (!value)
        return 0;
    document->levels[document->depth++] = (struct level){.container = value};
    return 1;
}

static int on_start_map(void *context)
{
    return open_container(context, JSON_OBJECT);
}

static int on_start_array(void *context)
{
    return open_container(context, JSON_ARRAY);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    struct json_document *document = context;
    char *key = take_string(document, text, len);

    document->levels[document->depth - 1].key = key;
    return key != NULL;
}

static int compare_keys(const void *left, const void *right)
{
    const struct json_value *const *a = left;
    const struct json_value *const *b = right;
    return strcmp((*a)->key, (*b)->key);
}

static bool has_duplicate_key(struct json_document *document, const struct json_value *object)
{
    const struct json_value **members;
    size_t count = 0;
    bool found = false;

    if (object->length < 2)
        return false;
    members = mem_alloc(object->length * sizeof(const struct json_value *));
    for (const struct json_value *at = object->first; at; at = at->next)
        members[count++] = at;
    qsort(members, count, sizeof(const struct json_value *), compare_keys);
    for (size_t i = 1; i < count && !found; i++) {
        found = strcmp(members[i - 1]->key, members[i]->key) == 0;
        if (found)
            snprintf(document->failure, sizeof document->failure,
                     "the name \"%.*s\" stands twice in one object", text_fit(members[i]->key, 80),
                     members[i]->key);
    }
    free(members);
    return found;
}

static int on_end_map(void *context)
{
    struct json_document *document = context;
    document->depth--;
    return !has_duplicate_key(document, document->levels[document->depth].container);
}

static int on_end_array(void *context)
{
    struct json_document *document = context;
    document->depth--;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            return false;
    return true;
}

static bool run_parser(struct json_document *document, const char *text, size_t len)
{
    yajl_handle parser = yajl_alloc(&callbacks, NULL, document);
    const unsigned char *bytes = (const unsigned char *)text;
    yajl_status status = yajl_parse(parser, bytes, len);

    if (status == yajl_status_ok && yajl_complete_parse(parser) != yajl_status_ok &&
        !document->failure[0])
        fail(document, "it is cut short");
    if (status == yajl_status_error && !document->failure[0])
        snprintf(document->failure, sizeof document->failure, "syntax error near byte %zu",
                 yajl_get_bytes_consumed(parser));
    if (status == yajl_status_ok && !document->root)
        fail(document, "it is cut short");
    yajl_free(parser);
    return !document->failure[0];
}

struct json_document *json_parse(const char *text, size_t len, char *why, size_t why_size)
{
    struct json_document *document = mem_zalloc(sizeof *document);
    const char *fault;

    if (is_blank(text, len)) {
        add_value(document, JSON_OBJECT);
        return document;
    }
    fault = text_json_fault(text, len);
    if (fault)
        fail(document, fault);
    else if (run_parser(document, text, len))
        return document;
    snprintf(why, why_size, "%s", document->failure);
    json_free(document);
    return NULL;
}

void json_free(struct json_document *document)
{
    if (!document)
        return;
    while (document->allocations) {
        struct allocation *allocation = document->allocations;
        document->allocations = allocation->next;
        free(allocation);
    }
    free(document);
}

const struct json_value *json_root(const struct json_document *document)
{
    return document->root;
}

const struct json_value *json_member(const struct json_value *object, const char *name)
{
    for (const struct json_value *at = object->first; at; at = at->next)
        if (strcmp(at->key, name) == 0)
            return at;
    return NULL;
}

/* Writing: yajl_gen keeps its own buffer; a failed call here is a bug of ours, so none is checked.
 */

struct json_writer {
    yajl_gen gen;
};

struct json_writer *json_writer_new(void)
{
    struct json_writer *writer = mem_alloc(sizeof *writer);
    writer->gen = yajl_gen_alloc(NULL);
    return writer;
}

void json_writer_free(struct json_writer *writer)
{
    if (!writer)
        return;
    yajl_gen_free(writer->gen);
    free(writer);
}

void json_writer_take(struct json_writer *writer, struct buf *out)
{
    const unsigned char *text;
    size_t len;

    yajl_gen_get_buf(writer->gen, &text, &len);
    buf_append(out, text, len);
    yajl_gen_clear(writer->gen);
    yajl_gen_reset(writer->gen, NULL);
}

static void put_text(struct json_writer *writer, const char *text)
{
    yajl_gen_string(writer->gen, (const unsigned char *)text, strlen(text));
}

static void put_name(struct json_writer *writer, const char *name)
{
    if (name)
        put_text(writer, name);
}

void json_open_object(struct json_writer *writer, const char *name)
{
    put_name(writer, name);
    yajl_gen_map_open(writer->gen);
}

void json_close_object(struct json_writer *writer)
{
    yajl_gen_map_close(writer->gen);
}

void json_open_array(struct json_writer *writer, const char *name)
{
    put_name(writer, name);
    yajl_gen_array_open(writer->gen);
}

void json_close_array(struct json_writer *writer)
{
    yajl_gen_array_close(writer->gen);
}

void json_put_string(struct json_writer *writer, const char *name, const char *value)
{
    put_name(writer, name);
    if (value)
        put_text(writer, value);
    else
        yajl_gen_null(writer->gen);
}

void json_put_integer(struct json_writer *writer, const char *name, int64_t value)
{
    put_name(writer, name);
    yajl_gen_integer(writer->gen, value);
}

void json_put_number(struct json_writer *writer, const char *name, double value, int decimals)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%.*f", decimals, value);

    put_name(writer, name);
    yajl_gen_number(writer->gen, text, (size_t)len);
}

void json_put_bool(struct json_writer *writer, const char *name, bool value)
{
    put_name(writer, name);
    yajl_gen_bool(writer->gen, value);
}

void json_put_null(struct json_writer *writer, const char *name)
{
    put_name(writer, name);
    yajl_gen_null(writer->gen);
}

void json_put_time(struct json_writer *writer, const char *name, int64_t time_us)
{
    char text[TIMES_TEXT_SIZE];
    times_iso(time_us, text);
    json_put_string(writer, name, text);
}
