/* store_past: what history knows that a pool doesn't remember. Writer's thread. */
#include "store/store_private.h"

#include "base/times.h"
#include "database/sql.h"

#include <string.h>

static void take_past(void *context, const struct database_row *row)
{
    struct past_request *past = context;

    past->number = database_row_uint(row, 0, 0);
    past->ended = row->values[1] != NULL;
    if (past->ended) {
        past->state = (enum lease_state)words_find_lease_state(row->values[1]);
        past->outcome =
            row->values[2] ? (enum outcome)words_find_outcome(row->values[2]) : OUTCOME_NONE;
        past->ended_at = database_row_int(row, 3, 0);
    }
}

struct finding {
    const struct pool *pool;
    struct command *commands;
};

static bool needs_past(const struct pool *pool, const struct command *command)
{
    const char *id = command_request_id(command);

    return id && !pool_request(pool, id);
}

static void take_found(void *context, const struct database_row *row)
{
    struct finding *finding = context;

    for (struct command *at = finding->commands; at; at = at->next)
        if (needs_past(finding->pool, at) && strcmp(command_request_id(at), row->values[4]) == 0)
            take_past(&at->past, row);
}

enum database_status store_find_past(struct store *store, const struct pool *pool,
                                     struct command *commands)
{
    struct finding finding = {.pool = pool, .commands = commands};
    struct buf *sql = store_start_sql(store);
    const char *separator = "";
    enum database_status status = DATABASE_OK;

    buf_printf(sql,
               "SELECT k.lease_no, h.state, h.outcome, " SQL_MICROSECONDS
               "h.ended_at), k.request_id"
               " FROM request_key k JOIN history h USING (project_id, lease_no)"
               " WHERE h.ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY"
               " AND k.project_id = %u AND k.request_id IN (",
               pool->id);
    for (struct command *at = commands; at; at = at->next) {
        at->past = (struct past_request){0};
        if (needs_past(pool, at)) {
            buf_puts(sql, separator);
            sql_text(sql, command_request_id(at));
            separator = ",";
        }
    }
    buf_puts(sql, ")");
    if (*separator)
        status = database_run(store->database, sql, take_found, &finding);
    return status;
}

enum database_status store_find_ended(struct store *store, const struct pool *pool, uint64_t number,
                                      struct past_request *past)
{
    struct buf *sql = store_start_sql(store);

    *past = (struct past_request){0};
    buf_printf(sql,
               "SELECT lease_no, state, outcome, " SQL_MICROSECONDS "ended_at) FROM history"
               " WHERE project_id = %u AND lease_no = %llu",
               pool->id, (unsigned long long)number);
    return database_run(store->database, sql, take_past, past);
}

enum database_status store_was_leased(struct store *store, const struct pool *pool,
                                      const struct stack *stack, const uint8_t *lease_id,
                                      bool *was_leased)
{
    struct buf *sql = store_start_sql(store);
    enum database_status status;
    int64_t count = 0;

    /* Bounded: a guesser must not make us read years of history. */
    buf_printf(sql,
               "SELECT COUNT(*) FROM (SELECT lease_id FROM history WHERE project_id = %u"
               " AND stack_no = %u ORDER BY ended_at DESC LIMIT 1000) AS latest WHERE lease_id = ",
               pool->id, stack->number);
    sql_bytes(sql, lease_id, LEASE_ID_SIZE);
    status = database_run(store->database, sql, store_take_number, &count);
    *was_leased = count > 0;
    return status;
}
