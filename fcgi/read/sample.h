/* sample: durations, their mean and their percentiles. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stddef.h>
#include <stdint.h>

struct sample { /* {0}: empty */
    int64_t *values_us;
    size_t count;
    size_t size;
};

struct spread {
    double mean_s;
    double p50_s; /* nearest rank */
    double p95_s;
};

void sample_add(struct sample *sample, int64_t value_us);
/* Sorts the values. All 0 if there are none. */
struct spread sample_spread(struct sample *sample);
void sample_free(struct sample *sample);

#endif
