/* times: conversions of instants. No state; any thread. */
#include "times.h"

#include <stdio.h>
#include <time.h>

static int64_t split(int64_t time_us, struct tm *parts)
{
    int64_t rest_us = time_us % TIMES_SECOND;
    time_t seconds;

    if (rest_us < 0)
        rest_us += TIMES_SECOND;
    seconds = (time_t)((time_us - rest_us) / TIMES_SECOND);
    if (!gmtime_r(&seconds, parts))
        *parts = (struct tm){.tm_year = 70, .tm_mday = 1};
    return rest_us;
}

void times_iso(int64_t time_us, char text[TIMES_TEXT_SIZE])
{
    struct tm parts;
    int64_t rest_us = split(time_us, &parts);
    size_t len = strftime(text, TIMES_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, TIMES_TEXT_SIZE - len, ".%03dZ", (int)(rest_us / 1000));
}

void times_sql(int64_t time_us, char text[TIMES_TEXT_SIZE])
{
    struct tm parts;
    int64_t rest_us = split(time_us, &parts);
    size_t len = strftime(text, TIMES_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &parts);
    snprintf(text + len, TIMES_TEXT_SIZE - len, ".%06d", (int)rest_us);
}

bool times_parse(const char *text, int64_t *time_us)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    int64_t fraction_us = 0;
    int64_t scale = TIMES_SECOND;

    if (!rest)
        return false;
    if (*rest == '.') {
        for (rest++; *rest >= '0' && *rest <= '9' && scale > 1; rest++) {
            scale /= 10;
            fraction_us += (*rest - '0') * scale;
        }
    }
    if (rest[0] != 'Z' || rest[1] != '\0')
        return false;
    *time_us = (int64_t)timegm(&parts) * TIMES_SECOND + fraction_us;
    return true;
}

int64_t times_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
