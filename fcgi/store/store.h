/*
 * store: the writer's way to the database. One batch is one transaction:
 *
 *     store_begin   locks the projects' rows, reads their versions and the clock
 *     store_follow  reads what others changed in a pool that is remembered
 *     store_load    reads a pool that isn't, or where it can't be told what changed
 *     store_find_past, store_was_leased   look things up that a pool doesn't remember
 *     store_commit  writes what changed, and commits;  store_rollback gives up
 *
 * Where nobody else is expected to write, store_begin is left out: store_commit then is one round
 * trip, which does nothing if the pools are no longer what the database has.
 *
 * Writer's thread only.
 */
#ifndef STORE_H
#define STORE_H

#include "base/config.h"
#include "database/database.h"
#include "database/database_clock.h"
#include "rules/command.h"
#include "rules/pool.h"

#include <stddef.h>
#include <stdint.h>

struct store;

struct store *store_new(const struct config *config);
void store_free(struct store *store);

/* Random, unless 0; names this run of the program in the database. */
uint64_t store_instance(const struct store *store);

/* Connects if need be, and registers the instance. `*reconnected` is the database's time when the
 * connection is a new one. */
DATABASE_MUST_CHECK enum database_status store_connect(struct store *store,
                                                       struct database_time *reconnected);

void store_disconnect(struct store *store);

/* Goes back to a better server of the list, if there is one. Whether it did. The
 * connection may be lost then. */
bool store_fail_back(struct store *store);

/* After store_connect() failed: why the server was refused; empty: none could be reached. */
const char *store_refusal(const struct store *store);

/* A project's row: does what is remembered of it still hold? */
struct store_row {
    uint32_t id;
    uint64_t version;
    uint64_t next_lease_number; /* of locked rows only, like the next */
    uint64_t next_event_number;
    char name[64 + 1];
};

struct store_begin {
    struct database_time now; /* read under the locks; none: nothing could be locked */
    struct store_row *rows;   /* those that could be locked */
    struct changes *changes;  /* of each of them, since what is remembered */
    size_t count;
    size_t busy_count; /* how many of the names another instance has locked */
};

/* `pools`: what is remembered of each; NULL: nothing is. */
DATABASE_MUST_CHECK enum database_status store_begin(struct store *store, const char *const names[],
                                                     struct pool *const pools[], size_t count,
                                                     struct store_begin *begin);
void store_begin_free(struct store_begin *begin);

/* A pool of an earlier version, its row, and what changed since. */
struct store_following {
    struct pool *pool;
    const struct store_row *row;
    struct changes *changes;
    bool done; /* it could be told what changed */
};

/* Makes each of the pools what store_load() would make of it, in one round trip. Those that aren't
 * `done` are of no more use; nor is any if the status is another than DATABASE_OK. */
DATABASE_MUST_CHECK enum database_status store_follow(struct store *store,
                                                      struct store_following list[], size_t count);

/* Fills a new pool with all that its project has, settings too. */
DATABASE_MUST_CHECK enum database_status store_load(struct store *store, struct pool *pool);

/* Other living instances; the caller frees the list. `was_away`: the database was until a moment
 * ago, so that silent ones may live. */
struct store_others {
    uint64_t *instances;
    size_t count;
};
DATABASE_MUST_CHECK enum database_status store_find_others(struct store *store, bool was_away,
                                                           struct store_others *others);

/* Fills command->past for those of the list (linked by next) that name a request which isn't live:
 * how the latest request of that requestId ended, within the last day. */
DATABASE_MUST_CHECK enum database_status
store_find_past(struct store *store, const struct pool *pool, struct command *commands);

/* How the lease of that number ended; past->number stays 0 if history doesn't have it. */
DATABASE_MUST_CHECK enum database_status store_find_ended(struct store *store,
                                                          const struct pool *pool, uint64_t number,
                                                          struct past_request *past);

/* Whether the command's leaseId was once right for that stack. */
DATABASE_MUST_CHECK enum database_status
store_was_leased(struct store *store, const struct pool *pool, const struct stack *stack,
                 const uint8_t *lease_id, bool *was_leased);

/* Writes all that changed in the pools, which it puts in another order, and commits.
 * DATABASE_RETRY: another has changed their projects, or pool->now is no longer the database's
 * time; nothing was written. DATABASE_LOST: unknown whether it happened; ask store_was_committed()
 * after the next store_connect(). */
DATABASE_MUST_CHECK enum database_status store_commit(struct store *store, struct pool *pools[],
                                                      size_t count);

/* Whether the latest batch, which was of these projects, is in the database. */
DATABASE_MUST_CHECK enum database_status store_was_committed(struct store *store,
                                                             const char *const names[],
                                                             size_t count, bool *was_committed);
void store_rollback(struct store *store);

/* The versions of all projects, so that changes of other instances are noticed, and the clock. Also
 * beats the instance's heart. The caller frees the list. */
struct store_watch {
    struct store_row *rows;
    size_t count;
    struct database_time now;
};

DATABASE_MUST_CHECK enum database_status store_watch(struct store *store,
                                                     struct store_watch *watch);

/* Signs the instance off. */
void store_leave(struct store *store);

#endif
