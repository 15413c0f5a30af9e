/* reader_pages: what listStacks, history and actions tell: rows, one after the other. Worker
 * threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "database/sql.h"
#include "read/member.h"
#include "rules/words.h"

#include <stdlib.h>

/* Every text here has two sets: the project's row, and the rows of the page. */
#define SET_PROJECT 0

void reader_filter_free(struct reader_filter *filter)
{
    free(filter->stack_name);
    free(filter->branch);
}

/* Rows, one after the other */

struct listing {
    struct page page;
    const struct member *members; /* the first: a number, where there is a limit */
    uint64_t limit;               /* 0: none */
    uint64_t rows;
    uint64_t last; /* number of the latest row written */
};

static void visit(void *context, const struct database_row *row)
{
    struct listing *listing = context;
    struct json_writer *json = listing->page.json;

    if (row->set == SET_PROJECT) {
        reader_take_project(&listing->page, row);
        return;
    }
    if (listing->limit && ++listing->rows > listing->limit)
        return; /* one more than the limit was asked for: it only tells that there is more */
    listing->last = database_row_uint(row, 0, 0);
    json_open_object(json, NULL);
    member_put(json, listing->members, row, listing->page.prefix);
    json_close_object(json);
}

/* Starts the text: the SELECT, without its FROM. */
static struct buf *start_sql(struct reader *reader, const char *project,
                             const struct member *members)
{
    struct buf *sql = reader_start_sql(reader, project);

    buf_puts(sql, ";");
    member_select(sql, members);
    return sql;
}

static enum reader_status run(struct reader *reader, struct listing *listing, const char *name)
{
    enum reader_status status;

    json_open_array(listing->page.json, name);
    status = reader_run(reader, visit, &listing->page);
    json_close_array(listing->page.json);
    return status;
}

/* listStacks, as the original service has it */

static const struct member listed[] = {
    {"stackName", MEMBER_STACK_NAME, "stack_no"},
    {"lastDeployedCommit", MEMBER_TEXT, "COALESCE(last_deployed_commit, initial_commit)"},
    {"isAvailable", MEMBER_BOOL, "state = 'available'"},
    {"branch", MEMBER_TEXT, "branch"},
    {"created", MEMBER_TIME, "stack.created"},
    {"modified", MEMBER_TIME, "stack.modified"},
    {"entity", MEMBER_TEXT, "'Stack'"},
    {0},
};

enum reader_status reader_list_stacks(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    struct listing listing = {.page.json = json, .members = listed};
    struct buf *sql = start_sql(reader, project, listed);

    buf_puts(sql, " FROM stack JOIN project USING (project_id) WHERE state <> 'deleted'"
                  " AND name = ");
    sql_text(sql, project);
    buf_puts(sql, " ORDER BY stack_no");
    return run(reader, &listing, "stacks");
}

/* history and actions: the latest first, a limited number at a time */

static enum reader_status run_limited(struct reader *reader, struct listing *listing,
                                      const char *name)
{
    enum reader_status status = run(reader, listing, name);

    if (listing->rows > listing->limit)
        json_put_integer(listing->page.json, "next", (int64_t)listing->last);
    else
        json_put_null(listing->page.json, "next");
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

static const struct member ended[] = {
    {"requestNumber", MEMBER_NUMBER, "t.lease_no"},
    {"state", MEMBER_TEXT, "t.state"},
    {"outcome", MEMBER_TEXT, "t.outcome"},
    {"stackName", MEMBER_STACK_NAME, "t.stack_no"},
    {"fence", MEMBER_NUMBER, "t.fence"},
    {"keyName", MEMBER_TEXT, "t.key_name"},
    {"branch", MEMBER_TEXT, "t.branch"},
    {"commit", MEMBER_TEXT, "t.commit_id"},
    {"purpose", MEMBER_TEXT, "t.purpose"},
    {"job", MEMBER_OPEN, NULL},
    {"url", MEMBER_TEXT, "t.job_url"},
    {"name", MEMBER_TEXT, "t.job_name"},
    {"user", MEMBER_TEXT, "t.job_user"},
    {"job", MEMBER_CLOSE, NULL},
    {"isNew", MEMBER_BOOL, "t.is_new"},
    {"changedUnits", MEMBER_NUMBER, "t.changed_units"},
    {"estimatedDeploySeconds", MEMBER_NUMBER, "t.estimated_deploy_s"},
    {"askedAt", MEMBER_TIME, "t.asked_at"},
    {"grantedAt", MEMBER_TIME, "t.granted_at"},
    {"deployedAt", MEMBER_TIME, "t.deployed_at"},
    {"endedAt", MEMBER_TIME, "t.ended_at"},
    {"waitedSeconds", MEMBER_SECONDS,
     "TIMESTAMPDIFF(MICROSECOND, t.asked_at, COALESCE(t.granted_at, t.ended_at))"},
    {"heldSeconds", MEMBER_SECONDS, "TIMESTAMPDIFF(MICROSECOND, t.granted_at, t.ended_at)"},
    {0},
};

enum reader_status reader_history(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    struct listing listing = {.page.json = json, .members = ended, .limit = filter->limit};
    struct buf *sql = start_sql(reader, project, ended);

    buf_puts(sql, " FROM history t JOIN project p USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
    add_filter(sql, filter, "lease_no", "ended_at");
    add_text_filter(sql, " AND t.branch = ", filter->branch);
    if (filter->state >= 0)
        buf_printf(sql, " AND t.state = '%s'", words_lease_state((enum lease_state)filter->state));
    add_end(sql, filter, "lease_no");
    return run_limited(reader, &listing, "requests");
}

static const struct member acted[] = {
    {"actionNumber", MEMBER_NUMBER, "t.action_id"},
    {"at", MEMBER_TIME, "t.at"},
    {"keyName", MEMBER_TEXT, "t.key_name"},
    {"action", MEMBER_TEXT, "t.verb"},
    {"stackName", MEMBER_STACK_NAME, "t.stack_no"},
    {"detail", MEMBER_TEXT, "t.detail"},
    {"reason", MEMBER_TEXT, "t.reason"},
    {0},
};

enum reader_status reader_actions(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    struct listing listing = {.page.json = json, .members = acted, .limit = filter->limit};
    struct buf *sql = start_sql(reader, project, acted);

    buf_puts(sql, " FROM action t JOIN project p USING (project_id) WHERE p.name = ");
    sql_text(sql, project);
    add_filter(sql, filter, "action_id", "at");
    add_end(sql, filter, "action_id");
    return run_limited(reader, &listing, "actions");
}
