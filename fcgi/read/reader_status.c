/* reader_status: the page that GET /status tells. Worker threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "base/times.h"
#include "database/sql.h"
#include "read/figures.h"

/* The sets of its text, in this order. */
enum status_set { SET_PROJECT, SET_STACKS, SET_HOLD, SET_QUEUE, SET_ENDED, SET_COUNT };

struct status_page {
    struct page page;
    int open_set;      /* the set whose JSON array is open; -1: none */
    uint32_t lendable; /* stacks that come back to the queue */
    double mean_hold_s;
    uint32_t position; /* in the queue, of the latest row */
    struct figures figures;
};

/* The project */

static void put_project(struct page *page, const struct database_row *row)
{
    struct json_writer *json = page->json;

    reader_take_project(page, row);
    json_open_object(json, "project");
    reader_put_text(json, "name", row, PROJECT_NAME);
    reader_put_text(json, "prefix", row, PROJECT_PREFIX);
    reader_put_text(json, "initialCommit", row, PROJECT_INITIAL_COMMIT);
    reader_put_number(json, "maxStacks", row, PROJECT_MAX_STACKS);
    reader_put_number(json, "leaseSeconds", row, PROJECT_LEASE_S);
    reader_put_number(json, "maxLeaseSeconds", row, PROJECT_MAX_LEASE_S);
    reader_put_number(json, "waitSeconds", row, PROJECT_WAIT_S);
    reader_put_number(json, "quarantineAfter", row, PROJECT_QUARANTINE_AFTER);
    reader_put_number(json, "settleSeconds", row, PROJECT_SETTLE_S);
    reader_put_number(json, "maxHeld", row, PROJECT_MAX_HELD);
    json_close_object(json);
    json_put_time(json, "now", page->now_us);
}

/* Its stacks, each with its lease */

enum {
    SHOWN_NUMBER,
    SHOWN_STATE,
    SHOWN_NEXT_STATE,
    SHOWN_FENCE,
    SHOWN_BRANCH,
    SHOWN_COMMIT,
    SHOWN_CREATED,
    SHOWN_MODIFIED,
    SHOWN_OWNER,
    SHOWN_REASON,
    SHOWN_HELD_UNTIL,
    SHOWN_HELD_BY_JOB,
    SHOWN_FAILED_DEPLOYS,
    SHOWN_FAILED_BRANCHES,
    SHOWN_FAILED_SINCE,
    SHOWN_UNSETTLED_SINCE,
    TENANT_NUMBER, /* its lease, or NULL */
    TENANT_FENCE,
    TENANT_KEY_NAME,
    TENANT_BRANCH,
    TENANT_COMMIT,
    TENANT_PURPOSE,
    TENANT_JOB,
    TENANT_ASKED_AT = TENANT_JOB + 3,
    TENANT_GRANTED_AT,
    TENANT_EXPIRES_AT,
    TENANT_DEPLOYED_AT,
    TENANT_CHANGED_UNITS
};

static void add_stacks_sql(struct buf *sql, const char *project)
{
    buf_puts(sql,
             ";SELECT s.stack_no, s.state, s.next_state, s.fence, s.branch,"
             " COALESCE(s.last_deployed_commit, p.initial_commit), " SQL_MICROSECONDS
             "s.created), " SQL_MICROSECONDS "s.modified), n.owner, n.reason, " SQL_MICROSECONDS
             "s.held_until), s.held_by_job, s.failed_deploys, (SELECT COUNT(*) FROM stack_failure f"
             " WHERE f.project_id = s.project_id AND f.stack_no = s.stack_no), " SQL_MICROSECONDS
             "s.failed_since), " SQL_MICROSECONDS
             "s.unsettled_since), l.lease_no, l.fence, l.key_name, l.branch, l.commit_id,"
             " l.purpose, l.job_url, l.job_name, l.job_user, " SQL_MICROSECONDS
             "l.asked_at), " SQL_MICROSECONDS "l.granted_at), " SQL_MICROSECONDS
             "l.expires_at), " SQL_MICROSECONDS
             "l.deployed_at), l.changed_units FROM stack s JOIN project p USING (project_id)"
             " LEFT JOIN stack_note n USING (project_id, stack_no)"
             " LEFT JOIN lease l ON l.project_id = s.project_id AND l.lease_no = s.lease_no"
             " WHERE s.state <> 'deleted' AND p.name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY s.stack_no");
}

