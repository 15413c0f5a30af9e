/* times: any text as an instant, and any instant as text. */
#include "fuzz.h"

#include "base/times.h"

#include <stdbool.h>

#define YEAR_0     INT64_C(-62167219200)
#define YEAR_10000 INT64_C(253402300800)

static void check_text(const char *text)
{
    char iso[TIMES_TEXT_SIZE];
    int64_t time_us = 0;
    int64_t again_us = 0;

    if (!times_parse(text, &time_us))
        return;
    check(time_us >= YEAR_0 * TIMES_SECOND && time_us < YEAR_10000 * TIMES_SECOND);
    times_iso(time_us, iso);
    check(strncmp(iso, text, strlen("2026-01-02T03:04:05")) == 0);
    check(times_parse(iso, &again_us));
    check(again_us <= time_us && time_us - again_us < 1000);
}

static void check_instant(int64_t time_us)
{
    char iso[TIMES_TEXT_SIZE];
    char sql[TIMES_TEXT_SIZE];
    int64_t again_us = 0;
    bool has_four_digits = time_us >= YEAR_0 * TIMES_SECOND && time_us < YEAR_10000 * TIMES_SECOND;

    times_iso(time_us, iso);
    times_sql(time_us, sql);
    check(strlen(iso) < sizeof iso && strlen(sql) < sizeof sql);
    if (has_four_digits && time_us >= 0) {
        check(times_parse(iso, &again_us));
        check(again_us <= time_us && time_us - again_us < 1000);
        check(strncmp(iso, sql, 10) == 0 && strncmp(iso + 11, sql + 11, 12) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    int64_t time_us = 0;

    memcpy(&time_us, data, size < sizeof time_us ? size : sizeof time_us);
    check_instant(time_us);
    check_text(text);
    free(text);
    return 0;
}
