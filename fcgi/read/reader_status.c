/* reader_status: the answer to GET /status. Worker threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "base/times.h"
#include "database/sql.h"
#include "read/figures.h"
#include "read/member.h"

#include <stdio.h>

/* The sets of its text, in this order. */
enum status_set {
    SET_PROJECT, /* see reader_start_sql() */
    SET_SETTINGS,
    SET_STACK_COUNTS,
    SET_QUEUE_COUNTS,
    SET_STACKS,
    SET_ESTIMATE,
    SET_QUEUE,
    SET_TIMES,
    SET_ENDED,
    SET_COUNT
};

struct status_page {
    struct page page;
    const struct reader_view *view;
    int open_set;    /* the set whose JSON array is open; -1: none */
    uint64_t stacks; /* rows */
    uint64_t last;   /* number of the latest stack that was written */
    double hold_s;   /* how long a lease lasts */
    double turn_s;   /* how long one place in the queue takes */
    struct figures figures;
};

/* The project */

static const struct member settings[] = {
    {"name", MEMBER_TEXT, "name"},
    {"prefix", MEMBER_TEXT, "prefix"},
    {"initialCommit", MEMBER_TEXT, "initial_commit"},
    {"maxStacks", MEMBER_NUMBER, "max_stacks"},
    {"leaseSeconds", MEMBER_NUMBER, "lease_s"},
    {"maxLeaseSeconds", MEMBER_NUMBER, "max_lease_s"},
    {"waitSeconds", MEMBER_NUMBER, "wait_s"},
    {"quarantineAfter", MEMBER_NUMBER, "quarantine_after"},
    {"settleSeconds", MEMBER_NUMBER, "settle_s"},
    {"maxHeld", MEMBER_NUMBER, "COALESCE(max_held, GREATEST(max_stacks DIV 2, 1))"},
    {"mainBranch", MEMBER_TEXT, "main_branch"},
    {"pause", MEMBER_OPEN, "paused_at IS NOT NULL"},
    {"since", MEMBER_TIME, "paused_at"},
    {"by", MEMBER_TEXT, "paused_by"},
    {"reason", MEMBER_TEXT, "pause_reason"},
    {"pause", MEMBER_CLOSE, NULL},
    {0},
};

static void add_settings_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";");
    member_select(sql, settings);
    buf_puts(sql, " FROM project WHERE name = ");
    sql_text(sql, project);
}

static void put_settings(const struct page *page, const struct database_row *row)
{
    json_open_object(page->json, "project");
    member_put(page->json, settings, row, page->prefix);
    json_close_object(page->json);
    json_put_time(page->json, "now", page->now_us);
}

/* Its stacks, each with its lease */

