/* reader_capacity: how many stacks the recorded jobs need. Worker threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "base/mem.h"
#include "database/sql.h"
#include "read/capacity.h"

#include <stdlib.h>

#define DAYS       28
#define JOBS_MAX   50000 /* the latest; keeps a call well below a second */
#define AROUND     3
#define STACKS_MAX 1000
#define ROWS_MAX   (10 * AROUND + 1)

struct recording {
    struct page page;
    uint32_t current; /* stacks that the project has */
    struct capacity_job *jobs;
    size_t count;
    size_t size;
};

enum capacity_set { SET_PROJECT, SET_CURRENT, SET_JOBS };

enum { JOB_ASKED_AT, JOB_HOLD, JOB_PATIENCE };

static void add_sql(struct buf *sql, const char *project)
{
    buf_puts(sql, ";SELECT COUNT(*) FROM stack WHERE state <> 'deleted' AND project_id = ");
    reader_add_project(sql, project);
    /* The latest ones by number, in the order in which they asked. */
    buf_puts(sql, ";SELECT asked, hold, patience FROM (SELECT lease_no, " SQL_MICROSECONDS
                  "asked_at) AS asked, TIMESTAMPDIFF(MICROSECOND, granted_at, ended_at) AS hold,"
                  " TIMESTAMPDIFF(MICROSECOND, asked_at, ended_at) AS patience FROM history"
                  " WHERE purpose = 'test' AND state NOT IN ('cancelled', 'superseded')");
    buf_printf(sql, " AND ended_at > UTC_TIMESTAMP(6) - INTERVAL %d DAY AND project_id = ", DAYS);
    reader_add_project(sql, project);
    buf_printf(sql, " ORDER BY lease_no DESC LIMIT %d) AS latest ORDER BY lease_no", JOBS_MAX);
}

static void add_job(struct recording *recording, const struct database_row *row)
{
    if (recording->count == recording->size) {
        recording->size = recording->size ? recording->size * 2 : 1024;
        recording->jobs = mem_realloc(recording->jobs, recording->size * sizeof *recording->jobs);
    }
    recording->jobs[recording->count++] =
        (struct capacity_job){.asked_at = database_row_int(row, JOB_ASKED_AT, 0),
                              .hold_us = database_row_int(row, JOB_HOLD, -1),
                              .patience_us = database_row_int(row, JOB_PATIENCE, 0)};
}

static void visit(void *context, const struct database_row *row)
{
    struct recording *recording = context;

    switch ((enum capacity_set)row->set) {
    case SET_PROJECT:
        reader_take_project(&recording->page, row);
        break;
    case SET_CURRENT:
        recording->current = (uint32_t)database_row_uint(row, 0, 0);
        break;
    case SET_JOBS:
        add_job(recording, row);
        break;
    }
}

/* The numbers of stacks to show: those around what there is, up or down to what is recommended. */
static void choose_range(uint32_t current, uint32_t recommended, uint32_t *low, uint32_t *high)
{
    *low = current > AROUND ? current - AROUND : 1;
    *high = current + AROUND;
    if (recommended && recommended < *low)
        *low = recommended;
    if (recommended > *high)
        *high = recommended;
    if (*high - *low >= ROWS_MAX) { /* far apart: show the surroundings of what is recommended */
        if (recommended < current)
            *high = *low + (ROWS_MAX - 1);
        else
            *low = *high - (ROWS_MAX - 1);
    }
}

static void put_row(struct json_writer *json, const struct capacity_row *row)
{
    json_open_object(json, NULL);
    json_put_integer(json, "stacks", row->stacks);
    json_put_number(json, "meanWaitSeconds", row->mean_wait_s, 3);
    json_put_number(json, "p95WaitSeconds", row->p95_wait_s, 3);
    json_put_number(json, "utilisation", row->utilisation, 4);
    json_close_object(json);
}

static void put_load(const struct recording *recording, const struct capacity_load *load)
{
    struct json_writer *json = recording->page.json;

    json_put_integer(json, "days", DAYS);
    json_put_integer(json, "jobs", (int64_t)recording->count);
    json_open_object(json, "busiestHour");
    if (recording->count)
        json_put_time(json, "start", load->busiest_hour_at);
    else
        json_put_null(json, "start");
    json_put_integer(json, "jobs", (int64_t)load->busiest_hour_jobs);
    json_close_object(json);
    json_put_number(json, "meanHoldSeconds", load->mean_hold_s, 3);
    json_put_number(json, "offeredLoad", load->offered_load, 3);
}

static void put_stacks(const struct recording *recording, const struct capacity_load *load,
                       double p95_wait_s)
{
    struct json_writer *json = recording->page.json;
    uint32_t recommended = 0;
    uint32_t low;
    uint32_t high;

    json_open_array(json, "stacks");
    if (recording->count) {
        recommended =
            capacity_recommend(recording->jobs, recording->count, load, p95_wait_s, STACKS_MAX);
        choose_range(recording->current, recommended, &low, &high);
        for (uint32_t stacks = low; stacks <= high; stacks++) {
            struct capacity_row row;

            capacity_replay(recording->jobs, recording->count, load, stacks, &row);
            put_row(json, &row);
        }
    }
    json_close_array(json);
    json_put_integer(json, "current", recording->current);
    if (recommended)
        json_put_integer(json, "recommended", recommended);
    else
        json_put_null(json, "recommended");
}

static void put_assumptions(struct json_writer *json)
{
    json_open_array(json, "assumptions");
    json_put_string(json, NULL,
                    "Jobs arrive as they did; with other stacks each holds its stack as long as it "
                    "did.");
    json_put_string(json, NULL, "First come, first served; no priorities, no affinity.");
    json_put_string(json, NULL,
                    "Jobs that never got a stack hold one for the mean time, or leave after the "
                    "wait that they had.");
    json_close_array(json);
}

enum reader_status reader_capacity(struct reader *reader, const char *project, double p95_wait_s,
                                   struct json_writer *json)
{
    struct recording recording = {.page.json = json};
    struct capacity_load load;
    enum reader_status status;

    add_sql(reader_start_sql(reader, project), project);
    status = reader_run(reader, visit, &recording.page);
    json_open_object(json, "target");
    json_put_number(json, "p95WaitSeconds", p95_wait_s, 0);
    json_close_object(json);
    capacity_measure(recording.jobs, recording.count, &load);
    put_load(&recording, &load);
    put_stacks(&recording, &load, p95_wait_s);
    put_assumptions(json);
    free(recording.jobs);
    return status;
}
