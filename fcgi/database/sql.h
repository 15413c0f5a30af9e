/*
 * sql: values as literals of a statement. Whatever the text and whatever the server's sql_mode,
 * nothing in it can end the literal.
 */
#ifndef SQL_H
#define SQL_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* NULL gives NULL. Text that has nothing to escape stands in quotes, which costs the server least;
 * any other in hexadecimal. So a quote within a statement is always the end of a literal. */
void sql_text(struct buf *sql, const char *text);
void sql_bytes(struct buf *sql, const void *bytes, size_t len);
void sql_time(struct buf *sql, int64_t time_us); /* 0: NULL */

/* A DATETIME(6) as microseconds since 1970; the column and a closing parenthesis follow. */
#define SQL_MICROSECONDS "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',"

#endif
