/*
 * store_purge: see store_purge.h. Purger's thread.
 *
 * What is to go is first read, which locks nothing, and then deleted by its primary key. A DELETE
 * that looks into other tables would lock what it reads there, such as leases that live.
 *
 * To count a project's rows takes time that grows with them. So they are counted only when it had
 * enough new numbers since the last time for a sixteenth more of them.
 */
#include "store/store_purge.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "database/database.h"
#include "database/sql.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS   500 /* of a transaction: it takes milliseconds */
#define CHUNKS 8   /* of a project, one after the other */
#define PART   16

/* Whoever follows events reads them soon. Most leases have two. */
#define EVENT_DAYS 14
#define EVENTS     2

/* Several hosts would only wait for each other. The server frees the lock of a host that is gone.
 */
#define LOCK   "CONCAT('stack-orchestrator ', MD5(DATABASE()))"
#define IDLE_S 60

struct mark {
    uint64_t count_at; /* the number from which it is to be counted again */
    int64_t too_many;  /* what ended until then is too much; 0: nothing */
};

struct suspect { /* a project, as its oldest rows say */
    uint32_t project;
    uint64_t next_number;
    uint64_t first_number;
    int64_t first_ended;
    bool has_old_actions;
    bool has_old_events;
};

struct store_purge {
    struct database *database;
    struct buf sql;
    int days;
    uint64_t rows;
    struct map marks; /* by project */
    /* Of the round at hand: */
    struct suspect *suspects;
    size_t count;
    int64_t too_old; /* what ended until then */
};

struct store_purge *store_purge_new(const struct config *config)
{
    struct store_purge *purge = mem_zalloc(sizeof *purge);

    purge->database = database_new(config, DATABASE_WRITING_S);
    purge->days = config->history_days;
    purge->rows = (uint64_t)config->history_rows;
    return purge;
}

void store_purge_free(struct store_purge *purge)
{
    size_t at = 0;
    struct mark *mark;

    while ((mark = map_next(&purge->marks, &at)) != NULL)
        free(mark);
    map_free(&purge->marks);
    free(purge->suspects);
    database_free(purge->database);
    buf_free(&purge->sql);
    free(purge);
}

/* By the key: a table scan, which the optimizer prefers on small tables, would run into the locks
 * of those who write. */
static void add_delete(struct buf *sql, const char *table)
{
    buf_printf(sql, "DELETE old FROM %s AS old FORCE INDEX (PRIMARY) WHERE ", table);
}

static struct buf *start_sql(struct store_purge *purge)
{
    buf_clear(&purge->sql);
    return &purge->sql;
}

static void take_number(void *context, const struct database_row *row)
{
    *(int64_t *)context = database_row_int(row, 0, 0);
}

/* Rows by number */

/* What is to be deleted: numbers and, where there are some, texts, each as `a,b,c`. */
struct found {
    size_t count;
    struct buf numbers;
    struct buf texts;
};

static void take_found(void *context, const struct database_row *row)
{
    struct found *found = context;

    buf_printf(&found->numbers, "%s%s", found->count ? "," : "", row->values[0]);
    if (row->count > 1 && row->values[1]) {
        buf_puts(&found->texts, found->texts.len ? "," : "");
        sql_text(&found->texts, row->values[1]);
    }
    found->count++;
}

static void found_free(struct found *found)
{
    buf_free(&found->numbers);
    buf_free(&found->texts);
}

/* Deletes the rows that the statement at hand finds by `column`, those for which `guard` holds. */
static enum database_status delete_found(struct store_purge *purge, const char *table,
                                         const char *column, const char *guard, bool *more)
{
    struct found found = {0};
    enum database_status status = database_run(purge->database, &purge->sql, take_found, &found);

    if (status == DATABASE_OK && found.count > 0) {
        struct buf *sql = start_sql(purge);
        add_delete(sql, table);
        buf_printf(sql, "%s IN (%s) AND %s", column, found.numbers.data, guard);
        status = database_run(purge->database, sql, NULL, NULL);
    }
    *more = found.count == ROWS;
    found_free(&found);
    return status;
}

