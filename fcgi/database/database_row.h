/* database_row: what a statement gives, row by row. */
#ifndef DATABASE_ROW_H
#define DATABASE_ROW_H

/* `set` counts the results of one text from 0. A NULL column has values[i] NULL. */
struct database_row {
    unsigned set;
    unsigned count;
    char **values;
    unsigned long *lengths;
};

/* The row is gone when the visit ends. */
typedef void database_visit(void *context, const struct database_row *row);

#endif
