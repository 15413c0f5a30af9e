/* reader: one text of statements a call; each row becomes JSON as it comes. */
#include "read/reader.h"

#include "base/buf.h"
#include "base/times.h"
#include "database/database.h"
#include "database/sql.h"
#include "read/reader_private.h"
#include "rules/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader *reader_new(const struct config *config)
{
    struct reader *reader = mem_zalloc(sizeof *reader);

    reader->database = database_new(config);
    return reader;
}

void reader_free(struct reader *reader)
{
    database_free(reader->database);
    buf_free(&reader->sql);
    reader_forget_estimates(reader);
    free(reader);
}

void reader_filter_free(struct reader_filter *filter)
{
    free(filter->stack_name);
    free(filter->branch);
}

/* Columns */

const char *reader_text(const struct database_row *row, unsigned column)
{
    return row->values[column];
}

void reader_put_time(struct json_writer *json, const char *name, const struct database_row *row,
                     unsigned column)
{
    if (row->values[column])
        json_put_time(json, name, database_int(row, column, 0));
    else
        json_put_null(json, name);
}

void reader_put_number(struct json_writer *json, const char *name, const struct database_row *row,
                       unsigned column)
{
    if (row->values[column])
        json_put_integer(json, name, database_int(row, column, 0));
    else
        json_put_null(json, name);
}

void reader_put_seconds(struct json_writer *json, const char *name, int64_t from_us, int64_t to_us)
{
    /* A row may be younger than the clock that was read one statement before it. */
    int64_t passed_us = to_us > from_us ? to_us - from_us : 0;

    json_put_number(json, name, (double)passed_us / (double)TIMES_SECOND, 3);
}

void reader_put_stack_name(const struct reading *reading, const char *name,
                           const struct database_row *row, unsigned column)
{
    char stack_name[128];

    if (!row->values[column]) {
        json_put_null(reading->json, name);
        return;
    }
    snprintf(stack_name, sizeof stack_name, "%s%s", reading->prefix, row->values[column]);
    json_put_string(reading->json, name, stack_name);
}

/* Columns url, name, user. */
void reader_put_job(struct json_writer *json, const struct database_row *row, unsigned column)
{
    json_open_object(json, "job");
    json_put_string(json, "url", reader_text(row, column));
    json_put_string(json, "name", reader_text(row, column + 1));
    json_put_string(json, "user", reader_text(row, column + 2));
    json_close_object(json);
}

/* Running */

#define PROJECT_SQL                                                                                \
    "SELECT name, prefix, initial_commit, max_stacks, lease_s, max_lease_s, "                      \
    "wait_s, " SQL_MICROSECONDS "UTC_TIMESTAMP(6)) FROM project WHERE name = "

void reader_take_project(struct reading *reading, const struct database_row *row)
{
    reading->found = true;
    snprintf(reading->prefix, sizeof reading->prefix, "%s", row->values[1]);
    reading->now = database_int(row, 7, 0);
}

struct buf *reader_start_sql(struct reader *reader, const char *project)
{
    buf_clear(&reader->sql);
    buf_puts(&reader->sql, PROJECT_SQL);
    sql_text(&reader->sql, project);
    return &reader->sql;
}

void reader_add_project(struct buf *sql, const char *project)
{
    buf_puts(sql, "(SELECT project_id FROM project WHERE name = ");
    sql_text(sql, project);
    buf_puts(sql, ")");
}

/* A silent server takes seconds to be given up: for as long again the next calls don't try. */
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

/* A connection that the server closed meanwhile is only noticed now: one more try, as long as
 * nothing was written yet. */
enum reader_status reader_run(struct reader *reader, database_visit *visit, struct reading *reading)
{
    enum database_status status = DATABASE_LOST;

