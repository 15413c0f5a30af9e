/* store: transactions of the writer. What a batch reads stands here, what it writes in store_write.
 */
#include "store.h"

#include "log.h"
#include "store_write.h"
#include "times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MICROSECONDS "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',"
#define NOW_US       MICROSECONDS "UTC_TIMESTAMP(6))"

/* An instance that was silent for so long is dead. */
#define SILENCE_S 2

struct store {
    struct database *database;
    uint64_t instance;
    uint64_t batch; /* number of the latest batch sent */
    struct buf sql;
};

struct store *store_new(const struct config *config)
{
    struct store *store = mem_zalloc(sizeof *store);

    store->database = database_new(config->database_host, config->database_name,
                                   config->database_user, config->database_password_file);
    while (getrandom(&store->instance, sizeof store->instance, 0) != sizeof store->instance)
        ;
    store->instance |= 1; /* never 0 */
    return store;
}

void store_free(struct store *store)
{
    database_free(store->database);
    buf_free(&store->sql);
    free(store);
}

uint64_t store_instance(const struct store *store)
{
    return store->instance;
}

static struct buf *start_sql(struct store *store)
{
    buf_clear(&store->sql);
    return &store->sql;
}

static void take_number(void *context, const struct database_row *row)
{
    *(int64_t *)context = database_int(row, 0, 0);
}

/* Connecting */

enum database_status store_connect(struct store *store, int64_t *reconnected)
{
    struct buf *sql = start_sql(store);
    enum database_status status;
    char host[256] = "";
    int64_t now = 0;

    if (database_is_connected(store->database))
        return DATABASE_OK;
    status = database_connect(store->database);
    if (status != DATABASE_OK)
        return status;
    gethostname(host, sizeof host - 1);
    buf_printf(
        sql,
        "INSERT INTO instance (instance_id, host, last_batch, heartbeat, started) VALUES (%llu,",
        (unsigned long long)store->instance);
    sql_text(sql, host);
    buf_puts(sql, ", 0, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
                  " ON DUPLICATE KEY UPDATE heartbeat = VALUES(heartbeat);"
                  "SELECT " NOW_US);
    status = database_run(store->database, sql, take_number, &now);
    if (status == DATABASE_OK)
        *reconnected = now;
    else
        database_disconnect(store->database);
    return status;
}

void store_leave(struct store *store)
{
    struct buf *sql = start_sql(store);

    if (!database_is_connected(store->database))
        return;
    buf_printf(sql, "DELETE FROM instance WHERE instance_id = %llu",
               (unsigned long long)store->instance);
    database_run(store->database, sql, NULL, NULL);
}

/* Begin */

enum begin_set { SET_START, SET_PROJECTS, SET_NOW, SET_OTHERS };

static void take_begin(void *context, const struct database_row *row)
{
    struct store_begin *begin = context;

    if (row->set == SET_PROJECTS) {
        struct store_project *project = &begin->projects[begin->project_count++];
        project->id = (uint32_t)database_uint(row, 0, 0);
        snprintf(project->name, sizeof project->name, "%s", row->values[1]);
        project->prefix = mem_strdup(row->values[2]);
        project->initial_commit = mem_strdup(row->values[3]);
        project->max_stacks = (uint32_t)database_uint(row, 4, 0);
        project->lease_s = (uint32_t)database_uint(row, 5, 0);
        project->max_lease_s = (uint32_t)database_uint(row, 6, 0);
        project->wait_s = (uint32_t)database_uint(row, 7, 0);
        project->version = database_uint(row, 8, 0);
        project->next_lease_number = database_uint(row, 9, 0);
    } else if (row->set == SET_NOW) {
        begin->now = database_int(row, 0, 0);
    } else if (row->set == SET_OTHERS) {
        begin->others =
            mem_realloc(begin->others, (begin->other_count + 1) * sizeof *begin->others);
        begin->others[begin->other_count++] = database_uint(row, 0, 0);
    }
}

static void add_names(struct buf *sql, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_puts(sql, i ? "," : "(");
        sql_text(sql, names[i]);
    }
    buf_puts(sql, ")");
}