static void add_delete_keys(struct buf *sql, uint32_t project, const struct found *found)
{
    add_delete(sql, "request_key");
    buf_printf(sql, "project_id = %u AND request_id IN (%s) AND lease_no IN (%s);", project,
               found->texts.data, found->numbers.data);
}

/* The keys of these requests go, too, unless they name later ones by now. */
static enum database_status delete_history(struct store_purge *purge, uint32_t project,
                                           const struct found *found)
{
    struct buf *sql = start_sql(purge);

    buf_puts(sql, "START TRANSACTION;");
    if (found->texts.len)
        add_delete_keys(sql, project, found);
    add_delete(sql, "history");
    buf_printf(sql, "project_id = %u AND lease_no IN (%s);COMMIT;", project, found->numbers.data);
    return database_write(purge->database, sql);
}

static enum database_status purge_history(struct store_purge *purge, uint32_t project,
                                          int64_t until, bool *more)
{
    struct found found = {0};
    struct buf *sql = start_sql(purge);
    enum database_status status;

    buf_printf(sql,
               "SELECT lease_no, request_id FROM history FORCE INDEX (history_by_end)"
               " WHERE project_id = %u AND ended_at <= ",
               project);
    sql_time(sql, until);
    buf_printf(sql, " ORDER BY ended_at LIMIT %d", ROWS);
    status = database_run(purge->database, sql, take_found, &found);
    if (status == DATABASE_OK && found.count > 0)
        status = delete_history(purge, project, &found);
    *more = found.count == ROWS;
    found_free(&found);
    return status;
}

static enum database_status purge_actions(struct store_purge *purge, uint32_t project, bool *more)
{
    struct buf *sql = start_sql(purge);

    buf_printf(sql,
               "SELECT action_id FROM action FORCE INDEX (action_of_project)"
               " WHERE project_id = %u AND at <= ",
               project);
    sql_time(sql, purge->too_old);
    buf_printf(sql, " ORDER BY at LIMIT %d", ROWS);
    return delete_found(purge, "action", "action_id", "TRUE", more);
}

static int event_days(const struct store_purge *purge)
{
    return purge->days < EVENT_DAYS ? purge->days : EVENT_DAYS;
}

/* Their numbers have no gaps, so they needn't be counted. */
static void add_old_event(struct buf *sql, const struct store_purge *purge, const char *next_number)
{
    buf_printf(sql, "(e.at <= UTC_TIMESTAMP(6) - INTERVAL %d DAY OR e.event_no + %llu < %s)",
               event_days(purge), (unsigned long long)(EVENTS * purge->rows), next_number);
}

static enum database_status purge_events(struct store_purge *purge, uint32_t project, bool *more)
{
    struct buf *sql = start_sql(purge);
    char of_project[sizeof "project_id = 4294967295"];

    snprintf(of_project, sizeof of_project, "project_id = %u", project);
    buf_printf(sql,
               "SELECT e.event_no FROM (SELECT event_no, at FROM event WHERE project_id = %u"
               " ORDER BY event_no LIMIT %d) AS e JOIN project p ON p.project_id = %u WHERE ",
               project, ROWS, project);
    add_old_event(sql, purge, "p.next_event_no");
    return delete_found(purge, "event", "event_no", of_project, more);
}

/* Projects */

static struct mark *mark_of(struct store_purge *purge, uint32_t project)
{
    struct mark *mark = map_get(&purge->marks, project);

    if (!mark) {
        mark = mem_zalloc(sizeof *mark);
        map_put(&purge->marks, project, mark);
    }
    return mark;
}

/* Finds the latest row that is too much. */
static enum database_status count_history(struct store_purge *purge, const struct suspect *suspect,
                                          struct mark *mark)
{
    struct buf *sql = start_sql(purge);

