/* words: the names of states, outcomes and purposes; the same in SQL, JSON and C. */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

enum stack_state {
    STACK_AVAILABLE,   /* may be granted */
    STACK_LEASED,      /* a job has it */
    STACK_HELD,        /* kept by a person or a job for a post-mortem, until held_until */
    STACK_QUARANTINED, /* broken; nobody gets it */
    STACK_DRAINING,    /* leased, and deleted once its job gives it back */
    STACK_DELETED,     /* its row stays for the fence */
};

enum lease_state {
    LEASE_WAITING,
    LEASE_ACTIVE,
    LEASE_RELEASED,   /* the job gave the stack back */
    LEASE_EXPIRED,    /* its time was over */
    LEASE_REVOKED,    /* an administrator took the stack */
    LEASE_TIMED_OUT,  /* the wait was over */
    LEASE_ABANDONED,  /* the caller hung up while it waited */
    LEASE_CANCELLED,  /* cancelRequest, or its key was revoked */
    LEASE_SUPERSEDED, /* a newer request of its branch said `supersede` */
};

enum outcome {
    OUTCOME_NONE,
    OUTCOME_SUCCESS,
    OUTCOME_FAILED,        /* the tests failed; the deployment was good */
    OUTCOME_DEPLOY_FAILED, /* what was to be deployed and isn't marked is unknown */
    OUTCOME_NOT_DEPLOYED,  /* nothing was deployed: the stack runs what it ran before */
    OUTCOME_HOLD,          /* keep the stack for the branch */
    OUTCOME_QUARANTINE,    /* the stack is broken: nobody may get it */
};

enum purpose { PURPOSE_TEST, PURPOSE_REFRESH };

const char *words_stack_state(enum stack_state state);
const char *words_lease_state(enum lease_state state);
/* The names of the states from LEASE_RELEASED on. */
const char *const *words_lease_ends(size_t *count);
const char *words_outcome(enum outcome outcome); /* NULL for OUTCOME_NONE */
const char *words_purpose(enum purpose purpose);

/* The value of that name, -1 if there is none. */
int words_find_stack_state(const char *name);
int words_find_lease_state(const char *name);
int words_find_outcome(const char *name);
int words_find_purpose(const char *name);
/* Of setLastDeployedCommit: 0 asRequested, 1 asMarked. */
int words_find_mark(const char *name);

#endif
