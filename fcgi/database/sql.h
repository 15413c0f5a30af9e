/*
 * sql: values as literals of a statement. Nothing in a text can end its literal, with any sql_mode.
 */
#ifndef SQL_H
#define SQL_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* NULL gives NULL. Text with nothing to escape goes in quotes, which costs the server least; any
 * other text goes in hexadecimal. So a quote in a statement always begins or ends a literal. */
void sql_text(struct buf *sql, const char *text);
void sql_bytes(struct buf *sql, const void *bytes, size_t len);
void sql_time(struct buf *sql, int64_t time_us); /* 0: NULL */

/* The next value of a row: the same after a comma. */
void sql_next_text(struct buf *sql, const char *text);
void sql_next_time(struct buf *sql, int64_t time_us);
void sql_next_number(struct buf *sql, uint64_t number);
void sql_next_optional(struct buf *sql, uint64_t number); /* 0: NULL */

/* A DATETIME(6) as microseconds since 1970; the column and a closing parenthesis follow. */
#define SQL_MICROSECONDS "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',"

#endif