/* How many of the names exist though they could not be locked. */
static enum database_status count_busy(struct store *store, const char *const names[], size_t count,
                                       struct store_begin *begin)
{
    struct buf *sql = start_sql(store);
    int64_t existing = 0;
    enum database_status status;

    buf_puts(sql, "SELECT COUNT(*) FROM project WHERE name IN ");
    add_names(sql, names, count);
    status = database_run(store->database, sql, take_number, &existing);
    begin->busy_count = (size_t)existing - begin->project_count;
    return status;
}

enum database_status store_begin(struct store *store, const char *const names[], size_t count,
                                 struct store_begin *begin)
{
    struct buf *sql = start_sql(store);
    enum database_status status;

    *begin = (struct store_begin){0};
    begin->projects = mem_zalloc((count + 1) * sizeof *begin->projects);
    /* SKIP LOCKED: a project that another host is at doesn't hold up the others. */
    buf_puts(sql, "START TRANSACTION;"
                  "SELECT project_id, name, prefix, initial_commit, max_stacks, lease_s,"
                  " max_lease_s, wait_s, version, next_lease_no FROM project WHERE name IN ");
    add_names(sql, names, count);
    buf_printf(sql,
               " ORDER BY project_id FOR UPDATE SKIP LOCKED;"
               "SELECT " NOW_US ";"
               "SELECT instance_id FROM instance WHERE instance_id <> %llu"
               " AND heartbeat > UTC_TIMESTAMP(6) - INTERVAL %d SECOND",
               (unsigned long long)store->instance, SILENCE_S);
    status = database_run(store->database, sql, take_begin, begin);
    if (status == DATABASE_OK && begin->project_count < count)
        status = count_busy(store, names, count, begin);
    return status;
}

void store_begin_free(struct store_begin *begin)
{
    for (size_t i = 0; i < begin->project_count; i++) {
        free(begin->projects[i].prefix);
        free(begin->projects[i].initial_commit);
    }
    free(begin->projects);
    free(begin->others);
    *begin = (struct store_begin){0};
}

void store_rollback(struct store *store)
{
    struct buf *sql = start_sql(store);

    buf_puts(sql, "ROLLBACK");
    database_run(store->database, sql, NULL, NULL);
}

/* Loading */

struct loading {
    struct pool *pool;
    struct map manifests; /* by number */
    bool broken;
};

enum load_set { SET_MANIFESTS, SET_STACKS, SET_LEASES, SET_HOLD };

static void load_stack(struct loading *loading, const struct database_row *row)
{
    struct stack *stack = mem_zalloc(sizeof *stack);

    stack->number = (uint32_t)database_uint(row, 0, 0);
    stack->state = (enum stack_state)words_find_stack_state(row->values[1]);
    stack->next_state =
        row->values[2] ? (enum stack_state)words_find_stack_state(row->values[2]) : STACK_AVAILABLE;
    stack->fence = database_uint(row, 3, 0);
    stack->branch = mem_strdup(row->values[4]);
    stack->commit = mem_strdup(row->values[5]);
    stack->content = map_get(&loading->manifests, database_uint(row, 6, 0));
    stack->owner = mem_strdup(row->values[7]);
    stack->reason = mem_strdup(row->values[8]);
    stack->hold_s = (uint32_t)database_uint(row, 9, 0);
    stack->held_until = database_int(row, 10, 0);
    stack->created = database_int(row, 11, 0);
    stack->modified = database_int(row, 12, 0);
    pool_add_stack(loading->pool, stack);
}