static void put_lease(const struct page *page, const struct database_row *row)
{
    struct json_writer *json = page->json;
    int64_t left_us = database_row_int(row, TENANT_EXPIRES_AT, 0) - page->now_us;

    json_open_object(json, "lease");
    reader_put_number(json, "requestNumber", row, TENANT_NUMBER);
    reader_put_number(json, "fence", row, TENANT_FENCE);
    reader_put_text(json, "keyName", row, TENANT_KEY_NAME);
    reader_put_text(json, "branch", row, TENANT_BRANCH);
    reader_put_text(json, "commit", row, TENANT_COMMIT);
    reader_put_text(json, "purpose", row, TENANT_PURPOSE);
    reader_put_job(json, row, TENANT_JOB);
    reader_put_time(json, "askedAt", row, TENANT_ASKED_AT);
    reader_put_time(json, "grantedAt", row, TENANT_GRANTED_AT);
    reader_put_time(json, "expiresAt", row, TENANT_EXPIRES_AT);
    json_put_integer(json, "expiresInSeconds", left_us > 0 ? left_us / TIMES_SECOND : 0);
    reader_put_time(json, "deployedAt", row, TENANT_DEPLOYED_AT);
    reader_put_number(json, "changedUnits", row, TENANT_CHANGED_UNITS);
    json_close_object(json);
}

static bool comes_back(const struct database_row *row)
{
    int state = words_find_stack_state(row->values[SHOWN_STATE]);

    return state == STACK_AVAILABLE || (state == STACK_LEASED && !row->values[SHOWN_NEXT_STATE]);
}

static void put_stack(const struct page *page, const struct database_row *row)
{
    struct json_writer *json = page->json;

    json_open_object(json, NULL);
    reader_put_stack_name(page, "stackName", row, SHOWN_NUMBER);
    reader_put_text(json, "state", row, SHOWN_STATE);
    reader_put_text(json, "nextState", row, SHOWN_NEXT_STATE);
    reader_put_number(json, "fence", row, SHOWN_FENCE);
    reader_put_text(json, "branch", row, SHOWN_BRANCH);
    reader_put_text(json, "lastDeployedCommit", row, SHOWN_COMMIT);
    reader_put_time(json, "created", row, SHOWN_CREATED);
    reader_put_time(json, "modified", row, SHOWN_MODIFIED);
    reader_put_number(json, "failedDeploys", row, SHOWN_FAILED_DEPLOYS);
    reader_put_number(json, "failedBranches", row, SHOWN_FAILED_BRANCHES);
    reader_put_time(json, "failedSince", row, SHOWN_FAILED_SINCE);
    json_put_bool(json, "unsettled", row->values[SHOWN_UNSETTLED_SINCE] != NULL);
    reader_put_time(json, "unsettledSince", row, SHOWN_UNSETTLED_SINCE);
    if (row->values[SHOWN_OWNER] || row->values[SHOWN_REASON]) {
        json_open_object(json, "hold");
        reader_put_text(json, "owner", row, SHOWN_OWNER);
        reader_put_text(json, "reason", row, SHOWN_REASON);
        reader_put_time(json, "until", row, SHOWN_HELD_UNTIL);
        json_put_bool(json, "byJob", database_row_uint(row, SHOWN_HELD_BY_JOB, 0) != 0);
        json_close_object(json);
    }
    if (row->values[TENANT_NUMBER])
        put_lease(page, row);
    json_close_object(json);
}

/* How long leases lasted lately: one column, microseconds */

static void add_hold_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";SELECT CAST(COALESCE(AVG(latest.hold), MAX(p.lease_s) * 1000000) AS SIGNED)"
                  " FROM project p LEFT JOIN (SELECT project_id,"
                  " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
                  " WHERE granted_at IS NOT NULL AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 50) AS latest USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
}

/* Who waits */

enum {
    QUEUED_NUMBER,
    QUEUED_BRANCH,
    QUEUED_COMMIT,
    QUEUED_JOB,
    QUEUED_KEY_NAME = QUEUED_JOB + 3,
    QUEUED_PRIORITY,
    QUEUED_PURPOSE,
    QUEUED_ASKED_AT,
    QUEUED_IS_CONNECTED,
    QUEUED_PASSED_OVER
};

