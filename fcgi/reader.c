/* reader: one text of statements a call; each row becomes JSON as it comes. */
#include "reader.h"

#include "buf.h"
#include "database.h"
#include "figures.h"
#include "times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICROSECONDS "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',"

struct reader {
    struct database *database;
    struct buf sql;
};

/* One call's way from rows to JSON. The first set of every text is the project's row. */
struct reading {
    struct json_writer *json;
    bool found; /* the project */
    char prefix[64 + 1];
    int64_t now;
    int open_set; /* the set whose JSON array is open; -1: none */
    uint64_t rows;
    uint64_t limit;
    uint64_t last; /* number of the latest row written */
    double mean_hold_s;
    uint32_t stacks;
    uint32_t position;
    struct figures *figures;
};

struct reader *reader_new(const struct config *config)
{
    struct reader *reader = mem_zalloc(sizeof *reader);

    reader->database = database_new(config->database_host, config->database_name,
                                    config->database_user, config->database_password_file);
    return reader;
}

void reader_free(struct reader *reader)
{
    database_free(reader->database);
    buf_free(&reader->sql);
    free(reader);
}

void reader_filter_free(struct reader_filter *filter)
{
    free(filter->stack_name);
    free(filter->branch);
}

/* Columns */

static const char *text(const struct database_row *row, unsigned column)
{
    return row->values[column];
}

static void put_time(struct json_writer *json, const char *name, const struct database_row *row,
                     unsigned column)
{
    if (row->values[column])
        json_put_time(json, name, database_int(row, column, 0));
    else
        json_put_null(json, name);
}

static void put_number(struct json_writer *json, const char *name, const struct database_row *row,
                       unsigned column)
{
    if (row->values[column])
        json_put_integer(json, name, database_int(row, column, 0));
    else
        json_put_null(json, name);
}

static void put_seconds(struct json_writer *json, const char *name, int64_t from_us, int64_t to_us)
{
    json_put_number(json, name, (double)(to_us - from_us) / (double)TIMES_SECOND, 3);
}

