/* database_clock: how far another clock is from ours, by what it says. Ours starts at 1 s, the
 * other is 100 s ahead. */
#include "unit.h"

#include "database/database_clock.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)
#define AHEAD  (100 * SECOND)

/* It is asked at that time, and says what it says `there` later; the answer comes `back` later. */
static int64_t read_clock(struct database_clock *clock, int64_t asked, int64_t there, int64_t back)
{
    const struct database_time time = {
        .said = asked + there + AHEAD, .asked = asked, .answered = asked + there + back};

    database_clock_take(clock, &time);
    return time.answered;
}

static void check_error(const struct database_clock *clock, int64_t here, int64_t most)
{
    int64_t error = database_clock_at(clock, here) - here - AHEAD;

    assert_true(error <= most);
    assert_true(error >= -most);
    assert_int_equal(database_clock_here(clock, database_clock_at(clock, here)), here);
}

static void test_unread(void **state)
{
    struct database_clock clock = {0};
    const struct database_time none = {.asked = SECOND, .answered = 2 * SECOND};

    (void)state;
    assert_false(database_clock_is_close(&clock, SECOND));
    database_clock_take(&clock, &none);
    assert_false(database_clock_is_close(&clock, SECOND));
}

static void test_near(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND, 2 * MS, 1 * MS);

    (void)state;
    assert_true(database_clock_is_close(&clock, here));
    check_error(&clock, here, 2 * MS);
}

static void test_far(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND, 6 * MS, 6 * MS);

    (void)state;
    assert_false(database_clock_is_close(&clock, here));
    check_error(&clock, here, 6 * MS);
}

/* The database says it in time, but we hear of it late. */
static void test_late_answer(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND, 1 * MS, 1 * MS);
    int64_t before = database_clock_at(&clock, 0);

    (void)state;
    here = read_clock(&clock, here + SECOND, 0, 400 * MS);
    assert_true(database_clock_is_close(&clock, here));
    assert_int_equal(database_clock_at(&clock, 0), before);
    read_clock(&clock, here + SECOND, 400 * MS, 0);
    assert_int_equal(database_clock_at(&clock, 0), before);
}

/* Two that are each too wide bound it together. */
static void test_together(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND, 50 * MS, 0);

    (void)state;
    assert_false(database_clock_is_close(&clock, here));
    here = read_clock(&clock, here, 0, 50 * MS);
    assert_true(database_clock_is_close(&clock, here));
    check_error(&clock, here, 1 * MS);
}

static void test_ages(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND, 1 * MS, 1 * MS);

    (void)state;
    assert_true(database_clock_is_close(&clock, here + 3 * SECOND));
    assert_false(database_clock_is_close(&clock, here + 5 * SECOND));
}

static void test_set(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND - 3600 * SECOND, 1 * MS, 1 * MS);
    struct database_time time = {.said = here + AHEAD - 3600 * SECOND};

    (void)state;
    time.asked = here - MS;
    time.answered = here + MS;
    database_clock_take(&clock, &time);
    assert_int_equal(database_clock_at(&clock, here), time.said);
    assert_true(database_clock_is_close(&clock, here));
}

static void test_other_server(void **state)
{
    struct database_clock clock = {0};
    int64_t here = read_clock(&clock, SECOND, 1 * MS, 1 * MS);

    (void)state;
    database_clock_forget(&clock);
    assert_false(database_clock_is_close(&clock, here));
    here = read_clock(&clock, here, 20 * MS, 20 * MS);
    assert_false(database_clock_is_close(&clock, here));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unread),   cmocka_unit_test(test_near),
        cmocka_unit_test(test_far),      cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_together), cmocka_unit_test(test_ages),
        cmocka_unit_test(test_set),      cmocka_unit_test(test_other_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
