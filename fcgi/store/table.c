/* table: see table.h. */
#include "store/table.h"

#include "database/sql.h"
#include "store/column.h"

#include <assert.h>

/* In addition to the change flags in pool.h. */
enum column_change {
    FIXED = 0,          /* never changes */
    REQUIRED = 1 << 30, /* the schema has no default: every INSERT must name it */
};

struct table {
    const char *name;
    size_t count;
    const struct column *columns; /* the first is the number within the project */
};

#define COLUMNS(list) sizeof(list) / sizeof(list)[0], list

/* Releases of clang-format put these braces in different places. */
/* clang-format off */
#define STACK(name, type, field, changes) {name, COLUMN_##type, offsetof(struct stack, field), changes}
#define LEASE(name, type, field, changes) {name, COLUMN_##type, offsetof(struct lease, field), changes}
/* clang-format on */

static const struct column stack_columns[] = {
    STACK("stack_no", UINT32, number, REQUIRED),
    STACK("state", STACK_STATE, state, REQUIRED | STACK_LIFE),
    STACK("next_state", NEXT_STATE, next_state, STACK_LIFE),
    STACK("fence", UINT64, fence, STACK_LIFE),
    STACK("branch", TEXT, branch, STACK_LIFE),
    STACK("lease_no", LEASE, lease, STACK_LIFE),
    STACK("last_deployed_commit", TEXT, commit, STACK_CONTENT),
    STACK("content", MANIFEST, content, STACK_CONTENT),
    STACK("deployed_at", TIME, health.deployed_at, STACK_CONTENT),
    STACK("hold_s", NUMBER32, hold_s, STACK_ASIDE),
    STACK("held_until", TIME, held_until, STACK_ASIDE),
    STACK("held_by_job", BOOL, held_by_job, STACK_ASIDE),
    STACK("hold_lease_id", LEASE_ID, hold_lease_id, STACK_ASIDE),
    STACK("failed_deploys", UINT32, health.failed_deploys, STACK_HEALTH),
    STACK("failed_since", TIME, health.failed_since, STACK_HEALTH),
    STACK("failed_branch", TEXT, health.failed_branch, STACK_HEALTH),
    STACK("unsettled_since", TIME, health.unsettled_since, STACK_HEALTH),
    STACK("grant_no", NUMBER64, grant_no, STACK_GRANT),
    STACK("created", TIME, created, REQUIRED | STACK_BIRTH),
    STACK("modified", TIME, modified, REQUIRED | STACK_LIFE),
};

static const struct column stack_note_columns[] = {
    STACK("stack_no", UINT32, number, REQUIRED),
    STACK("note_no", UINT64, note_number, REQUIRED),
    STACK("owner", TEXT, owner, FIXED),
    STACK("reason", TEXT, reason, FIXED),
};

/* What the caller said of itself. */
#define LEASE_CALLER                                                                               \
    LEASE("request_id", TEXT, request_id, FIXED), LEASE("key_name", TEXT, key_name, REQUIRED),     \
        LEASE("branch", TEXT, branch, REQUIRED), LEASE("commit_id", TEXT, commit, FIXED),          \
        LEASE("purpose", PURPOSE, purpose, REQUIRED), LEASE("job_url", TEXT, job_url, FIXED),      \
        LEASE("job_name", TEXT, job_name, FIXED), LEASE("job_user", TEXT, job_user, FIXED),        \
        LEASE("asked_at", TIME, asked_at, REQUIRED)

/* What it was granted. */
#define LEASE_GRANT                                                                                \
    LEASE("lease_id", LEASE_ID, lease_id, LEASE_LIFE),                                             \
        LEASE("stack_no", STACK, stack, LEASE_LIFE), LEASE("fence", NUMBER64, fence, LEASE_LIFE),  \
        LEASE("is_new", BOOL, is_new, LEASE_LIFE),                                                 \
        LEASE("changed_units", COUNT, changed_units, LEASE_LIFE),                                  \
        LEASE("estimated_deploy_s", COUNT, estimated_deploy_s, LEASE_LIFE),                        \
        LEASE("granted_at", TIME, granted_at, LEASE_LIFE),                                         \
        LEASE("deployed_at", TIME, deployed_at, LEASE_LIFE)

static const struct column lease_columns[] = {
    LEASE("lease_no", UINT64, number, REQUIRED),
    LEASE("state", LEASE_STATE, state, REQUIRED | LEASE_LIFE),
    LEASE_CALLER,
    LEASE("units", MANIFEST, units, FIXED),
    LEASE("priority", INT, priority, LEASE_LIFE),
    LEASE("asked_priority", INT, asked_priority, LEASE_LIFE),
    LEASE("lease_s", UINT32, lease_s, REQUIRED),
    LEASE("passed_over", UINT32, passed_over, LEASE_LIFE),
    LEASE("instance_id", NUMBER64, instance, LEASE_LIFE),
    LEASE("wait_until", TIME, call_no, LEASE_LIFE), /* the number is nearly that time */
    LEASE("place_until", TIME, place_until, LEASE_LIFE),
    LEASE("grace_s", COUNT, grace_s, LEASE_LIFE),
    LEASE("timed_out", BOOL, timed_out, LEASE_LIFE),
    LEASE_GRANT,
    LEASE("marked", BOOL, is_marked, LEASE_LIFE),
    LEASE("whole", BOOL, is_whole, LEASE_LIFE),
    LEASE("wont_resume", BOOL, wont_resume, FIXED),
    LEASE("wanted_stack_no", NUMBER32, wanted_stack, FIXED),
    LEASE("protected", BOOL, is_protected, LEASE_LIFE),
    LEASE("stack_commit", TEXT, stack_commit, LEASE_LIFE),
    LEASE("stack_content", MANIFEST, stack_content, LEASE_LIFE),
    LEASE("expires_at", TIME, expires_at, LEASE_LIFE),
};

