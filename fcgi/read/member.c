/* member: see member.h. No state; any thread. */
#include "read/member.h"

#include "base/times.h"
#include "database/sql.h"

#include <stdio.h>
#include <string.h>

void member_select(struct buf *sql, const struct member *members)
{
    const char *before = "SELECT ";

    for (; members->kind != MEMBER_END; members++) {
        bool is_time = members->kind == MEMBER_TIME;

        if (!members->sql)
            continue;
        buf_puts(sql, before);
        buf_puts(sql, is_time ? SQL_MICROSECONDS : "");
        buf_puts(sql, members->sql);
        buf_puts(sql, is_time ? ")" : "");
        before = ",";
    }
}

static void put_stack_name(struct json_writer *json, const char *name, const char *prefix,
                           const char *number)
{
    char stack_name[128];

    snprintf(stack_name, sizeof stack_name, "%s%s", prefix, number);
    json_put_string(json, name, stack_name);
}

static void put_value(struct json_writer *json, const struct member *member,
                      const struct database_row *row, unsigned column, const char *prefix)
{
    const char *text = row->values[column];
    int64_t number = database_row_int(row, column, 0);

    if (!text) {
        json_put_null(json, member->name);
        return;
    }
    switch (member->kind) {
    case MEMBER_TEXT:
        json_put_string(json, member->name, text);
        break;
    case MEMBER_NUMBER:
        json_put_integer(json, member->name, number);
        break;
    case MEMBER_BOOL:
        json_put_bool(json, member->name, number != 0);
        break;
    case MEMBER_TIME:
        json_put_time(json, member->name, number);
        break;
    case MEMBER_SECONDS:
        /* A row may be younger than the clock that was read before it. */
        json_put_number(json, member->name, number > 0 ? (double)number / (double)TIMES_SECOND : 0,
                        3);
        break;
    case MEMBER_STACK_NAME:
        put_stack_name(json, member->name, prefix, text);
        break;
    case MEMBER_END:
    case MEMBER_OPEN:
    case MEMBER_CLOSE:
        break;
    }
}

void member_put(struct json_writer *json, const struct member *members,
                const struct database_row *row, const char *prefix)
{
    unsigned column = 0;
    unsigned left_out = 0; /* how deep we are in an object that is left out */

    for (; members->kind != MEMBER_END; members++) {
        unsigned own = column;

        if (members->sql)
            column++;
        if (members->kind == MEMBER_OPEN) {
            if (left_out || (members->sql && !database_row_int(row, own, 0)))
                left_out++;
            else
                json_open_object(json, members->name);
        } else if (members->kind == MEMBER_CLOSE) {
            if (left_out)
                left_out--;
            else
                json_close_object(json);
        } else if (!left_out) {
            put_value(json, members, row, own, prefix);
        }
    }
}
