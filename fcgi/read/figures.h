/* figures: counts and percentiles over ended requests. */
#ifndef FIGURES_H
#define FIGURES_H

#include "base/json.h"
#include "read/sample.h"
#include "rules/words.h"

#include <stdbool.h>
#include <stdint.h>

struct figures { /* {0}: of nothing */
    uint64_t states[LEASE_SUPERSEDED + 1];
    uint64_t requests;
    uint64_t granted;
    uint64_t same_content;
    bool is_cut; /* there were more than FIGURES_MAX */
    struct sample waits;
    struct sample holds;
};

void figures_free(struct figures *figures);

#define FIGURES_MAX 100000 /* requests; more are not counted */

/* One ended request; -1 where a time doesn't apply. */
void figures_add(struct figures *figures, int state, int64_t wait_us, int64_t hold_us,
                 bool same_content);

/* {requests, granted, released, …, waitSeconds: {mean, p50, p95}, holdSeconds: {…}} */
void figures_put(struct figures *figures, struct json_writer *json, const char *name);

#endif
