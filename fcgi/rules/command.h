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

#define LEASE_ID_SIZE    16
#define STACK_NUMBER_MAX 100000
#define PRIORITY_MIN     (-10)
#define PRIORITY_MAX     10

/* When you add one: the compiler asks for its row wherever verbs are told apart (-Werror=switch),
 * and for its route in `api`. See "Add a verb" in fcgi/README.md. */
enum verb {
    VERB_REQUEST,
    VERB_MARK,
    VERB_MARK_UNITS,
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
    VERB_PRIORITIZE,
    VERB_HANG_UP, /* the writer's own: a client is gone, so its wait ends, or its grant goes back.
                   * It has no name in the API. */
};

enum result_code {
    RESULT_DONE,
    RESULT_NO_EFFECT, /* a repeated release and the like: the response is as if done */
    RESULT_GRANTED,   /* `lease` is active */
    RESULT_WAITING,   /* `lease` waits; no response yet */
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
    RESULT_TOO_MANY_UNITS, /* the content would outgrow CONTENT_UNITS_MAX */
    RESULT_STACKS_EXIST,   /* the prefix can't change any more */
    RESULT_LEASE_TOO_LONG, /* the project's leaseSeconds would exceed its maxLeaseSeconds */
    RESULT_LEASE_ID_REQUIRED,
    RESULT_WRONG_LEASE_ID,
    RESULT_LEASE_LOST,
    RESULT_INVALID_STATE, /* `state` is not one that allows it */
    RESULT_DRAINING,      /* deleted once its job gives it back */
    RESULT_NO_DATABASE,
    RESULT_IN_DOUBT, /* the COMMIT's fate could not be learned in time */
    RESULT_SHUTTING_DOWN,
    RESULT_KEY_ENDED, /* the caller's key was revoked, or its time is over */
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

/* What each verb says beyond the head of its command. Texts may be NULL: not said. */

struct command_request {
    char *branch;
    char *commit;
    struct manifest *units;
    char *job_url;
    char *job_name;
    char *job_user;
    char *request_id;
    int wait_s;  /* -1: the project's */
    int lease_s; /* -1: the project's */
    int grace_s; /* -1: as the program is set */
    int priority;
    bool has_priority;
    bool supersede;
    bool wont_resume; /* what its branch holds stays held */
    enum purpose purpose;
    int64_t call_no; /* set by the clerk: the lease's, as this call left it */
};

struct command_mark {
    char *commit;
    bool as_marked; /* the content is what markUnits says; else all of the request's units run */
};

/* How long a unit took to deploy. */
struct unit_time {
    char *name;
    uint32_t ms;
};

/* A unit without a fingerprint is about to be deployed or removed. */
struct command_mark_units {
    struct manifest *units;   /* NULL: none */
    struct manifest *removed; /* names only; NULL: none */
    struct unit_time *times;
    size_t time_count;
};

struct command_release {
    enum outcome outcome;
    int hold_s;         /* -1: as long as holds last by default */
    bool interrupted;   /* a deploy was cut off: the cloud may be at work still */
    bool deploy_failed; /* whatever the outcome */
};

struct command_extend {
    int lease_s; /* -1: as long as the lease was first granted for */
};

/* One of the two names the request. */
struct command_cancel {
    char *request_id;
    uint64_t number;
};

/* holdStack and quarantineStack. */
struct command_set_aside {
    char *owner; /* NULL: the caller's key */
    bool revoke; /* the job that has the stack loses it now */
    int hold_s;  /* -1: as long as holds last by default */
};

struct command_revoke {
    int64_t fence; /* -1: any */
};

struct command_add_stacks {
    uint32_t count;
};

/* Numbers: -1 leaves the setting as it is. */
struct command_update_project {
    char *prefix; /* NULL: unchanged */
    bool has_initial_commit;
    char *initial_commit; /* NULL with has_initial_commit: none */
    int64_t max_stacks;
    int64_t lease_s;
    int64_t max_lease_s;
    int64_t wait_s;
    int64_t quarantine_after;
    int64_t settle_s;
    bool has_max_held;
    int64_t max_held; /* -1 with has_max_held: half of max_stacks */
    bool has_main_branch;
    char *main_branch; /* NULL with has_main_branch: main, or master */
    bool has_paused;
    bool paused;
};

struct command_prioritize {
    uint64_t number; /* of the request */
    int priority;
};

struct command_hang_up {
    uint64_t number; /* of the request */
    int64_t call_no; /* of the call whose client is gone; without effect if another came since */
    bool sent_away;  /* it was told an error of ours, and may be back */
};

/* Points into the pool; good until the batch's responses are out. */
struct result {
    enum result_code code;
    const struct lease *lease;
    const struct stack *stack;
    const char *field; /* RESULT_REQUEST_MISMATCH */
    uint32_t count;    /* RESULT_DONE of VERB_ADD_STACKS: how many, */
    uint32_t *added;   /* and their numbers; owned by the command */
    bool is_held;      /* VERB_RELEASE: the stack is held now */
    bool is_fresh;     /* RESULT_NOT_NOW: enough stacks run its units */
    bool is_at_most;   /* VERB_EXTEND: the lease ends with the project's maximum */
};

#define IGNORED_FIELDS_MAX 10
#define IGNORED_NAME_SIZE  65

/* Fields of a body that nobody knows: the first few, long names cut. */
struct ignored_fields {
    unsigned count;
    char names[IGNORED_FIELDS_MAX][IGNORED_NAME_SIZE];
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
    uint32_t key_number; /* of the keys of that name: see key.h */
    bool by_admin;
    char *stack_name; /* verbs on one stack; of a request: it wants that one */
    char *reason;     /* of administrators, and of a release */
    bool has_lease_id;
    uint8_t lease_id[LEASE_ID_SIZE];
    struct ignored_fields *ignored; /* named in the response; NULL: none */

    union {
        struct command_request request;
        struct command_mark mark;
        struct command_mark_units mark_units;
        struct command_release release;
        struct command_extend extend;
        struct command_cancel cancel;
        struct command_set_aside set_aside;
        struct command_revoke revoke;
        struct command_add_stacks add_stacks;
        struct command_update_project update_project;
        struct command_prioritize prioritize;
        struct command_hang_up hang_up;
    } as;

    struct past_request past; /* looked up by the writer */
    struct result result;
};

struct command *command_new(enum verb verb);
void command_free(struct command *command);

/* The verb's name in the API; NULL: it is the writer's own. */
const char *command_verb_name(enum verb verb);
/* The requestId that the command names; NULL: none. */
const char *command_request_id(const struct command *command);

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
