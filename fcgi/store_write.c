/* store_write: one INSERT … ON DUPLICATE KEY UPDATE a table and batch; all by primary key. */
#include "store_write.h"

#include "json.h"
#include "times.h"

#include <stdlib.h>
#include <string.h>

/* Far below every server's max_allowed_packet: a row has some 16 KiB at most. */
#define TEXT_MAX (1024 * 1024)
#define ROWS_MAX 100

/* Values of a row */

static void add_uint(struct buf *sql, uint64_t value)
{
    buf_printf(sql, ",%llu", (unsigned long long)value);
}

static void add_optional(struct buf *sql, uint64_t value)
{
    if (value)
        add_uint(sql, value);
    else
        buf_puts(sql, ",NULL");
}

static void add_text(struct buf *sql, const char *text)
{
    buf_puts(sql, ",");
    sql_text(sql, text);
}

static void add_word(struct buf *sql, const char *word)
{
    if (word)
        buf_printf(sql, ",'%s'", word);
    else
        buf_puts(sql, ",NULL");
}

static void add_time(struct buf *sql, int64_t time_us)
{
    buf_puts(sql, ",");
    sql_time(sql, time_us);
}

static void add_manifest(struct buf *sql, const struct manifest *manifest)
{
    add_optional(sql, manifest ? manifest->number : 0);
}

static void add_changed_units(struct buf *sql, int64_t changed_units)
{
    if (changed_units >= 0)
        add_uint(sql, (uint64_t)changed_units);
    else
        buf_puts(sql, ",NULL");
}

static void add_lease_id(struct buf *sql, const struct lease *lease)
{
    buf_puts(sql, ",");
    if (lease->granted_at)
        sql_bytes(sql, lease->lease_id, LEASE_ID_SIZE);
    else
        buf_puts(sql, "NULL");
}

/* request_id, key_name, branch, commit_id */
static void add_request(struct buf *sql, const struct lease *lease)
{
    add_text(sql, lease->request_id);
    add_text(sql, lease->key_name);
    add_text(sql, lease->branch);
    add_text(sql, lease->commit);
}

/* purpose, job_url, job_name, job_user */
static void add_job(struct buf *sql, const struct lease *lease)
{
    add_word(sql, words_purpose(lease->purpose));
    add_text(sql, lease->job_url);
    add_text(sql, lease->job_name);
    add_text(sql, lease->job_user);
}

/* Tables */

static const struct stack *write_stacks(struct buf *sql, const struct pool *pool,
                                        const struct stack *at)
{
    const char *separator =
        "INSERT INTO stack (project_id, stack_no, state, next_state, fence, branch,"
        " last_deployed_commit, content, lease_no, owner, reason, hold_s,"
        " held_until, created, modified) VALUES ";

    for (int rows = 0; at && rows < ROWS_MAX; at = at->next_dirty, rows++) {
        buf_printf(sql, "%s(%u,%u", separator, pool->id, at->number);
        add_word(sql, words_stack_state(at->state));
        add_word(sql, at->next_state == STACK_AVAILABLE ? NULL : words_stack_state(at->next_state));
        add_uint(sql, at->fence);
        add_text(sql, at->branch);
        add_text(sql, at->commit);
        add_manifest(sql, at->content);
        add_optional(sql, at->lease ? at->lease->number : 0);
        add_text(sql, at->owner);
        add_text(sql, at->reason);
        add_uint(sql, at->hold_s);
        add_time(sql, at->state == STACK_HELD ? at->held_until : 0);
        add_time(sql, at->created);
        add_time(sql, at->modified);
        buf_puts(sql, ")");
        separator = ",";
    }
    buf_puts(sql, " ON DUPLICATE KEY UPDATE state=VALUES(state), next_state=VALUES(next_state),"
                  " fence=VALUES(fence), branch=VALUES(branch),"
                  " last_deployed_commit=VALUES(last_deployed_commit), content=VALUES(content),"
                  " lease_no=VALUES(lease_no), owner=VALUES(owner), reason=VALUES(reason),"
                  " hold_s=VALUES(hold_s), held_until=VALUES(held_until),"
                  " created=VALUES(created), modified=VALUES(modified);");
    return at;
}

