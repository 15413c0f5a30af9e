/* pool_private: what the files of `pool` share and nobody else calls. */
#ifndef POOL_PRIVATE_H
#define POOL_PRIVATE_H

#include "rules/event.h"
#include "rules/pool.h"

/* The pool's own copy of the same units, or `units` itself as a new one of that number. */
struct manifest *pool_intern_manifest(struct pool *pool, struct manifest *units, uint64_t number);
/* Count one user more, or one fewer (NULL: nothing happens). An ended lease no longer counts as a
 * user, but keeps its reference until it is freed. */
struct manifest *pool_use_manifest(struct pool *pool, struct manifest *manifest);
void pool_begin_use(struct pool *pool, struct manifest *manifest); /* without a reference */
void pool_drop_manifest(struct pool *pool, struct manifest *manifest);
void pool_end_use(struct pool *pool, struct manifest *manifest);
void pool_settle_manifests(struct pool *pool);

/* pool_leases, pool_stacks: for loading again. */
void pool_leave_queue(struct pool *pool, struct lease *lease);
void pool_unindex_lease(struct pool *pool, struct lease *lease);
void pool_insert_idle(struct pool *pool, struct stack *stack);
void pool_remove_idle(struct pool *pool, struct stack *stack);

/* pool_health: whether a lease that is about to end leaves a failed deploy behind. */
void pool_settle_health(struct pool *pool, const struct lease *lease, enum lease_state state);

/* pool_activity: a request is in the queue; it is about to get the stack. */
void pool_note_request(struct pool *pool, const struct lease *lease);
void pool_note_grant(struct pool *pool, struct lease *lease, struct stack *stack);

/* The latest event of the batch. What it refers to is there until pool_settle(). */
void pool_tell_lease(struct pool *pool, enum event_kind kind, const struct lease *lease);
void pool_tell_stack(struct pool *pool, enum event_kind kind, const struct stack *stack);
void pool_tell_action(struct pool *pool, const struct action *action);
void pool_forget_events(struct pool *pool);

#endif
