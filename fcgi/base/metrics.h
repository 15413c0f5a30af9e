/*
 * metrics: what this program counts, in the text format of Prometheus (exposition format 0.0.4).
 * Base units; few labels: projects and states, never branches or jobs. Any thread; one lock of its
 * own, never held for long.
 */
#ifndef METRICS_H
#define METRICS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_ENDS_MAX 16

/* Once, before the threads start. */
void metrics_start(void);
/* The ways in which a request or lease can end, METRICS_ENDS_MAX at most. Once, before any is
 * counted; the names stay the caller's. */
void metrics_name_ends(const char *const *names, size_t count);

/* A response. `duration_us` -1: its call waited for a stack, and doesn't count as slow. */
void metrics_count_response(int status, int64_t duration_us);
void metrics_count_batch(size_t commands, int64_t duration_us);
void metrics_set_parked(size_t count);

/* `changed_units` -1: the request named none. */
void metrics_count_grant(const char *project, bool is_new, int64_t changed_units, int64_t wait_us);
/* `end`: an index into the names; `hold_us` -1: it was never granted. */
void metrics_count_end(const char *project, size_t end, int64_t hold_us);

/* The metrics of one project (NULL: of all), and those of the whole program. */
void metrics_put(struct buf *out, const char *project, bool is_ready);

#endif