static void load_lease(struct loading *loading, const struct database_row *row)
{
    struct lease *lease = mem_zalloc(sizeof *lease);
    unsigned at = 0;

    lease->number = database_uint(row, at++, 0);
    lease->state = (enum lease_state)words_find_lease_state(row->values[at++]);
    lease->request_id = mem_strdup(row->values[at++]);
    lease->key_name = mem_strdup(row->values[at++]);
    lease->branch = mem_strdup(row->values[at++]);
    lease->commit = mem_strdup(row->values[at++]);
    lease->units = map_get(&loading->manifests, database_uint(row, at++, 0));
    lease->purpose = (enum purpose)words_find_purpose(row->values[at++]);
    lease->job_url = mem_strdup(row->values[at++]);
    lease->job_name = mem_strdup(row->values[at++]);
    lease->job_user = mem_strdup(row->values[at++]);
    lease->priority = (int)database_int(row, at++, 0);
    lease->lease_s = (uint32_t)database_uint(row, at++, 0);
    lease->passed_over = (uint32_t)database_uint(row, at++, 0);
    lease->asked_at = database_int(row, at++, 0);
    lease->instance = database_uint(row, at++, 0);
    lease->wait_until = database_int(row, at++, 0);
    lease->place_until = database_int(row, at++, 0);
    lease->timed_out = database_uint(row, at++, 0) != 0;
    if (row->values[at] && row->lengths[at] == LEASE_ID_SIZE)
        memcpy(lease->lease_id, row->values[at], LEASE_ID_SIZE);
    at++;
    lease->is_protected = database_uint(row, at++, 0) != 0;
    lease->stack = pool_stack(loading->pool, (uint32_t)database_uint(row, at++, 0));
    lease->fence = database_uint(row, at++, 0);
    lease->is_new = database_uint(row, at++, 0) != 0;
    lease->stack_commit = mem_strdup(row->values[at++]);
    lease->stack_content = map_get(&loading->manifests, database_uint(row, at++, 0));
    lease->changed_units = database_int(row, at++, -1);
    lease->granted_at = database_int(row, at++, 0);
    lease->renewed_at = lease->granted_at;
    lease->expires_at = database_int(row, at++, 0);
    lease->deployed_at = database_int(row, at++, 0);
    if (lease->state == LEASE_ACTIVE && !lease->stack) {
        log_error("database: lease %llu has no stack", (unsigned long long)lease->number);
        loading->broken = true;
        lease->units = lease->stack_content = NULL; /* not counted yet */
        lease_free(lease);
        return;
    }
    pool_add_lease(loading->pool, lease);
}

static void load_manifest(struct loading *loading, const struct database_row *row)
{
    struct manifest *manifest =
        store_read_manifest(row->values[1], row->lengths[1], database_uint(row, 0, 0));

    if (!manifest) {
        log_error("database: the units of manifest %s are broken", row->values[0]);
        loading->broken = true;
        return;
    }
    map_put(&loading->manifests, manifest->number, manifest);
}

static void load_row(void *context, const struct database_row *row)
{
    struct loading *loading = context;

    switch ((enum load_set)row->set) {
    case SET_MANIFESTS:
        load_manifest(loading, row);
        break;
    case SET_STACKS:
        load_stack(loading, row);
        break;
    case SET_LEASES:
        load_lease(loading, row);
        break;
    case SET_HOLD:
        loading->pool->mean_hold_s = (double)database_int(row, 0, 0) / (double)TIMES_SECOND;
        break;
    }
}

static void add_load_sql(struct buf *sql, uint32_t project)
{
    buf_printf(sql, "SELECT manifest_no, units FROM manifest WHERE project_id = %u;", project);
    buf_printf(sql,
               "SELECT stack_no, state, next_state, fence, branch, last_deployed_commit, content,"
               " owner, reason, hold_s, " MICROSECONDS "held_until), " MICROSECONDS
               "created), " MICROSECONDS
               "modified) FROM stack WHERE project_id = %u ORDER BY stack_no;",
               project);
    buf_printf(sql,
               "SELECT lease_no, state, request_id, key_name, branch, commit_id, units, purpose,"
               " job_url, job_name, job_user, priority, lease_s, passed_over, " MICROSECONDS
               "asked_at), instance_id, " MICROSECONDS "wait_until), " MICROSECONDS
               "place_until), timed_out, lease_id, protected, stack_no, fence,"
               " is_new, stack_commit, stack_content, changed_units, " MICROSECONDS
               "granted_at), " MICROSECONDS "expires_at), " MICROSECONDS
               "deployed_at) FROM lease WHERE project_id = %u ORDER BY lease_no;",
               project);
    buf_printf(sql,
               "SELECT CAST(AVG(hold) AS SIGNED) FROM (SELECT"
               " TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold FROM history"
               " WHERE project_id = %u AND granted_at IS NOT NULL"
               " ORDER BY ended_at DESC LIMIT 50) AS latest",
               project);
}

