/* times: conversions of instants. No state; any thread. */
#include "times.h"

#include <stdio.h>
#include <string.h>
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

/* `count` digits; -1: something else stands there. */
static int read_digits(const char **text, int count)
{
    int number = 0;

    for (; count > 0; count--, ++*text) {
        if (**text < '0' || **text > '9')
            return -1;
        number = number * 10 + (**text - '0');
    }
    return number;
}

/* "2026-01-02T03:04:05"; a day that doesn't exist is refused. */
static bool read_seconds(const char **text, struct tm *parts)
{
    static const char separators[] = "--T::";
    int *const fields[] = {&parts->tm_year, &parts->tm_mon, &parts->tm_mday,
                           &parts->tm_hour, &parts->tm_min, &parts->tm_sec};
    struct tm given;
    time_t seconds;

    for (size_t i = 0; i < 6; i++) {
        *fields[i] = read_digits(text, i == 0 ? 4 : 2);
        if (*fields[i] < 0 || (i < 5 && *(*text)++ != separators[i]))
            return false;
    }
    parts->tm_year -= 1900;
    parts->tm_mon -= 1;
    given = *parts;
    seconds = timegm(parts);
    gmtime_r(&seconds, parts);
    return given.tm_mon == parts->tm_mon && given.tm_mday == parts->tm_mday &&
           given.tm_hour == parts->tm_hour && given.tm_min == parts->tm_min &&
           given.tm_sec == parts->tm_sec;
}

bool times_parse(const char *text, int64_t *time_us)
{
    struct tm parts = {0};
    int64_t fraction_us = 0;
    int64_t scale = TIMES_SECOND;

    if (!read_seconds(&text, &parts))
        return false;
    if (*text == '.') {
        if (text[1] < '0' || text[1] > '9')
            return false;
        for (text++; *text >= '0' && *text <= '9'; text++) {
            scale /= 10; /* below a microsecond: nothing */
            fraction_us += (*text - '0') * scale;
        }
    }
    if (strcmp(text, "Z") != 0)
        return false;
    *time_us = (int64_t)timegm(&parts) * TIMES_SECOND + fraction_us;
    return true;
}

int64_t times_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * TIMES_SECOND + now.tv_nsec / 1000;
}

int64_t times_monotonic_ms(void)
{
    return times_monotonic_us() / 1000;
}
