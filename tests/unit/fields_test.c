/* fields: types and limits of members, and the first fault told. */
#include "unit.h"

#include "api/fields.h"
#include "base/buf.h"
#include "base/mem.h"
#include "rules/words.h"

#include <string.h>

static struct json_document *document;
static struct fields fields;

/* Reads from that text, quoted like 'this'. */
static void open_text(const char *text)
{
    char *copy = mem_strdup(text);
    char why[200];

    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    document = json_parse(copy, strlen(copy), why, sizeof why);
    assert_non_null(document);
    fields = (struct fields){.object = json_root(document), .inside = ""};
    free(copy);
}

static void close_text(const char *field, const char *fault)
{
    assert_int_equal(fields_are_good(&fields), field == NULL);
    if (field) {
        assert_string_equal(fields.field, field);
        if (!strstr(fields.fault, fault))
            fail_msg("expected %s, not %s", fault, fields.fault);
    }
    json_free(document);
}

static void test_text(void **state)
{
    char *text = mem_strdup("old");

    (void)state;
    open_text("{'a':'x','b':null,'c':5,'d':'four','e':''}");
    fields_text(&fields, "missing", 10, &text);
    fields_text(&fields, "b", 10, &text);
    assert_string_equal(text, "old");
    fields_text(&fields, "a", 1, &text);
    assert_string_equal(text, "x");
    fields_text(&fields, "e", 0, &text);
    assert_string_equal(text, "");
    fields_text(&fields, "d", 4, &text);
    assert_string_equal(text, "four");
    assert_true(fields_are_good(&fields));
    fields_text(&fields, "d", 3, &text);
    fields_text(&fields, "c", 3, &text); /* the first fault stays */
    assert_string_equal(text, "four");
    close_text("d", "too long (3 bytes");
    open_text("{'c':5}");
    fields_text(&fields, "c", 3, &text);
    close_text("c", "must be a string");
    free(text);
}

static void test_unknown(void **state)
{
    char *text = NULL;
    struct fields job;

    (void)state;
    open_text("{'a':'x','b':null,'job':{'c':1,'d':2},'e':5,'f':6}");
    fields_text(&fields, "a", 10, &text);
    fields_text(&fields, "b", 10, &text);
    fields_text(&fields, "g", 10, &text);
    assert_true(fields_object(&fields, "job", &job));
    fields_integer(&job, "c", 0, 1, &(int64_t){0});
    fields_adopt(&fields, &job);
    fields_find_unknown(&fields);
    assert_int_equal(fields.unknown.count, 3);
    assert_string_equal(fields.unknown.names[0], "job.d");
    assert_string_equal(fields.unknown.names[1], "e");
    assert_string_equal(fields.unknown.names[2], "f");
    close_text(NULL, NULL);
    free(text);
    open_text("{'e':5}");
    fields_refuse_unknown(&fields);
    fields_lack(&fields, "a", "is required"); /* the first fault stays */
    close_text("e", "is not a field of this call");
}

static void check_integer(const char *text, bool good)
{
    int64_t number = 99;

    open_text(text);
    fields_integer(&fields, "n", -2, 3, &number);
    if (!good)
        assert_int_equal(number, 99);
    close_text(good ? NULL : "n", "from -2 to 3");
}

static void test_integer(void **state)
{
    static const char *const good[] = {"{'n':-2}", "{'n':3}", "{'n':0}", "{'n':null}", "{}"};
    static const char *const bad[] = {"{'n':-3}",  "{'n':4}",    "{'n':1.0}",
                                      "{'n':'1'}", "{'n':true}", "{'n':9223372036854775808}",
                                      "{'n':1e0}", "{'n':[]}"};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        check_integer(good[i], true);
    for (size_t i = 0; i < COUNT(bad); i++)
        check_integer(bad[i], false);
}

static void test_bool_and_word(void **state)
{
    bool truth = true;
    int word = -5;

    (void)state;
    open_text("{'t':false,'w':'refresh'}");
    fields_bool(&fields, "t", &truth);
    fields_word(&fields, "w", words_find_purpose, &word);
    assert_false(truth);
    assert_int_equal(word, PURPOSE_REFRESH);
    close_text(NULL, NULL);
    open_text("{'t':0}");
    fields_bool(&fields, "t", &truth);
    close_text("t", "true or false");
    open_text("{'w':'Refresh'}");
    fields_word(&fields, "w", words_find_purpose, &word);
    close_text("w", "known words");
    assert_int_equal(word, PURPOSE_REFRESH);
}