static const struct lease *write_leases(struct buf *sql, const struct pool *pool,
                                        const struct lease *at)
{
    const char *separator =
        "INSERT INTO lease (project_id, lease_no, state, request_id, key_name, branch,"
        " commit_id, units, purpose, job_url, job_name, job_user, priority,"
        " lease_s, passed_over, asked_at, instance_id, wait_until, place_until,"
        " timed_out, lease_id, protected, stack_no, fence, is_new, stack_commit,"
        " stack_content, changed_units, granted_at, expires_at, deployed_at)"
        " VALUES ";

    for (int rows = 0; at && rows < ROWS_MAX; at = at->next_dirty, rows++) {
        buf_printf(sql, "%s(%u,%llu", separator, pool->id, (unsigned long long)at->number);
        add_word(sql, words_lease_state(at->state));
        add_request(sql, at);
        add_manifest(sql, at->units);
        add_job(sql, at);
        buf_printf(sql, ",%d", at->priority);
        add_uint(sql, at->lease_s);
        add_uint(sql, at->passed_over);
        add_time(sql, at->asked_at);
        add_optional(sql, at->instance);
        add_time(sql, at->wait_until);
        add_time(sql, at->place_until);
        add_uint(sql, at->timed_out);
        add_lease_id(sql, at);
        add_uint(sql, at->is_protected);
        add_optional(sql, at->stack ? at->stack->number : 0);
        add_optional(sql, at->fence);
        add_uint(sql, at->is_new);
        add_text(sql, at->stack_commit);
        add_manifest(sql, at->stack_content);
        add_changed_units(sql, at->changed_units);
        add_time(sql, at->granted_at);
        add_time(sql, at->expires_at);
        add_time(sql, at->deployed_at);
        buf_puts(sql, ")");
        separator = ",";
    }
    /* What the caller said of itself never changes. */
    buf_puts(sql, " ON DUPLICATE KEY UPDATE state=VALUES(state), passed_over=VALUES(passed_over),"
                  " instance_id=VALUES(instance_id), wait_until=VALUES(wait_until),"
                  " place_until=VALUES(place_until), timed_out=VALUES(timed_out),"
                  " lease_id=VALUES(lease_id), protected=VALUES(protected),"
                  " stack_no=VALUES(stack_no), fence=VALUES(fence), is_new=VALUES(is_new),"
                  " stack_commit=VALUES(stack_commit), stack_content=VALUES(stack_content),"
                  " changed_units=VALUES(changed_units), granted_at=VALUES(granted_at),"
                  " expires_at=VALUES(expires_at), deployed_at=VALUES(deployed_at);");
    return at;
}

static const struct lease *write_history(struct buf *sql, const struct pool *pool,
                                         const struct lease *at)
{
    const char *separator =
        "INSERT INTO history (project_id, lease_no, state, outcome, request_id, key_name,"
        " branch, commit_id, purpose, job_url, job_name, job_user, lease_id,"
        " stack_no, fence, is_new, changed_units, asked_at, granted_at,"
        " deployed_at, ended_at) VALUES ";

    for (int rows = 0; at && rows < ROWS_MAX; at = at->next_dirty, rows++) {
        buf_printf(sql, "%s(%u,%llu", separator, pool->id, (unsigned long long)at->number);
        add_word(sql, words_lease_state(at->state));
        add_word(sql, words_outcome(at->outcome));
        add_request(sql, at);
        add_job(sql, at);
        add_lease_id(sql, at);
        add_optional(sql, at->stack ? at->stack->number : 0);
        add_optional(sql, at->fence);
        add_uint(sql, at->is_new);
        add_changed_units(sql, at->changed_units);
        add_time(sql, at->asked_at);
        add_time(sql, at->granted_at);
        add_time(sql, at->deployed_at);
        add_time(sql, at->ended_at);
        buf_puts(sql, ")");
        separator = ",";
    }
    buf_puts(sql, ";");
    return at;
}

static void delete_ended(struct buf *sql, const struct pool *pool)
{
    bool any = false;

    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty) {
        if (!at->stored)
            continue;
        if (any)
            buf_puts(sql, ",");
        else
            buf_printf(sql, "DELETE FROM lease WHERE project_id = %u AND lease_no IN (", pool->id);
        buf_printf(sql, "%llu", (unsigned long long)at->number);
        any = true;
    }
    if (any)
        buf_puts(sql, ");");
}

static void add_key(struct buf *sql, const struct pool *pool, const struct lease *lease,
                    const char **separator)
{
    if (lease->stored || !lease->request_id)
        return;
    buf_printf(sql, "%s(%u", *separator, pool->id);
    add_text(sql, lease->request_id);
    add_uint(sql, lease->number);
    add_time(sql, pool->now);
    buf_puts(sql, ")");
    *separator = ",";
}

static void write_keys(struct buf *sql, const struct pool *pool)
{
    static const char start[] =
        "INSERT INTO request_key (project_id, request_id, lease_no, created) VALUES ";
    const char *separator = start;

    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        add_key(sql, pool, at, &separator);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        add_key(sql, pool, at, &separator);
    if (separator != start)
        buf_puts(sql,
                 " ON DUPLICATE KEY UPDATE lease_no=VALUES(lease_no), created=VALUES(created);");
}

