/* database_clock: see database_clock.h. Pure. */
#include "database/database_clock.h"

/* How far two clocks may drift apart: each may be slewed by 500 ppm (RFC 5905). */
#define DRIFT_PPM 1000

void database_clock_forget(struct database_clock *clock)
{
    clock->read_at = 0;
}

static int64_t drift(const struct database_clock *clock, int64_t here)
{
    return here > clock->read_at ? (here - clock->read_at) * DRIFT_PPM / 1000000 : 0;
}

void database_clock_take(struct database_clock *clock, const struct database_time *time)
{
    int64_t widened = drift(clock, time->answered);
    int64_t least = time->said - time->answered;
    int64_t most = time->said - time->asked;

    if (!time->said)
        return;
    clock->least -= widened;
    clock->most += widened;
    if (clock->read_at == 0 || least > clock->most || most < clock->least) {
        /* The first reading, or the clock was set since. */
        *clock = (struct database_clock){
            .distance = least + (most - least) / 2, .least = least, .most = most};
    }
    clock->read_at = time->answered;
    if (clock->least < least)
        clock->least = least;
    if (clock->most > most)
        clock->most = most;
    if (clock->distance < clock->least)
        clock->distance = clock->least;
    if (clock->distance > clock->most)
        clock->distance = clock->most;
}

int64_t database_clock_at(const struct database_clock *clock, int64_t here)
{
    return here + clock->distance;
}

int64_t database_clock_here(const struct database_clock *clock, int64_t time)
{
    return time - clock->distance;
}

bool database_clock_is_close(const struct database_clock *clock, int64_t here)
{
    return clock->read_at != 0 &&
           clock->most - clock->least + 2 * drift(clock, here) <= DATABASE_CLOCK_WIDTH_MAX;
}
