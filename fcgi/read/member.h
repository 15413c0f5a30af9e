/* member: columns of a SELECT, and the members of a JSON object that they become, in one table. */
#ifndef MEMBER_H
#define MEMBER_H

#include "base/buf.h"
#include "base/json.h"
#include "database/database_row.h"

enum member_kind {
    MEMBER_END, /* of the table */
    MEMBER_TEXT,
    MEMBER_NUMBER,
    MEMBER_BOOL,
    MEMBER_TIME,
    MEMBER_SECONDS,    /* from microseconds; never below 0 */
    MEMBER_STACK_NAME, /* from the stack's number */
    MEMBER_OPEN,       /* an object begins; with a column only if that is true */
    MEMBER_CLOSE,      /* it ends */
};

struct member {
    const char *name;
    enum member_kind kind;
    const char *sql; /* NULL: no column */
};

/* `SELECT` and the columns. */
void member_select(struct buf *sql, const struct member *members);
/* The members of one row; NULL becomes null. A stack's name begins with `prefix`. */
void member_put(struct json_writer *json, const struct member *members,
                const struct database_row *row, const char *prefix);

#endif
