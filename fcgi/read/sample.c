/* sample: see sample.h. No shared state; any thread. */
#include "read/sample.h"

#include "base/mem.h"
#include "base/times.h"

#include <stdlib.h>

void sample_add(struct sample *sample, int64_t value_us)
{
    if (sample->count == sample->size) {
        sample->size = sample->size ? sample->size * 2 : 256;
        sample->values_us =
            mem_realloc(sample->values_us, sample->size * sizeof *sample->values_us);
    }
    sample->values_us[sample->count++] = value_us;
}

static int compare(const void *left, const void *right)
{
    const int64_t *a = left;
    const int64_t *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Of a sorted sample that isn't empty. */
static double percentile_s(const struct sample *sample, unsigned percent)
{
    size_t rank = (sample->count * percent + 99) / 100;
    return (double)sample->values_us[rank - 1] / (double)TIMES_SECOND;
}

struct spread sample_spread(struct sample *sample)
{
    struct spread spread = {0};

    if (sample->count == 0)
        return spread;
    qsort(sample->values_us, sample->count, sizeof *sample->values_us, compare);
    for (size_t i = 0; i < sample->count; i++)
        spread.mean_s += (double)sample->values_us[i] / (double)TIMES_SECOND;
    spread.mean_s /= (double)sample->count;
    spread.p50_s = percentile_s(sample, 50);
    spread.p95_s = percentile_s(sample, 95);
    return spread;
}

void sample_free(struct sample *sample)
{
    free(sample->values_us);
}
