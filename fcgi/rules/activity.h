/*
 * activity: what the branches of a project asked for lately. The choice of a stack looks ahead by
 * it: see price.h. Only jobs that name units count. Writer's thread only.
 */
#ifndef ACTIVITY_H
#define ACTIVITY_H

#include "rules/deploy_times.h"
#include "rules/reach.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACTIVITY_BRANCHES 8

struct active_branch {
    char *name;
    struct reach *reach; /* of what it asked for last */
    uint64_t grant;      /* number of that grant */
    bool is_merged;      /* main has since come to run what it asked for */
    bool changed;        /* the database doesn't know it yet */
};

struct activity {
    struct reach *main; /* of what the main branch asked for last; NULL: it never did */
    struct active_branch branches[ACTIVITY_BRANCHES];
    size_t branch_count;
    uint64_t grants;  /* to jobs that named units */
    double job_work;  /* milliseconds that their deploys cost; older grants count less and less */
    double refreshed; /* the same of refreshes */
    bool changed;     /* the database doesn't know all of it */
};

struct activity *activity_new(void);
void activity_free(struct activity *activity);

struct active_branch *activity_find(struct activity *activity, const char *branch);
/* The branch's place; the one that was active longest ago makes room. */
struct active_branch *activity_place(struct activity *activity, const char *branch);
/* Main steps from what it asked for last to other units, which may merge branches. */
void activity_note_step(struct activity *activity, const struct deploy_times *times,
                        const struct manifest *units);
void activity_note_grant(struct activity *activity, uint64_t cost_ms);
void activity_note_refresh(struct activity *activity, uint64_t cost_ms);
/* The database knows all of it. */
void activity_settle(struct activity *activity);

#endif
