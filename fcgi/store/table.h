/*
 * table: the columns of stack, stack_note, lease and history beside the fields that they
 * hold, once for reading and for writing. Used by the files of `store`.
 */
#ifndef TABLE_H
#define TABLE_H

#include "base/buf.h"
#include "database/database_row.h"
#include "rules/changes.h"
#include "store/column.h"

#include <stddef.h>
#include <stdint.h>

struct table;

extern const struct table table_stack;      /* rows are struct stack */
extern const struct table table_stack_note; /* the same; a row never changes */
extern const struct table table_lease;      /* rows are struct lease */
extern const struct table table_history;    /* rows are struct lease; written only */

/* A row of any project. */
struct table_row {
    uint32_t project;
    const void *object;
};

/* Three ways to write, because SQL text costs CPU: a single upsert for everything took 80 % more
 * instructions in store_commit, 30 % more per lease. */

/* New rows. Columns that none of them sets are left to their defaults: less to parse. */
void table_insert(struct buf *sql, const struct table *table, const struct table_row rows[],
                  size_t count);

/* Rows that the table may have. Writes the columns of these changes. */
void table_put(struct buf *sql, const struct table *table, const struct table_row rows[],
               size_t count, unsigned changes);

/* One row that the table has: half the work of table_put(), which is cheaper per row for many. */
void table_update(struct buf *sql, const struct table *table, const struct table_row *row,
                  unsigned changes);

/* Rows of a project, in the order of their numbers: all (`numbers` is NULL), or those of them. */
void table_select(struct buf *sql, const struct table *table, uint32_t project,
                  const struct numbers *numbers);
/* ` AND column IN (…)`; NULL: nothing. */
void table_add_numbers(struct buf *sql, const char *column, const struct numbers *numbers);

/* Fills `object` from a row of table_select(). */
void table_read(const struct table *table, const struct database_row *row,
                const struct column_references *references, void *object);

#endif