static void write_actions(struct buf *sql, const struct pool *pool)
{
    static const char *const verbs[] = {
        [VERB_DELETE_LAST] = "deleteLastStack", [VERB_HOLD] = "holdStack",
        [VERB_QUARANTINE] = "quarantineStack",  [VERB_REINSTATE] = "reinstateStack",
        [VERB_REVOKE] = "revokeLease",          [VERB_ADD_STACKS] = "addStacks",
        [VERB_DELETE_STACK] = "deleteStack",    [VERB_UPDATE_PROJECT] = "updateProject",
    };
    const char *separator =
        "INSERT INTO action (project_id, at, key_name, verb, stack_no, detail, reason) VALUES ";

    if (!pool->actions)
        return;
    for (const struct action *at = pool->actions; at; at = at->next) {
        buf_printf(sql, "%s(%u", separator, pool->id);
        add_time(sql, pool->now);
        add_text(sql, at->key_name);
        add_word(sql, verbs[at->verb]);
        add_optional(sql, at->stack_number);
        add_text(sql, at->detail);
        add_text(sql, at->reason);
        buf_puts(sql, ")");
        separator = ",";
    }
    buf_puts(sql, ";");
}

static void write_project(struct buf *sql, struct pool *pool)
{
    pool->version++;
    buf_printf(sql, "UPDATE project SET version = %llu, next_lease_no = %llu",
               (unsigned long long)pool->version, (unsigned long long)pool->next_lease_number);
    if (pool->settings_dirty) {
        buf_puts(sql, ", prefix = ");
        sql_text(sql, pool->prefix);
        buf_puts(sql, ", initial_commit = ");
        sql_text(sql, pool->initial_commit);
        buf_printf(sql,
                   ", max_stacks = %u, lease_s = %u, max_lease_s = %u, wait_s = %u, modified = ",
                   pool->max_stacks, pool->lease_s, pool->max_lease_s, pool->wait_s);
        sql_time(sql, pool->now);
    }
    buf_printf(sql, " WHERE project_id = %u;", pool->id);
}

/* Manifests */

static void add_units(struct buf *sql, const struct manifest *manifest)
{
    struct json_writer *json = json_writer_new();
    struct buf text = {0};

    json_open_object(json, NULL);
    for (size_t i = 0; i < manifest->count; i++)
        json_put_string(json, manifest->units[i].name, manifest->units[i].fingerprint);
    json_close_object(json);
    json_writer_take(json, &text);
    sql_text(sql, text.data);
    buf_free(&text);
    json_writer_free(json);
}

static void write_manifest(struct buf *sql, const struct pool *pool,
                           const struct manifest *manifest)
{
    if (manifest->uses > 0 && !manifest->stored) {
        buf_printf(sql, "INSERT INTO manifest (project_id, manifest_no, units) VALUES (%u",
                   pool->id);
        add_uint(sql, manifest->number);
        buf_puts(sql, ",");
        add_units(sql, manifest);
        buf_puts(sql, ");");
    } else if (manifest->uses == 0 && manifest->stored) {
        buf_printf(sql, "DELETE FROM manifest WHERE project_id = %u AND manifest_no = %llu;",
                   pool->id, (unsigned long long)manifest->number);
    }
}

struct manifest *store_read_manifest(const char *json, size_t len, uint64_t number)
{
    char why[200];
    struct json_document *document = json_parse(json, len, why, sizeof why);
    const struct json_value *root = document ? json_root(document) : NULL;
    struct manifest *manifest = NULL;
    struct unit *units;
    size_t count = 0;

    if (root && root->type == JSON_OBJECT) {
        units = mem_alloc((root->length + 1) * sizeof *units);
        for (const struct json_value *at = root->first; at; at = at->next)
            units[count++] = (struct unit){
                .name = at->key, .fingerprint = at->type == JSON_STRING ? at->string : ""};
        manifest = manifest_new(units, count);
        manifest->number = number;
        manifest->stored = true;
        free(units);
    }
    json_free(document);
    return manifest;
}

/* All of it */

/* Runs what has gathered, so that no text outgrows what the server takes. */
static enum database_status run_if_large(struct database *database, struct buf *sql)
{
    enum database_status status = DATABASE_OK;

    if (sql->len > TEXT_MAX) {
        status = database_run(database, sql, NULL, NULL);
        status = database_fault(database, "midBatch", status);
        buf_clear(sql);
    }
    return status;
}

enum database_status store_write_pool(struct database *database, struct buf *sql, struct pool *pool)
{
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < pool->touched_count && status == DATABASE_OK; i++) {
        write_manifest(sql, pool, pool->touched[i]);
        status = run_if_large(database, sql);
    }
    for (const struct stack *at = pool->dirty_stacks; at && status == DATABASE_OK;) {
        at = write_stacks(sql, pool, at);
        status = run_if_large(database, sql);
    }
    for (const struct lease *at = pool->ended_leases; at && status == DATABASE_OK;) {
        at = write_history(sql, pool, at);
        status = run_if_large(database, sql);
    }
    for (const struct lease *at = pool->dirty_leases; at && status == DATABASE_OK;) {
        at = write_leases(sql, pool, at);
        status = run_if_large(database, sql);
    }
    if (status != DATABASE_OK)
        return status;
    write_keys(sql, pool);
    delete_ended(sql, pool);
    write_actions(sql, pool);
    write_project(sql, pool);
    return run_if_large(database, sql);
}
