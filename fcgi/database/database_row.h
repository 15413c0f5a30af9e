/* database_row: what a statement gives, row by row. */
#ifndef DATABASE_ROW_H
#define DATABASE_ROW_H

#include <stdint.h>

/* `set` counts the results of one text from 0. A NULL column has values[i] NULL. */
struct database_row {
    unsigned set;
    unsigned count;
    char **values;
    unsigned long *lengths;
};

/* The row is gone when the visit ends. */
typedef void database_visit(void *context, const struct database_row *row);

/* Columns as numbers; NULL gives `otherwise`. */
uint64_t database_row_uint(const struct database_row *row, unsigned column, uint64_t otherwise);
int64_t database_row_int(const struct database_row *row, unsigned column, int64_t otherwise);

#endif
