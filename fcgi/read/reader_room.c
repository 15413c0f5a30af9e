/* reader_room: whether a request would get a stack at once. Worker threads. */
#include "read/reader_private.h"

#include "database/sql.h"

enum room_set { SET_PROJECT, SET_ROOM }; /* the first: see reader_start_sql() */
enum { ROOM_PAUSED, ROOM_IDLE, ROOM_NEW, ROOM_WAITING };

struct room_page {
    struct page page;
    struct reader_room *room;
};

/* As the rules of `match` have it: stacks that rest aren't lent, and who stands in line comes
 * first. */
static void add_room_sql(struct buf *sql, const char *project)
{
    buf_puts(
        sql,
        ";SELECT p.paused_at IS NOT NULL,"
        " (SELECT COUNT(*) FROM stack s WHERE s.project_id = p.project_id"
        " AND s.state = 'available' AND (s.unsettled_since IS NULL"
        " OR s.unsettled_since + INTERVAL p.settle_s SECOND <= UTC_TIMESTAMP(6))),"
        " GREATEST(CAST(p.max_stacks AS SIGNED) - (SELECT COUNT(*) FROM stack s"
        " WHERE s.project_id = p.project_id AND s.state <> 'deleted'), 0),"
        " (SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'waiting'"
        " AND l.instance_id IS NOT NULL AND l.wanted_stack_no IS NULL)"
        " FROM project p WHERE p.name = ");
    sql_text(sql, project);
}

static void visit(void *context, const struct database_row *row)
{
    struct room_page *page = context;
    struct reader_room *room = page->room;
    uint64_t stacks;

    if (row->set == SET_PROJECT) {
        reader_take_project(&page->page, row);
        return;
    }
    stacks = database_row_uint(row, ROOM_IDLE, 0) + database_row_uint(row, ROOM_NEW, 0);
    room->waiting = database_row_uint(row, ROOM_WAITING, 0);
    room->is_paused = database_row_uint(row, ROOM_PAUSED, 0) != 0;
    room->free = !room->is_paused && stacks > room->waiting ? stacks - room->waiting : 0;
}

enum reader_status reader_room(struct reader *reader, const char *project, struct reader_room *room)
{
    struct room_page page = {.room = room};

    add_room_sql(reader_start_sql(reader, project), project);
    return reader_run(reader, visit, &page.page);
}
