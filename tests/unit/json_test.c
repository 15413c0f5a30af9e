/* json: RFC 8259 to the letter, the limits, and what yajl lets pass but must not come in. */
#include "unit.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#include <string.h>

static struct json_document *parse(const char *text, size_t len, char *why, size_t why_size)
{
    /* A copy of exactly that size, so that a sanitizer sees a read past the end. */
    char *copy = mem_alloc(len);
    struct json_document *document;

    memcpy(copy, text, len);
    why[0] = '\0';
    document = json_parse(copy, len, why, why_size);
    free(copy);
    return document;
}

static struct json_document *good_bytes(const char *text, size_t len)
{
    char why[200];
    struct json_document *document = parse(text, len, why, sizeof why);

    if (!document)
        fail_msg("refused: %s: %s", text, why);
    return document;
}

static struct json_document *good(const char *text)
{
    return good_bytes(text, strlen(text));
}

static void bad_bytes(const char *text, size_t len, const char *fault)
{
    char why[200];

    if (parse(text, len, why, sizeof why))
        fail_msg("accepted: %s", text);
    if (!strstr(why, fault))
        fail_msg("%s: expected \"%s\", not \"%s\"", text, fault, why);
    assert_true(text_is_utf8(why, strlen(why))); /* it goes into an answer */
}

static void bad(const char *text, const char *fault)
{
    bad_bytes(text, strlen(text), fault);
}

static void test_nothing_is_an_empty_object(void **state)
{
    static const char *const texts[] = {"", " ", "\r\n\t ", "{}", " { } "};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct json_document *document = good(texts[i]);
        assert_int_equal(json_root(document)->type, JSON_OBJECT);
        assert_int_equal(json_root(document)->length, 0);
        assert_null(json_member(json_root(document), "a"));
        json_free(document);
    }
    json_free(NULL);
}

static void test_types(void **state)
{
    struct json_document *document =
        good("{\"n\":null,\"t\":true,\"f\":false,\"i\":-7,\"d\":1.5,\"s\":\"x\","
             "\"a\":[1,[],{}],\"o\":{\"n\":1},\"\":\"\"}");
    const struct json_value *root = json_root(document);
    const struct json_value *list = json_member(root, "a");

    (void)state;
    assert_int_equal(root->length, 9);
    assert_int_equal(json_member(root, "n")->type, JSON_NULL);
    assert_int_equal(json_member(root, "t")->type, JSON_BOOL);
    assert_true(json_member(root, "t")->truth);
    assert_false(json_member(root, "f")->truth);
    assert_int_equal(json_member(root, "i")->type, JSON_INTEGER);
    assert_int_equal(json_member(root, "i")->integer, -7);
    assert_int_equal(json_member(root, "d")->type, JSON_NUMBER);
    assert_string_equal(json_member(root, "s")->string, "x");
    assert_string_equal(json_member(root, "")->string, "");
    assert_int_equal(json_member(root, "")->length, 0);
    assert_int_equal(list->length, 3);
    assert_int_equal(list->first->integer, 1);
    assert_int_equal(list->first->next->type, JSON_ARRAY);
    assert_int_equal(list->first->next->next->type, JSON_OBJECT);
    assert_null(list->first->next->next->next);
    assert_null(list->first->key);
    assert_int_equal(json_member(json_member(root, "o"), "n")->integer, 1);
    assert_null(json_member(root, "missing"));
    json_free(document);
}