    buf_printf(sql,
               "SELECT " SQL_MICROSECONDS "ended_at) FROM history FORCE INDEX (history_by_end)"
               " WHERE project_id = %u ORDER BY ended_at DESC LIMIT %llu, 1",
               suspect->project, (unsigned long long)purge->rows);
    mark->count_at = suspect->next_number + purge->rows / PART;
    return database_run(purge->database, sql, take_number, &mark->too_many);
}

static enum database_status purge_project(struct store_purge *purge, const struct suspect *suspect,
                                          bool *more)
{
    enum database_status status = DATABASE_OK;
    struct mark *mark = mark_of(purge, suspect->project);
    int64_t until = purge->too_old;
    bool has_more = suspect->has_old_actions;

    if (has_more)
        status = purge_actions(purge, suspect->project, &has_more);
    *more |= has_more;
    has_more = suspect->has_old_events;
    for (int i = 0; i < CHUNKS && has_more && status == DATABASE_OK; i++)
        status = purge_events(purge, suspect->project, &has_more);
    *more |= has_more;
    if (status == DATABASE_OK && suspect->next_number > suspect->first_number + purge->rows &&
        suspect->next_number >= mark->count_at)
        status = count_history(purge, suspect, mark);
    if (mark->too_many > until)
        until = mark->too_many;
    has_more = suspect->first_ended && suspect->first_ended <= until;
    for (int i = 0; i < CHUNKS && has_more && status == DATABASE_OK; i++)
        status = purge_history(purge, suspect->project, until, &has_more);
    *more |= has_more;
    return status;
}

static void take_suspect(void *context, const struct database_row *row)
{
    struct store_purge *purge = context;
    struct suspect *suspect;

    purge->suspects = mem_realloc(purge->suspects, (purge->count + 1) * sizeof *purge->suspects);
    suspect = &purge->suspects[purge->count++];
    suspect->project = (uint32_t)database_row_uint(row, 0, 0);
    suspect->next_number = database_row_uint(row, 1, 0);
    suspect->first_number = database_row_uint(row, 2, suspect->next_number);
    suspect->first_ended = database_row_int(row, 3, 0);
    suspect->has_old_actions = database_row_int(row, 4, 0) != 0;
    purge->too_old = database_row_int(row, 5, 0);
    suspect->has_old_events = database_row_int(row, 6, 0) != 0;
}

/* Looks at each project's oldest rows, found by indexes. */
static enum database_status find_suspects(struct store_purge *purge)
{
    struct buf *sql = start_sql(purge);

    purge->count = 0;
    buf_printf(sql,
               "SELECT p.project_id, p.next_lease_no,"
               " (SELECT h.lease_no FROM history h FORCE INDEX (PRIMARY)"
               " WHERE h.project_id = p.project_id ORDER BY h.project_id, h.lease_no LIMIT 1),"
               " (SELECT " SQL_MICROSECONDS "h.ended_at) FROM history h"
               " FORCE INDEX (history_by_end) WHERE h.project_id = p.project_id"
               " ORDER BY h.project_id, h.ended_at LIMIT 1),"
               " (SELECT a.at FROM action a FORCE INDEX (action_of_project)"
               " WHERE a.project_id = p.project_id ORDER BY a.project_id, a.at LIMIT 1)"
               " <= UTC_TIMESTAMP(6) - INTERVAL %d DAY,"
               " " SQL_MICROSECONDS "UTC_TIMESTAMP(6) - INTERVAL %d DAY), (SELECT ",
               purge->days, purge->days);
    add_old_event(sql, purge, "p.next_event_no");
    buf_puts(sql, " FROM event e FORCE INDEX (PRIMARY) WHERE e.project_id = p.project_id"
                  " ORDER BY e.project_id, e.event_no LIMIT 1) FROM project p");
    return database_run(purge->database, sql, take_suspect, purge);
}

/* Keys that outlived their time, and instances */

/* One condition for each project: `(project_id = 1 AND request_id IN ('a','b')) OR …`. */
struct keys {
    struct buf condition;
    uint64_t project; /* the latest; 0: none */
    size_t count;
    int64_t until;
};

