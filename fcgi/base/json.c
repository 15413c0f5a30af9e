/* json: yajl's streaming parser and generator. What comes in is checked further by json_document.
 * No shared state; any thread. */
#include "base/json.h"

#include "base/json_private.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/times.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

static int on_null(void *context)
{
    return json_document_add(context, JSON_NULL) != NULL;
}

static int on_boolean(void *context, int truth)
{
    struct json_value *value = json_document_add(context, JSON_BOOL);

    if (value)
        value->truth = truth != 0;
    return value != NULL;
}

static int on_number(void *context, const char *text, size_t len)
{
    struct json_value *value = json_document_add(context, JSON_NUMBER);
    char *digits;
    char *end;

    if (!value)
        return 0;
    digits = mem_strndup(text, len);
    value->number = strtod(digits, NULL);
    errno = 0;
    value->integer = strtoll(digits, &end, 10);
    if (*end == '\0' && errno == 0)
        value->type = JSON_INTEGER;
    free(digits);
    return 1;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    const char *copy = json_document_copy(context, text, len);
    struct json_value *value;

    if (!copy)
        return 0;
    value = json_document_add(context, JSON_STRING);
    if (value) {
        value->string = copy;
        value->length = len;
    }
    return value != NULL;
}

static int on_start_map(void *context)
{
    return json_document_open(context, JSON_OBJECT);
}

static int on_start_array(void *context)
{
    return json_document_open(context, JSON_ARRAY);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    return json_document_name(context, text, len);
}

static int on_end(void *context)
{
    return json_document_close(context);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
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
        json_document_fail(document, "it is cut short");
    if (status == yajl_status_error && !document->failure[0])
        snprintf(document->failure, sizeof document->failure, "syntax error near byte %zu",
                 yajl_get_bytes_consumed(parser));
    if (status == yajl_status_ok && !document->root)
        json_document_fail(document, "it is cut short");
    yajl_free(parser);
    return !document->failure[0];
}

struct json_document *json_parse(const char *text, size_t len, char *why, size_t why_size)
{
    struct json_document *document = mem_zalloc(sizeof *document);
    const char *fault;

    if (is_blank(text, len)) {
        json_document_add(document, JSON_OBJECT);
        return document;
    }
    fault = text_json_fault(text, len);
    if (fault)
        json_document_fail(document, fault);
    else if (run_parser(document, text, len))
        return document;
    snprintf(why, why_size, "%s", document->failure);
    json_free(document);
    return NULL;
}

/* Writing. yajl_gen keeps its own buffer. Only a bug of ours can make a call fail: none is checked.
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