static void test_any_value_may_be_the_root(void **state)
{
    static const struct {
        const char *text;
        enum json_type type;
    } roots[] = {{"null", JSON_NULL},    {" true ", JSON_BOOL}, {"0", JSON_INTEGER},
                 {"1e2", JSON_NUMBER},   {"\"\"", JSON_STRING}, {"[]", JSON_ARRAY},
                 {"\n{}\n", JSON_OBJECT}};

    (void)state;
    for (size_t i = 0; i < COUNT(roots); i++) {
        struct json_document *document = good(roots[i].text);
        assert_int_equal(json_root(document)->type, roots[i].type);
        json_free(document);
    }
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        enum json_type type;
        int64_t integer;
    } numbers[] = {
        {"0", JSON_INTEGER, 0},
        {"-0", JSON_INTEGER, 0},
        {"9223372036854775807", JSON_INTEGER, INT64_MAX},
        {"-9223372036854775808", JSON_INTEGER, INT64_MIN},
        {"9223372036854775808", JSON_NUMBER, 0},
        {"-9223372036854775809", JSON_NUMBER, 0},
        {"18446744073709551616", JSON_NUMBER, 0},
        {"100000000000000000000000", JSON_NUMBER, 0},
        {"1000000000000000000000000000000000000000000000000000001", JSON_NUMBER, 0},
        {"1.0", JSON_NUMBER, 0},
        {"1e0", JSON_NUMBER, 0},
        {"1E+5", JSON_NUMBER, 0},
        {"-1.25e-7", JSON_NUMBER, 0},
        {"1e999999", JSON_NUMBER, 0},
    };
    static const char *const wrong[] = {"00",       "01",  "-",   "+1",   "-01", ".5",   "1.",
                                        "1.e1",     "1e",  "1e+", "0x10", "1_0", "1 2",  "--1",
                                        "Infinity", "NaN", "nan", "-Inf", "1,0", "1e1.5"};

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        char text[100];
        struct json_document *document;
        const struct json_value *value;

        snprintf(text, sizeof text, "[%s]", numbers[i].text);
        document = good(text);
        value = json_root(document)->first;
        assert_int_equal(value->type, numbers[i].type);
        if (value->type == JSON_INTEGER)
            assert_true(value->integer == numbers[i].integer);
        json_free(document);
        json_free(good(numbers[i].text));
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char text[100];
        if (strcmp(wrong[i], "1,0") != 0) {
            snprintf(text, sizeof text, "[%s]", wrong[i]);
            bad(text, "");
        }
        bad(wrong[i], "");
    }
}