static const struct member shown[] = {
    {"stackName", MEMBER_STACK_NAME, "s.stack_no"},
    {"state", MEMBER_TEXT, "s.state"},
    {"nextState", MEMBER_TEXT, "s.next_state"},
    {"fence", MEMBER_NUMBER, "s.fence"},
    {"branch", MEMBER_TEXT, "s.branch"},
    {"lastDeployedCommit", MEMBER_TEXT, "COALESCE(s.last_deployed_commit, p.initial_commit)"},
    {"created", MEMBER_TIME, "s.created"},
    {"modified", MEMBER_TIME, "s.modified"},
    {"failedDeploys", MEMBER_NUMBER, "s.failed_deploys"},
    {"failedBranches", MEMBER_NUMBER,
     "(SELECT COUNT(*) FROM stack_failure f WHERE f.project_id = s.project_id"
     " AND f.stack_no = s.stack_no)"},
    {"failedSince", MEMBER_TIME, "s.failed_since"},
    {"unsettled", MEMBER_BOOL, "s.unsettled_since IS NOT NULL"},
    {"unsettledSince", MEMBER_TIME, "s.unsettled_since"},
    {"hold", MEMBER_OPEN, "n.owner IS NOT NULL OR n.reason IS NOT NULL"},
    {"owner", MEMBER_TEXT, "n.owner"},
    {"reason", MEMBER_TEXT, "n.reason"},
    {"until", MEMBER_TIME, "s.held_until"},
    {"byJob", MEMBER_BOOL, "s.held_by_job"},
    {"hold", MEMBER_CLOSE, NULL},
    {"lease", MEMBER_OPEN, "l.lease_no IS NOT NULL"},
    {"requestNumber", MEMBER_NUMBER, "l.lease_no"},
    {"fence", MEMBER_NUMBER, "l.fence"},
    {"keyName", MEMBER_TEXT, "l.key_name"},
    {"branch", MEMBER_TEXT, "l.branch"},
    {"commit", MEMBER_TEXT, "l.commit_id"},
    {"purpose", MEMBER_TEXT, "l.purpose"},
    {"job", MEMBER_OPEN, NULL},
    {"url", MEMBER_TEXT, "l.job_url"},
    {"name", MEMBER_TEXT, "l.job_name"},
    {"user", MEMBER_TEXT, "l.job_user"},
    {"job", MEMBER_CLOSE, NULL},
    {"askedAt", MEMBER_TIME, "l.asked_at"},
    {"grantedAt", MEMBER_TIME, "l.granted_at"},
    {"expiresAt", MEMBER_TIME, "l.expires_at"},
    {"expiresInSeconds", MEMBER_NUMBER,
     "GREATEST(TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), l.expires_at), 0)"},
    {"deployedAt", MEMBER_TIME, "l.deployed_at"},
    {"changedUnits", MEMBER_NUMBER, "l.changed_units"},
    {"estimatedDeploySeconds", MEMBER_NUMBER, "l.estimated_deploy_s"},
    {"lease", MEMBER_CLOSE, NULL},
    {0},
};

/* One more than the limit: it tells that there is more. */
static void add_stacks_sql(struct buf *sql, const char *project, const struct reader_view *view)
{
    buf_puts(sql, ";");
    member_select(sql, shown);
    buf_puts(sql, " FROM stack s JOIN project p USING (project_id)" READER_STACK_JOINS
                  " WHERE s.state <> 'deleted' AND p.name = ");
    sql_text(sql, project);
    reader_view_add_stacks(sql, view);
    if (view->stacks_after) {
        buf_puts(sql, " AND s.stack_no > ");
        reader_add_stack_number(sql, view->stacks_after);
    }
    buf_puts(sql, " ORDER BY s.stack_no");
    if (view->limit)
        buf_printf(sql, " LIMIT %llu", (unsigned long long)view->limit + 1);
}

static void put_stack(struct status_page *status, const struct database_row *row)
{
    struct page *page = &status->page;

    status->stacks++;
    if (status->view->limit && status->stacks > status->view->limit)
        return;
    status->last = database_row_uint(row, 0, 0);
    json_open_object(page->json, NULL);
    member_put(page->json, shown, row, page->prefix);
    json_close_object(page->json);
}

/* The name after which the next page begins. */
static void put_next(struct status_page *status)
{
    char name[sizeof status->page.prefix + 20];

    if (!status->view->limit || status->stacks <= status->view->limit) {
        json_put_null(status->page.json, "next");
        return;
    }
    snprintf(name, sizeof name, "%s%llu", status->page.prefix, (unsigned long long)status->last);
    json_put_string(status->page.json, "next", name);
}

/* How long the latest leases lasted, over the stacks that come back to the queue */

static void add_estimate_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";SELECT CAST(COALESCE(AVG(latest.hold), MAX(p.lease_s) * 1000000) /"
                  " GREATEST((SELECT COUNT(*) FROM stack WHERE (state = 'available'"
                  " OR (state = 'leased' AND next_state IS NULL)) AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, "), 1) AS SIGNED), CAST(COALESCE(AVG(latest.hold), MAX(p.lease_s) * 1000000)"
                  " AS SIGNED) FROM project p LEFT JOIN (SELECT project_id,"
                  " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
                  " WHERE granted_at IS NOT NULL AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY ended_at DESC LIMIT 50) AS latest USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
}