enum database_status store_load(struct store *store, struct pool *pool)
{
    struct loading loading = {.pool = pool};
    struct buf *sql = start_sql(store);
    enum database_status status;
    struct manifest *manifest;

    add_load_sql(sql, pool->id);
    status = database_run(store->database, sql, load_row, &loading);
    for (size_t at = 0; (manifest = map_next(&loading.manifests, &at));)
        pool_add_manifest(pool, manifest);
    map_free(&loading.manifests);
    pool_sort_idle(pool);
    return status == DATABASE_OK && loading.broken ? DATABASE_ERROR : status;
}

/* Looking up */

static void take_past(void *context, const struct database_row *row)
{
    struct past_request *past = context;

    past->number = database_uint(row, 0, 0);
    past->ended = row->values[1] != NULL;
    if (past->ended) {
        past->state = (enum lease_state)words_find_lease_state(row->values[1]);
        past->outcome =
            row->values[2] ? (enum outcome)words_find_outcome(row->values[2]) : OUTCOME_NONE;
        past->ended_at = database_int(row, 3, 0);
    }
}

struct finding {
    const struct pool *pool;
    struct command *commands;
};

static bool needs_past(const struct pool *pool, const struct command *command)
{
    return command->request_id && !pool_request(pool, command->request_id) &&
           (command->verb == VERB_REQUEST || command->verb == VERB_CANCEL);
}

static void take_found(void *context, const struct database_row *row)
{
    struct finding *finding = context;

    for (struct command *at = finding->commands; at; at = at->next)
        if (needs_past(finding->pool, at) && strcmp(at->request_id, row->values[4]) == 0)
            take_past(&at->past, row);
}

enum database_status store_find_past(struct store *store, const struct pool *pool,
                                     struct command *commands)
{
    struct finding finding = {.pool = pool, .commands = commands};
    struct buf *sql = start_sql(store);
    const char *separator = "";
    enum database_status status = DATABASE_OK;

