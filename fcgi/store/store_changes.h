/* store_changes: what batches changed, as rows of the table `batch`. Used by the files of `store`.
 */
#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include "base/buf.h"
#include "database/database_row.h"
#include "rules/changes.h"
#include "rules/pool.h"

#include <stddef.h>

/* More rows than this are not worth the listing: who lacks them reads the whole project. */
#define STORE_CHANGES_MAX 1000

/* A row for each pool that the batch changes, whose versions are raised already. */
void store_changes_write(struct buf *sql, struct pool *const pools[], size_t count);

/* What changed since the pools were as they are remembered (NULL: nothing is). Nothing is added if
 * none is remembered. */
void store_changes_select(struct buf *sql, struct pool *const pools[], size_t count);
/* Adds what a row of store_changes_select() says. */
void store_changes_take(struct changes *changes, const struct database_row *row);
/* The project of the row. */
uint32_t store_changes_project(const struct database_row *row);

#endif
