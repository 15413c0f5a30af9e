/* samples: times that were taken, in microseconds, and their quantiles. No locks: one thread each.
 */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/* All zero: none yet. */
struct samples {
    uint32_t *us;
    size_t count;
    size_t size;
};

/* Takes the time between two points of tool_now(). */
void samples_add(struct samples *samples, int64_t from, int64_t to);

/* Adds all of `other`, which is emptied. */
void samples_join(struct samples *samples, struct samples *other);

/* Before samples_quantile(). */
void samples_sort(struct samples *samples);

/* 0.5: the median. 0 without samples. */
uint32_t samples_quantile(const struct samples *samples, double part);

void samples_free(struct samples *samples);

#endif
