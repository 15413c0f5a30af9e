/* deploy_times: see deploy_times.h. */
#include "rules/deploy_times.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN_MS 1000 /* of each unit, while none was measured */
#define MEAN_OF    8    /* deploys: the latest counts for one of so many */
#define STEP_PART  4 /* a weight follows its mean once that is off by more than this part of it */

static void row_free(struct deploy_time *row)
{
    free(row->unit);
    free(row);
}

static void free_forgotten(struct deploy_times *times)
{
    while (times->forgotten) {
        struct deploy_time *row = times->forgotten;
        times->forgotten = row->next_changed;
        row_free(row);
    }
}

void deploy_times_free(struct deploy_times *times)
{
    struct deploy_time *row;

    for (size_t at = 0; (row = map_next(&times->by_unit, &at)) != NULL;)
        row_free(row);
    map_free(&times->by_unit);
    free_forgotten(times);
}

/* The part of the edition that is this row's: a sum of such is the same in any order. */
static uint64_t share_of(const struct deploy_time *row)
{
    uint64_t parts[] = {mem_hash(row->unit, strlen(row->unit)), row->weight_ms};

    return mem_hash(parts, sizeof parts);
}

static void count_in(struct deploy_times *times, const struct deploy_time *row)
{
    times->mean_sum_ms += row->mean_ms;
    times->weight_sum_ms += row->weight_ms;
    times->edition += share_of(row);
}

static void count_out(struct deploy_times *times, const struct deploy_time *row)
{
    times->mean_sum_ms -= row->mean_ms;
    times->weight_sum_ms -= row->weight_ms;
    times->edition -= share_of(row);
}

void deploy_times_add(struct deploy_times *times, struct deploy_time *row)
{
    map_put_named(&times->by_unit, row->unit, row);
    count_in(times, row);
}

static void touch(struct deploy_times *times, struct deploy_time *row)
{
    if (row->changed)
        return;
    row->changed = true;
    row->next_changed = times->changed;
    times->changed = row;
}

static void untouch(struct deploy_times *times, struct deploy_time *row)
{
    struct deploy_time **link = &times->changed;

    if (!row->changed)
        return;
    while (*link != row)
        link = &(*link)->next_changed;
    *link = row->next_changed;
}

static void make_room(struct deploy_times *times)
{
    struct deploy_time *oldest = NULL;
    struct deploy_time *row;

    if (times->by_unit.count < DEPLOY_TIMES_MAX)
        return;
    for (size_t at = 0; (row = map_next(&times->by_unit, &at)) != NULL;)
        if (!oldest || row->measured_at < oldest->measured_at)
            oldest = row;
    if (!oldest)
        return;
    count_out(times, oldest);
    map_remove_named(&times->by_unit, oldest->unit);
    untouch(times, oldest);
    oldest->next_changed = times->forgotten;
    times->forgotten = oldest;
}

static void measure(struct deploy_time *row, uint32_t ms)
{
    int64_t count = ++row->deploys < MEAN_OF ? (int64_t)row->deploys : MEAN_OF;
    int64_t mean = row->mean_ms + ((int64_t)ms - row->mean_ms) / count;
    int64_t off = mean > row->weight_ms ? mean - row->weight_ms : row->weight_ms - mean;

    row->mean_ms = (uint32_t)mean;
    if (!row->weight_ms || off * STEP_PART > row->weight_ms)
        row->weight_ms =
            mean > 0 ? (uint32_t)mean : 1; /* nothing that differs counts for nothing */
}

void deploy_times_note(struct deploy_times *times, const char *unit, uint32_t ms, int64_t now)
{
    struct deploy_time *row = map_get_named(&times->by_unit, unit);

    if (row) {
        count_out(times, row);
    } else {
        make_room(times);
        row = mem_zalloc(sizeof *row);
        row->unit = mem_strdup(unit);
        map_put_named(&times->by_unit, row->unit, row);
    }
    measure(row, ms);
    row->measured_at = now;
    count_in(times, row);
    touch(times, row);
}

void deploy_times_settle(struct deploy_times *times)
{
    for (struct deploy_time *at = times->changed; at; at = at->next_changed)
        at->changed = false;
    times->changed = NULL;
    free_forgotten(times);
}

/* Of a unit that was never measured. */
static uint32_t typical(const struct deploy_times *times, uint64_t sum_ms)
{
    return times->by_unit.count ? (uint32_t)(sum_ms / times->by_unit.count) : UNKNOWN_MS;
}

static const struct deploy_time *find(const struct deploy_times *times, const char *unit)
{
    return times->by_unit.count ? map_get_named(&times->by_unit, unit) : NULL;
}

uint32_t deploy_times_weight(const struct deploy_times *times, const char *unit)
{
    const struct deploy_time *row = find(times, unit);

    return row ? row->weight_ms : typical(times, times->weight_sum_ms);
}

struct summing {
    const struct deploy_times *times;
    struct deploy_sum sum;
};

static void sum_visit(void *context, enum manifest_difference kind, const char *name)
{
    struct summing *summing = context;
    const struct deploy_times *times = summing->times;
    const struct deploy_time *row = find(times, name);

    (void)kind;
    summing->sum.units++;
    summing->sum.weight_ms += row ? row->weight_ms : typical(times, times->weight_sum_ms);
    summing->sum.mean_ms += row ? row->mean_ms : typical(times, times->mean_sum_ms);
}

struct deploy_sum deploy_times_sum(const struct deploy_times *times, const struct manifest *needs,
                                   const struct manifest *runs)
{
    struct summing summing = {.times = times};

    if (needs != runs)
        manifest_compare(needs, runs, sum_visit, &summing);
    return summing.sum;
}

struct weighing {
    const struct deploy_times *times;
    uint64_t ms;
};

static void weigh_visit(void *context, enum manifest_difference kind, const char *name)
{
    struct weighing *weighing = context;

    (void)kind;
    weighing->ms += deploy_times_weight(weighing->times, name);
}

uint64_t deploy_times_distance(const struct deploy_times *times, const struct manifest *needs,
                               const struct manifest *runs)
{
    struct weighing weighing = {.times = times};

    if (needs != runs)
        manifest_skim(needs, runs, weigh_visit, &weighing);
    return weighing.ms;
}
