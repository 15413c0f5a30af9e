/*
 * desk: what the writer keeps of one project from one batch to the next: its pool, its parked
 * clients, when it is due. Part of `office`; writer's thread only.
 */
#ifndef DESK_H
#define DESK_H

#include "base/map.h"
#include "rules/command.h"
#include "rules/pool.h"
#include "store/store.h"
#include "write/parking.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct desk {
    char *name;
    struct pool *pool;            /* NULL: must be loaded */
    bool is_doubtful;             /* others changed what the pool remembers */
    struct activity *activity;    /* of the pool that was forgotten; or NULL */
    struct map lot;               /* parked clients by request number */
    struct command_list commands; /* of the batch at work */
    int64_t deadline_ms;          /* monotonic */
    bool in_batch;                /* the one at work */
    uint64_t watched;             /* number of the latest watch that listed it */
    int64_t used_ms;              /* when its latest batch ended, monotonic */
    uint32_t left_id;             /* of the pool that was let go; 0: none was */
    uint64_t left_version;
};

struct desks {
    struct map by_name;
    int64_t deadline_ms; /* of the soonest desk, or sooner */
    size_t due_count;    /* desks that desks_next_due() will give */
    struct desk **due;
};

void desks_free(struct desks *desks);
/* Makes it if need be. */
struct desk *desks_get(struct desks *desks, const char *name);
struct desk *desks_next(const struct desks *desks, size_t *at);

/* To be called when desk->deadline_ms has changed. */
void desks_note(struct desks *desks, const struct desk *desk);
/* Collects those that are due, for desks_next_due(). */
void desks_find_due(struct desks *desks, int64_t now_ms);
struct desk *desks_next_due(struct desks *desks);

/* Lets go of the pools that no batch needed since then: they are loaded again when something is
 * due, or somebody calls, or changes them. */
void desks_let_go(struct desks *desks, int64_t since_ms);
/* Whether the project is still as it was when the pool was last needed. */
bool desk_knows(const struct desk *desk, uint32_t id, uint64_t version);

void desk_forget(struct desk *desk);            /* its pool, but not what was active */
void desk_open(struct desk *desk, uint32_t id); /* a pool to be loaded */
/* Those whose wait is over by then, by our own clock; INT64_MAX: all. The caller frees the result.
 */
uint64_t *desk_parked_numbers(const struct desk *desk, int64_t until_ms, size_t *count);

#endif
