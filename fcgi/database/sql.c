/* sql: see sql.h. */
#include "database/sql.h"

#include "base/hex.h"
#include "base/times.h"

#include <stdbool.h>
#include <string.h>

static void add_quoted(struct buf *sql, const char *text, size_t len)
{
    buf_puts(sql, "'");
    buf_append(sql, text, len);
    buf_puts(sql, "'");
}

/* Letters, digits and signs that mean nothing within quotes, with any setting of the server. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '\'' || text[i] == '"' || text[i] == '\\')
            return false;
    return true;
}

void sql_text(struct buf *sql, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (!text) {
        buf_puts(sql, "NULL");
    } else if (is_plain(text, len)) {
        add_quoted(sql, text, len);
    } else {
        buf_puts(sql, "_utf8mb4 ");
        sql_bytes(sql, text, len);
    }
}

void sql_bytes(struct buf *sql, const void *bytes, size_t len)
{
    buf_puts(sql, "x'");
    hex_put(sql, bytes, len);
    buf_puts(sql, "'");
}

void sql_time(struct buf *sql, int64_t time_us)
{
    char text[TIMES_TEXT_SIZE];

    if (!time_us) {
        buf_puts(sql, "NULL");
        return;
    }
    times_sql(time_us, text);
    add_quoted(sql, text, strlen(text));
}

void sql_next_text(struct buf *sql, const char *text)
{
    buf_puts(sql, ",");
    sql_text(sql, text);
}

void sql_next_time(struct buf *sql, int64_t time_us)
{
    buf_puts(sql, ",");
    sql_time(sql, time_us);
}

void sql_next_number(struct buf *sql, uint64_t number)
{
    buf_puts(sql, ",");
    buf_uint(sql, number);
}

void sql_next_optional(struct buf *sql, uint64_t number)
{
    if (number)
        sql_next_number(sql, number);
    else
        buf_puts(sql, ",NULL");
}
