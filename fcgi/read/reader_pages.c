/* reader_pages: what listStacks, history and actions tell: rows, one after the other. Worker
 * threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "database/sql.h"
#include "rules/words.h"

#include <stdio.h>
#include <stdlib.h>

/* Every text here has two sets: the project's row, and the rows of the page. */
#define SET_PROJECT 0

void reader_filter_free(struct reader_filter *filter)
{
    free(filter->stack_name);
    free(filter->branch);
}

/* listStacks, as the original service has it */

enum {
    LISTED_NUMBER,
    LISTED_COMMIT,
    LISTED_IS_AVAILABLE,
    LISTED_BRANCH,
    LISTED_CREATED,
    LISTED_MODIFIED
};

static void add_list_sql(struct buf *sql, const char *project)
{
    buf_puts(sql,
             ";SELECT stack_no, COALESCE(last_deployed_commit, initial_commit),"
             " state = 'available', branch, " SQL_MICROSECONDS "stack.created), " SQL_MICROSECONDS
             "stack.modified) FROM stack JOIN project USING (project_id)"
             " WHERE state <> 'deleted' AND name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY stack_no");
}

static void visit_list(void *context, const struct database_row *row)
{
    struct page *page = context;
    struct json_writer *json = page->json;

    if (row->set == SET_PROJECT) {
        reader_take_project(page, row);
        return;
    }
    json_open_object(json, NULL);
    reader_put_stack_name(page, "stackName", row, LISTED_NUMBER);
    reader_put_text(json, "lastDeployedCommit", row, LISTED_COMMIT);
    json_put_bool(json, "isAvailable", database_row_uint(row, LISTED_IS_AVAILABLE, 0) != 0);
    reader_put_text(json, "branch", row, LISTED_BRANCH);
    reader_put_time(json, "created", row, LISTED_CREATED);
    reader_put_time(json, "modified", row, LISTED_MODIFIED);
    json_put_string(json, "entity", "Stack");
    json_close_object(json);
}

enum reader_status reader_list_stacks(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct page page = {.json = json};
    enum reader_status status;

    add_list_sql(reader_start_sql(reader, project), project);
    json_open_array(json, "stacks");
    status = reader_run(reader, visit_list, &page);
    json_close_array(json);
    return status;
}

/* history and actions: the latest first, a limited number at a time */

struct listing {
    struct page page;
    void (*put)(const struct page *page, const struct database_row *row);
    uint64_t limit;
    uint64_t rows;
    uint64_t last; /* number of the latest row written */
};

#define LISTING_NUMBER 0 /* the column that numbers the rows of a listing */

static void visit_listing(void *context, const struct database_row *row)
{
    struct listing *listing = context;

    if (row->set == SET_PROJECT) {
        reader_take_project(&listing->page, row);
        return;
    }
    if (++listing->rows > listing->limit)
        return; /* one more than the limit was asked for: it only tells that there is more */
    listing->last = database_row_uint(row, LISTING_NUMBER, 0);
    listing->put(&listing->page, row);
}

static enum reader_status run_listing(struct reader *reader, struct listing *listing,
                                      const char *name)
{
    struct json_writer *json = listing->page.json;
    enum reader_status status;

    json_open_array(json, name);
    status = reader_run(reader, visit_listing, &listing->page);
    json_close_array(json);
    if (listing->rows > listing->limit)
        json_put_integer(json, "next", (int64_t)listing->last);
    else
        json_put_null(json, "next");
    return status;
}

static void add_text_filter(struct buf *sql, const char *condition, const char *value)
{
    if (!value)
        return;
    buf_puts(sql, condition);
    sql_text(sql, value);
}

static void add_time_filter(struct buf *sql, const char *time, const char *comparison,
                            int64_t time_us)
{
    if (!time_us)
        return;
    buf_printf(sql, " AND t.%s %s ", time, comparison);
    sql_time(sql, time_us);
}

/* The conditions that both have; `number` and `time` are their columns. */
static void add_filter(struct buf *sql, const struct reader_filter *filter, const char *number,
                       const char *time)
{
    add_text_filter(sql, " AND CONCAT(p.prefix, t.stack_no) = ", filter->stack_name);
    add_time_filter(sql, time, ">=", filter->since);
    add_time_filter(sql, time, "<", filter->until);
    if (filter->before)
        buf_printf(sql, " AND t.%s < %llu", number, (unsigned long long)filter->before);
}

static void add_end(struct buf *sql, const struct reader_filter *filter, const char *number)
{
    buf_printf(sql, " ORDER BY t.%s DESC LIMIT %llu", number,
               (unsigned long long)filter->limit + 1);
}

