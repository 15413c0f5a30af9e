/* api_query: the filters of a query. */
#include "unit.h"

#include "api/api_query.h"
#include "base/text.h"
#include "base/times.h"
#include "rules/words.h"

#include <string.h>

static struct reader_filter filter;

static void good(const char *query)
{
    struct fields fields = {.inside = ""};

    if (!api_query_filter(query, &filter, &fields))
        fail_msg("refused: %s", query);
}

static void bad(const char *query, const char *field)
{
    struct fields fields = {.inside = ""};

    if (api_query_filter(query, &filter, &fields))
        fail_msg("accepted: %s", query);
    assert_string_equal(fields.field, field);
    assert_true(text_is_utf8(fields.field, strlen(fields.field)));
    reader_filter_free(&filter);
}

static void test_filters(void **state)
{
    (void)state;
    good("");
    assert_int_equal(filter.limit, READER_LIMIT_MAX);
    assert_int_equal(filter.before, 0);
    assert_int_equal(filter.state, -1);
    assert_null(filter.branch);
    reader_filter_free(&filter);
    good("limit=7&before=900000000000000000&state=timedOut&stackName=test-1&branch=a%2Fb+c%C3%A9"
         "&since=2026-01-02T03:04:05Z&until=1970-01-01T00:00:01.5Z");
    assert_int_equal(filter.limit, 7);
    assert_int_equal(filter.before, INT64_C(900000000000000000));
    assert_int_equal(filter.state, LEASE_TIMED_OUT);
    assert_string_equal(filter.stack_name, "test-1");
    assert_string_equal(filter.branch, "a/b c\xc3\xa9");
    assert_int_equal(filter.since, INT64_C(1767323045000000));
    assert_int_equal(filter.until, 3 * TIMES_SECOND / 2);
    reader_filter_free(&filter);
}

static void test_odd_but_harmless(void **state)
{
    (void)state;
    good("&&limit&x&limit=99&branch=");
    assert_int_equal(filter.limit, 99);
    assert_string_equal(filter.branch, "");
    reader_filter_free(&filter);
}

static void test_faults(void **state)
{
    static const char *const limits[] = {
        "", "0", "251", "-1", "+5", "5x", " 5", "1e3", "99999999999999999999", "%35%00"};
    static const char *const texts[] = {"%",     "%4",  "%4g",    "%00",
                                        "a%00b", "%ff", "%C0%80", "%ED%A0%80"};
    char query[400];

    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        snprintf(query, sizeof query, "limit=%s", limits[i]);
        bad(query, "limit");
    }
    for (size_t i = 0; i < COUNT(texts); i++) {
        snprintf(query, sizeof query, "branch=%s", texts[i]);
        bad(query, "branch");
        snprintf(query, sizeof query, "limit=1&stackName=%s", texts[i]);
        bad(query, "stackName");
    }
    snprintf(query, sizeof query, "branch=%0*d", FIELD_NAME_MAX + 1, 1);
    bad(query, "branch");
    bad("state=waiting", "state"); /* those are no history yet */
    bad("state=active", "state");
    bad("state=", "state");
    bad("since=yesterday", "since");
    bad("until=2026-01-02", "until");
    bad("before=0", "before");
    bad("brnach=x&limit=7", "brnach");
    bad("Limit=7", "Limit");
    bad("\xff=1", "query");
    bad("=", "query");
    snprintf(query, sizeof query, "%0*d=1", 100, 1);
    bad(query, "query");
}

static void test_views(void **state)
{
    static const char *const faults[] = {"limit=0",       "limit=1001",     "state=deleted",
                                         "state=",        "fields=",        "fields=stacks,",
                                         "fields=stakcs", "find=%ff",       "stackName=%00",
                                         "stacksAfter=%", "before=1&find=x"};
    struct reader_view view;

    (void)state;
    assert_true(api_query_view("", &view, &(struct fields){.inside = ""}));
    assert_memory_equal(&view, &(struct reader_view){0}, sizeof view);
    assert_true(api_query_view("limit=1000&stacksAfter=test-1&stackName=a%2Bb&state=aside&find=A+b"
                               "&fields=counts,last24Hours",
                               &view, &(struct fields){.inside = ""}));
    assert_int_equal(view.limit, 1000);
    assert_string_equal(view.stacks_after, "test-1");
    assert_string_equal(view.stack_name, "a+b");
    assert_string_equal(view.state, "aside");
    assert_string_equal(view.find, "A b");
    assert_int_equal(view.parts, READER_COUNTS | READER_FIGURES);
    reader_view_free(&view);
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct fields fields = {.inside = ""};

        assert_false(api_query_view(faults[i], &view, &fields));
        assert_int_equal(strncmp(fields.field, faults[i], strcspn(faults[i], "=")), 0);
        reader_view_free(&view);
    }
}

UNIT_MAIN(cmocka_unit_test(test_filters), cmocka_unit_test(test_odd_but_harmless),
          cmocka_unit_test(test_faults), cmocka_unit_test(test_views))
