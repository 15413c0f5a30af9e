/* reader_view: what of /status is asked for, as conditions of its SELECTs, and how much there is in
 * all. Worker threads. */
#include "read/reader_private.h"

#include "database/sql.h"
#include "read/member.h"

#include <stdlib.h>
#include <string.h>

void reader_view_free(struct reader_view *view)
{
    free(view->stacks_after);
    free(view->stack_name);
    free(view->state);
    free(view->find);
}

bool reader_view_has(const struct reader_view *view, enum reader_part part)
{
    return view->parts == 0 || (view->parts & part) != 0;
}

/* Texts compare byte by byte, so both sides are put in lower case; a text may be in hexadecimal. */
static void add_find(struct buf *sql, const char *find, const char *texts)
{
    if (!find || !*find)
        return;
    buf_puts(sql, " AND LOCATE(LOWER(CONVERT(");
    sql_text(sql, find);
    buf_printf(sql, " USING utf8mb4)), LOWER(CONVERT(CONCAT_WS('\n', %s) USING utf8mb4))) > 0",
               texts);
}

static void add_state(struct buf *sql, const char *state)
{
    if (!state)
        return;
    if (strcmp(state, READER_STATE_ASIDE) == 0) {
        buf_puts(sql, " AND s.state IN ('held','quarantined','draining')");
        return;
    }
    buf_puts(sql, " AND s.state = ");
    sql_text(sql, state);
}

void reader_view_add_stacks(struct buf *sql, const struct reader_view *view)
{
    if (view->stack_name) {
        buf_puts(sql, " AND s.stack_no = ");
        reader_add_stack_number(sql, view->stack_name);
    }
    add_state(sql, view->state);
    add_find(sql, view->find,
             "CONCAT(p.prefix, s.stack_no), s.branch, COALESCE(s.last_deployed_commit,"
             " p.initial_commit), n.owner, n.reason, l.branch, l.commit_id, l.key_name, l.job_name,"
             " l.job_user");
}

void reader_view_add_queue(struct buf *sql, const struct reader_view *view)
{
    add_find(sql, view->find, "branch, commit_id, key_name, job_name, job_user");
}

/* How much there is */

static const struct member counts[] = {
    {"stacks", MEMBER_NUMBER, "COUNT(*)"},
    {"available", MEMBER_NUMBER, "COALESCE(SUM(s.state = 'available'), 0)"},
    {"leased", MEMBER_NUMBER, "COALESCE(SUM(s.state = 'leased'), 0)"},
    {"held", MEMBER_NUMBER, "COALESCE(SUM(s.state = 'held'), 0)"},
    {"quarantined", MEMBER_NUMBER, "COALESCE(SUM(s.state = 'quarantined'), 0)"},
    {"draining", MEMBER_NUMBER, "COALESCE(SUM(s.state = 'draining'), 0)"},
    {0},
};

static const struct member more_counts[] = {
    {"waiting", MEMBER_NUMBER, "COUNT(*)"},
    {"longestWaitSeconds", MEMBER_SECONDS,
     "MAX(TIMESTAMPDIFF(MICROSECOND, asked_at, UTC_TIMESTAMP(6)))"},
    {0},
};

/* The last column of each counts what the view lets through. */
void reader_view_add_counts(struct buf *sql, const char *project, const struct reader_view *view)
{
    buf_puts(sql, ";");
    member_select(sql, counts);
    buf_puts(sql, ",SUM(TRUE");
    reader_view_add_stacks(sql, view);
    buf_puts(sql, ") FROM project p JOIN stack s USING (project_id)");
    if (view->find)
        buf_puts(sql, READER_STACK_JOINS);
    buf_puts(sql, " WHERE s.state <> 'deleted' AND p.name = ");
    sql_text(sql, project);
    buf_puts(sql, ";");
    member_select(sql, more_counts);
    buf_puts(sql, ",SUM(TRUE");
    reader_view_add_queue(sql, view);
    buf_puts(sql, ") FROM lease WHERE state = 'waiting' AND project_id = ");
    reader_add_project(sql, project);
}

void reader_view_put_stacks(struct page *page, const struct database_row *row)
{
    json_open_object(page->json, "counts");
    member_put(page->json, counts, row, page->prefix);
    json_put_integer(page->json, "foundStacks", database_row_int(row, row->count - 1, 0));
}

void reader_view_put_queue(struct page *page, const struct database_row *row)
{
    member_put(page->json, more_counts, row, page->prefix);
    json_put_integer(page->json, "foundWaiting", database_row_int(row, row->count - 1, 0));
    json_close_object(page->json);
}
