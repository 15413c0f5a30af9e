/*
 * health: which deploys failed on a stack since it last ran something whole, and whether the cloud
 * may still be at work on one that was cut off. A deploy that was cut off is counted, but it never
 * speaks against the stack: its job was cancelled, or fell silent. Writer's thread only.
 */
#ifndef HEALTH_H
#define HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_FAILURES_MAX 16 /* branches that are remembered */

/* The first failed deploy of one branch. Never changed. */
struct failure {
    struct failure *next; /* the one before it */
    uint64_t lease_number;
    char *branch;
    char *job_name;
    char *job_url;
    int64_t at;
    bool stored; /* the database has its row */
};

struct health {
    int64_t deployed_at;     /* when it last ran something whole; 0: never */
    uint32_t failed_deploys; /* since then, with those that were cut off */
    int64_t failed_since;    /* the first of them; 0: none */
    char *failed_branch; /* of the latest that failed by itself; NULL: none, like the next two */
    struct failure *failures;
    uint32_t failure_count;
    int64_t unsettled_since; /* 0: the cloud is at rest */
};

void health_free(struct health *health); /* what it holds */

/* For loading: takes over the failure's memory; the oldest comes first. */
void health_add(struct health *health, struct failure *failure);

/* Copies the texts. Only a branch's first failure is kept whole; the others count. */
void health_note_failure(struct health *health, const struct failure *failure);
/* Times are in microseconds. */
void health_note_cut_off(struct health *health, int64_t now);
int64_t health_first_failure(const struct health *health); /* when; 0: none */
/* Forgets all failed deploys. Whether there were any. */
bool health_forget_failures(struct health *health);

/* Names the branches and their jobs, in 1,000 bytes at most. The caller frees it. */
char *health_reason(const struct health *health);

/* How well a stack suits a branch; 0 is best. Stacks on which another branch's deploy failed last
 * come after all healthy ones, unsettled ones after settled ones. */
unsigned health_rank(const struct health *health, const char *branch);

#endif
