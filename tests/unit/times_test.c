/* times: known instants, there and back, and what is no instant. */
#include "unit.h"

#include "base/times.h"

#include <string.h>

static void check_iso(int64_t time_us, const char *expected)
{
    char text[TIMES_TEXT_SIZE];

    times_iso(time_us, text);
    assert_string_equal(text, expected);
}

static void check_sql(int64_t time_us, const char *expected)
{
    char text[TIMES_TEXT_SIZE];

    times_sql(time_us, text);
    assert_string_equal(text, expected);
}

static void test_iso(void **state)
{
    (void)state;
    check_iso(0, "1970-01-01T00:00:00.000Z");
    check_iso(INT64_C(1767323045678901), "2026-01-02T03:04:05.678Z");
    check_iso(INT64_C(1767323045999999), "2026-01-02T03:04:05.999Z"); /* cut, never rounded up */
    check_iso(-1, "1969-12-31T23:59:59.999Z");
    check_iso(-TIMES_SECOND, "1969-12-31T23:59:59.000Z");
    check_iso(INT64_C(1709164800000000), "2024-02-29T00:00:00.000Z");
    check_iso(INT64_C(253402300799999999), "9999-12-31T23:59:59.999Z");
    check_iso(TIMES_NEVER, "294247-01-10T04:00:54.775Z");
    check_iso(INT64_C(-62167219200000000), "0000-01-01T00:00:00.000Z");
    check_iso(INT64_C(-60568560000000000), "0050-08-29T00:00:00.000Z"); /* four digits, always */
}

static void test_sql(void **state)
{
    (void)state;
    check_sql(0, "1970-01-01 00:00:00.000000");
    check_sql(INT64_C(1767323045678901), "2026-01-02 03:04:05.678901");
    check_sql(-1, "1969-12-31 23:59:59.999999");
    check_sql(INT64_C(-60568560000000000), "0050-08-29 00:00:00.000000");
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int64_t time_us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05Z", INT64_C(1767323045000000)},
        {"2026-01-02T03:04:05.6Z", INT64_C(1767323045600000)},
        {"2026-01-02T03:04:05.678Z", INT64_C(1767323045678000)},
        {"2026-01-02T03:04:05.678901Z", INT64_C(1767323045678901)},
        {"2026-01-02T03:04:05.678901234Z", INT64_C(1767323045678901)},
        {"2026-01-02T03:04:05.000001Z", INT64_C(1767323045000001)},
        {"2024-02-29T23:59:59Z", INT64_C(1709251199000000)},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t time_us = 42;
        if (!times_parse(good[i].text, &time_us))
            fail_msg("refused: %s", good[i].text);
        assert_int_equal(time_us, good[i].time_us);
    }
}

static void test_no_instant(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:0Z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05+01:00",
        "2026-01-02T03:04:05ZZ",
        "2026-01-02T03:04:05Z ",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:05.6x",
        "2026-01-02T03:04:05,6Z",
        "-026-01-02T03:04:05Z",
        "2026-1-2T3:4:5Z",
        " 2026-01-02T03:04:05Z",
        "2026-01- 2T03:04:05Z",
        "2026-02-31T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-01-02T03:04:05.Z",
        "12026-01-02T03:04:05Z",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t time_us = 42;
        if (times_parse(bad[i], &time_us))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(time_us, 42);
    }
}

static void test_there_and_back(void **state)
{
    struct chance chance = chance_new(10);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[TIMES_TEXT_SIZE];
        int64_t time_us = (int64_t)(chance_bits(&chance) % INT64_C(253402300800000000));
        int64_t back;

        time_us -= time_us % 1000;
        times_iso(time_us, text);
        assert_true(times_parse(text, &back));
        assert_int_equal(back, time_us);
    }
}

static void test_monotonic(void **state)
{
    int64_t first = times_monotonic_ms();

    (void)state;
    assert_true(first > 0);
    assert_true(times_monotonic_ms() >= first);
}

UNIT_MAIN(cmocka_unit_test(test_iso), cmocka_unit_test(test_sql), cmocka_unit_test(test_parse),
          cmocka_unit_test(test_no_instant), cmocka_unit_test(test_there_and_back),
          cmocka_unit_test(test_monotonic))
