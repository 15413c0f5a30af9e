/*
 * metrics: what this program counts, in the text format of Prometheus (exposition format 0.0.4).
 * Base units, few labels: projects and states, never branches or jobs. Any thread; one lock of its
 * own, held for additions only.
 */
#ifndef METRICS_H
#define METRICS_H

#include "buf.h"
#include "pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before the threads start. */
void metrics_start(void);

/* `duration_us` -1: the answer waited for a stack, and doesn't count as slow. */
void metrics_count_answer(int status, int64_t duration_us);
void metrics_count_batch(size_t commands, int64_t duration_us);
void metrics_set_parked(size_t count);

/* What a committed batch changed in a pool: grants and ends. Before pool_settle(). */
void metrics_count_pool(const struct pool *pool);

/* One project's, or with NULL all projects'; and what concerns the whole program. */
void metrics_put(struct buf *out, const char *project, bool is_ready);

#endif
