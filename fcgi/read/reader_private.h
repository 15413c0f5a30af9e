/* reader_private: what the files of `reader` share and nobody else calls. */
#ifndef READER_PRIVATE_H
#define READER_PRIVATE_H

#include "read/reader.h"

#include "base/buf.h"
#include "database/database.h"

#include <stdbool.h>

struct reader_estimate;

struct reader {
    struct database *database;
    struct buf sql;
    int64_t away_until_ms;             /* the database; monotonic */
    struct reader_estimate *estimates; /* NULL: none yet */
};

/* One call's way from rows to JSON. The first set of every text is the project's row. */
struct reading {
    struct json_writer *json;
    bool found; /* the project */
    char prefix[64 + 1];
    int64_t now;
    int open_set; /* the set whose JSON array is open; -1: none */
    uint64_t rows;
    uint64_t limit;
    uint64_t last; /* number of the latest row written */
    double mean_hold_s;
    uint32_t stacks;
    uint32_t position;
    struct figures *figures;
    struct buf *texts;
};

/* Columns; NULL becomes null. */
const char *reader_text(const struct database_row *row, unsigned column);
void reader_put_time(struct json_writer *json, const char *name, const struct database_row *row,
                     unsigned column);
void reader_put_number(struct json_writer *json, const char *name, const struct database_row *row,
                       unsigned column);
void reader_put_seconds(struct json_writer *json, const char *name, int64_t from_us, int64_t to_us);
void reader_put_stack_name(const struct reading *reading, const char *name,
                           const struct database_row *row, unsigned column);
/* Three columns: url, name, user. */
void reader_put_job(struct json_writer *json, const struct database_row *row, unsigned column);

/* Starts a text with the project's row: name, prefix, initialCommit, maxStacks, leaseSeconds,
 * maxLeaseSeconds, waitSeconds, the database's clock. */
struct buf *reader_start_sql(struct reader *reader, const char *project);
void reader_take_project(struct reading *reading, const struct database_row *row);
/* Its number as a subquery. */
void reader_add_project(struct buf *sql, const char *project);
enum reader_status reader_run(struct reader *reader, database_visit *visit,
                              struct reading *reading);

void reader_forget_estimates(struct reader *reader);

#endif
