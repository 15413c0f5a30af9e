/*
 * pool: one project in memory, as its rows in the database say: stacks, queue, leases.
 *
 * Only the writer's thread touches a pool. What changes is collected until store_commit() writes
 * it; if that fails, or finds that the project's row has moved on, the pool is thrown away and
 * loaded again. The rules of who gets what are in `clerk` and `match`.
 *
 *                 requestStack ──▶ waiting ──▶ active ──▶ released | expired | revoked
 *                                    │  ▲         │
 *                                    │  └─────────┘ grant not delivered, has a requestId
 *                                    └──▶ timedOut | abandoned | cancelled | superseded
 */
#ifndef POOL_H
#define POOL_H

#include "base/map.h"
#include "rules/changes.h"
#include "rules/command.h"
#include "rules/deploy_times.h"
#include "rules/health.h"
#include "rules/manifest.h"
#include "rules/words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct activity;
struct event;
struct reach;

#define PRIORITY_COUNT (PRIORITY_MAX - PRIORITY_MIN + 1)

struct stack {
    uint32_t number;
    enum stack_state state;
    enum stack_state next_state; /* of a leased stack once it is given back; or STACK_AVAILABLE */
    uint64_t fence;
    char *branch;             /* of its latest lease */
    char *commit;             /* lastDeployedCommit; NULL: never set */
    struct manifest *content; /* NULL: unknown */
    struct lease *lease;
    uint64_t note_number; /* of the stack_note row with owner and reason; 0: none */
    char *owner;
    char *reason;
    uint32_t hold_s;
    int64_t held_until;
    bool held_by_job;                     /* its branch's next request may end the hold */
    uint8_t hold_lease_id[LEASE_ID_SIZE]; /* of the lease that ended in the latest hold; or zero */
    int64_t created;
    int64_t modified;
    struct health health;
    uint64_t grant_no; /* of its latest grant to a job that named units; 0: none */

    struct stack *idle_previous; /* list of the available ones, longest idle first */
    struct stack *idle_next;
    /* During one match: promised to a request whose connection another instance holds. */
    bool reserved;
    unsigned changed; /* enum stack_change: what the database doesn't know yet */
    struct stack *next_dirty;
};

/* Columns of a stack that are written together. */
enum stack_change {
    STACK_LIFE = 1,    /* state, next_state, fence, branch, lease, modified */
    STACK_CONTENT = 2, /* commit, content, deployed_at */
    STACK_ASIDE = 4,   /* hold_s, held_until, held_by_job, hold_lease_id */
    STACK_BIRTH = 8,   /* created; there may be no row yet */
    STACK_HEALTH = 16, /* health, except deployed_at; new failures: rows of another table */
    STACK_GRANT = 32,  /* grant_no */
    STACK_ROW = 63,
    STACK_NOTE = 64,   /* owner, reason: a row of another table */
    STACK_CURED = 128, /* the rows of its failures are to be deleted */
    STACK_ALL = 255
};

struct lease {
    uint64_t number;
    enum lease_state state;
    enum outcome outcome;
    char *request_id;
    char *key_name;
    char *branch;
    char *commit;
    struct manifest *units; /* NULL: the caller named none */
    struct reach *reach;    /* of its units, while it waits; NULL: nobody needed it yet */
    enum purpose purpose;
    char *job_url;
    char *job_name;
    char *job_user;
    int priority;
    int asked_priority; /* what its caller named last */
    uint32_t lease_s;
    uint32_t passed_over;
    int64_t asked_at;

    uint64_t instance; /* the one that holds the waiting connection; 0: nobody is connected */
    int64_t wait_until;
    int64_t call_no; /* of the latest call about it: see clerk_call.h */
    int64_t place_until;
    int64_t grace_s; /* how long its place is kept; -1: as the program is set */
    bool timed_out;

    uint8_t lease_id[LEASE_ID_SIZE];
    bool is_protected; /* only its leaseId releases, extends or marks it */
    struct stack *stack;
    uint64_t fence;
    bool is_new;
    char *stack_commit;             /* lastDeployedCommit at the grant */
    struct manifest *stack_content; /* what the stack ran at the grant */
    int64_t changed_units;          /* -1: the caller named no units */
    int64_t estimated_deploy_s;     /* of those; -1: nothing is known */
    int64_t granted_at;             /* 0: never */
    int64_t renewed_at;             /* when its end was last set, as far as this instance knows */
    int64_t expires_at;
    int64_t deployed_at;   /* 0: never */
    bool is_marked;        /* its latest mark was setLastDeployedCommit: its deploy is over */
    bool is_whole;         /* and said that all of its units run */
    bool is_cut_off;       /* it ends in the middle of its deploy */
    bool has_failed;       /* it ends with a failed deploy, whatever its outcome */
    bool wont_resume;      /* it doesn't want what its branch holds */
    uint32_t wanted_stack; /* it waits for that one; 0: for any */
    int64_t ended_at;

