/* store_rows: what the rows of a project are to its pool. Used by `store_load`. */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include "base/map.h"
#include "database/database_row.h"
#include "rules/changes.h"
#include "rules/pool.h"

#include <stdbool.h>
#include <stddef.h>

enum load_set {
    SET_SETTINGS,
    SET_MANIFESTS,
    SET_STACKS,
    SET_NOTES,
    SET_FAILURES,
    SET_LEASES,
    SET_DEPLOY_TIMES,
    SET_ACTIVITY,
    SET_BRANCHES,
    SET_KEY_ENDS,
    SET_HOLD,
    SET_COUNT
};

/* How a pool is filled; or, with `changes`, brought up to date. */
struct loading {
    struct pool *pool;
    struct changes *changes;
    enum load_set sets[SET_COUNT]; /* its results, in their order */
    size_t set_count;
    size_t first_set;     /* of the text's */
    struct map manifests; /* by number */
    struct map fresh;     /* those of them that the pool doesn't have yet */
    struct map replaced;  /* leases that were taken out, by number */
    size_t stack_count;   /* that were read */
    bool is_missing;      /* a manifest that is referred to */
    bool broken;
};

void store_rows_take(struct loading *loading, enum load_set set, const struct database_row *row);

#endif