static const struct column history_columns[] = {
    LEASE("lease_no", UINT64, number, REQUIRED),
    LEASE("state", LEASE_STATE, state, REQUIRED),
    LEASE("outcome", OUTCOME, outcome, FIXED),
    LEASE_CALLER,
    LEASE_GRANT,
    LEASE("ended_at", TIME, ended_at, REQUIRED),
};

const struct table table_stack = {"stack", COLUMNS(stack_columns)};
const struct table table_stack_note = {"stack_note", COLUMNS(stack_note_columns)};
const struct table table_lease = {"lease", COLUMNS(lease_columns)};
const struct table table_history = {"history", COLUMNS(history_columns)};

/* Writing */

#define COLUMNS_MAX 40

/* Columns of one statement. */
struct choice {
    const struct column *columns[COLUMNS_MAX];
    size_t count;
};

static_assert(sizeof lease_columns / sizeof lease_columns[0] <= COLUMNS_MAX, "see struct choice");

static bool any_sets(const struct column *column, const struct table_row rows[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!column_is_default(column, rows[i].object))
            return true;
    return false;
}

static void add_rows(struct buf *sql, const struct table *table, const struct choice *choice,
                     const struct table_row rows[], size_t count)
{
    buf_puts(sql, "INSERT INTO ");
    buf_puts(sql, table->name);
    buf_puts(sql, " (project_id");
    for (size_t i = 0; i < choice->count; i++) {
        buf_puts(sql, ",");
        buf_puts(sql, choice->columns[i]->name);
    }
    buf_puts(sql, ") VALUES ");
    for (size_t row = 0; row < count; row++) {
        buf_puts(sql, row ? ",(" : "(");
        buf_uint(sql, rows[row].project);
        for (size_t i = 0; i < choice->count; i++) {
            buf_puts(sql, ",");
            column_write(sql, choice->columns[i], rows[row].object);
        }
        buf_puts(sql, ")");
    }
}

void table_insert(struct buf *sql, const struct table *table, const struct table_row rows[],
                  size_t count)
{
    struct choice choice = {.count = 0};

    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        if (column->changes & REQUIRED || any_sets(column, rows, count))
            choice.columns[choice.count++] = column;
    }
    add_rows(sql, table, &choice, rows, count);
    buf_puts(sql, ";");
}

void table_put(struct buf *sql, const struct table *table, const struct table_row rows[],
               size_t count, unsigned changes)
{
    struct choice choice = {.count = 0};
    const char *separator = " ON DUPLICATE KEY UPDATE ";

    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        if (column->changes & (REQUIRED | (int)changes))
            choice.columns[choice.count++] = column;
    }
    add_rows(sql, table, &choice, rows, count);
    for (size_t i = 0; i < choice.count; i++) {
        const char *name = choice.columns[i]->name;
        if (!(choice.columns[i]->changes & (int)changes))
            continue;
        buf_puts(sql, separator);
        buf_puts(sql, name);
        buf_puts(sql, "=VALUES(");
        buf_puts(sql, name);
        buf_puts(sql, ")");
        separator = ",";
    }
    buf_puts(sql, ";");
}

/* By the key: see delete_ended() in store_write.c. */
void table_update(struct buf *sql, const struct table *table, const struct table_row *row,
                  unsigned changes)
{
    const struct column *number = &table->columns[0];
    const char *separator = " SET ";

    buf_puts(sql, "UPDATE ");
    buf_puts(sql, table->name);
    buf_puts(sql, " FORCE INDEX (PRIMARY)");
    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        if (!(column->changes & (int)changes))
            continue;
        buf_puts(sql, separator);
        buf_puts(sql, column->name);
        buf_puts(sql, "=");
        column_write(sql, column, row->object);
        separator = ",";
    }
    buf_printf(sql, " WHERE project_id = %u AND %s = ", row->project, number->name);
    column_write(sql, number, row->object);
    buf_puts(sql, ";");
}

/* Reading */

void table_add_numbers(struct buf *sql, const char *column, const struct numbers *numbers)
{
    if (!numbers)
        return;
    buf_printf(sql, " AND %s IN (0", column); /* none has that number */
    for (size_t i = 0; i < numbers->count; i++) {
        buf_puts(sql, ",");
        buf_uint(sql, numbers->at[i]);
    }
    buf_puts(sql, ")");
}

void table_select(struct buf *sql, const struct table *table, uint32_t project,
                  const struct numbers *numbers)
{
    const char *separator = "SELECT ";

    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        buf_puts(sql, separator);
        if (column->type == COLUMN_TIME)
            buf_printf(sql, SQL_MICROSECONDS "%s)", column->name);
        else
            buf_puts(sql, column->name);
        separator = ",";
    }
    buf_printf(sql, " FROM %s WHERE project_id = %u", table->name, project);
    table_add_numbers(sql, table->columns[0].name, numbers);
    buf_printf(sql, " ORDER BY %s;", table->columns[0].name);
}

void table_read(const struct table *table, const struct database_row *row,
                const struct column_references *references, void *object)
{
    for (size_t i = 0; i < table->count; i++)
        column_read(&table->columns[i], row, (unsigned)i, references, object);
}
