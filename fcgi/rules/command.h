/*
 * command: what a caller wants changed, and what came of it.
 *
 * `api` makes it from JSON, `writer` runs it, `render` turns the result into JSON. It may be run
 * more than once (a batch that the database refused starts again), so nothing in it may depend on
 * how it ran before.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "base/client.h"
#include "rules/manifest.h"
#include "rules/words.h"

#include <stdbool.h>
#include <stdint.h>

#define LEASE_ID_SIZE 16

enum verb {
    VERB_REQUEST,
    VERB_MARK,
    VERB_RELEASE,
    VERB_EXTEND,
    VERB_CANCEL,
    VERB_DELETE_LAST,
    VERB_HOLD,
    VERB_QUARANTINE,
    VERB_REINSTATE,
    VERB_REVOKE,
    VERB_ADD_STACKS,
    VERB_DELETE_STACK,
    VERB_UPDATE_PROJECT,
    VERB_HANG_UP, /* the writer's own: nobody hears of a request, so its wait ends, or its grant
                   * goes back */
};

enum result_code {
    RESULT_DONE,
    RESULT_NO_EFFECT, /* repeated release and the like: answered as if done */
    RESULT_GRANTED,   /* `lease` is active */
    RESULT_WAITING,   /* `lease` waits; no answer yet */
    RESULT_WAIT_OVER, /* no stack within the wait */
    RESULT_QUEUE_FULL,
    RESULT_NOT_NOW,  /* a refresh was refused */
    RESULT_REPLACED, /* another connection waits for the same request now */
    RESULT_CANCELLED,
    RESULT_SUPERSEDED,
    RESULT_REQUEST_ENDED,    /* the requestId names an ended lease: `past` */
    RESULT_REQUEST_MISMATCH, /* the requestId came with other contents before: `field` */
    RESULT_NO_PROJECT,
    RESULT_NO_STACK,
    RESULT_NO_REQUEST,
    RESULT_NO_MORE_STACK, /* deleteLastStack found none */
    RESULT_STACK_LEASED,
    RESULT_TOO_MANY_STACKS,
    RESULT_STACKS_EXIST, /* the prefix can't change any more */
    RESULT_LEASE_ID_REQUIRED,
    RESULT_WRONG_LEASE_ID,
    RESULT_LEASE_LOST,
    RESULT_INVALID_STATE, /* `state` is not one that allows it */
    RESULT_DRAINING,      /* deleted once its job gives it back */
    RESULT_NO_DATABASE,
    RESULT_IN_DOUBT, /* the COMMIT's fate could not be learned in time */
    RESULT_SHUTTING_DOWN,
};

struct lease;
struct stack;

/* How a request with the same requestId ended before; `number` 0: there was none. */
struct past_request {
    uint64_t number;
    bool ended; /* false: it is still live */
    enum lease_state state;
    enum outcome outcome;
    int64_t ended_at;
};

struct project_change {
    bool has_initial_commit;
    char *prefix;         /* NULL: unchanged */
    char *initial_commit; /* NULL with has_initial_commit: none */
    int64_t max_stacks;   /* -1: unchanged, like those below */
    int64_t lease_s;
    int64_t max_lease_s;
    int64_t wait_s;
};

/* Points into the pool; good until the batch's responses are out. */
struct result {
    enum result_code code;
    const struct lease *lease;
    const struct stack *stack;
    const char *field; /* RESULT_REQUEST_MISMATCH */
    uint32_t count;    /* RESULT_DONE of VERB_ADD_STACKS: how many, */
    uint32_t *added;   /* and their numbers; owned by the command */
};

struct command {
    struct command *next;
    enum verb verb;
    bool has_client;
    struct client client;
    int64_t arrived_us; /* monotonic */
    char *trace;        /* nginx's request id */
    char *project;
    char *key_name;

    char *stack_name;
    bool has_lease_id;
    uint8_t lease_id[LEASE_ID_SIZE];
    enum outcome outcome;
    char *branch;
    char *commit; /* requestStack: the job's; setLastDeployedCommit: the new one, may be NULL */
    struct manifest *units;
    char *job_url;
    char *job_name;
    char *job_user;
    char *request_id;
    uint64_t request_number;
    int wait_s;  /* -1: the project's */
    int lease_s; /* -1: the project's; extendLease and holds: seconds */
    int priority;
    bool supersede;
    enum purpose purpose;
    char *reason;
    char *owner;
    bool revoke;
    int64_t call_no; /* the lease's, as this call set it; VERB_HANG_UP: that of the call of which
                      * nobody hears, without effect if another came since */
    int64_t fence;   /* -1: any */
    uint32_t count;
    struct project_change change;

    struct past_request past; /* looked up by the writer */
    struct result result;
};

struct command *command_new(enum verb verb);
void command_free(struct command *command);

/* Commands in line; zeroed means empty. */
struct command_list {
    struct command *first;
    struct command *last;
};

void command_list_push(struct command_list *list, struct command *command);
void command_list_push_first(struct command_list *list, struct command *command);
struct command *command_list_pop(struct command_list *list); /* NULL: empty */
/* Moves all of `from` before what is in `list`, in its order. */
void command_list_put_back(struct command_list *list, struct command_list *from);

#endif
