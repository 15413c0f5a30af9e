/* capacity: how many stacks a team needs, from the jobs that it really had. Pure. */
#ifndef CAPACITY_H
#define CAPACITY_H

#include <stddef.h>
#include <stdint.h>

/* One job of the history, in the order in which they asked. Microseconds. */
struct capacity_job {
    int64_t asked_at;
    int64_t hold_us;     /* how long it had its stack; -1: it never got one */
    int64_t patience_us; /* of one that never got a stack: how long it waited */
};

struct capacity_row {
    uint32_t stacks;
    double mean_wait_s; /* over all jobs */
    double p95_wait_s;
    double utilisation; /* share of the time between first and last job that stacks are in use */
};

struct capacity_load {
    int64_t busiest_hour_at; /* when the hour with most jobs began */
    uint64_t busiest_hour_jobs;
    double mean_hold_s;
    double offered_load; /* busiest hour: jobs per second times mean hold, in stacks */
};

/* A job without a hold counts with the mean of the others. */
void capacity_measure(const struct capacity_job *jobs, size_t count, struct capacity_load *load);

/* Replays the history with that many stacks, first come first served. A job that got no stack then,
 * and would get none within its patience now, leaves again. */
void capacity_replay(const struct capacity_job *jobs, size_t count,
                     const struct capacity_load *load, uint32_t stacks, struct capacity_row *row);

/* The fewest stacks with which 95 % of the jobs wait at most that long; 0: not even `most` do. */
uint32_t capacity_recommend(const struct capacity_job *jobs, size_t count,
                            const struct capacity_load *load, double p95_wait_s, uint32_t most);

#endif
