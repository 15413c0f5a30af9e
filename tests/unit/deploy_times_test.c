/* deploy_times: what units count for in choices. */
#include "unit.h"

#include "rules/deploy_times.h"

static void test_a_weight_follows_its_mean_in_steps(void **state)
{
    struct deploy_times times = {0};
    uint64_t before;

    (void)state;
    assert_int_equal(deploy_times_weight(&times, "a"), 1000);
    deploy_times_note(&times, "a", 8000, 1);
    assert_int_equal(deploy_times_weight(&times, "a"), 8000);
    before = times.edition;
    for (int i = 0; i < 4; i++)
        deploy_times_note(&times, "a", 9500, 2);
    assert_int_equal(deploy_times_weight(&times, "a"), 8000);
    assert_true(times.edition == before);
    deploy_times_note(&times, "a", 40000, 3);
    assert_true(deploy_times_weight(&times, "a") > 12000);
    assert_true(times.edition != before);
    deploy_times_free(&times);
}

static void test_what_was_never_measured_is_like_the_others(void **state)
{
    struct deploy_times times = {0};
    struct unit units[] = {{"a", "1"}, {"b", "1"}, {"c", "1"}};
    struct manifest *needs = manifest_new(units, 3);
    struct deploy_sum sum;

    (void)state;
    assert_int_equal(deploy_times_distance(&times, needs, NULL), 3000);
    deploy_times_note(&times, "a", 2000, 1);
    deploy_times_note(&times, "b", 4000, 1);
    sum = deploy_times_sum(&times, needs, NULL);
    assert_int_equal(sum.units, 3);
    assert_int_equal(sum.weight_ms, 9000);
    assert_int_equal(sum.mean_ms, 9000);
    manifest_unref(needs);
    deploy_times_free(&times);
}

static void test_a_unit_that_takes_no_time_still_counts(void **state)
{
    struct deploy_times times = {0};

    (void)state;
    deploy_times_note(&times, "a", 0, 1);
    assert_int_equal(deploy_times_weight(&times, "a"), 1);
    assert_int_equal(deploy_times_weight(&times, "b"), 1);
    deploy_times_free(&times);
}

/* Names that change with every deploy take no more room than that. */
static void test_the_one_measured_longest_ago_makes_room(void **state)
{
    struct deploy_times times = {0};
    size_t forgotten = 0;
    char name[20];

    (void)state;
    for (int i = 0; i < DEPLOY_TIMES_MAX; i++) {
        snprintf(name, sizeof name, "u%d", i);
        deploy_times_note(&times, name, 5000, i);
    }
    deploy_times_note(&times, "u0", 5000, DEPLOY_TIMES_MAX);
    deploy_times_settle(&times);
    deploy_times_note(&times, "new", 7000, DEPLOY_TIMES_MAX + 1);
    deploy_times_note(&times, "newer", 7000, DEPLOY_TIMES_MAX + 2);
    for (const struct deploy_time *at = times.forgotten; at; at = at->next_changed)
        forgotten++;
    assert_int_equal(forgotten, 2);
    assert_int_equal(times.by_unit.count, DEPLOY_TIMES_MAX);
    assert_non_null(map_get_named(&times.by_unit, "u0"));
    assert_null(map_get_named(&times.by_unit, "u1"));
    assert_null(map_get_named(&times.by_unit, "u2"));
    deploy_times_free(&times);
}

UNIT_MAIN(cmocka_unit_test(test_a_weight_follows_its_mean_in_steps),
          cmocka_unit_test(test_what_was_never_measured_is_like_the_others),
          cmocka_unit_test(test_a_unit_that_takes_no_time_still_counts),
          cmocka_unit_test(test_the_one_measured_longest_ago_makes_room))