    char *previous_branch; /* the stack's before the grant; NULL: none, or not remembered */
    bool stored;           /* the database has its row */
    bool dirty;
    bool just_granted;           /* in this batch */
    bool reserved;               /* during one match: another instance will grant it */
    bool queue_full;             /* it ended because the queue had no room, */
    bool stack_gone;             /* or because the stack that it wanted was deleted */
    const struct command *asker; /* request of this batch that waits for it */
    uint32_t position;           /* when its wait ended: see pool_number_queue() */
    int64_t estimate_s;
    struct lease *previous; /* list of its priority, in the order of the queue */
    struct lease *next;
    struct lease *previous_dirty;
    struct lease *next_dirty; /* also links the ended ones */
};

/* All changeable columns of a lease are written together; what the caller sent never changes. */
enum lease_change { LEASE_LIFE = 1 };

struct action {
    struct action *next;
    enum verb verb;
    uint32_t stack_number; /* 0: none */
    char *key_name;
    char *detail;
    char *reason;
};

/* While it lasts nobody gets a stack. */
struct pause {
    int64_t since; /* 0: the project isn't paused */
    char *by;      /* name of a key */
    char *reason;
};

struct pool {
    uint32_t id;
    char *name;
    char *prefix;
    char *initial_commit;
    char *main_branch; /* NULL: main, or master */
    uint32_t max_stacks;
    uint32_t lease_s;
    uint32_t max_lease_s;
    uint32_t wait_s;
    uint32_t quarantine_after; /* branches; 0: never */
    uint32_t settle_s;
    int64_t max_held; /* -1: half of max_stacks */
    struct pause pause;
    uint64_t version;
    uint64_t next_lease_number;
    uint64_t next_event_number;
    uint64_t first_fence; /* what the fence of a new stack begins above */
    double mean_hold_s;   /* of the latest leases; 0: none yet */
    struct activity *activity;
    struct activity *remembered; /* while it is loaded: of the pool before it; or NULL */
    struct deploy_times deploy_times;

    struct stack **stacks; /* by number; [0] is unused; deleted ones too */
    size_t stacks_size;
    uint32_t stack_count; /* without the deleted ones */
    uint32_t job_holds;   /* stacks that are held_by_job */
    struct stack *idle_first;
    struct stack *idle_last;
    uint32_t idle_count;
    uint32_t reserved_new; /* during one match: new stacks promised to other instances' requests */

    struct map leases;   /* live ones by number */
    struct map requests; /* live ones by requestId */
    struct lease *queue_first[PRIORITY_COUNT];
    struct lease *queue_last[PRIORITY_COUNT];
    uint32_t waiting_count;
    uint32_t wanting_count; /* of them those that want one particular stack */
    struct map manifests;   /* by hash */
    struct map key_ends;    /* by name: see key.h */

    int64_t now;      /* the database's clock in this batch */
    int64_t deadline; /* nothing is due before it */

    /* Changes that aren't in the database yet. */
    bool settings_dirty;
    struct stack *dirty_stacks;
    struct lease *dirty_leases;
    struct lease *ended_leases;
    struct manifest **touched;
    size_t touched_count;
    size_t touched_size;
    struct action *actions;
    struct event *events; /* in their order */
    struct event *last_event;
};

struct pool *pool_new(uint32_t id, const char *name);
void pool_free(struct pool *pool);

/* For loading: takes over the memory of what is added. */
void pool_add_stack(struct pool *pool, struct stack *stack);
void pool_add_lease(struct pool *pool, struct lease *lease);
void pool_add_activity(struct pool *pool, struct manifest *main, uint64_t grants, double job_work,
                       double refreshed);
void pool_add_branch(struct pool *pool, const char *name, struct manifest *units, uint64_t grant,
                     bool is_merged);
void pool_add_manifest(struct pool *pool, struct manifest *manifest);
void pool_end_load(struct pool *pool);

/* What the batch has changed so far. */
void pool_find_changes(const struct pool *pool, struct changes *changes);
/* For loading only what others changed, into a pool without changes of its own: each lease is taken
 * out (NULL: it isn't there), then each stack reopened, and activity and deploy times if they
 * changed; what the rows have now is added as above. */
struct lease *pool_take_out_lease(struct pool *pool, uint64_t number); /* the caller frees it */
/* Emptied, to be filled and added again, but for its notes and failures if they aren't among the
 * parts. NULL: it is a new one. */
struct stack *pool_reopen_stack(struct pool *pool, uint32_t number, unsigned parts);
void pool_reopen_activity(struct pool *pool);
void pool_end_changes(struct pool *pool, const struct changes *changes);

void lease_free(struct lease *lease);

/* Whether anything must be written. */
bool pool_is_dirty(const struct pool *pool);
/* After the commit, once the responses are sent: forgets what changed, frees what ended. */
void pool_settle(struct pool *pool);

