/*
 * activity: what the branches of a project asked for lately. The choice of a stack looks ahead by
 * it: see price.h. It outlives its pool; losing it costs a few dearer choices. Writer's thread
 * only.
 */
#ifndef ACTIVITY_H
#define ACTIVITY_H

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
};

struct activity {
    struct reach *main; /* of what the main branch asked for last; NULL: it never did */
    struct active_branch branches[ACTIVITY_BRANCHES];
    size_t branch_count;
    uint64_t grants;   /* to jobs that named units */
    double job_work;   /* units that they had to deploy; older grants count less and less */
    double refreshed;  /* units that refreshes deployed, likewise */
    uint64_t *granted; /* by number of the stack: the latest of those grants; 0: long ago */
    size_t granted_size;
};

struct activity *activity_new(void);
void activity_free(struct activity *activity);

/* A job of the main branch asks, before anything is chosen for it. Takes over `reach`, of its
 * units. */
void activity_note_main(struct activity *activity, struct reach *reach);
/* What is known of contents like those of the branch; NULL: nothing. */
const struct reach *activity_near(const struct activity *activity, const char *branch);
/* A job of the branch (NULL: the main one) gets the stack of that number. Takes over `reach`, which
 * is of its units; `cost`: units to deploy. */
void activity_note_grant(struct activity *activity, const char *branch, struct reach *reach,
                         uint32_t number, uint32_t cost);
void activity_note_refresh(struct activity *activity, uint32_t cost);

/* Whether the stack of that number was granted within the latest `count` grants. */
bool activity_was_granted(const struct activity *activity, uint32_t number, uint64_t count);

#endif