    for (int try = 0; try < 2 && status == DATABASE_LOST && !reading->found; try++) {
        if (!is_reachable(reader))
            break;
        status = database_run(reader->database, &reader->sql, visit, reading);
    }
    if (status != DATABASE_OK) {
        database_disconnect(reader->database); /* so that the server is judged anew */
        return READER_NO_DATABASE;
    }
    return reading->found ? READER_OK : READER_NO_PROJECT;
}

/* listStacks, as the original service has it */

static void visit_list(void *context, const struct database_row *row)
{
    struct reading *reading = context;
    struct json_writer *json = reading->json;

    if (row->set == 0) {
        reader_take_project(reading, row);
        return;
    }
    json_open_object(json, NULL);
    reader_put_stack_name(reading, "stackName", row, 0);
    json_put_string(json, "lastDeployedCommit", reader_text(row, 1));
    json_put_bool(json, "isAvailable", database_uint(row, 2, 0) != 0);
    json_put_string(json, "branch", reader_text(row, 3));
    reader_put_time(json, "created", row, 4);
    reader_put_time(json, "modified", row, 5);
    json_put_string(json, "entity", "Stack");
    json_close_object(json);
}

enum reader_status reader_list_stacks(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct reading reading = {.json = json};
    struct buf *sql = reader_start_sql(reader, project);
    enum reader_status status;

    buf_puts(sql,
             ";SELECT stack_no, COALESCE(last_deployed_commit, initial_commit),"
             " state = 'available', branch, " SQL_MICROSECONDS "stack.created), " SQL_MICROSECONDS
             "stack.modified) FROM stack JOIN project USING (project_id)"
             " WHERE state <> 'deleted' AND name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY stack_no");
    json_open_array(json, "stacks");
    status = reader_run(reader, visit_list, &reading);
    json_close_array(json);
    return status;
}

/* history and actions */

static void put_ended(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;
    int64_t asked_at = database_int(row, 13, 0);
    int64_t granted_at = database_int(row, 14, 0);
    int64_t ended_at = database_int(row, 16, 0);

    json_open_object(json, NULL);
    reader_put_number(json, "requestNumber", row, 0);
    json_put_string(json, "state", reader_text(row, 1));
    json_put_string(json, "outcome", reader_text(row, 2));
    reader_put_stack_name(reading, "stackName", row, 3);
    reader_put_number(json, "fence", row, 4);
    json_put_string(json, "keyName", reader_text(row, 5));
    json_put_string(json, "branch", reader_text(row, 6));
    json_put_string(json, "commit", reader_text(row, 7));
    json_put_string(json, "purpose", reader_text(row, 8));
    reader_put_job(json, row, 9);
    json_put_bool(json, "isNew", row->values[12][0] == '1');
    reader_put_number(json, "changedUnits", row, 17);
    reader_put_time(json, "askedAt", row, 13);
    reader_put_time(json, "grantedAt", row, 14);
    reader_put_time(json, "deployedAt", row, 15);
    reader_put_time(json, "endedAt", row, 16);
    reader_put_seconds(json, "waitedSeconds", asked_at, granted_at ? granted_at : ended_at);
    if (granted_at)
        reader_put_seconds(json, "heldSeconds", granted_at, ended_at);
    else
        json_put_null(json, "heldSeconds");
    json_close_object(json);
}

static void put_action(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;

    json_open_object(json, NULL);
    reader_put_number(json, "actionNumber", row, 0);
    reader_put_time(json, "at", row, 1);
    json_put_string(json, "keyName", reader_text(row, 2));
    json_put_string(json, "action", reader_text(row, 3));
    reader_put_stack_name(reading, "stackName", row, 4);
    json_put_string(json, "detail", reader_text(row, 5));
    json_put_string(json, "reason", reader_text(row, 6));
    json_close_object(json);
}

/* One row more than the limit was asked for: it only tells that there is more. */
static bool is_past_limit(struct reading *reading, const struct database_row *row)
{
    if (++reading->rows > reading->limit)
        return true;
    reading->last = database_uint(row, 0, 0);
    return false;
}

