/* capacity: waits that can be worked out by hand. */
#include "unit.h"

#include "base/times.h"
#include "read/capacity.h"

/* Releases of clang-format put these braces in different places. */
/* clang-format off */
#define JOB(asked_s, hold_s) {.asked_at = TIMES_SECOND * (asked_s), .hold_us = TIMES_SECOND * (hold_s)}
#define LEFT(asked_s, patience_s) \
    {.asked_at = TIMES_SECOND * (asked_s), .hold_us = -1, .patience_us = TIMES_SECOND * (patience_s)}
/* clang-format on */

static struct capacity_row replay(const struct capacity_job *jobs, size_t count, uint32_t stacks)
{
    struct capacity_load load;
    struct capacity_row row;

    capacity_measure(jobs, count, &load);
    capacity_replay(jobs, count, &load, stacks, &row);
    return row;
}

static uint32_t recommend(const struct capacity_job *jobs, size_t count, double p95_wait_s)
{
    struct capacity_load load;

    capacity_measure(jobs, count, &load);
    return capacity_recommend(jobs, count, &load, p95_wait_s, 1000);
}

static void test_load(void **state)
{
    static const struct capacity_job jobs[] = {JOB(0, 60), JOB(3599, 120), JOB(3600, 180),
                                               JOB(7198, 0), LEFT(90000, 5)};
    struct capacity_load load;

    (void)state;
    capacity_measure(jobs, COUNT(jobs), &load);
    assert_int_equal(load.busiest_hour_jobs, 3); /* 3599 to 7198; 0 and 3600 are an hour apart */
    assert_int_equal(load.busiest_hour_at, 3599 * TIMES_SECOND);
    assert_float_equal(load.mean_hold_s, 90, 1e-4); /* of those that had a stack */
    assert_float_equal(load.offered_load, 3.0 / 3600 * 90, 1e-4);
    capacity_measure(jobs, 0, &load);
    assert_int_equal(load.busiest_hour_jobs, 0);
    assert_float_equal(load.mean_hold_s, 0, 1e-6);
}

static void test_waits(void **state)
{
    static const struct capacity_job jobs[] = {JOB(0, 60), JOB(0, 60), JOB(10, 60), JOB(100, 20)};
    struct capacity_row row = replay(jobs, COUNT(jobs), 1);

    (void)state;
    assert_int_equal(row.stacks, 1);
    assert_float_equal(row.mean_wait_s, (0 + 60 + 110 + 80) / 4.0, 1e-4);
    assert_float_equal(row.p95_wait_s, 110, 1e-4);
    assert_float_equal(row.utilisation, 200.0 / 100, 1e-4); /* over the time in which they asked */
    row = replay(jobs, COUNT(jobs), 2);
    assert_float_equal(row.mean_wait_s, 50 / 4.0, 1e-4);
    assert_float_equal(row.p95_wait_s, 50, 1e-4);
    row = replay(jobs, COUNT(jobs), 3);
    assert_float_equal(row.p95_wait_s, 0, 1e-6);
    row = replay(jobs, 0, 3);
    assert_float_equal(row.mean_wait_s, 0, 1e-6);
}

static void test_who_left(void **state)
{
    /* The third never got a stack: after 30 s it left. It would have kept one for 60 s. */
    static const struct capacity_job jobs[] = {JOB(0, 60), JOB(0, 60), LEFT(0, 30), JOB(1, 60)};
    struct capacity_row row = replay(jobs, COUNT(jobs), 1);

    (void)state;
    assert_float_equal(row.mean_wait_s, (0 + 60 + 30 + 119) / 4.0, 1e-4); /* it leaves again */
    row = replay(jobs, COUNT(jobs), 3);
    assert_float_equal(row.mean_wait_s, 59 / 4.0, 1e-4); /* it stays, and the last one waits */
}

static void test_fewest(void **state)
{
    static const struct capacity_job jobs[] = {JOB(0, 60), JOB(0, 60), JOB(0, 60), JOB(0, 60)};

    (void)state;
    assert_int_equal(recommend(jobs, COUNT(jobs), 0), 4);
    assert_int_equal(recommend(jobs, COUNT(jobs), 59), 4);
    assert_int_equal(recommend(jobs, COUNT(jobs), 60), 2);
    assert_int_equal(recommend(jobs, COUNT(jobs), 179), 2);
    assert_int_equal(recommend(jobs, COUNT(jobs), 180), 1);
}

static uint32_t dice;

static uint32_t below(uint32_t bound)
{
    dice = dice * 1664525 + 1013904223;
    return (dice >> 8) % bound;
}

/* One stack more may let those stay who would have left, so that others wait longer: the fewest
 * that are enough may lie below others that aren't. */
static void test_fewest_where_jobs_leave(void **state)
{
    (void)state;
    for (dice = 0; dice < 20000;) {
        struct capacity_job jobs[24];
        uint32_t seed = dice;
        uint32_t fewest = 1;
        int64_t asked_at = 0;

        for (size_t i = 0; i < COUNT(jobs); i++) {
            asked_at += below(20);
            if (below(3) == 0)
                jobs[i] = (struct capacity_job)LEFT(asked_at, 1 + below(30));
            else
                jobs[i] = (struct capacity_job)JOB(asked_at, 1 + below(120));
        }
        while (replay(jobs, COUNT(jobs), fewest).p95_wait_s > 20)
            fewest++;
        assert_int_equal(recommend(jobs, COUNT(jobs), 20), fewest);
        dice = seed + 1;
    }
}

static void test_never_enough(void **state)
{
    struct capacity_job jobs[1200];
    struct capacity_load load;

    (void)state;
    for (size_t i = 0; i < COUNT(jobs); i++)
        jobs[i] = (struct capacity_job)JOB(0, 60);
    capacity_measure(jobs, COUNT(jobs), &load);
    assert_int_equal(capacity_recommend(jobs, COUNT(jobs), &load, 0, 1139), 0);
    assert_int_equal(capacity_recommend(jobs, COUNT(jobs), &load, 0, 1140), 1140);
}

UNIT_MAIN(cmocka_unit_test(test_load), cmocka_unit_test(test_waits),
          cmocka_unit_test(test_who_left), cmocka_unit_test(test_fewest),
          cmocka_unit_test(test_fewest_where_jobs_leave), cmocka_unit_test(test_never_enough))
