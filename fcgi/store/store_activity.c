/* store_activity: see store_activity.h. Writer's thread. */
#include "store/store_activity.h"

#include "base/mem.h"
#include "database/sql.h"
#include "rules/activity.h"

#include <stdlib.h>

/* Reading. A manifest that isn't there was deleted by an older program. */

void store_activity_select_times(struct buf *sql, uint32_t project)
{
    buf_printf(sql,
               "SELECT unit, mean_ms, weight_ms, deploys, " SQL_MICROSECONDS
               "measured_at) FROM deploy_time WHERE project_id = %u;",
               project);
}

void store_activity_select(struct buf *sql, uint32_t project)
{
    buf_printf(sql,
               "SELECT main_units, grants, job_work, refreshed FROM activity"
               " WHERE project_id = %u;"
               "SELECT branch, units, grant_no, merged FROM active_branch"
               " WHERE project_id = %u ORDER BY slot;",
               project, project);
}

void store_activity_add_time(struct pool *pool, const struct database_row *row)
{
    struct deploy_time *time = mem_zalloc(sizeof *time);

    *time = (struct deploy_time){.unit = mem_strdup(row->values[0]),
                                 .mean_ms = (uint32_t)database_row_uint(row, 1, 0),
                                 .weight_ms = (uint32_t)database_row_uint(row, 2, 0),
                                 .deploys = database_row_uint(row, 3, 0),
                                 .measured_at = database_row_int(row, 4, 0)};
    deploy_times_add(&pool->deploy_times, time);
}

void store_activity_add(struct pool *pool, const struct database_row *row,
                        const struct map *manifests)
{
    pool_add_activity(pool, map_get(manifests, database_row_uint(row, 0, 0)),
                      database_row_uint(row, 1, 0), strtod(row->values[2], NULL),
                      strtod(row->values[3], NULL));
}

void store_activity_add_branch(struct pool *pool, const struct database_row *row,
                               const struct map *manifests)
{
    struct manifest *units = map_get(manifests, database_row_uint(row, 1, 0));

    if (units)
        pool_add_branch(pool, row->values[0], units, database_row_uint(row, 2, 0),
                        database_row_uint(row, 3, 0) != 0);
}

/* Writing */

static void write_activities(struct buf *sql, struct pool *const pools[], size_t count)
{
    const char *separator =
        "INSERT INTO activity (project_id, main_units, grants, job_work, refreshed) VALUES ";
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        const struct activity *activity = pools[i]->activity;
        if (!activity->changed)
            continue;
        buf_printf(sql, "%s(%u,", separator, pools[i]->id);
        if (activity->main)
            buf_uint(sql, activity->main->content->number);
        else
            buf_puts(sql, "NULL");
        buf_printf(sql, ",%llu,%.17g,%.17g)", (unsigned long long)activity->grants,
                   activity->job_work, activity->refreshed);
        separator = ",";
        any = true;
    }
    if (any)
        buf_puts(sql, " ON DUPLICATE KEY UPDATE main_units=VALUES(main_units),"
                      "grants=VALUES(grants),job_work=VALUES(job_work),"
                      "refreshed=VALUES(refreshed);");
}

static void add_branch(struct buf *sql, const struct pool *pool, size_t slot,
                       const char **separator)
{
    const struct active_branch *branch = &pool->activity->branches[slot];

    buf_printf(sql, "%s(%u,%zu,", *separator, pool->id, slot);
    sql_text(sql, branch->name);
    buf_printf(sql, ",%llu,%llu,%d)", (unsigned long long)branch->reach->content->number,
               (unsigned long long)branch->grant, branch->is_merged);
    *separator = ",";
}

static void write_branches(struct buf *sql, struct pool *const pools[], size_t count)
{
    static const char start[] =
        "INSERT INTO active_branch (project_id, slot, branch, units, grant_no, merged) VALUES ";
    const char *separator = start;

    for (size_t i = 0; i < count; i++)
        for (size_t slot = 0; slot < pools[i]->activity->branch_count; slot++)
            if (pools[i]->activity->branches[slot].changed)
                add_branch(sql, pools[i], slot, &separator);
    if (separator != start)
        buf_puts(sql, " ON DUPLICATE KEY UPDATE branch=VALUES(branch),units=VALUES(units),"
                      "grant_no=VALUES(grant_no),merged=VALUES(merged);");
}

void store_activity_write(struct buf *sql, struct pool *const pools[], size_t count)
{
    write_activities(sql, pools, count);
    write_branches(sql, pools, count);
}

/* Those that made room go first: one may be back in the same batch. */
void store_activity_write_times(struct buf *sql, const struct pool *pool)
{
    const char *separator =
        "INSERT INTO deploy_time (project_id, unit, mean_ms, weight_ms, deploys, measured_at)"
        " VALUES ";

    for (const struct deploy_time *at = pool->deploy_times.forgotten; at; at = at->next_changed) {
        buf_printf(sql, "DELETE FROM deploy_time WHERE project_id = %u AND unit = ", pool->id);
        sql_text(sql, at->unit);
        buf_puts(sql, ";");
    }
    for (const struct deploy_time *at = pool->deploy_times.changed; at; at = at->next_changed) {
        buf_printf(sql, "%s(%u,", separator, pool->id);
        sql_text(sql, at->unit);
        buf_printf(sql, ",%u,%u,%llu,", at->mean_ms, at->weight_ms,
                   (unsigned long long)at->deploys);
        sql_time(sql, at->measured_at);
        buf_puts(sql, ")");
        separator = ",";
    }
    if (pool->deploy_times.changed)
        buf_puts(sql, " ON DUPLICATE KEY UPDATE mean_ms=VALUES(mean_ms),"
                      "weight_ms=VALUES(weight_ms),deploys=VALUES(deploys),"
                      "measured_at=VALUES(measured_at);");
}