static void add_queue_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";SELECT lease_no, branch, commit_id, job_url, job_name, job_user, key_name,"
                  " priority, purpose, " SQL_MICROSECONDS "asked_at), instance_id IS NOT NULL,"
                  " passed_over FROM lease WHERE state = 'waiting' AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY priority + TIMESTAMPDIFF(MINUTE, asked_at, UTC_TIMESTAMP(6)) DESC,"
                  " lease_no");
}

static void put_queued(const struct status_page *status, const struct database_row *row)
{
    struct json_writer *json = status->page.json;
    double stacks = status->lendable > 0 ? status->lendable : 1;

    json_open_object(json, NULL);
    reader_put_number(json, "requestNumber", row, QUEUED_NUMBER);
    json_put_integer(json, "position", status->position);
    reader_put_text(json, "branch", row, QUEUED_BRANCH);
    reader_put_text(json, "commit", row, QUEUED_COMMIT);
    reader_put_job(json, row, QUEUED_JOB);
    reader_put_text(json, "keyName", row, QUEUED_KEY_NAME);
    reader_put_number(json, "priority", row, QUEUED_PRIORITY);
    reader_put_text(json, "purpose", row, QUEUED_PURPOSE);
    reader_put_time(json, "askedAt", row, QUEUED_ASKED_AT);
    reader_put_seconds(json, "waitedSeconds", database_row_int(row, QUEUED_ASKED_AT, 0),
                       status->page.now_us);
    json_put_bool(json, "connected", database_row_uint(row, QUEUED_IS_CONNECTED, 0) != 0);
    reader_put_number(json, "passedOver", row, QUEUED_PASSED_OVER);
    json_put_number(json, "estimatedWaitSeconds", status->mean_hold_s * status->position / stacks,
                    0);
    json_close_object(json);
}

/* What ended within a day */

enum { PAST_STATE, PAST_WAIT, PAST_HOLD, PAST_CHANGED_UNITS };

static void add_ended_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";SELECT state, TIMESTAMPDIFF(MICROSECOND, asked_at,"
                  " COALESCE(granted_at, ended_at)), TIMESTAMPDIFF(MICROSECOND, granted_at,"
                  " ended_at), changed_units FROM history"
                  " WHERE ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 100000");
}

static void count_ended(struct figures *figures, const struct database_row *row)
{
    figures_add(figures, words_find_lease_state(row->values[PAST_STATE]),
                database_row_int(row, PAST_WAIT, -1), database_row_int(row, PAST_HOLD, -1),
                database_row_int(row, PAST_CHANGED_UNITS, -1) == 0);
}

/* All of it */

/* Opens the arrays of the sets up to this one, also of those that had no rows. */
static void open_arrays(struct status_page *status, int set)
{
    static const char *const names[SET_COUNT] = {[SET_STACKS] = "stacks", [SET_QUEUE] = "queue"};

    while (status->open_set < set) {
        if (status->open_set > SET_PROJECT && names[status->open_set])
            json_close_array(status->page.json);
        status->open_set++;
        if (status->open_set < SET_COUNT && names[status->open_set])
            json_open_array(status->page.json, names[status->open_set]);
    }
}

static void visit(void *context, const struct database_row *row)
{
    struct status_page *status = context;

    open_arrays(status, (int)row->set);
    switch ((enum status_set)row->set) {
    case SET_PROJECT:
        put_project(&status->page, row);
        break;
    case SET_STACKS:
        status->lendable += comes_back(row);
        put_stack(&status->page, row);
        break;
    case SET_HOLD:
        status->mean_hold_s = (double)database_row_int(row, 0, 0) / (double)TIMES_SECOND;
        break;
    case SET_QUEUE:
        status->position++;
        put_queued(status, row);
        break;
    case SET_ENDED:
        count_ended(&status->figures, row);
        break;
    case SET_COUNT:
        break;
    }
}

enum reader_status reader_status_page(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct status_page status = {.page.json = json, .open_set = -1};
    struct buf *sql = reader_start_sql(reader, project);
    enum reader_status outcome;

    add_stacks_sql(sql, project);
    add_hold_sql(sql, project);
    add_queue_sql(sql, project);
    add_ended_sql(sql, project);
    outcome = reader_run(reader, visit, &status.page);
    open_arrays(&status, SET_COUNT);
    figures_put(&status.figures, json, "last24Hours");
    figures_free(&status.figures);
    return outcome;
}
