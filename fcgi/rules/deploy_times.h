/*
 * deploy_times: how long each unit of a project takes to deploy, as its jobs measured it, and what
 * contents are apart by that. Writer's thread only.
 *
 * A unit's mean counts the latest deploys most. Choices weigh a unit by its weight, which follows
 * the mean in steps: distances that are remembered hold as long as no weight changes. A unit that
 * was never measured weighs what the others do on average; while none was, each weighs one second.
 */
#ifndef DEPLOY_TIMES_H
#define DEPLOY_TIMES_H

#include "base/map.h"
#include "rules/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Units whose times are kept at most; the one measured longest ago makes room. */
#define DEPLOY_TIMES_MAX 4000

struct deploy_time {
    char *unit;
    uint32_t mean_ms;
    uint32_t weight_ms;
    uint64_t deploys;
    int64_t measured_at;
    bool changed; /* the database doesn't know it yet */
    struct deploy_time *next_changed;
};

struct deploy_times {
    struct map by_unit;
    uint64_t mean_sum_ms;
    uint64_t weight_sum_ms;
    uint64_t edition; /* another one once a weight has changed; by the weights alone */
    struct deploy_time *changed;
    struct deploy_time *forgotten; /* those that made room, linked likewise */
};

/* What is to be deployed or removed until a content is another one. */
struct deploy_sum {
    uint32_t units;
    uint64_t weight_ms;
    uint64_t mean_ms; /* in truth, as far as it is known */
};

void deploy_times_free(struct deploy_times *times);
/* For loading: takes over the row. */
void deploy_times_add(struct deploy_times *times, struct deploy_time *row);
/* A job measured a deploy of the unit. */
void deploy_times_note(struct deploy_times *times, const char *unit, uint32_t ms, int64_t now);
/* The database knows all of it. */
void deploy_times_settle(struct deploy_times *times);

uint32_t deploy_times_weight(const struct deploy_times *times, const char *unit);
/* How far they are apart; by manifest_skim(). */
uint64_t deploy_times_distance(const struct deploy_times *times, const struct manifest *needs,
                               const struct manifest *runs);
struct deploy_sum deploy_times_sum(const struct deploy_times *times, const struct manifest *needs,
                                   const struct manifest *runs);

#endif