static void put_stack_name(const struct reading *reading, const char *name,
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
static void put_job(struct json_writer *json, const struct database_row *row, unsigned column)
{
    json_open_object(json, "job");
    json_put_string(json, "url", text(row, column));
    json_put_string(json, "name", text(row, column + 1));
    json_put_string(json, "user", text(row, column + 2));
    json_close_object(json);
}

/* Running */

#define PROJECT_SQL                                                                                \
    "SELECT name, prefix, initial_commit, max_stacks, lease_s, max_lease_s, wait_s, " MICROSECONDS \
    "UTC_TIMESTAMP(6)) FROM project WHERE name = "

static void take_project(struct reading *reading, const struct database_row *row)
{
    reading->found = true;
    snprintf(reading->prefix, sizeof reading->prefix, "%s", row->values[1]);
    reading->now = database_int(row, 7, 0);
}

static struct buf *start_sql(struct reader *reader, const char *project)
{
    buf_clear(&reader->sql);
    buf_puts(&reader->sql, PROJECT_SQL);
    sql_text(&reader->sql, project);
    return &reader->sql;
}

static void add_project(struct buf *sql, const char *project)
{
    buf_puts(sql, "(SELECT project_id FROM project WHERE name = ");
    sql_text(sql, project);
    buf_puts(sql, ")");
}

/* A connection that the server closed meanwhile is only noticed now: one more try, as long as
 * nothing was written yet. */
static enum reader_status run(struct reader *reader, database_visit *visit, struct reading *reading)
{
    enum database_status status = DATABASE_LOST;

    for (int try = 0; try < 2 && status == DATABASE_LOST && !reading->found; try++) {
        status = database_connect(reader->database);
        if (status == DATABASE_OK)
            status = database_run(reader->database, &reader->sql, visit, reading);
    }
    if (status != DATABASE_OK)
        return READER_NO_DATABASE;
    return reading->found ? READER_OK : READER_NO_PROJECT;
}

/* listStacks, as the original service has it */

static void visit_list(void *context, const struct database_row *row)
{
    struct reading *reading = context;
    struct json_writer *json = reading->json;

    if (row->set == 0) {
        take_project(reading, row);
        return;
    }
    json_open_object(json, NULL);
    put_stack_name(reading, "stackName", row, 0);
    json_put_string(json, "lastDeployedCommit", text(row, 1));
    json_put_bool(json, "isAvailable", database_uint(row, 2, 0) != 0);
    json_put_string(json, "branch", text(row, 3));
    put_time(json, "created", row, 4);
    put_time(json, "modified", row, 5);
    json_put_string(json, "entity", "Stack");
    json_close_object(json);
}

enum reader_status reader_list_stacks(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct reading reading = {.json = json};
    struct buf *sql = start_sql(reader, project);
    enum reader_status status;

    buf_puts(sql, ";SELECT stack_no, COALESCE(last_deployed_commit, initial_commit),"
                  " state = 'available', branch, " MICROSECONDS "stack.created), " MICROSECONDS
                  "stack.modified) FROM stack JOIN project USING (project_id)"
                  " WHERE state <> 'deleted' AND name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY stack_no");
    json_open_array(json, "stacks");
    status = run(reader, visit_list, &reading);
    json_close_array(json);
    return status;
}

/* status */

enum status_set { SET_PROJECT, SET_STACKS, SET_HOLD, SET_QUEUE, SET_FIGURES, SET_COUNT };

static void put_project(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;

    take_project(reading, row);
    json_open_object(json, "project");
    json_put_string(json, "name", text(row, 0));
    json_put_string(json, "prefix", text(row, 1));
    json_put_string(json, "initialCommit", text(row, 2));
    put_number(json, "maxStacks", row, 3);
    put_number(json, "leaseSeconds", row, 4);
    put_number(json, "maxLeaseSeconds", row, 5);
    put_number(json, "waitSeconds", row, 6);
    json_close_object(json);
    json_put_time(json, "now", reading->now);
}

static void put_lease(struct reading *reading, const struct database_row *row, unsigned at)
{
    struct json_writer *json = reading->json;
    int64_t left_us = database_int(row, at + 11, 0) - reading->now;

    json_open_object(json, "lease");
    put_number(json, "requestNumber", row, at);
    put_number(json, "fence", row, at + 1);
    json_put_string(json, "keyName", text(row, at + 2));
    json_put_string(json, "branch", text(row, at + 3));
    json_put_string(json, "commit", text(row, at + 4));
    json_put_string(json, "purpose", text(row, at + 5));
    put_job(json, row, at + 6);
    put_time(json, "askedAt", row, at + 9);
    put_time(json, "grantedAt", row, at + 10);
    put_time(json, "expiresAt", row, at + 11);
    json_put_integer(json, "expiresInSeconds", left_us > 0 ? left_us / TIMES_SECOND : 0);
    put_time(json, "deployedAt", row, at + 12);
    put_number(json, "changedUnits", row, at + 13);
    json_close_object(json);
}

static void put_stack(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;

    reading->stacks++;
    json_open_object(json, NULL);
    put_stack_name(reading, "stackName", row, 0);
    json_put_string(json, "state", text(row, 1));
    json_put_string(json, "nextState", text(row, 2));
    put_number(json, "fence", row, 3);
    json_put_string(json, "branch", text(row, 4));
    json_put_string(json, "lastDeployedCommit", text(row, 5));
    put_time(json, "created", row, 6);
    put_time(json, "modified", row, 7);
    if (row->values[8] || row->values[9]) {
        json_open_object(json, "hold");
        json_put_string(json, "owner", text(row, 8));
        json_put_string(json, "reason", text(row, 9));
        put_time(json, "until", row, 10);
        json_close_object(json);
    }
    if (row->values[11])
        put_lease(reading, row, 11);
    json_close_object(json);
}

static void put_queued(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;
    double stacks = reading->stacks > 0 ? reading->stacks : 1;

    json_open_object(json, NULL);
    put_number(json, "requestNumber", row, 0);
    json_put_integer(json, "position", ++reading->position);
    json_put_string(json, "branch", text(row, 1));
    json_put_string(json, "commit", text(row, 2));
    put_job(json, row, 3);
    json_put_string(json, "keyName", text(row, 6));
    put_number(json, "priority", row, 7);
    json_put_string(json, "purpose", text(row, 8));
    put_time(json, "askedAt", row, 9);
    put_seconds(json, "waitedSeconds", database_int(row, 9, 0), reading->now);
    json_put_bool(json, "connected", database_uint(row, 10, 0) != 0);
    put_number(json, "passedOver", row, 11);
    json_put_number(json, "estimatedWaitSeconds", reading->mean_hold_s * reading->position / stacks,
                    0);
    json_close_object(json);
}

/* Opens the arrays of the sets up to this one, also of those that had no rows. */
static void open_arrays(struct reading *reading, int set)
{
    static const char *const names[SET_COUNT] = {[SET_STACKS] = "stacks", [SET_QUEUE] = "queue"};

    while (reading->open_set < set) {
        if (reading->open_set > SET_PROJECT && names[reading->open_set])
            json_close_array(reading->json);
        reading->open_set++;
        if (reading->open_set < SET_COUNT && names[reading->open_set])
            json_open_array(reading->json, names[reading->open_set]);
    }
}

static void visit_status(void *context, const struct database_row *row)
{
    struct reading *reading = context;

    open_arrays(reading, (int)row->set);
    switch ((enum status_set)row->set) {
    case SET_PROJECT:
        put_project(reading, row);
        break;
    case SET_STACKS:
        put_stack(reading, row);
        break;
    case SET_HOLD:
        reading->mean_hold_s = (double)database_int(row, 0, 0) / (double)TIMES_SECOND;
        break;
    case SET_QUEUE:
        put_queued(reading, row);
        break;
    case SET_FIGURES:
        figures_add(reading->figures, words_find_lease_state(text(row, 0)),
                    database_int(row, 1, -1), database_int(row, 2, -1),
                    database_int(row, 3, -1) == 0);
        break;
    case SET_COUNT:
        break;
    }
}

static void add_status_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";SELECT s.stack_no, s.state, s.next_state, s.fence, s.branch,"
                  " COALESCE(s.last_deployed_commit, p.initial_commit), " MICROSECONDS
                  "s.created), " MICROSECONDS "s.modified), s.owner, s.reason, " MICROSECONDS
                  "s.held_until), l.lease_no, l.fence, l.key_name, l.branch, l.commit_id,"
                  " l.purpose, l.job_url, l.job_name, l.job_user, " MICROSECONDS
                  "l.asked_at), " MICROSECONDS "l.granted_at), " MICROSECONDS
                  "l.expires_at), " MICROSECONDS
                  "l.deployed_at), l.changed_units FROM stack s JOIN project p USING (project_id)"
                  " LEFT JOIN lease l ON l.project_id = s.project_id AND l.lease_no = s.lease_no"
                  " WHERE s.state <> 'deleted' AND p.name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY s.stack_no;"
                  "SELECT CAST(COALESCE(AVG(latest.hold), MAX(p.lease_s) * 1000000) AS SIGNED)"
                  " FROM project p LEFT JOIN (SELECT project_id,"
                  " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
                  " WHERE granted_at IS NOT NULL AND project_id = ");
    add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 50) AS latest USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
    buf_puts(sql, ";SELECT lease_no, branch, commit_id, job_url, job_name, job_user, key_name,"
                  " priority, purpose, " MICROSECONDS "asked_at), instance_id IS NOT NULL,"
                  " passed_over FROM lease WHERE state = 'waiting' AND project_id = ");
    add_project(sql, project);
    buf_puts(sql, " ORDER BY priority + TIMESTAMPDIFF(MINUTE, asked_at, UTC_TIMESTAMP(6)) DESC,"
                  " lease_no;"
                  "SELECT state, TIMESTAMPDIFF(MICROSECOND, asked_at,"
                  " COALESCE(granted_at, ended_at)), TIMESTAMPDIFF(MICROSECOND, granted_at,"
                  " ended_at), changed_units FROM history"
                  " WHERE ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY AND project_id = ");
    add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 100000");
}

