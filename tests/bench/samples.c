/* samples: see samples.h. */
#include "samples.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

static void grow(struct samples *samples, size_t count)
{
    size_t size = samples->size ? samples->size : 4096;

    while (size < count)
        size *= 2;
    samples->us = tool_resize(samples->us, size * sizeof *samples->us);
    samples->size = size;
}

void samples_add(struct samples *samples, int64_t from, int64_t to)
{
    if (samples->count == samples->size)
        grow(samples, samples->count + 1);
    samples->us[samples->count++] = (uint32_t)((to - from) / 1000);
}

void samples_join(struct samples *samples, struct samples *other)
{
    if (samples->count + other->count > samples->size)
        grow(samples, samples->count + other->count);
    if (other->count)
        memcpy(samples->us + samples->count, other->us, other->count * sizeof *other->us);
    samples->count += other->count;
    samples_free(other);
}

static int compare(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return *a < *b ? -1 : *a > *b;
}

void samples_sort(struct samples *samples)
{
    if (samples->count)
        qsort(samples->us, samples->count, sizeof *samples->us, compare);
}

uint32_t samples_quantile(const struct samples *samples, double part)
{
    return samples->count ? samples->us[(size_t)((double)(samples->count - 1) * part)] : 0;
}

void samples_free(struct samples *samples)
{
    free(samples->us);
    *samples = (struct samples){0};
}