static void take_key(void *context, const struct database_row *row)
{
    struct keys *keys = context;
    uint64_t project = database_row_uint(row, 0, 0);

    if (project != keys->project)
        buf_printf(&keys->condition, "%s(project_id = %llu AND request_id IN (",
                   keys->project ? ")) OR " : "", (unsigned long long)project);
    else
        buf_puts(&keys->condition, ",");
    sql_bytes(&keys->condition, row->values[1], row->lengths[1]);
    keys->project = project;
    keys->until = database_row_int(row, 2, 0);
    keys->count++;
}

/* A look at each request: an EXISTS would be turned into a join that reads all of history. */
static enum database_status purge_keys(struct store_purge *purge, bool *more)
{
    struct keys keys = {0};
    struct buf *sql = start_sql(purge);
    enum database_status status;

    buf_printf(sql,
               "SELECT project_id, request_id, " SQL_MICROSECONDS
               "UTC_TIMESTAMP(6) - INTERVAL 3 DAY) FROM (SELECT k.project_id, k.request_id"
               " FROM request_key k FORCE INDEX (request_key_by_age)"
               " WHERE k.created < UTC_TIMESTAMP(6) - INTERVAL 3 DAY"
               " AND (SELECT 1 FROM lease l WHERE l.project_id = k.project_id"
               " AND l.lease_no = k.lease_no) IS NULL"
               " AND (SELECT 1 FROM history h WHERE h.project_id = k.project_id"
               " AND h.lease_no = k.lease_no"
               " AND h.ended_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY) IS NULL"
               " LIMIT %d) AS old ORDER BY project_id",
               ROWS);
    status = database_run(purge->database, sql, take_key, &keys);
    if (status == DATABASE_OK && keys.count > 0) {
        sql = start_sql(purge); /* one that names a later request by now is younger */
        add_delete(sql, "request_key");
        buf_printf(sql, "(%s))) AND created < ", keys.condition.data);
        sql_time(sql, keys.until);
        status = database_run(purge->database, sql, NULL, NULL);
    }
    *more |= keys.count == ROWS;
    buf_free(&keys.condition);
    return status;
}

static enum database_status purge_instances(struct store_purge *purge, bool *more)
{
    static const char silent[] = "heartbeat < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR";
    struct buf *sql = start_sql(purge);

    buf_printf(sql, "SELECT instance_id FROM instance WHERE %s LIMIT %d", silent, ROWS);
    return delete_found(purge, "instance", "instance_id", silent, more);
}

/* A round */

static enum database_status purge_all(struct store_purge *purge, bool *more)
{
    enum database_status status = find_suspects(purge);
    bool has_more = false;

    for (size_t i = 0; i < purge->count && status == DATABASE_OK; i++)
        status = purge_project(purge, &purge->suspects[i], more);
    if (status == DATABASE_OK)
        status = purge_keys(purge, more);
    if (status == DATABASE_OK)
        status = purge_instances(purge, &has_more);
    *more |= has_more;
    return status;
}

static enum database_status lock(struct store_purge *purge, int64_t *is_ours)
{
    struct buf *sql = start_sql(purge);

    buf_printf(sql, "SET SESSION wait_timeout = %d;SELECT GET_LOCK(" LOCK ", 0)", IDLE_S);
    return database_run(purge->database, sql, take_number, is_ours);
}

static enum database_status unlock(struct store_purge *purge)
{
    struct buf *sql = start_sql(purge);

    buf_puts(sql, "DO RELEASE_LOCK(" LOCK ")");
    return database_run(purge->database, sql, NULL, NULL);
}

enum database_status store_purge_run(struct store_purge *purge, bool *more)
{
    int64_t is_ours = 0;
    enum database_status status = database_connect(purge->database);

    *more = false;
    if (status == DATABASE_OK)
        status = lock(purge, &is_ours);
    if (status == DATABASE_OK && is_ours == 1) {
        status = purge_all(purge, more);
        if (status == DATABASE_OK)
            status = unlock(purge);
    }
    if (status != DATABASE_OK) /* nothing half done stays, no lock either */
        database_disconnect(purge->database);
    return status;
}