enum reader_status reader_status_page(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct figures *figures = figures_new();
    struct reading reading = {.json = json, .open_set = -1, .figures = figures};
    enum reader_status status;

    add_status_sql(start_sql(reader, project), project);
    status = run(reader, visit_status, &reading);
    open_arrays(&reading, SET_COUNT);
    figures_put(figures, json, "last24Hours");
    figures_free(figures);
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
    put_number(json, "requestNumber", row, 0);
    json_put_string(json, "state", text(row, 1));
    json_put_string(json, "outcome", text(row, 2));
    put_stack_name(reading, "stackName", row, 3);
    put_number(json, "fence", row, 4);
    json_put_string(json, "keyName", text(row, 5));
    json_put_string(json, "branch", text(row, 6));
    json_put_string(json, "commit", text(row, 7));
    json_put_string(json, "purpose", text(row, 8));
    put_job(json, row, 9);
    json_put_bool(json, "isNew", row->values[12][0] == '1');
    put_number(json, "changedUnits", row, 17);
    put_time(json, "askedAt", row, 13);
    put_time(json, "grantedAt", row, 14);
    put_time(json, "deployedAt", row, 15);
    put_time(json, "endedAt", row, 16);
    put_seconds(json, "waitedSeconds", asked_at, granted_at ? granted_at : ended_at);
    if (granted_at)
        put_seconds(json, "heldSeconds", granted_at, ended_at);
    else
        json_put_null(json, "heldSeconds");
    json_close_object(json);
}