/* Looking up; NULL: not there (a deleted stack isn't). */
struct stack *pool_stack(const struct pool *pool, uint32_t number);
struct stack *pool_stack_named(const struct pool *pool, const char *name);
struct lease *pool_lease(const struct pool *pool, uint64_t number);
struct lease *pool_request(const struct pool *pool, const char *request_id);
/* The latest that ended in this batch. */
struct lease *pool_ended_request(const struct pool *pool, const char *request_id);
struct stack *pool_last_stack(const struct pool *pool);

/* What the stack runs, or will run once its job has deployed. */
const struct manifest *pool_will_run(const struct stack *stack);

/* A new reach of these units; what is known of `base` (NULL: nothing) is counted on. */
struct reach *pool_reach(const struct pool *pool, struct manifest *units, const struct reach *base);

/* The one place where stacks change their state: keeps the idle list and the counts right. */
void pool_move_stack(struct pool *pool, struct stack *stack, enum stack_state state);
/* Whether the stack that the request wants, if it wants a particular one, is there no more. */
bool pool_wants_in_vain(const struct pool *pool, const struct lease *lease);
/* Whether one more job may hold its stack. */
bool pool_may_hold(const struct pool *pool);
/* Whether a job's leaseId may end its latest hold. */
bool pool_has_holder(const struct stack *stack);
/* The leased stack will be held for the branch of its job, whose leaseId may end the hold. */
void pool_hold_for_job(struct pool *pool, struct stack *stack);
/* Its next job has it: the leaseId that ended in the hold is good for nothing more. */
void pool_forget_holder(struct pool *pool, struct stack *stack);
/* The lowest number that no stack has; 0: there are max_stacks already. */
uint32_t pool_free_number(const struct pool *pool);
/* A new, available stack of that number; an old row of the number lends its fence. */
struct stack *pool_create_stack(struct pool *pool, uint32_t number);
void pool_set_content(struct pool *pool, struct stack *stack, struct manifest *content);
/* The same of a content that may be new to the pool; takes over the caller's reference. */
void pool_set_new_content(struct pool *pool, struct stack *stack, struct manifest *content);
void pool_set_commit(struct pool *pool, struct stack *stack, const char *commit);
/* The owner, reason and time of what sets it aside; NULL, NULL, 0: nothing does. */
void pool_set_aside(struct pool *pool, struct stack *stack, const char *owner, const char *reason,
                    uint32_t hold_s);
void pool_touch_stack(struct pool *pool, struct stack *stack, unsigned changes);

/* A new waiting lease at the end of the queue. Takes over `lease`, whose texts the caller set. */
void pool_enqueue(struct pool *pool, struct lease *lease, struct manifest *units);
void pool_touch_lease(struct pool *pool, struct lease *lease);
/* Moves a waiting request in the queue. */
void pool_prioritize(struct pool *pool, struct lease *lease, int priority);
/* waiting → active: the stack is the lease's until it ends. */
void pool_activate(struct pool *pool, struct lease *lease, struct stack *stack, bool is_new);
/* Before an undelivered grant is taken back: the stack's branch is what it was. */
void pool_restore_branch(struct lease *lease);
/* active → waiting, at its old place; the stack is free again and runs what it ran. */
void pool_requeue(struct pool *pool, struct lease *lease);
/* Ends a lease: it leaves the pool (its memory stays until pool_settle). */
void pool_end_lease(struct pool *pool, struct lease *lease, enum lease_state state,
                    enum outcome outcome);

/* The stack runs something whole: what failed before no longer counts. */
void pool_note_deploy(struct pool *pool, struct stack *stack);
/* The cloud is at rest: a deploy that was cut off is over. */
void pool_note_rest(struct pool *pool, struct stack *stack);
/* An administrator reinstated it, or it is deleted: forgets its failures and its unrest. */
void pool_note_care(struct pool *pool, struct stack *stack);
/* Whether it still rests after a deploy that was cut off (settle_s), so that nobody gets it. */
bool pool_is_resting(const struct pool *pool, const struct stack *stack);
int64_t pool_rest_end(const struct pool *pool, const struct stack *stack); /* of an unsettled one */

/* Says that something is due at `time_us`. */
void pool_due_at(struct pool *pool, int64_t time_us);
/* Settings, to be written with the others. A longer pause keeps its beginning. */
void pool_pause(struct pool *pool, const char *by, const char *reason);
void pool_resume(struct pool *pool);
/* Remembers what an administrator did. */
void pool_record(struct pool *pool, const struct command *command, uint32_t stack_number,
                 const char *detail);

/* Whether that is the main branch: of that setting, else main or master. */
bool pool_is_main(const struct pool *pool, const char *branch);
void pool_set_main_branch(struct pool *pool, const char *branch);

/* Priority with one step more for every minute waited. */
int64_t pool_rank(const struct pool *pool, const struct lease *lease);
/* Whether `a` is granted a stack before `b`: the order of the queue. */
bool pool_stands_before(const struct pool *pool, const struct lease *a, const struct lease *b);
/* Tells all who wait their `position` in that order, from 1, and `estimate_s`: until they get a
 * stack, by the project's own mean hold; of one that wants a particular stack, until that stack's
 * next lease is over. */
void pool_number_queue(struct pool *pool);

#endif