/* The queue */

static const struct member queued[] = {
    {"requestNumber", MEMBER_NUMBER, "lease_no"},
    {"branch", MEMBER_TEXT, "branch"},
    {"commit", MEMBER_TEXT, "commit_id"},
    {"job", MEMBER_OPEN, NULL},
    {"url", MEMBER_TEXT, "job_url"},
    {"name", MEMBER_TEXT, "job_name"},
    {"user", MEMBER_TEXT, "job_user"},
    {"job", MEMBER_CLOSE, NULL},
    {"keyName", MEMBER_TEXT, "key_name"},
    {"priority", MEMBER_NUMBER, "priority"},
    {"purpose", MEMBER_TEXT, "purpose"},
    {"stackName", MEMBER_STACK_NAME, "wanted_stack_no"},
    {"askedAt", MEMBER_TIME, "asked_at"},
    {"waitedSeconds", MEMBER_SECONDS, "TIMESTAMPDIFF(MICROSECOND, asked_at, UTC_TIMESTAMP(6))"},
    {"connected", MEMBER_BOOL, "instance_id IS NOT NULL"},
    {"passedOver", MEMBER_NUMBER, "passed_over"},
    {0},
};

/* The columns after those of the table. */
enum { QUEUED_WANTS_ONE = 2, QUEUED_PLACE = 1 };

static void add_queue_sql(struct buf *sql, const char *project, const struct reader_view *view)
{
    buf_puts(sql, ";");
    member_select(sql, queued);
    buf_puts(sql, ",wanted_stack_no IS NOT NULL,place FROM (SELECT lease.*, ROW_NUMBER() OVER"
                  " (ORDER BY priority + TIMESTAMPDIFF(MINUTE, asked_at, UTC_TIMESTAMP(6)) DESC,"
                  " lease_no) AS place FROM lease WHERE state = 'waiting' AND project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, ") AS queue WHERE TRUE");
    reader_view_add_queue(sql, view);
    buf_puts(sql, " ORDER BY place");
    if (view->limit)
        buf_printf(sql, " LIMIT %llu", (unsigned long long)view->limit);
}

/* The units that cost most */

static const struct member times[] = {
    {"unit", MEMBER_TEXT, "unit"},
    {"meanSeconds", MEMBER_SECONDS, "mean_ms * 1000"},
    {"deploys", MEMBER_NUMBER, "deploys"},
    {0},
};

static void add_times_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";");
    member_select(sql, times);
    buf_puts(sql, " FROM deploy_time WHERE project_id = ");
    reader_add_project(sql, project);
    buf_puts(sql, " ORDER BY mean_ms * deploys DESC, unit LIMIT 20");
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
    buf_printf(sql, " ORDER BY ended_at DESC LIMIT %d", FIGURES_MAX + 1);
}

static void count_ended(struct figures *figures, const struct database_row *row)
{
    figures_add(figures, words_find_lease_state(row->values[PAST_STATE]),
                database_row_int(row, PAST_WAIT, -1), database_row_int(row, PAST_HOLD, -1),
                database_row_int(row, PAST_CHANGED_UNITS, -1) == 0);
}

/* All of it */

static const struct {
    enum reader_part part; /* 0: always there */
    const char *array;     /* that its rows become; NULL: none */
} parts[SET_COUNT] = {
    [SET_STACK_COUNTS] = {READER_COUNTS, NULL}, [SET_QUEUE_COUNTS] = {READER_COUNTS, NULL},
    [SET_STACKS] = {READER_STACKS, "stacks"},   [SET_ESTIMATE] = {READER_QUEUE, NULL},
    [SET_QUEUE] = {READER_QUEUE, "queue"},      [SET_TIMES] = {READER_TIMES, "deployTimes"},
    [SET_ENDED] = {READER_FIGURES, NULL}};

static bool is_array(const struct status_page *status, int set)
{
    return parts[set].array && reader_view_has(status->view, parts[set].part);
}

