/* figures: see figures.h. No shared state; any thread. */
#include "read/figures.h"

#include "base/buf.h"
#include "base/times.h"

#include <stdlib.h>

struct sample {
    int64_t *values;
    size_t count;
    size_t size;
};

struct figures {
    uint64_t states[LEASE_SUPERSEDED + 1];
    uint64_t requests;
    uint64_t granted;
    uint64_t same_content;
    struct sample waits;
    struct sample holds;
};

struct figures *figures_new(void)
{
    return mem_zalloc(sizeof(struct figures));
}

void figures_free(struct figures *figures)
{
    free(figures->waits.values);
    free(figures->holds.values);
    free(figures);
}

static void add(struct sample *sample, int64_t value)
{
    if (sample->count == sample->size) {
        sample->size = sample->size ? sample->size * 2 : 256;
        sample->values = mem_realloc(sample->values, sample->size * sizeof *sample->values);
    }
    sample->values[sample->count++] = value;
}

void figures_add(struct figures *figures, int state, int64_t wait_us, int64_t hold_us,
                 bool same_content)
{
    figures->requests++;
    if (state >= 0 && state <= LEASE_SUPERSEDED)
        figures->states[state]++;
    if (hold_us >= 0) {
        figures->granted++;
        figures->same_content += same_content;
        add(&figures->holds, hold_us);
    }
    if (wait_us >= 0)
        add(&figures->waits, wait_us);
}

static int compare(const void *left, const void *right)
{
    const int64_t *a = left;
    const int64_t *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Nearest rank; the sample is sorted. */
static double percentile_s(const struct sample *sample, unsigned percent)
{
    size_t rank = (sample->count * percent + 99) / 100;
    return (double)sample->values[rank ? rank - 1 : 0] / (double)TIMES_SECOND;
}

static void put_sample(struct json_writer *json, const char *name, struct sample *sample)
{
    double sum_s = 0;

    json_open_object(json, name);
    for (size_t i = 0; i < sample->count; i++)
        sum_s += (double)sample->values[i] / (double)TIMES_SECOND;
    if (sample->count) {
        qsort(sample->values, sample->count, sizeof *sample->values, compare);
        json_put_number(json, "mean", sum_s / (double)sample->count, 3);
        json_put_number(json, "p50", percentile_s(sample, 50), 3);
        json_put_number(json, "p95", percentile_s(sample, 95), 3);
    } else {
        json_put_null(json, "mean");
        json_put_null(json, "p50");
        json_put_null(json, "p95");
    }
    json_close_object(json);
}

void figures_put(struct figures *figures, struct json_writer *json, const char *name)
{
    json_open_object(json, name);
    json_put_integer(json, "requests", (int64_t)figures->requests);
    json_put_integer(json, "granted", (int64_t)figures->granted);
    for (enum lease_state state = LEASE_RELEASED; state <= LEASE_SUPERSEDED; state++)
        json_put_integer(json, words_lease_state(state), (int64_t)figures->states[state]);
    json_put_integer(json, "sameContentGrants", (int64_t)figures->same_content);
    put_sample(json, "waitSeconds", &figures->waits);
    put_sample(json, "holdSeconds", &figures->holds);
    json_close_object(json);
}
