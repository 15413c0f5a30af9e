/* reader_status: the page that GET /status tells. Worker threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "base/times.h"
#include "database/sql.h"
#include "read/figures.h"

enum status_set { SET_PROJECT, SET_STACKS, SET_HOLD, SET_QUEUE, SET_FIGURES, SET_COUNT };

static void put_project(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;

    reader_take_project(reading, row);
    json_open_object(json, "project");
    json_put_string(json, "name", reader_text(row, 0));
    json_put_string(json, "prefix", reader_text(row, 1));
    json_put_string(json, "initialCommit", reader_text(row, 2));
    reader_put_number(json, "maxStacks", row, 3);
    reader_put_number(json, "leaseSeconds", row, 4);
    reader_put_number(json, "maxLeaseSeconds", row, 5);
    reader_put_number(json, "waitSeconds", row, 6);
    json_close_object(json);
    json_put_time(json, "now", reading->now);
}

static void put_lease(struct reading *reading, const struct database_row *row, unsigned at)
{
    struct json_writer *json = reading->json;
    int64_t left_us = database_int(row, at + 11, 0) - reading->now;

    json_open_object(json, "lease");
    reader_put_number(json, "requestNumber", row, at);
    reader_put_number(json, "fence", row, at + 1);
    json_put_string(json, "keyName", reader_text(row, at + 2));
    json_put_string(json, "branch", reader_text(row, at + 3));
    json_put_string(json, "commit", reader_text(row, at + 4));
    json_put_string(json, "purpose", reader_text(row, at + 5));
    reader_put_job(json, row, at + 6);
    reader_put_time(json, "askedAt", row, at + 9);
    reader_put_time(json, "grantedAt", row, at + 10);
    reader_put_time(json, "expiresAt", row, at + 11);
    json_put_integer(json, "expiresInSeconds", left_us > 0 ? left_us / TIMES_SECOND : 0);
    reader_put_time(json, "deployedAt", row, at + 12);
    reader_put_number(json, "changedUnits", row, at + 13);
    json_close_object(json);
}

static void put_stack(struct reading *reading, const struct database_row *row)
{
    struct json_writer *json = reading->json;

    reading->stacks++;
    json_open_object(json, NULL);
    reader_put_stack_name(reading, "stackName", row, 0);
    json_put_string(json, "state", reader_text(row, 1));
    json_put_string(json, "nextState", reader_text(row, 2));
    reader_put_number(json, "fence", row, 3);
    json_put_string(json, "branch", reader_text(row, 4));
    json_put_string(json, "lastDeployedCommit", reader_text(row, 5));
    reader_put_time(json, "created", row, 6);
    reader_put_time(json, "modified", row, 7);
    if (row->values[8] || row->values[9]) {
        json_open_object(json, "hold");
        json_put_string(json, "owner", reader_text(row, 8));
        json_put_string(json, "reason", reader_text(row, 9));
        reader_put_time(json, "until", row, 10);
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
    reader_put_number(json, "requestNumber", row, 0);
    json_put_integer(json, "position", ++reading->position);
    json_put_string(json, "branch", reader_text(row, 1));
    json_put_string(json, "commit", reader_text(row, 2));
    reader_put_job(json, row, 3);
    json_put_string(json, "keyName", reader_text(row, 6));
    reader_put_number(json, "priority", row, 7);
    json_put_string(json, "purpose", reader_text(row, 8));
    reader_put_time(json, "askedAt", row, 9);
    reader_put_seconds(json, "waitedSeconds", database_int(row, 9, 0), reading->now);
    json_put_bool(json, "connected", database_uint(row, 10, 0) != 0);
    reader_put_number(json, "passedOver", row, 11);
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
        figures_add(reading->figures, words_find_lease_state(reader_text(row, 0)),
                    database_int(row, 1, -1), database_int(row, 2, -1),
                    database_int(row, 3, -1) == 0);
        break;
    case SET_COUNT:
        break;
    }
}

static void add_status_sql(struct buf *sql, const char *project)
{
    buf_puts(sql,
             ";SELECT s.stack_no, s.state, s.next_state, s.fence, s.branch,"
             " COALESCE(s.last_deployed_commit, p.initial_commit), " SQL_MICROSECONDS
             "s.created), " SQL_MICROSECONDS "s.modified), n.owner, n.reason, " SQL_MICROSECONDS
             "s.held_until), l.lease_no, l.fence, l.key_name, l.branch, l.commit_id,"
             " l.purpose, l.job_url, l.job_name, l.job_user, " SQL_MICROSECONDS
             "l.asked_at), " SQL_MICROSECONDS "l.granted_at), " SQL_MICROSECONDS
             "l.expires_at), " SQL_MICROSECONDS
             "l.deployed_at), l.changed_units FROM stack s JOIN project p USING (project_id)"
             " LEFT JOIN stack_note n USING (project_id, stack_no)"
             " LEFT JOIN lease l ON l.project_id = s.project_id AND l.lease_no = s.lease_no"
             " WHERE s.state <> 'deleted' AND p.name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY s.stack_no;"
                  "SELECT CAST(COALESCE(AVG(latest.hold), MAX(p.lease_s) * 1000000) AS SIGNED)"
                  " FROM project p LEFT JOIN (SELECT project_id,"
                  " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
                  " WHERE granted_at IS NOT NULL AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 50) AS latest USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
    buf_puts(sql, ";SELECT lease_no, branch, commit_id, job_url, job_name, job_user, key_name,"
                  " priority, purpose, " SQL_MICROSECONDS "asked_at), instance_id IS NOT NULL,"
                  " passed_over FROM lease WHERE state = 'waiting' AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY priority + TIMESTAMPDIFF(MINUTE, asked_at, UTC_TIMESTAMP(6)) DESC,"
                  " lease_no;"
                  "SELECT state, TIMESTAMPDIFF(MICROSECOND, asked_at,"
                  " COALESCE(granted_at, ended_at)), TIMESTAMPDIFF(MICROSECOND, granted_at,"
                  " ended_at), changed_units FROM history"
                  " WHERE ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 100000");
}

enum reader_status reader_status_page(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct figures *figures = figures_new();
    struct reading reading = {.json = json, .open_set = -1, .figures = figures};
    enum reader_status status;

    add_status_sql(reader_start_sql(reader, project), project);
    status = reader_run(reader, visit_status, &reading);
    open_arrays(&reading, SET_COUNT);
    figures_put(figures, json, "last24Hours");
    figures_free(figures);
    return status;
}