static void test_syntax(void **state)
{
    static const char *const wrong[] = {
        "{",          "}",           "[",         "]",
        "{]",         "[}",          "[1,]",      "[,1]",
        "[1 2]",      "{\"a\"}",     "{\"a\":}",  "{\"a\":1,}",
        "{,}",        "{a:1}",       "{'a':1}",   "{1:1}",
        "\"",         "\"abc",       "\"\\\"",    "'a'",
        "tru",        "True",        "nul",       "undefined",
        "/* x */ {}", "{} // x",     "# x\n{}",   "{\"a\":1 \"b\":2}",
        "{\"a\" 1}",  "\"a\tb\"",    "\"a\nb\"",  "\"a\x1f\"",
        "\"\\x41\"",  "\"\\a\"",     "\"\\u12\"", "\"\\u12g4\"",
        "\"\\u\"",    "\"\\U0041\"", "\"\\'\"",   "\x0b{}",
        "{}\x0c",     "\xc2\xa0{}",  "\\u007b}",  "\xef\xbb\xbf{}",
        "\"\\",       "\"\\u00",     "\xff",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        bad(wrong[i], "");
    bad("{\"a\":1", "");
    bad("[1,", "");
}

static void test_bytes_after_the_value(void **state)
{
    static const char *const wrong[] = {"{}x", "{} {}",  "{}{}",       "[]]",  "null null", "1 2",
                                        "{},", "\"\"\"", "{}\xc3\xa9", "{}\\", "true1"};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        bad(wrong[i], "");
    bad_bytes("{}\0", 3, "");
    bad_bytes("\0", 1, "");
    bad_bytes("\0{}", 3, "");
    bad_bytes("{}\0{}", 5, "");
    bad_bytes("{\"a\":1\0}", 8, "");
}

/* The UTF-8 of each goes raw into a string, a name, and alone. */
static void check_utf8(const char *bytes, size_t len, bool valid)
{
    char text[40];
    char alone[20];

    memcpy(alone, bytes, len);
    alone[len] = '\0';
    assert_int_equal(text_is_utf8(alone, len), valid);
    for (int as_name = 0; as_name < 2; as_name++) {
        size_t at = (size_t)snprintf(text, sizeof text, as_name ? "{\"" : "[\"");
        memcpy(text + at, bytes, len);
        at += len;
        at += (size_t)snprintf(text + at, sizeof text - at, as_name ? "\":1}" : "\"]");
        if (valid) {
            struct json_document *document = good_bytes(text, at);
            const struct json_value *value = json_root(document)->first;
            assert_string_equal(as_name ? value->key : value->string, alone);
            json_free(document);
        } else {
            bad_bytes(text, at, "");
        }
    }
}

static void test_utf8_tables(void **state)
{
    static const char *const valid[] = {
        "a",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\xf0\x9f\x98\x80",
        "\xef\xbb\xbf",
    };
    static const char *const invalid[] = {
        "\x80", /* continuation alone */
        "\xbf",
        "\xc2", /* cut short */
        "\xe0\xa0",
        "\xf0\x90\x80",
        "\xc2 ", /* no continuation */
        "\xe1\x80 ",
        "\xc0\x80", /* overlong NUL */
        "\xc0\xaf", /* overlong slash */
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80", /* surrogates */
        "\xed\xaf\xbf",
        "\xed\xb0\x80",
        "\xed\xbf\xbf",
        "\xed\xa0\xbd\xed\xb8\x80", /* a pair of them (CESU-8) */
        "\xf4\x90\x80\x80",         /* above U+10FFFF */
        "\xf7\xbf\xbf\xbf",
        "\xf8\x88\x80\x80\x80",     /* five bytes */
        "\xfc\x84\x80\x80\x80\x80", /* six */
        "\xfe",
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++)
        check_utf8(valid[i], strlen(valid[i]), true);
    for (size_t i = 0; i < COUNT(invalid); i++)
        check_utf8(invalid[i], strlen(invalid[i]), false);
}

/* RFC 3629, section 4, as a grammar. */
static size_t rfc3629(const unsigned char *at)
{
    bool c1 = (at[1] & 0xc0) == 0x80;
    bool c2 = c1 && (at[2] & 0xc0) == 0x80;
    bool c3 = c2 && (at[3] & 0xc0) == 0x80;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        return c1 ? 2 : 0;
    if ((at[0] == 0xe0 && at[1] >= 0xa0) || (at[0] == 0xed && at[1] <= 0x9f) ||
        (at[0] >= 0xe1 && at[0] <= 0xef && at[0] != 0xed))
        return c2 ? 3 : 0;
    if ((at[0] == 0xf0 && at[1] >= 0x90) || (at[0] >= 0xf1 && at[0] <= 0xf3) ||
        (at[0] == 0xf4 && at[1] <= 0x8f))
        return c3 ? 4 : 0;
    return 0;
}

static void test_utf8_against_the_grammar(void **state)
{
    struct chance chance = chance_new(30);
    static const unsigned char edges[] = {0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                          0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                          0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff};

    (void)state;
    for (int i = 0; i < 300000; i++) {
        unsigned char text[8] = {0};
        bool valid = true;
        size_t step;

        for (size_t n = chance_below(&chance, 5); n-- > 0;)
            text[n] = edges[chance_below(&chance, COUNT(edges))];
        for (const unsigned char *at = text; *at && valid; at += step) {
            step = rfc3629(at);
            valid = step > 0;
        }
        assert_int_equal(text_is_utf8((const char *)text, strlen((const char *)text)), valid);
    }
}

static void check_string(const char *text, const char *expected)
{
    struct json_document *document = good(text);

    assert_string_equal(json_root(document)->string, expected);
    assert_int_equal(json_root(document)->length, strlen(expected));
    json_free(document);
}

static void test_escapes(void **state)
{
    (void)state;
    check_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    check_string("\"\\u0041\\u00e9\\u20AC\\u20ac\"", "A\xc3\xa9\xe2\x82\xac\xe2\x82\xac");
    check_string("\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80");
    check_string("\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    check_string("\"\\uffff\\ud7ff\\ue000\"", "\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80");
    check_string("\"\\\\ud800\"", "\\ud800"); /* an escaped backslash, not an escape */
    check_string("\"\\\\\\\\udc00 ?\"", "\\\\udc00 ?");
    check_string("\"\\u001f\\u0001\"", "\x1f\x01");
    check_string("\"\\u005cud800\"", "\\ud800");
}

static void test_nul(void **state)
{
    (void)state;
    bad("\"\\u0000\"", "NUL");
    bad("{\"a\\u0000b\":1}", "NUL");
    bad("[\"a\\u0000\\u0000\"]", "NUL");
    bad_bytes("\"a\0b\"", 5, "");
}

/* yajl would turn each half of a pair into a question mark. */
static void test_half_pairs(void **state)
{
    static const char *const halves[] = {
        "\\ud800",
        "\\udbff",
        "\\udc00",
        "\\udfff",
        "\\uD83D",
        "\\ud83dx",
        "x\\ude00",
        "\\ud83d\\ud83d",
        "\\ude00\\ud83d",
        "\\ud83d\\u0041",
        "\\ud83d\\n",
        "\\ud83d\\\\",
        "\\ud83d \\ude00",
        "\\ud83d\\ude00\\ude00",
        "\\ud83d\\ud83d\\ude00",
        "\\\\\\ud800",
        "\\n\\udc00",
        "\\u0041\\udc00",
        "\\ud83d\\\\ude00",
        "\\ud83d\\u00e9\\ude00",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(halves); i++) {
        char text[100];
        snprintf(text, sizeof text, "\"%s\"", halves[i]);
        bad(text, "surrogate");
        snprintf(text, sizeof text, "{\"a\":[\"%s\",\"x\"]}", halves[i]);
        bad(text, "surrogate");
        snprintf(text, sizeof text, "{\"%s\":\"x\"}", halves[i]);
        bad(text, "surrogate");
    }
    bad("[\"\\ud83d\",\"\\ude00\"]", "surrogate"); /* not across strings */
    bad("{\"\\ud83d\":\"\\ude00\"}", "surrogate");
}

static void test_depth(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 20];
    size_t len = 0;

    (void)state;
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        if (depth <= JSON_DEPTH_MAX)
            json_free(good_bytes(text, 2 * depth));
        else
            bad_bytes(text, 2 * depth, "16 levels");
    }
    for (int i = 0; i < 1000 && len + 6 < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "{\"\":");
    bad_bytes(text, len, ""); /* too deep before it is found to be cut short */
    memset(text, '[', sizeof text);
    bad_bytes(text, sizeof text, "16 levels");
    json_free(good("[[[[[[[[[[[[[[[[],[1],{}]]]]]]]]]]]]]]]"));
}