enum {
    ENDED_NUMBER = LISTING_NUMBER,
    ENDED_STATE,
    ENDED_OUTCOME,
    ENDED_STACK,
    ENDED_FENCE,
    ENDED_KEY_NAME,
    ENDED_BRANCH,
    ENDED_COMMIT,
    ENDED_PURPOSE,
    ENDED_JOB,
    ENDED_IS_NEW = ENDED_JOB + 3,
    ENDED_ASKED_AT,
    ENDED_GRANTED_AT,
    ENDED_DEPLOYED_AT,
    ENDED_ENDED_AT,
    ENDED_CHANGED_UNITS
};

static void add_history_sql(struct buf *sql, const char *project,
                            const struct reader_filter *filter)
{
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
    add_end(sql, filter, "lease_no");
}

static void put_ended(const struct page *page, const struct database_row *row)
{
    struct json_writer *json = page->json;
    int64_t asked_at = database_row_int(row, ENDED_ASKED_AT, 0);
    int64_t granted_at = database_row_int(row, ENDED_GRANTED_AT, 0);
    int64_t ended_at = database_row_int(row, ENDED_ENDED_AT, 0);

    json_open_object(json, NULL);
    reader_put_number(json, "requestNumber", row, ENDED_NUMBER);
    reader_put_text(json, "state", row, ENDED_STATE);
    reader_put_text(json, "outcome", row, ENDED_OUTCOME);
    reader_put_stack_name(page, "stackName", row, ENDED_STACK);
    reader_put_number(json, "fence", row, ENDED_FENCE);
    reader_put_text(json, "keyName", row, ENDED_KEY_NAME);
    reader_put_text(json, "branch", row, ENDED_BRANCH);
    reader_put_text(json, "commit", row, ENDED_COMMIT);
    reader_put_text(json, "purpose", row, ENDED_PURPOSE);
    reader_put_job(json, row, ENDED_JOB);
    json_put_bool(json, "isNew", database_row_uint(row, ENDED_IS_NEW, 0) != 0);
    reader_put_number(json, "changedUnits", row, ENDED_CHANGED_UNITS);
    reader_put_time(json, "askedAt", row, ENDED_ASKED_AT);
    reader_put_time(json, "grantedAt", row, ENDED_GRANTED_AT);
    reader_put_time(json, "deployedAt", row, ENDED_DEPLOYED_AT);
    reader_put_time(json, "endedAt", row, ENDED_ENDED_AT);
    reader_put_seconds(json, "waitedSeconds", asked_at, granted_at ? granted_at : ended_at);
    if (granted_at)
        reader_put_seconds(json, "heldSeconds", granted_at, ended_at);
    else
        json_put_null(json, "heldSeconds");
    json_close_object(json);
}

enum reader_status reader_history(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    struct listing listing = {.page.json = json, .put = put_ended, .limit = filter->limit};

    add_history_sql(reader_start_sql(reader, project), project, filter);
    return run_listing(reader, &listing, "requests");
}

enum {
    ACTION_NUMBER = LISTING_NUMBER,
    ACTION_AT,
    ACTION_KEY_NAME,
    ACTION_VERB,
    ACTION_STACK,
    ACTION_DETAIL,
    ACTION_REASON
};

static void add_actions_sql(struct buf *sql, const char *project,
                            const struct reader_filter *filter)
{
    buf_puts(sql, ";SELECT t.action_id, " SQL_MICROSECONDS "t.at), t.key_name, t.verb, t.stack_no,"
                  " t.detail, t.reason FROM action t JOIN project p USING (project_id)"
                  " WHERE p.name = ");
    sql_text(sql, project);
    add_filter(sql, filter, "action_id", "at");
    add_end(sql, filter, "action_id");
}

static void put_action(const struct page *page, const struct database_row *row)
{
    struct json_writer *json = page->json;

    json_open_object(json, NULL);
    reader_put_number(json, "actionNumber", row, ACTION_NUMBER);
    reader_put_time(json, "at", row, ACTION_AT);
    reader_put_text(json, "keyName", row, ACTION_KEY_NAME);
    reader_put_text(json, "action", row, ACTION_VERB);
    reader_put_stack_name(page, "stackName", row, ACTION_STACK);
    reader_put_text(json, "detail", row, ACTION_DETAIL);
    reader_put_text(json, "reason", row, ACTION_REASON);
    json_close_object(json);
}

enum reader_status reader_actions(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    struct listing listing = {.page.json = json, .put = put_action, .limit = filter->limit};

    add_actions_sql(reader_start_sql(reader, project), project, filter);
    return run_listing(reader, &listing, "actions");
}