    buf_printf(sql,
               "SELECT k.lease_no, h.state, h.outcome, " MICROSECONDS "h.ended_at), k.request_id"
               " FROM request_key k JOIN history h USING (project_id, lease_no)"
               " WHERE h.ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY"
               " AND k.project_id = %u AND k.request_id IN (",
               pool->id);
    for (struct command *at = commands; at; at = at->next) {
        at->past = (struct past_request){0};
        if (needs_past(pool, at)) {
            buf_puts(sql, separator);
            sql_text(sql, at->request_id);
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
    struct buf *sql = start_sql(store);

    *past = (struct past_request){0};
    buf_printf(sql,
               "SELECT lease_no, state, outcome, " MICROSECONDS "ended_at) FROM history"
               " WHERE project_id = %u AND lease_no = %llu",
               pool->id, (unsigned long long)number);
    return database_run(store->database, sql, take_past, past);
}

enum database_status store_was_leased(struct store *store, const struct pool *pool,
                                      const struct stack *stack, const uint8_t *lease_id,
                                      bool *was_leased)
{
    struct buf *sql = start_sql(store);
    enum database_status status;
    int64_t count = 0;

    /* Bounded: a guesser must not make us read years of history. */
    buf_printf(sql,
               "SELECT COUNT(*) FROM (SELECT lease_id FROM history WHERE project_id = %u"
               " AND stack_no = %u ORDER BY lease_no DESC LIMIT 1000) AS latest WHERE lease_id = ",
               pool->id, stack->number);
    sql_bytes(sql, lease_id, LEASE_ID_SIZE);
    status = database_run(store->database, sql, take_number, &count);
    *was_leased = count > 0;
    return status;
}

/* Commit */

enum database_status store_commit(struct store *store, struct pool *const pools[], size_t count)
{
    struct buf *sql = start_sql(store);
    enum database_status status = DATABASE_OK;
    bool dirty = false;

    for (size_t i = 0; i < count && status == DATABASE_OK; i++) {
        if (!pool_is_dirty(pools[i]))
            continue;
        dirty = true;
        status = store_write_pool(store->database, sql, pools[i]);
    }
    if (status != DATABASE_OK)
        return status;
    if (!dirty) {
        buf_puts(sql, "ROLLBACK");
        return database_run(store->database, sql, NULL, NULL);
    }
    store->batch++;
    buf_printf(sql,
               "UPDATE instance SET last_batch = %llu, heartbeat = UTC_TIMESTAMP(6)"
               " WHERE instance_id = %llu; COMMIT",
               (unsigned long long)store->batch, (unsigned long long)store->instance);
    return database_run(store->database, sql, NULL, NULL);
}

enum database_status store_was_committed(struct store *store, bool *was_committed)
{
    struct buf *sql = start_sql(store);
    enum database_status status;
    int64_t batch = 0;

    /* The row lock waits for the lost transaction, should the server still be at it. */
    buf_printf(sql, "SELECT last_batch FROM instance WHERE instance_id = %llu FOR UPDATE",
               (unsigned long long)store->instance);
    status = database_run(store->database, sql, take_number, &batch);
    *was_committed = batch >= 0 && (uint64_t)batch == store->batch;
    return status;
}

/* Watching */

struct watching {
    struct store_version *versions;
    size_t count;
};

static void take_version(void *context, const struct database_row *row)
{
    struct watching *watching = context;
    struct store_version *version;

    watching->versions =
        mem_realloc(watching->versions, (watching->count + 1) * sizeof *watching->versions);
    version = &watching->versions[watching->count++];
    version->id = (uint32_t)database_uint(row, 0, 0);
    version->version = database_uint(row, 1, 0);
    snprintf(version->name, sizeof version->name, "%s", row->values[2]);
}

enum database_status store_watch(struct store *store, struct store_version **versions,
                                 size_t *count)
{
    struct buf *sql = start_sql(store);
    struct watching watching = {0};
    enum database_status status;

    buf_printf(sql, "UPDATE instance SET heartbeat = UTC_TIMESTAMP(6) WHERE instance_id = %llu;",
               (unsigned long long)store->instance);
    buf_puts(sql, "SELECT project_id, version, name FROM project");
    status = database_run(store->database, sql, take_version, &watching);
    *versions = watching.versions;
    *count = watching.count;
    return status;
}

enum database_status store_purge(struct store *store, int history_days, bool *more)
{
    struct buf *sql = start_sql(store);
    int64_t deleted = 0;
    enum database_status status;

    /* By the key, one project's oldest rows at a time, so that no statement locks for long. */
    buf_printf(
        sql,
        "DELETE FROM request_key WHERE created < UTC_TIMESTAMP(6) - INTERVAL 3 DAY LIMIT 500;"
        "DELETE FROM instance WHERE heartbeat < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR LIMIT 100;"
        "DELETE FROM action WHERE at < UTC_TIMESTAMP(6) - INTERVAL %d DAY LIMIT 500;"
        "SET @project = (SELECT p.project_id FROM project p WHERE EXISTS (SELECT 1 FROM history h"
        " WHERE h.project_id = p.project_id"
        " AND h.ended_at < UTC_TIMESTAMP(6) - INTERVAL %d DAY) LIMIT 1);"
        "DELETE FROM history WHERE project_id = @project"
        " AND ended_at < UTC_TIMESTAMP(6) - INTERVAL %d DAY ORDER BY ended_at LIMIT 500;"
        "SELECT ROW_COUNT()",
        history_days, history_days, history_days);
    status = database_run(store->database, sql, take_number, &deleted);
    *more = deleted > 0;
    return status;
}
