/* capacity: see capacity.h. No state; any thread. */
#include "read/capacity.h"

#include "base/mem.h"
#include "base/times.h"
#include "read/sample.h"

#include <stdlib.h>

#define HOUR_US    (3600 * TIMES_SECOND)
#define LOOK_BELOW 3

void capacity_measure(const struct capacity_job *jobs, size_t count, struct capacity_load *load)
{
    double sum_s = 0;
    uint64_t held = 0;
    size_t first = 0;

    *load = (struct capacity_load){0};
    for (size_t i = 0; i < count; i++) {
        while (jobs[i].asked_at - jobs[first].asked_at >= HOUR_US)
            first++;
        if (i - first + 1 > load->busiest_hour_jobs) {
            load->busiest_hour_jobs = i - first + 1;
            load->busiest_hour_at = jobs[first].asked_at;
        }
        if (jobs[i].hold_us >= 0) {
            sum_s += (double)jobs[i].hold_us / (double)TIMES_SECOND;
            held++;
        }
    }
    load->mean_hold_s = held ? sum_s / (double)held : 0;
    load->offered_load = (double)load->busiest_hour_jobs / 3600 * load->mean_hold_s;
}

/* When each stack is free again: a heap with the soonest first. */
static void replace_soonest(int64_t *heap, uint32_t size, int64_t value)
{
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= size)
            break;
        if (child + 1 < size && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= value)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

void capacity_replay(const struct capacity_job *jobs, size_t count,
                     const struct capacity_load *load, uint32_t stacks, struct capacity_row *row)
{
    int64_t *free_at = mem_alloc(stacks * sizeof *free_at);
    int64_t mean_hold_us = (int64_t)(load->mean_hold_s * (double)TIMES_SECOND);
    int64_t span_us = count ? jobs[count - 1].asked_at - jobs[0].asked_at : 0;
    struct sample waits = {0};
    struct spread spread;
    double used_us = 0;

    for (uint32_t i = 0; i < stacks; i++)
        free_at[i] = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        int64_t asked_at = jobs[i].asked_at;
        int64_t start = free_at[0] > asked_at ? free_at[0] : asked_at;
        int64_t hold_us = jobs[i].hold_us >= 0 ? jobs[i].hold_us : mean_hold_us;

        if (jobs[i].hold_us < 0 && start - asked_at > jobs[i].patience_us) {
            sample_add(&waits, jobs[i].patience_us); /* it leaves */
            continue;
        }
        sample_add(&waits, start - asked_at);
        used_us += (double)hold_us;
        replace_soonest(free_at, stacks, start + hold_us);
    }
    spread = sample_spread(&waits);
    *row = (struct capacity_row){
        .stacks = stacks,
        .mean_wait_s = spread.mean_s,
        .p95_wait_s = spread.p95_s,
        .utilisation = span_us > 0 ? used_us / ((double)span_us * stacks) : 0,
    };
    sample_free(&waits);
    free(free_at);
}

static bool is_enough(const struct capacity_job *jobs, size_t count,
                      const struct capacity_load *load, double p95_wait_s, uint32_t stacks)
{
    struct capacity_row row;

    capacity_replay(jobs, count, load, stacks, &row);
    return row.p95_wait_s <= p95_wait_s;
}

uint32_t capacity_recommend(const struct capacity_job *jobs, size_t count,
                            const struct capacity_load *load, double p95_wait_s, uint32_t most)
{
    uint32_t too_few = 0;
    uint32_t enough = most + 1;

    while (enough - too_few > 1) {
        uint32_t middle = too_few + (enough - too_few) / 2;

        if (is_enough(jobs, count, load, p95_wait_s, middle))
            enough = middle;
        else
            too_few = middle;
    }
    /* With more stacks somebody may wait longer, if rarely: who would have left stays, and keeps a
     * stack busy. So a few less may do, too. */
    for (uint32_t fewer = enough - 1; fewer > 0 && enough - fewer <= LOOK_BELOW; fewer--)
        if (is_enough(jobs, count, load, p95_wait_s, fewer))
            enough = fewer;
    return enough <= most ? enough : 0;
}
