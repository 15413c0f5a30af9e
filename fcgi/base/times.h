/* times: instants as microseconds since 1970-01-01 UTC, by the database's clock. */
#ifndef TIMES_H
#define TIMES_H

#include <stdbool.h>
#include <stdint.h>

#define TIMES_SECOND INT64_C(1000000)
#define TIMES_NEVER  INT64_MAX

#define TIMES_TEXT_SIZE 40

/* "2026-01-02T03:04:05.678Z", as RFC 3339 and the original service have it. */
void times_iso(int64_t time_us, char text[TIMES_TEXT_SIZE]);

/* "2026-01-02 03:04:05.678901", for DATETIME(6). */
void times_sql(int64_t time_us, char text[TIMES_TEXT_SIZE]);

/* Reads RFC 3339 in UTC ("Z"), with or without fraction; false if it is something else. */
bool times_parse(const char *text, int64_t *time_us);

/* This machine's monotonic clock; for time-outs and durations only. */
int64_t times_monotonic_ms(void);
int64_t times_monotonic_us(void);

#endif
