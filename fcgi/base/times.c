/* times: conversions of instants. No state; any thread. */
#include "base/times.h"

#include <string.h>
#include <time.h>

struct parts {
    int64_t year;
    unsigned month, day, hour, minute, second, microsecond;
};

/* The proleptic Gregorian calendar, by eras of 400 years that begin on 1 March. gmtime_r() would
 * take a lock, and a request writes ten instants. */
static struct parts split(int64_t time_us)
{
    int64_t rest_us = time_us % TIMES_SECOND;
    int64_t second = time_us / TIMES_SECOND - (rest_us < 0);
    int64_t day = second / 86400 - (second % 86400 < 0);
    unsigned of_day = (unsigned)(second - day * 86400);
    int64_t shifted = day + 719468; /* since 0000-03-01 */
    int64_t era = shifted / 146097 - (shifted % 146097 < 0);
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153; /* from March */

    return (struct parts){
        .year = (int64_t)year + era * 400 + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = of_year - (153 * month + 2) / 5 + 1,
        .hour = of_day / 3600,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
        .microsecond = (unsigned)(rest_us < 0 ? rest_us + TIMES_SECOND : rest_us),
    };
}

static char *put_digits(char *text, unsigned number, int count)
{
    for (int i = count; i-- > 0; number /= 10)
        text[i] = (char)('0' + number % 10);
    return text + count;
}

/* "2026-01-02T03:04:05." */
static char *put_seconds(char *text, const struct parts *parts, char between)
{
    text = put_digits(text, (unsigned)parts->year, parts->year > 9999 ? 6 : 4);
    *text++ = '-';
    text = put_digits(text, parts->month, 2);
    *text++ = '-';
    text = put_digits(text, parts->day, 2);
    *text++ = between;
    text = put_digits(text, parts->hour, 2);
    *text++ = ':';
    text = put_digits(text, parts->minute, 2);
    *text++ = ':';
    text = put_digits(text, parts->second, 2);
    *text++ = '.';
    return text;
}

void times_iso(int64_t time_us, char text[TIMES_TEXT_SIZE])
{
    struct parts parts = split(time_us);

    text = put_seconds(text, &parts, 'T');
    text = put_digits(text, parts.microsecond / 1000, 3);
    memcpy(text, "Z", 2);
}

void times_sql(int64_t time_us, char text[TIMES_TEXT_SIZE])
{
    struct parts parts = split(time_us);

    text = put_seconds(text, &parts, ' ');
    text = put_digits(text, parts.microsecond, 6);
    *text = '\0';
}

#define SECONDS_LEN 19

/* "2026-01-02T03:04:05"; only if it is written as we write it, so a day that doesn't exist is
 * refused. Returns what follows. */
static const char *read_seconds(const char *text, int64_t *time_us)
{
    char written[TIMES_TEXT_SIZE];
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);

    if (!end || end - text != SECONDS_LEN)
        return NULL;
    *time_us = (int64_t)timegm(&parts) * TIMES_SECOND;
    times_iso(*time_us, written);
    return strncmp(text, written, SECONDS_LEN) == 0 ? end : NULL;
}

bool times_parse(const char *text, int64_t *time_us)
{
    int64_t parsed_us = 0;
    int64_t scale = TIMES_SECOND;

    text = read_seconds(text, &parsed_us);
    if (!text)
        return false;
    if (text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            scale /= 10; /* below a microsecond: nothing */
            parsed_us += (*text - '0') * scale;
        }
    }
    if (strcmp(text, "Z") != 0)
        return false;
    *time_us = parsed_us;
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
