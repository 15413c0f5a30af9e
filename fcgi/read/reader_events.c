/* reader_events: what happened after an event that the caller knows. Worker threads. */
#include "read/reader_private.h"

#include "database/sql.h"
#include "read/member.h"

enum event_set { SET_PROJECT, SET_LATEST, SET_EVENTS }; /* the first: see reader_start_sql() */

struct event_page {
    struct page page;
    uint64_t after;
    uint64_t next;
    uint64_t missed;
    uint64_t rows;
};

static const struct member happened[] = {
    {"eventNumber", MEMBER_NUMBER, "t.event_no"},
    {"at", MEMBER_TIME, "t.at"},
    {"event", MEMBER_TEXT, "t.kind"},
    {"requestNumber", MEMBER_NUMBER, "t.lease_no"},
    {"stackName", MEMBER_STACK_NAME, "t.stack_no"},
    {"who", MEMBER_TEXT, "t.who"},
    {"branch", MEMBER_TEXT, "t.branch"},
    {"job", MEMBER_OPEN, NULL},
    {"url", MEMBER_TEXT, "t.job_url"},
    {"name", MEMBER_TEXT, "t.job_name"},
    {"job", MEMBER_CLOSE, NULL},
    {"state", MEMBER_TEXT, "IF(t.kind = 'ended', t.word, NULL)"},
    {"outcome", MEMBER_TEXT, "t.outcome"},
    {"action", MEMBER_TEXT, "IF(t.kind = 'action', t.word, NULL)"},
    {"detail", MEMBER_TEXT, "t.detail"},
    {"reason", MEMBER_TEXT, "t.reason"},
    {0},
};

static void put_event(struct event_page *events, const struct database_row *row)
{
    struct json_writer *json = events->page.json;
    uint64_t number = database_row_uint(row, 0, 0);

    if (events->rows++ == 0 && number > events->after + 1)
        events->missed = number - events->after - 1; /* they were too old to be kept */
    events->next = number;
    json_open_object(json, NULL);
    member_put(json, happened, row, events->page.prefix);
    json_close_object(json);
}

static void visit(void *context, const struct database_row *row)
{
    struct event_page *events = context;

    switch ((enum event_set)row->set) {
    case SET_PROJECT:
        reader_take_project(&events->page, row);
        break;
    case SET_LATEST:
        json_put_integer(events->page.json, "latest", database_row_int(row, 0, 1) - 1);
        json_open_array(events->page.json, "events");
        break;
    case SET_EVENTS:
        put_event(events, row);
        break;
    }
}

/* Who commits later has a higher number, since numbers are given under the project's lock: a
 * reader never passes one that is still to come. */
static void add_events_sql(struct buf *sql, const char *project, uint64_t after, uint64_t limit)
{
    buf_puts(sql, ";SELECT next_event_no FROM project WHERE name = ");
    sql_text(sql, project);
    buf_puts(sql, ";");
    member_select(sql, happened);
    buf_puts(sql, " FROM event t WHERE t.project_id = ");
    reader_add_project(sql, project);
    buf_printf(sql, " AND t.event_no > %llu ORDER BY t.event_no LIMIT %llu",
               (unsigned long long)after, (unsigned long long)limit);
}

enum reader_status reader_events(struct reader *reader, const char *project, uint64_t after,
                                 uint64_t limit, struct json_writer *json)
{
    struct event_page events = {.page.json = json, .after = after, .next = after};
    enum reader_status status;

    add_events_sql(reader_start_sql(reader, project), project, after, limit);
    status = reader_run(reader, visit, &events.page);
    if (status != READER_OK)
        return status;
    json_close_array(json);
    json_put_integer(json, "next", (int64_t)events.next);
    json_put_integer(json, "missed", (int64_t)events.missed);
    return status;
}
