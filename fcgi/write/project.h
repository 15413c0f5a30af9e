/*
 * project: what the writer remembers of each project between two batches: its pool, its parked
 * clients, when it is due. Writer's thread only.
 */
#ifndef PROJECT_H
#define PROJECT_H

#include "base/map.h"
#include "rules/command.h"
#include "rules/pool.h"
#include "store/store.h"
#include "write/parking.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct project {
    char *name;
    struct pool *pool;            /* NULL: must be loaded */
    struct map lot;               /* parked clients by request number */
    struct command_list commands; /* of the batch at work */
    int64_t deadline_ms;          /* monotonic */
    bool is_member;               /* of the batch at work */
    uint64_t watched;             /* number of the latest watch that listed it */
    struct project *next_same;    /* another name with the same hash */
};

struct projects {
    struct map by_name;  /* by hash; linked by next_same */
    int64_t deadline_ms; /* of the soonest project, or sooner */
    size_t due_count;    /* projects that projects_next_due() will give */
    struct project **due;
};

void projects_free(struct projects *projects);
/* Makes it if need be. */
struct project *projects_get(struct projects *projects, const char *name);
struct project *projects_next(const struct projects *projects, size_t *at);

/* To be called when project->deadline_ms has changed. */
void projects_note(struct projects *projects, const struct project *project);
/* Collects those that are due, for projects_next_due(). */
void projects_find_due(struct projects *projects, int64_t now_ms);
struct project *projects_next_due(struct projects *projects);
/* A parked client whose wait is over by our own clock. */
struct parked *projects_next_over(const struct projects *projects, int64_t now_ms);

void project_forget(struct project *project); /* its pool */
/* The caller frees the result. */
uint64_t *project_parked_numbers(const struct project *project, size_t *count);

#endif