/* Opens the arrays of the sets up to this one, also of those that had no rows. */
static void open_arrays(struct status_page *status, int set)
{
    while (status->open_set < set) {
        if (status->open_set > SET_PROJECT && is_array(status, status->open_set))
            json_close_array(status->page.json);
        if (status->open_set == SET_STACKS && is_array(status, SET_STACKS))
            put_next(status);
        status->open_set++;
        if (status->open_set < SET_COUNT && is_array(status, status->open_set))
            json_open_array(status->page.json, parts[status->open_set].array);
    }
}

static void put_waiting(struct status_page *status, const struct database_row *row)
{
    struct page *page = &status->page;
    bool wants_one = database_row_int(row, row->count - QUEUED_WANTS_ONE, 0);
    int64_t place = database_row_int(row, row->count - QUEUED_PLACE, 0);

    json_open_object(page->json, NULL);
    json_put_integer(page->json, "position", place);
    member_put(page->json, queued, row, page->prefix);
    json_put_number(page->json, "estimatedWaitSeconds",
                    wants_one ? status->hold_s : status->turn_s * (double)place, 0);
    json_close_object(page->json);
}

static void visit(void *context, const struct database_row *row)
{
    struct status_page *status = context;
    struct page *page = &status->page;

    if (row->set >= SET_COUNT)
        return;
    open_arrays(status, (int)row->set);
    switch ((enum status_set)row->set) {
    case SET_PROJECT:
        reader_take_project(page, row);
        break;
    case SET_SETTINGS:
        put_settings(page, row);
        break;
    case SET_STACK_COUNTS:
        reader_view_put_stacks(page, row);
        break;
    case SET_QUEUE_COUNTS:
        reader_view_put_queue(page, row);
        break;
    case SET_STACKS:
        put_stack(status, row);
        break;
    case SET_ESTIMATE:
        status->turn_s = (double)database_row_int(row, 0, 0) / (double)TIMES_SECOND;
        status->hold_s = (double)database_row_int(row, 1, 0) / (double)TIMES_SECOND;
        break;
    case SET_QUEUE:
        put_waiting(status, row);
        break;
    case SET_TIMES:
        json_open_object(page->json, NULL);
        member_put(page->json, times, row, page->prefix);
        json_close_object(page->json);
        break;
    case SET_ENDED:
        count_ended(&status->figures, row);
        break;
    case SET_COUNT:
        break;
    }
}

/* An empty set in the place of each that isn't asked for, so that all have their numbers. */
static void add_sets(struct buf *sql, const char *project, const struct reader_view *view)
{
    static const char *const none = ";SELECT 1 FROM project WHERE FALSE";

    add_settings_sql(sql, project);
    if (reader_view_has(view, READER_COUNTS))
        reader_view_add_counts(sql, project, view);
    else
        buf_printf(sql, "%s%s", none, none);
    if (reader_view_has(view, READER_STACKS))
        add_stacks_sql(sql, project, view);
    else
        buf_puts(sql, none);
    if (reader_view_has(view, READER_QUEUE)) {
        add_estimate_sql(sql, project);
        add_queue_sql(sql, project, view);
    } else {
        buf_printf(sql, "%s%s", none, none);
    }
    if (reader_view_has(view, READER_TIMES))
        add_times_sql(sql, project);
    else
        buf_puts(sql, none);
    if (reader_view_has(view, READER_FIGURES))
        add_ended_sql(sql, project);
}

enum reader_status reader_status_page(struct reader *reader, const char *project,
                                      const struct reader_view *view, struct json_writer *json)
{
    struct status_page page = {.page.json = json, .view = view, .open_set = -1};
    enum reader_status status;

    add_sets(reader_start_sql(reader, project), project, view);
    status = reader_run(reader, visit, &page.page);
    open_arrays(&page, SET_COUNT);
    if (reader_view_has(view, READER_FIGURES))
        figures_put(&page.figures, json, "last24Hours");
    figures_free(&page.figures);
    return status;
}
