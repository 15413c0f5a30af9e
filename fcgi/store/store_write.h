/* store_write: the changes of a pool as set-based statements. Used by `store` only. */
#ifndef STORE_WRITE_H
#define STORE_WRITE_H

#include "database/database.h"
#include "rules/pool.h"

/* Appends the statements that write all that changed in the pools, each ending in `;`. Where the
 * text grows large it is run in between. */
enum database_status store_write_pools(struct database *database, struct buf *sql,
                                       struct pool *const pools[], size_t count);

#endif