static void test_many_values(void **state)
{
    static char text[2 * JSON_VALUES_MAX + 20];
    size_t len = 0;

    (void)state;
    text[len++] = '[';
    for (size_t i = 1; i < JSON_VALUES_MAX; i++) /* the array itself is one */
        len += (size_t)snprintf(text + len, sizeof text - len, i > 1 ? ",7" : "7");
    memcpy(text + len, "]", 2);
    json_free(good_bytes(text, len + 1));
    memcpy(text + len, ",{}]", 5);
    bad_bytes(text, len + 4, "10000 values");
    memcpy(text + len, ",\"\"]", 5);
    bad_bytes(text, len + 5, "10000 values");
}

static void test_duplicate_names(void **state)
{
    char name[300] = "";
    char text[700];

    (void)state;
    bad("{\"a\":1,\"a\":1}", "\"a\" stands twice");
    bad("{\"a\":1,\"b\":2,\"\\u0061\":3}", "\"a\" stands twice");
    bad("{\"\":1,\"\":2}", "twice");
    bad("[{\"x\":{\"b\":{},\"c\":0,\"b\":[]}}]", "\"b\" stands twice");
    json_free(good("{\"a\":1,\"A\":1,\"a \":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}"));
    /* The message cuts a long name, but not in the middle of a character. */
    for (size_t shift = 0; shift < 3; shift++) {
        memset(name, 'x', shift);
        name[shift] = '\0';
        for (size_t i = 0; i < 60; i++)
            memcpy(name + shift + 3 * i, "\xe2\x82\xac", 4);
        snprintf(text, sizeof text, "{\"%s\":1,\"%s\":2}", name, name);
        bad(text, "twice");
    }
}

