/*
 * column: one column of a row beside the field that it holds. A value of zero and NULL are
 * the same here, except where a column says otherwise. Used by `table`.
 */
#ifndef COLUMN_H
#define COLUMN_H

#include "base/buf.h"
#include "base/map.h"
#include "database/database_row.h"
#include "rules/pool.h"

#include <stdbool.h>
#include <stddef.h>

enum column_type {
    COLUMN_UINT32,
    COLUMN_UINT64,
    COLUMN_INT,
    COLUMN_BOOL,
    COLUMN_NUMBER32, /* 0 is NULL */
    COLUMN_NUMBER64,
    COLUMN_COUNT, /* int64_t; -1 is NULL */
    COLUMN_TIME,
    COLUMN_TEXT,
    COLUMN_LEASE_ID, /* NULL: all zero */
    COLUMN_MANIFEST, /* its number */
    COLUMN_STACK,    /* its number */
    COLUMN_LEASE,    /* its number; not read: a lease finds its stack */
    COLUMN_STACK_STATE,
    COLUMN_NEXT_STATE, /* NULL: available */
    COLUMN_LEASE_STATE,
    COLUMN_OUTCOME, /* NULL: none */
    COLUMN_PURPOSE,
};

struct column {
    const char *name;
    enum column_type type;
    size_t offset;
    int changes; /* those that write it */
};

/* What numbers in a row refer to. */
struct column_references {
    const struct pool *pool;
    const struct map *manifests; /* by number */
    bool *is_missing;            /* set if one isn't among them */
};

/* Whether the object's field equals the column's default, so that an INSERT may omit it. */
bool column_is_default(const struct column *column, const void *object);
/* The field as an SQL literal. */
void column_write(struct buf *sql, const struct column *column, const void *object);
/* The row's value number `at` into the field. */
void column_read(const struct column *column, const struct database_row *row, unsigned at,
                 const struct column_references *references, void *object);

#endif
