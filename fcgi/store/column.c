/* column: see column.h. */
#include "store/column.h"

#include "base/mem.h"
#include "base/times.h"
#include "database/database.h"
#include "database/sql.h"
#include "rules/words.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(enum stack_state) == sizeof(uint32_t) &&
                  sizeof(enum lease_state) == sizeof(uint32_t) &&
                  sizeof(enum outcome) == sizeof(uint32_t) &&
                  sizeof(enum purpose) == sizeof(uint32_t),
              "a word is read and written as 32 bits");

static const void *field_of(const struct column *column, const void *object)
{
    return (const char *)object + column->offset;
}

static const char *text_at(const void *field)
{
    return *(const char *const *)field;
}

static uint32_t uint32_at(const void *field)
{
    return *(const uint32_t *)field;
}

static uint64_t uint64_at(const void *field)
{
    return *(const uint64_t *)field;
}

static bool is_default(const struct column *column, const void *field)
{
    static const uint8_t no_lease_id[LEASE_ID_SIZE];

    switch (column->type) {
    case COLUMN_BOOL:
        return !*(const bool *)field;
    case COLUMN_UINT32:
    case COLUMN_INT:
    case COLUMN_NUMBER32:
    case COLUMN_STACK_STATE:
    case COLUMN_NEXT_STATE:
    case COLUMN_LEASE_STATE:
    case COLUMN_OUTCOME:
    case COLUMN_PURPOSE:
        return uint32_at(field) == 0;
    case COLUMN_UINT64:
    case COLUMN_NUMBER64:
    case COLUMN_TIME:
        return uint64_at(field) == 0;
    case COLUMN_COUNT:
        return *(const int64_t *)field < 0;
    case COLUMN_TEXT:
    case COLUMN_MANIFEST:
    case COLUMN_STACK:
    case COLUMN_LEASE:
        return text_at(field) == NULL;
    case COLUMN_LEASE_ID:
        return memcmp(field, no_lease_id, LEASE_ID_SIZE) == 0;
    }
    return false;
}

bool column_is_default(const struct column *column, const void *object)
{
    return is_default(column, field_of(column, object));
}

static bool is_null(const struct column *column, const void *field)
{
    switch (column->type) {
    case COLUMN_BOOL:
    case COLUMN_UINT32:
    case COLUMN_UINT64:
    case COLUMN_INT:
    case COLUMN_STACK_STATE:
    case COLUMN_LEASE_STATE:
    case COLUMN_PURPOSE:
        return false;
    default:
        return is_default(column, field);
    }
}

static void add_word(struct buf *sql, const char *word)
{
    buf_puts(sql, "'");
    buf_puts(sql, word);
    buf_puts(sql, "'");
}

void column_write(struct buf *sql, const struct column *column, const void *object)
{
    const void *field = field_of(column, object);

    if (is_null(column, field)) {
        buf_puts(sql, "NULL");
        return;
    }
    switch (column->type) {
    case COLUMN_BOOL:
        buf_puts(sql, *(const bool *)field ? "1" : "0");
        break;
    case COLUMN_UINT32:
    case COLUMN_NUMBER32:
        buf_uint(sql, uint32_at(field));
        break;
    case COLUMN_UINT64:
    case COLUMN_NUMBER64:
    case COLUMN_COUNT:
        buf_uint(sql, uint64_at(field));
        break;
    case COLUMN_INT:
        buf_printf(sql, "%d", *(const int *)field);
        break;
    case COLUMN_TIME:
        sql_time(sql, *(const int64_t *)field);
        break;
    case COLUMN_TEXT:
        sql_text(sql, text_at(field));
        break;
    case COLUMN_LEASE_ID:
        sql_bytes(sql, field, LEASE_ID_SIZE);
        break;
    case COLUMN_MANIFEST:
        buf_uint(sql, (*(const struct manifest *const *)field)->number);
        break;
    case COLUMN_STACK:
        buf_uint(sql, (*(const struct stack *const *)field)->number);
        break;
    case COLUMN_LEASE:
        buf_uint(sql, (*(const struct lease *const *)field)->number);
        break;
    case COLUMN_STACK_STATE:
    case COLUMN_NEXT_STATE:
        add_word(sql, words_stack_state((enum stack_state)uint32_at(field)));
        break;
    case COLUMN_LEASE_STATE:
        add_word(sql, words_lease_state((enum lease_state)uint32_at(field)));
        break;
    case COLUMN_OUTCOME:
        add_word(sql, words_outcome((enum outcome)uint32_at(field)));
        break;
    case COLUMN_PURPOSE:
        add_word(sql, words_purpose((enum purpose)uint32_at(field)));
        break;
    }
}

void column_read(const struct column *column, const struct database_row *row, unsigned at,
                 const struct column_references *references, void *object)
{
    const char *text = row->values[at];
    void *field = (char *)object + column->offset;

    switch (column->type) {
    case COLUMN_BOOL:
        *(bool *)field = database_row_uint(row, at, 0) != 0;
        break;
    case COLUMN_UINT32:
    case COLUMN_NUMBER32:
        *(uint32_t *)field = (uint32_t)database_row_uint(row, at, 0);
        break;
    case COLUMN_UINT64:
    case COLUMN_NUMBER64:
        *(uint64_t *)field = database_row_uint(row, at, 0);
        break;
    case COLUMN_INT:
        *(int *)field = (int)database_row_int(row, at, 0);
        break;
    case COLUMN_TIME:
        *(int64_t *)field = database_row_int(row, at, 0);
        break;
    case COLUMN_COUNT:
        *(int64_t *)field = database_row_int(row, at, -1);
        break;
    case COLUMN_TEXT:
        *(char **)field = mem_strdup(text);
        break;
    case COLUMN_LEASE_ID:
        if (text && row->lengths[at] == LEASE_ID_SIZE)
            memcpy(field, text, LEASE_ID_SIZE);
        break;
    case COLUMN_MANIFEST:
        *(struct manifest **)field = map_get(references->manifests, database_row_uint(row, at, 0));
        if (text && !*(struct manifest **)field)
            *references->is_missing = true;
        break;
    case COLUMN_STACK:
        *(struct stack **)field =
            pool_stack(references->pool, (uint32_t)database_row_uint(row, at, 0));
        break;
    case COLUMN_LEASE: /* read from the lease's own row */
        break;
    case COLUMN_STACK_STATE:
    case COLUMN_NEXT_STATE:
        *(enum stack_state *)field =
            text ? (enum stack_state)words_find_stack_state(text) : STACK_AVAILABLE;
        break;
    case COLUMN_LEASE_STATE:
        *(enum lease_state *)field = (enum lease_state)words_find_lease_state(text);
        break;
    case COLUMN_OUTCOME:
        *(enum outcome *)field = text ? (enum outcome)words_find_outcome(text) : OUTCOME_NONE;
        break;
    case COLUMN_PURPOSE:
        *(enum purpose *)field = (enum purpose)words_find_purpose(text);
        break;
    }
}