static void test_many_members(void **state)
{
    struct buf text = {0};
    struct json_document *document;

    (void)state;
    buf_puts(&text, "{\"m0\":0");
    for (int i = 1; i < 5000; i++)
        buf_printf(&text, ",\"m%d\":%d", i, i);
    buf_puts(&text, "}");
    document = good_bytes(text.data, text.len);
    assert_int_equal(json_root(document)->length, 5000);
    assert_int_equal(json_member(json_root(document), "m4999")->integer, 4999);
    json_free(document);
    text.data[text.len - 1] = ',';
    buf_puts(&text, "\"m2500\":1}");
    bad_bytes(text.data, text.len, "\"m2500\" stands twice");
    buf_free(&text);
}

/* Whatever comes in: an answer, no crash; what is accepted must be written and read alike. */
static void test_broken_texts(void **state)
{
    static const char seed[] = "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00\xc3\xa9\"],"
                               "\"b\":{\"c\":\"\\\\\\n\"},\"units\":{\"x\":\"y\"}}";
    struct chance chance = chance_new(31);
    char why[200];

    (void)state;
    for (int i = 0; i < 30000; i++) {
        char text[sizeof seed];
        size_t len = sizeof seed - 1;
        struct json_document *document;

        memcpy(text, seed, len);
        for (unsigned n = 1 + chance_below(&chance, 3); n-- > 0;) {
            size_t at = chance_below(&chance, (unsigned)len);
            if (chance_percent(&chance, 50))
                text[at] = (char)chance_bits(&chance);
            else
                text[at] = seed[chance_below(&chance, sizeof seed - 1)];
        }
        if (chance_percent(&chance, 30))
            len = chance_below(&chance, (unsigned)len);
        document = parse(text, len, why, sizeof why);
        assert_true(document || why[0]);
        assert_true(text_is_utf8(why, strlen(why)));
        json_free(document);
    }
}

static void test_writing(void **state)
{
    struct json_writer *json = json_writer_new();
    struct buf out = {0};
    struct json_document *document;

    (void)state;
    json_open_object(json, NULL);
    json_put_string(json, "quote\"", "\"\\\n\x01 \xe2\x82\xac </script>");
    json_put_string(json, "none", NULL);
    json_put_integer(json, "least", INT64_MIN);
    json_put_integer(json, "most", INT64_MAX);
    json_put_number(json, "number", 1.0 / 3, 3);
    json_put_bool(json, "yes", true);
    json_put_null(json, "null");
    json_put_time(json, "time", 1000);
    json_open_array(json, "list");
    json_put_string(json, NULL, "x");
    json_open_object(json, NULL);
    json_close_object(json);
    json_close_array(json);
    json_close_object(json);
    json_writer_take(json, &out);
    document = good_bytes(out.data, out.len);
    assert_string_equal(json_member(json_root(document), "quote\"")->string,
                        "\"\\\n\x01 \xe2\x82\xac </script>");
    assert_true(json_member(json_root(document), "least")->integer == INT64_MIN);
    assert_true(json_member(json_root(document), "most")->integer == INT64_MAX);
    assert_string_equal(json_member(json_root(document), "time")->string,
                        "1970-01-01T00:00:00.001Z");
    assert_non_null(strstr(out.data, "\"number\":0.333,"));
    json_free(document);

    buf_clear(&out); /* and again with the same writer */
    json_open_array(json, NULL);
    json_put_integer(json, NULL, 1);
    json_put_integer(json, NULL, 2);
    json_close_array(json);
    json_writer_take(json, &out);
    assert_string_equal(out.data, "[1,2]");
    buf_free(&out);
    json_writer_free(json);
    json_writer_free(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_nothing_is_an_empty_object), cmocka_unit_test(test_types),
          cmocka_unit_test(test_any_value_may_be_the_root), cmocka_unit_test(test_numbers),
          cmocka_unit_test(test_syntax), cmocka_unit_test(test_bytes_after_the_value),
          cmocka_unit_test(test_utf8_tables), cmocka_unit_test(test_utf8_against_the_grammar),
          cmocka_unit_test(test_escapes), cmocka_unit_test(test_nul),
          cmocka_unit_test(test_half_pairs), cmocka_unit_test(test_depth),
          cmocka_unit_test(test_many_values), cmocka_unit_test(test_duplicate_names),
          cmocka_unit_test(test_many_members), cmocka_unit_test(test_broken_texts),
          cmocka_unit_test(test_writing))