static void put_action(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;

    json_open_object(json, NULL);
    put_number(json, "actionNumber", row, 0);
    put_time(json, "at", row, 1);
    json_put_string(json, "keyName", text(row, 2));
    json_put_string(json, "action", text(row, 3));
    put_stack_name(reading, "stackName", row, 4);
    json_put_string(json, "detail", text(row, 5));
    json_put_string(json, "reason", text(row, 6));
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
        take_project(reading, row);
    else if (!is_past_limit(reading, row))
        put_ended(reading, row);
}

static void visit_actions(void *context, const struct database_row *row)
{
    struct reading *reading = context;

    if (row->set == 0)
        take_project(reading, row);
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
    status = run(reader, visit, &reading);
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
    struct buf *sql = start_sql(reader, project);

    buf_puts(sql,
             ";SELECT t.lease_no, t.state, t.outcome, t.stack_no, t.fence, t.key_name,"
             " t.branch, t.commit_id, t.purpose, t.job_url, t.job_name, t.job_user, "
             "t.is_new, " MICROSECONDS "t.asked_at), " MICROSECONDS "t.granted_at), " MICROSECONDS
             "t.deployed_at), " MICROSECONDS "t.ended_at), t.changed_units"
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
    struct buf *sql = start_sql(reader, project);

    buf_puts(sql, ";SELECT t.action_id, " MICROSECONDS "t.at), t.key_name, t.verb, t.stack_no,"
                  " t.detail, t.reason FROM action t JOIN project p USING (project_id)"
                  " WHERE p.name = ");
    sql_text(sql, project);
    add_filter(sql, filter, "action_id", "at");
    buf_printf(sql, " ORDER BY t.action_id DESC LIMIT %llu", (unsigned long long)filter->limit + 1);
    return read_page(reader, "actions", "next", filter, visit_actions, json);
}