static void visit_history(void *context, const struct database_row *row)
{
    struct reading *reading = context;

    if (row->set == 0)
        reader_take_project(reading, row);
    else if (!is_past_limit(reading, row))
        put_ended(reading, row);
}

static void visit_actions(void *context, const struct database_row *row)
{
    struct reading *reading = context;

    if (row->set == 0)
        reader_take_project(reading, row);
    else if (!is_past_limit(reading, row))
        put_action(reading, row);
}

static void add_text_filter(struct buf *sql, const char *condition, const char *value)
{
    if (!value)
        return;
    buf_puts(sql, condition);
    sql_text(sql, value);
}

static void add_time_filter(struct buf *sql, const char *condition, int64_t time_us)
{
    if (!time_us)
        return;
    buf_puts(sql, condition);
    sql_time(sql, time_us);
}

/* Conditions that history and actions share; `number` and `time` are their columns. */
static void add_filter(struct buf *sql, const struct reader_filter *filter, const char *number,
                       const char *time)
{
    char condition[64];

    add_text_filter(sql, " AND CONCAT(p.prefix, t.stack_no) = ", filter->stack_name);
    snprintf(condition, sizeof condition, " AND t.%s >= ", time);
    add_time_filter(sql, condition, filter->since);
    snprintf(condition, sizeof condition, " AND t.%s < ", time);
    add_time_filter(sql, condition, filter->until);
    if (filter->before)
        buf_printf(sql, " AND t.%s < %llu", number, (unsigned long long)filter->before);
}

static enum reader_status read_page(struct reader *reader, const char *name, const char *next,
                                    const struct reader_filter *filter, database_visit *visit,
                                    struct json_writer *json)
{
    struct reading reading = {.json = json, .limit = filter->limit};
    enum reader_status status;

    json_open_array(json, name);
    status = reader_run(reader, visit, &reading);
    json_close_array(json);
    if (reading.rows > reading.limit)
        json_put_integer(json, next, (int64_t)reading.last);
    else
        json_put_null(json, next);
    return status;
}

enum reader_status reader_history(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    struct buf *sql = reader_start_sql(reader, project);

    buf_puts(sql, ";SELECT t.lease_no, t.state, t.outcome, t.stack_no, t.fence, t.key_name,"
                  " t.branch, t.commit_id, t.purpose, t.job_url, t.job_name, t.job_user, "
                  "t.is_new, " SQL_MICROSECONDS "t.asked_at), " SQL_MICROSECONDS
                  "t.granted_at), " SQL_MICROSECONDS "t.deployed_at), " SQL_MICROSECONDS
                  "t.ended_at), t.changed_units"
                  " FROM history t JOIN project p USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
    add_filter(sql, filter, "lease_no", "ended_at");
    add_text_filter(sql, " AND t.branch = ", filter->branch);
    if (filter->state >= 0)
        buf_printf(sql, " AND t.state = '%s'", words_lease_state((enum lease_state)filter->state));
    buf_printf(sql, " ORDER BY t.lease_no DESC LIMIT %llu", (unsigned long long)filter->limit + 1);
    return read_page(reader, "requests", "next", filter, visit_history, json);
}

enum reader_status reader_actions(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    struct buf *sql = reader_start_sql(reader, project);

    buf_puts(sql, ";SELECT t.action_id, " SQL_MICROSECONDS "t.at), t.key_name, t.verb, t.stack_no,"
                  " t.detail, t.reason FROM action t JOIN project p USING (project_id)"
                  " WHERE p.name = ");
    sql_text(sql, project);
    add_filter(sql, filter, "action_id", "at");
    buf_printf(sql, " ORDER BY t.action_id DESC LIMIT %llu", (unsigned long long)filter->limit + 1);
    return read_page(reader, "actions", "next", filter, visit_actions, json);
}
