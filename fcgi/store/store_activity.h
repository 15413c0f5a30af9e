/* store_activity: what a pool looks ahead by, as rows. Used by the files of `store`. */
#ifndef STORE_ACTIVITY_H
#define STORE_ACTIVITY_H

#include "base/buf.h"
#include "base/map.h"
#include "database/database_row.h"
#include "rules/pool.h"

void store_activity_select_times(struct buf *sql, uint32_t project);
/* Two statements. Their rows are to be added in their order. `manifests`: by number. */
void store_activity_select(struct buf *sql, uint32_t project);
void store_activity_add_time(struct pool *pool, const struct database_row *row);
void store_activity_add(struct pool *pool, const struct database_row *row,
                        const struct map *manifests);
void store_activity_add_branch(struct pool *pool, const struct database_row *row,
                               const struct map *manifests);

/* What the database doesn't know yet. */
void store_activity_write(struct buf *sql, struct pool *const pools[], size_t count);
void store_activity_write_times(struct buf *sql, const struct pool *pool);

#endif
