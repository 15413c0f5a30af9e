/* content: what marks and ends of leases leave a stack with, case by case. */
#include "unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "rules/content.h"

#include <string.h>

/* Of "a=1 b= c=2"; a unit without a fingerprint is unknown. NULL gives NULL. */
static struct manifest *parse(const char *text)
{
    char *copy = mem_strdup(text);
    struct unit units[8];
    size_t count = 0;
    struct manifest *manifest;
    char *rest = NULL;

    if (!text)
        return NULL;
    for (char *name = strtok_r(copy, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(name, '=');
        *value = '\0';
        units[count++] = (struct unit){name, value + 1};
    }
    manifest = manifest_new(units, count);
    free(copy);
    return manifest;
}

static void assert_content(struct manifest *content, const char *expected)
{
    struct buf text = {0};

    for (size_t i = 0; i < content->count; i++)
        buf_printf(&text, "%s%s=%s", i ? " " : "", content->units[i].name,
                   content->units[i].fingerprint);
    assert_string_equal(text.len ? text.data : "", expected);
    buf_free(&text);
    manifest_unref(content);
}

static void check_mark(const char *runs, const char *marks, const char *removed, const char *after)
{
    struct manifest *list[] = {parse(runs), parse(marks), parse(removed)};

    assert_content(content_mark(list[0], list[1], list[2]), after);
    for (size_t i = 0; i < COUNT(list); i++)
        manifest_unref(list[i]);
}

static void check_forget(const char *runs, const char *needs, const char *granted, bool distrust,
                         const char *after)
{
    struct manifest *list[] = {parse(runs), parse(needs), parse(granted)};

    assert_content(content_forget(list[0], list[1], list[2], distrust), after);
    for (size_t i = 0; i < COUNT(list); i++)
        manifest_unref(list[i]);
}

static void test_marks(void **state)
{
    (void)state;
    check_mark("a=1 b=1", "b=2", NULL, "a=1 b=2");
    check_mark("a=1 b=1", "b=", NULL, "a=1 b=");
    check_mark("a=1 b=1", "c=1", "a=", "b=1 c=1");
    check_mark("a=1", NULL, "b=", "a=1"); /* gone already */
    check_mark(NULL, "a=1", NULL, "a=1");
    check_mark("a=1", NULL, "a=", "");
}

static void test_marks_again(void **state)
{
    (void)state;
    check_mark("a=2 c=1", "a=2", "b=", "a=2 c=1");
}

static void test_a_lease_that_marked_nothing(void **state)
{
    (void)state;
    check_forget("a=1 b=1 c=1", "a=1 b=2 c=1", "a=1 b=1 c=1", false, "a=1 b= c=1");
    check_forget("a=1 old=1", "a=1 new=1", "a=1 old=1", false, "a=1 new= old=");
    check_forget("a=1", "a=1", "a=1", false, "a=1"); /* it had nothing to deploy */
    check_forget(NULL, "a=1 b=1", NULL, false, "a= b=");
}

static void test_a_lease_that_marked_some(void **state)
{
    (void)state;
    check_forget("a=2 b=1", "a=2 b=2", "a=1 b=1", false, "a=2 b=");
    check_forget("a= b=1", "a=2 b=1", "a=1 b=1", false, "a= b=1");
    check_forget("a=1", "a=1", "a=1 old=1", false, "a=1"); /* removed, and marked so */
    check_forget("a=1", "a=1 b=1", NULL, false, "a=1 b=");
}

static void test_marks_that_are_not_trusted(void **state)
{
    (void)state;
    check_forget("a=2 b=1", "a=2 b=1", "a=1 b=1 old=1", true, "a= b=1 old=");
}

static void test_unknown_units_count_as_changed(void **state)
{
    struct manifest *needs = parse("a=1 b=1");
    struct manifest *runs = parse("a=1 b= c=");

    (void)state;
    assert_int_equal(manifest_distance(needs, runs), 2);
    manifest_unref(needs);
    manifest_unref(runs);
}

UNIT_MAIN(cmocka_unit_test(test_marks), cmocka_unit_test(test_marks_again),
          cmocka_unit_test(test_a_lease_that_marked_nothing),
          cmocka_unit_test(test_a_lease_that_marked_some),
          cmocka_unit_test(test_marks_that_are_not_trusted),
          cmocka_unit_test(test_unknown_units_count_as_changed))
