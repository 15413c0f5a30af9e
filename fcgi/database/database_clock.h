/*
 * database_clock: the time by the database's clock, without asking it each time.
 *
 * What it said was true at some moment between our question and its answer (Cristian's algorithm).
 * Several readings together bound its distance from our monotonic clock better than the last alone.
 */
#ifndef DATABASE_CLOCK_H
#define DATABASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* One reading. Microseconds, as all here; `asked` and `answered` are monotonic. */
struct database_time {
    int64_t said; /* 0: nothing was read */
    int64_t asked;
    int64_t answered;
};

struct database_clock {
    int64_t distance;    /* from the monotonic clock to it; moves only if it is proven wrong */
    int64_t least, most; /* what the distance may be */
    int64_t read_at;     /* monotonic; 0: never */
};

/* Forgets all readings: it is another server's clock. */
void database_clock_forget(struct database_clock *clock);
void database_clock_take(struct database_clock *clock, const struct database_time *time);

/* Its time when ours is `here`, and vice versa. */
int64_t database_clock_at(const struct database_clock *clock, int64_t here);
int64_t database_clock_here(const struct database_clock *clock, int64_t time);

/* How far apart the bounds may be for database_clock_is_close(). */
#define DATABASE_CLOCK_WIDTH_MAX 10000

/* Whether its time is known within 10 ms, precisely enough to grant leases without asking the
 * database. */
bool database_clock_is_close(const struct database_clock *clock, int64_t here);

#endif
