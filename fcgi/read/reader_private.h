/* reader_private: what the files of `reader` share and nobody else calls. */
#ifndef READER_PRIVATE_H
#define READER_PRIVATE_H

#include "read/reader.h"

#include "base/buf.h"
#include "database/database.h"

#include <stdbool.h>

struct reader {
    struct database *database;
    struct buf sql;
    int64_t away_until_ms; /* the database; monotonic */
    const char *key_name;  /* of the call at hand */
    uint32_t key_number;
};

/* What every call has on its way from rows to JSON. A call that needs more has a struct of its own
 * with this one first, so that its `visit` gets that. */
struct page {
    struct json_writer *json;
    bool found;     /* the project */
    bool key_ended; /* the caller's */
    char prefix[64 + 1];
    int64_t now_us;
};

/* Starts a text; its first set is the project's row, of these columns. */
enum { PROJECT_PREFIX, PROJECT_NOW, PROJECT_KEY_ENDED };

struct buf *reader_start_sql(struct reader *reader, const char *project);
/* The number of the stack of that name, by the project's prefix; NULL for a name that isn't of its
 * stacks. `p`: the row of the project. */
void reader_add_stack_number(struct buf *sql, const char *stack_name);
/* The project's number as a subquery. */
void reader_add_project(struct buf *sql, const char *project);
/* What a view lets through, as conditions that begin with AND: of stacks (`s`, of project `p`, with
 * the joins below) and of waiting leases. */
#define READER_STACK_JOINS                                                                         \
    " LEFT JOIN stack_note n USING (project_id, stack_no)"                                         \
    " LEFT JOIN lease l ON l.project_id = s.project_id AND l.lease_no = s.lease_no"

bool reader_view_has(const struct reader_view *view, enum reader_part part);
void reader_view_add_stacks(struct buf *sql, const struct reader_view *view);
void reader_view_add_queue(struct buf *sql, const struct reader_view *view);
/* Two sets, of one row each, and what becomes of them. */
void reader_view_add_counts(struct buf *sql, const char *project, const struct reader_view *view);
void reader_view_put_stacks(struct page *page, const struct database_row *row);
void reader_view_put_queue(struct page *page, const struct database_row *row);
/* Runs reader->sql; `visit` gets `page` with each row. */
enum reader_status reader_run(struct reader *reader, database_visit *visit, struct page *page);
void reader_take_project(struct page *page, const struct database_row *row);

#endif
