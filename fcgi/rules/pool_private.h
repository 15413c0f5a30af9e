/* pool_private: what the files of `pool` share and nobody else calls. */
#ifndef POOL_PRIVATE_H
#define POOL_PRIVATE_H

#include "rules/pool.h"

/* The pool's own copy of the same units, or `units` itself as a new one of that number. */
struct manifest *pool_intern_manifest(struct pool *pool, struct manifest *units, uint64_t number);
/* A stack or a lease refers to it, or no longer does; NULL is nothing. */
struct manifest *pool_use_manifest(struct pool *pool, struct manifest *manifest);
void pool_drop_manifest(struct pool *pool, struct manifest *manifest);
/* Whether its row must be written or deleted is looked at once the batch is written. */
void pool_touch_manifest(struct pool *pool, struct manifest *manifest);
void pool_settle_manifests(struct pool *pool);

#endif
