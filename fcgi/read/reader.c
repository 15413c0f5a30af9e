/* reader: see reader.h. A call runs one text of statements; each row becomes JSON as it comes. */
#include "read/reader.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/times.h"
#include "database/database.h"
#include "database/sql.h"
#include "read/reader_private.h"

#include <stdio.h>
#include <stdlib.h>

struct reader *reader_new(const struct config *config)
{
    struct reader *reader = mem_zalloc(sizeof *reader);

    reader->database = database_new(config, DATABASE_READING_S);
    return reader;
}

void reader_free(struct reader *reader)
{
    database_free(reader->database);
    buf_free(&reader->sql);
    free(reader);
}

void reader_set_key(struct reader *reader, const char *name, uint32_t number)
{
    reader->key_name = name;
    reader->key_number = number;
}

/* Running */

struct buf *reader_start_sql(struct reader *reader, const char *project)
{
    buf_clear(&reader->sql);
    buf_puts(&reader->sql,
             "SELECT prefix, " SQL_MICROSECONDS "UTC_TIMESTAMP(6)),"
             " (SELECT COUNT(*) FROM ended_key e WHERE e.project = project.name AND e.name = ");
    sql_text(&reader->sql, reader->key_name);
    buf_printf(&reader->sql,
               " AND (e.number > %u OR (e.number = %u AND e.ends_at <= UTC_TIMESTAMP(6))))"
               " FROM project WHERE name = ",
               reader->key_number, reader->key_number);
    sql_text(&reader->sql, project);
    return &reader->sql;
}

void reader_take_project(struct page *page, const struct database_row *row)
{
    page->found = true;
    snprintf(page->prefix, sizeof page->prefix, "%s", row->values[PROJECT_PREFIX]);
    page->now_us = database_row_int(row, PROJECT_NOW, 0);
    page->key_ended = database_row_int(row, PROJECT_KEY_ENDED, 0) != 0;
}

void reader_add_project(struct buf *sql, const char *project)
{
    buf_puts(sql, "(SELECT project_id FROM project WHERE name = ");
    sql_text(sql, project);
    buf_puts(sql, ")");
}

void reader_add_stack_number(struct buf *sql, const char *stack_name)
{
    struct buf number = {0};

    buf_puts(&number, "CAST(SUBSTRING(");
    sql_text(&number, stack_name);
    buf_puts(&number, ", CHAR_LENGTH(p.prefix) + 1) AS UNSIGNED)");
    buf_printf(sql, "IF(CONCAT(p.prefix, %s) = ", number.data);
    sql_text(sql, stack_name);
    buf_printf(sql, ", %s, NULL)", number.data);
    buf_free(&number);
}

/* It takes seconds to give a silent server up. For as long again, the next calls don't try. */
static bool is_reachable(struct reader *reader)
{
    int64_t started_ms = times_monotonic_ms();
    int64_t ended_ms;

    if (started_ms < reader->away_until_ms)
        return false;
    if (database_connect(reader->database) == DATABASE_OK)
        return true;
    ended_ms = times_monotonic_ms();
    reader->away_until_ms = ended_ms + (ended_ms - started_ms);
    return false;
}

/* Only now does one notice that the server closed the connection: it tries once more, unless
 * something was written already. */
enum reader_status reader_run(struct reader *reader, database_visit *visit, struct page *page)
{
    enum database_status status = DATABASE_LOST;

    for (int try = 0; try < 2 && status == DATABASE_LOST && !page->found; try++) {
        if (!is_reachable(reader))
            break;
        status = database_run(reader->database, &reader->sql, visit, page);
    }
    if (status != DATABASE_OK) {
        database_disconnect(reader->database); /* so that the server is judged again */
        return status == DATABASE_LOST && database_was_slow(reader->database) ? READER_TOO_SLOW
                                                                              : READER_NO_DATABASE;
    }
    if (page->key_ended)
        return READER_KEY_ENDED;
    return page->found ? READER_OK : READER_NO_PROJECT;
}
