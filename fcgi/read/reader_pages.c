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

/* Where history and actions have what their filters name. Every filter has an index that ends in
 * the time, so that a page costs the same after years. */
struct ledger {
    const char *table;
    const char *number;
    const char *time;
    bool is_of_requests; /* which have a branch and a state */
};

static const struct ledger history_ledger = {"history", "lease_no", "ended_at", true};
static const struct ledger action_ledger = {"action", "action_id", "at", false};

struct finding {
    struct page page;
    int64_t time;
};

static void take_time(void *context, const struct database_row *row)
{
    struct finding *finding = context;

    if (row->set == SET_PROJECT)
        reader_take_project(&finding->page, row);
    else
        finding->time = database_row_int(row, 0, 0);
}

/* When that happened whose number is `before`; 0: nothing of that number is there. */
static enum reader_status find_time(struct reader *reader, const char *project,
                                    const struct ledger *ledger, uint64_t before, int64_t *time)
{
    struct finding finding = {0};
    struct buf *sql = reader_start_sql(reader, project);
    enum reader_status status;

    buf_printf(sql, ";SELECT " SQL_MICROSECONDS "%s) FROM %s WHERE %s = %llu AND project_id = ",
               ledger->time, ledger->table, ledger->number, (unsigned long long)before);
    reader_add_project(sql, project);
    status = reader_run(reader, take_time, &finding.page);
    *time = finding.time;
    return status;
}

/* FROM, and the conditions that both have. `before_time`: see find_time(). */
static void add_filter(struct buf *sql, const char *project, const struct ledger *ledger,
                       const struct reader_filter *filter, int64_t before_time)
{
    buf_printf(sql, " FROM %s t JOIN project p USING (project_id) WHERE p.name = ", ledger->table);
    sql_text(sql, project);
    if (filter->stack_name) {
        buf_puts(sql, " AND t.stack_no = ");
        reader_add_stack_number(sql, filter->stack_name);
    }
    add_time_filter(sql, ledger->time, ">=", filter->since);
    add_time_filter(sql, ledger->time, "<", filter->until);
    if (!filter->before)
        return;
    if (!before_time) { /* it never was, or is long forgotten, as all before it */
        buf_puts(sql, " AND FALSE");
        return;
    }
    add_time_filter(sql, ledger->time, "<=", before_time);
    buf_printf(sql, " AND (t.%s < %llu OR t.%s < ", ledger->number,
               (unsigned long long)filter->before, ledger->time);
    sql_time(sql, before_time);
    buf_puts(sql, ")");
}

static void add_request_filter(struct buf *sql, const struct reader_filter *filter)
{
    add_text_filter(sql, " AND t.branch = ", filter->branch);
    if (filter->state >= 0)
        buf_printf(sql, " AND t.state = '%s'", words_lease_state((enum lease_state)filter->state));
}

static void add_end(struct buf *sql, const struct ledger *ledger,
                    const struct reader_filter *filter)
{
    buf_printf(sql, " ORDER BY t.%s DESC, t.%s DESC LIMIT %llu", ledger->time, ledger->number,
               (unsigned long long)filter->limit + 1);
}

static enum reader_status list(struct reader *reader, const char *project,
                               const struct reader_filter *filter, const struct ledger *ledger,
                               struct listing listing, const char *name)
{
    enum reader_status status = READER_OK;
    int64_t before_time = 0;
    struct buf *sql;

    if (filter->before)
        status = find_time(reader, project, ledger, filter->before, &before_time);
    if (status != READER_OK)
        return status;
    listing.limit = filter->limit;
    sql = start_sql(reader, project, listing.members);
    add_filter(sql, project, ledger, filter, before_time);
    if (ledger->is_of_requests)
        add_request_filter(sql, filter);
    add_end(sql, ledger, filter);
    return run_limited(reader, &listing, name);
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
    return list(reader, project, filter, &history_ledger,
                (struct listing){.page.json = json, .members = ended}, "requests");
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
    return list(reader, project, filter, &action_ledger,
                (struct listing){.page.json = json, .members = acted}, "actions");
}
