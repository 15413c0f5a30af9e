/*
 * json: any bytes as a body. What RFC 8259 forbids must be refused and the rest taken, as a second
 * reader written straight from its grammar has it; what was taken is written and read again.
 */
#include "fuzz.h"

#include "base/json.h"
#include "base/text.h"

#include <stdbool.h>

/* The second reader: whether the text is JSON, nested no deeper than we take. */

struct scan {
    const char *at;
    const char *end;
    int depth;
};

static bool scan_value(struct scan *scan);

static bool take(struct scan *scan, char byte)
{
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan)
{
    while (take(scan, ' ') || take(scan, '\t') || take(scan, '\r') || take(scan, '\n'))
        ;
}

static bool take_word(struct scan *scan, const char *word)
{
    while (*word && take(scan, *word))
        word++;
    return !*word;
}

static size_t take_digits(struct scan *scan)
{
    const char *start = scan->at;

    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return (size_t)(scan->at - start);
}

static bool scan_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return false;
    if (take(scan, '.') && !take_digits(scan))
        return false;
    if (!take(scan, 'e') && !take(scan, 'E'))
        return true;
    if (!take(scan, '+'))
        take(scan, '-');
    return take_digits(scan) > 0;
}

/* Of a \u escape; -1: it isn't one. */
static int take_unit(struct scan *scan)
{
    int unit = 0;

    for (int i = 0; i < 4; i++) {
        char digit = '\0';
        if (scan->at < scan->end)
            digit = *scan->at++;
        if (digit >= '0' && digit <= '9')
            unit = unit * 16 + digit - '0';
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            unit = unit * 16 + (digit | 0x20) - 'a' + 10;
        else
            return -1;
    }
    return unit;
}

static bool scan_escape(struct scan *scan)
{
    int unit;

    if (!take(scan, 'u')) {
        if (scan->at == scan->end)
            return false;
        return memchr("\"\\/bfnrt", *scan->at++, 8);
    }
    unit = take_unit(scan);
    if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff)) /* no NUL, either */
        return false;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (!take(scan, '\\') || !take(scan, 'u'))
        return false;
    unit = take_unit(scan);
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static bool scan_string(struct scan *scan)
{
    const char *start = scan->at + 1;

    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end && *scan->at != '"') {
        if ((unsigned char)*scan->at < ' ')
            return false;
        if (take(scan, '\\') ? !scan_escape(scan) : !scan->at++)
            return false;
    }
    return text_is_utf8(start, (size_t)(scan->at - start)) && take(scan, '"');
}

static bool scan_members(struct scan *scan, char last, bool named)
{
    skip_space(scan);
    if (take(scan, last))
        return true;
    for (;;) {
        skip_space(scan);
        if (named && !scan_string(scan))
            return false;
        skip_space(scan);
        if (named && !take(scan, ':'))
            return false;
        if (!scan_value(scan))
            return false;
        skip_space(scan);
        if (!take(scan, ','))
            return take(scan, last);
    }
}

static bool scan_value(struct scan *scan)
{
    bool good;

    skip_space(scan);
    if (scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '{':
    case '[':
        if (scan->depth++ == JSON_DEPTH_MAX)
            return false;
        good = take(scan, '{') ? scan_members(scan, '}', true)
                               : take(scan, '[') && scan_members(scan, ']', false);
        scan->depth--;
        return good;
    case '"':
        return scan_string(scan);
    case 't':
        return take_word(scan, "true");
    case 'f':
        return take_word(scan, "false");
    case 'n':
        return take_word(scan, "null");
    default:
        return scan_number(scan);
    }
}

static bool is_json(const char *text, size_t len)
{
    struct scan scan = {.at = text, .end = text + len};

    skip_space(&scan);
    if (scan.at == scan.end)
        return true; /* an empty body is an empty object */
    if (!scan_value(&scan))
        return false;
    skip_space(&scan);
    return scan.at == scan.end;
}

/* Written and read again */

static void put(struct json_writer *writer, const struct json_value *value)
{
    switch (value->type) {
    case JSON_NULL:
        json_put_null(writer, value->key);
        break;
    case JSON_BOOL:
        json_put_bool(writer, value->key, value->truth);
        break;
    case JSON_INTEGER:
        json_put_integer(writer, value->key, value->integer);
        break;
    case JSON_NUMBER:
        json_put_number(writer, value->key, 0.5, 1); /* its value isn't kept */
        break;
    case JSON_STRING:
        json_put_string(writer, value->key, value->string);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        (value->type == JSON_ARRAY ? json_open_array : json_open_object)(writer, value->key);
        for (const struct json_value *at = value->first; at; at = at->next)
            put(writer, at);
        (value->type == JSON_ARRAY ? json_close_array : json_close_object)(writer);
        break;
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_same(const struct json_value *a, const struct json_value *b)
{
    const struct json_value *other = b->first;
    size_t count = 0;

    check(a->type == b->type && a->truth == b->truth && a->length == b->length);
    check(a->type != JSON_INTEGER || a->integer == b->integer);
    check(same_text(a->key, b->key) && same_text(a->string, b->string));
    check(a->type != JSON_STRING || strlen(a->string) == a->length);
    for (const struct json_value *at = a->first; at; at = at->next, other = other->next, count++) {
        check(other);
        check_same(at, other);
    }
    check(!other && (a->type == JSON_STRING || count == a->length));
    if (a->type == JSON_OBJECT)
        for (const struct json_value *at = a->first; at; at = at->next)
            check(json_member(a, at->key) == at); /* the only one of its name */
}

static void check_round_trip(const struct json_value *root)
{
    struct json_writer *writer = json_writer_new();
    struct buf text = {0};
    struct json_document *again;
    char why[200];

    put(writer, root);
    json_writer_take(writer, &text);
    again = json_parse(text.data, text.len, why, sizeof why);
    check(again && is_json(text.data, text.len));
    check_same(root, json_root(again));
    json_free(again);
    buf_free(&text);
    json_writer_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char why[200] = "";
    struct json_document *document = json_parse(text, size, why, sizeof why);

    if (document) {
        check(is_json(text, size));
        check_round_trip(json_root(document));
    } else {
        check(why[0] && strlen(why) < sizeof why && text_is_utf8(why, strlen(why)));
        check(!is_json(text, size) || strstr(why, "stands twice"));
    }
    json_free(document);
    return 0;
}