static void test_url(void **state)
{
    static const char *const good[] = {"http://a", "https://ci.example.org/job/1?x=y&z=%20#frag",
                                       "https://[::1]:8443/"};
    static const char *const bad[] = {"javascript:alert(1)",
                                      "ftp://a",
                                      "//a",
                                      "http:a",
                                      "",
                                      "https://a b",
                                      "https://a<b",
                                      "https://a\x7f",
                                      "https://\xc3\xa9",
                                      "https://a{b}",
                                      "data:text/html",
                                      " https://a",
                                      "https://a\\\\b",
                                      "https://a\\n",
                                      "https://a`"};

    (void)state;
    for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
        bool is_good = i < COUNT(good);
        char text[100];
        char *url = NULL;

        snprintf(text, sizeof text, "{'u':'%s'}", is_good ? good[i] : bad[i - COUNT(good)]);
        open_text(text);
        fields_url(&fields, "u", &url);
        if (is_good)
            assert_string_equal(url, good[i]);
        close_text(is_good ? NULL : "u", "");
        free(url);
    }
}

static void check_units(const char *text, const char *fault)
{
    struct manifest *units = NULL;

    open_text(text);
    fields_units(&fields, "units", &units);
    assert_int_equal(units == NULL, fault != NULL);
    close_text(fault ? "units" : NULL, fault);
    manifest_unref(units);
}

static void test_units(void **state)
{
    struct buf text = {0};

    (void)state;
    check_units("{'units':{}}", NULL);
    check_units("{'units':{'b':'1','a':'2'}}", NULL);
    check_units("{'units':[]}", "object");
    check_units("{'units':'a'}", "object");
    check_units("{'units':{'':'1'}}", "name is empty");
    check_units("{'units':{'a':''}}", "\"a\"");
    check_units("{'units':{'a':1}}", "\"a\"");
    check_units("{'units':{'b':'x','a':null}}", "\"a\"");
    for (int extra = 0; extra < 2; extra++) {
        buf_clear(&text);
        buf_puts(&text, "{'units':{'u':'f'");
        for (int i = 1; i < FIELD_UNITS_MAX + extra; i++)
            buf_printf(&text, ",'u%d':'f'", i);
        buf_puts(&text, "}}");
        check_units(text.data, extra ? "2000 units" : NULL);
        buf_clear(&text);
        buf_printf(&text, "{'units':{'%0*d':'x'}}", FIELD_NAME_MAX + extra, 1);
        check_units(text.data, extra ? "too long" : NULL);
        buf_clear(&text);
        buf_printf(&text, "{'units':{'x':'%0*d'}}", FIELD_NAME_MAX + extra, 1);
        check_units(text.data, extra ? "fingerprint" : NULL);
    }
    buf_free(&text);
}

static void check_lease_id(const char *text, bool is_given, const char *expected)
{
    uint8_t lease_id[4] = {0};
    bool given = false;

    open_text(text);
    fields_lease_id(&fields, "leaseId", &given, lease_id, sizeof lease_id);
    assert_int_equal(given, is_given);
    assert_memory_equal(lease_id, expected, 4);
    close_text(NULL, NULL);
}

static void test_lease_id(void **state)
{
    static const char *const nobodys[] = {"",         "00ff10a",  "00ff10ab00", "00ff10ag",
                                          "xxxxxxxx", " 0ff10ab", "0x0ff10a",   "00ff-1ab"};

    (void)state;
    check_lease_id("{'leaseId':'00ff10ab'}", true, "\x00\xff\x10\xab");
    check_lease_id("{'leaseId':'00FF10aB'}", true, "\x00\xff\x10\xab");
    check_lease_id("{}", false, "\0\0\0\0");
    check_lease_id("{'leaseId':null}", false, "\0\0\0\0");
    for (size_t i = 0; i < COUNT(nobodys); i++) {
        char text[60];
        snprintf(text, sizeof text, "{'leaseId':'%s'}", nobodys[i]);
        check_lease_id(text, true, "\0\0\0\0");
    }
}

static void test_objects(void **state)
{
    struct fields members;
    char *text = NULL;

    (void)state;
    open_text("{'job':{'name':5}}");
    assert_false(fields_object(&fields, "none", &members));
    assert_true(fields_object(&fields, "job", &members));
    fields_text(&members, "name", 10, &text);
    fields_adopt(&fields, &members);
    close_text("job.name", "string");
    open_text("{'job':'x'}");
    assert_false(fields_object(&fields, "job", &members));
    close_text("job", "object");
}

static void test_required(void **state)
{
    struct response response = {0};

    (void)state;
    open_text("{'a':null,'b':false}");
    fields_require(&fields, "b");
    assert_true(fields_are_good(&fields));
    fields_require(&fields, "a");
    assert_true(fields.missing);
    fields_reply(&fields, &response);
    assert_non_null(strstr(response.headers.data, "400"));
    assert_non_null(strstr(response.body.data, "\"missingField\""));
    assert_non_null(strstr(response.body.data, "\"field\":\"a\""));
    response_free(&response);
    close_text("a", "required");
}

UNIT_MAIN(cmocka_unit_test(test_text), cmocka_unit_test(test_unknown),
          cmocka_unit_test(test_integer), cmocka_unit_test(test_bool_and_word),
          cmocka_unit_test(test_url), cmocka_unit_test(test_units), cmocka_unit_test(test_lease_id),
          cmocka_unit_test(test_objects), cmocka_unit_test(test_required))
