/* reader_capacity: the recorded history, and what it says about the number of stacks. */
#include "reader_parts.h"

#include "capacity.h"
#include "sql.h"
#include "times.h"

#include <stdio.h>
#include <stdlib.h>

#define DAYS       28
#define JOBS_MAX   50000 /* the latest; keeps a call below a second */
#define AROUND     3
#define STACKS_MAX 1000

struct recording {
    struct reading reading; /* first: its project */
    uint32_t current;
    struct capacity_job *jobs;
    size_t count;
    size_t size;
};

static void add_job(struct recording *recording, const struct database_row *row)
{
    if (recording->count == recording->size) {
        recording->size = recording->size ? recording->size * 2 : 1024;
        recording->jobs = mem_realloc(recording->jobs, recording->size * sizeof *recording->jobs);
    }
    recording->jobs[recording->count++] =
        (struct capacity_job){.asked_at = database_int(row, 0, 0),
                              .hold_us = database_int(row, 1, -1),
                              .patience_us = database_int(row, 2, 0)};
}

static void visit(void *context, const struct database_row *row)
{
    struct recording *recording = context;

    if (row->set == 0)
        reader_take_project(&recording->reading, row);
    else if (row->set == 1)
        recording->current = (uint32_t)database_uint(row, 0, 0);
    else
        add_job(recording, row);
}

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

static void put_row(struct json_writer *json, const struct capacity_row *row)
{
    json_open_object(json, NULL);
    json_put_integer(json, "stacks", row->stacks);
    json_put_number(json, "meanWaitSeconds", row->mean_wait_s, 3);
    json_put_number(json, "p95WaitSeconds", row->p95_wait_s, 3);
    if (row->erlang_wait_s >= 0)
        json_put_number(json, "erlangCMeanWaitSeconds", row->erlang_wait_s, 3);
    else
        json_put_null(json, "erlangCMeanWaitSeconds");
    json_put_number(json, "utilisation", row->utilisation, 4);
    json_close_object(json);
}

static void put_assumptions(struct json_writer *json)
{
    static const char *const assumptions[] = {
        "Jobs arrive as they did; with other stacks each holds its stack as long as it did.",
        "First come, first served; no priorities, no affinity.",
        ("Jobs that never got a stack hold one for the mean time, or leave after the wait that "
         "they "
         "had."),
        "Erlang C: Poisson arrivals at the busiest hour's rate and exponential holds, for ever.",
    };

    json_open_array(json, "assumptions");
    for (size_t i = 0; i < sizeof assumptions / sizeof assumptions[0]; i++)
        json_put_string(json, NULL, assumptions[i]);
    json_close_array(json);
}

static void put_rows(const struct recording *recording, const struct capacity_load *load,
                     uint32_t recommended, struct json_writer *json)
{
    uint32_t low = recording->current > AROUND ? recording->current - AROUND : 1;
    uint32_t high = recording->current + AROUND;

    if (recommended && recommended < low)
        low = recommended;
    if (recommended > high)
        high = recommended;
    if (high - low > 10 * AROUND) /* far apart: show the surroundings of what is recommended */
        low = high - 10 * AROUND;
    json_open_array(json, "stacks");
    for (uint32_t stacks = low; recording->count && stacks <= high; stacks++) {
        struct capacity_row row;
        capacity_replay(recording->jobs, recording->count, load, stacks, &row);
        put_row(json, &row);
    }
    json_close_array(json);
}

enum reader_status reader_capacity(struct reader *reader, const char *project, double p95_wait_s,
                                   struct json_writer *json)
{
    struct recording recording = {.reading = {.json = json}};
    struct capacity_load load;
    enum reader_status status;
    uint32_t recommended = 0;

    add_sql(reader_start_sql(reader, project), project);
    status = reader_run(reader, visit, &recording.reading);
    capacity_measure(recording.jobs, recording.count, &load);
    if (recording.count)
        recommended =
            capacity_recommend(recording.jobs, recording.count, &load, p95_wait_s, STACKS_MAX);
    json_open_object(json, "target");
    json_put_number(json, "p95WaitSeconds", p95_wait_s, 0);
    json_close_object(json);
    json_put_integer(json, "days", DAYS);
    json_put_integer(json, "jobs", (int64_t)recording.count);
    json_open_object(json, "busiestHour");
    if (recording.count)
        json_put_time(json, "start", load.busiest_hour_at);
    else
        json_put_null(json, "start");
    json_put_integer(json, "jobs", (int64_t)load.busiest_hour_jobs);
    json_close_object(json);
    json_put_number(json, "meanHoldSeconds", load.mean_hold_s, 3);
    json_put_number(json, "offeredLoad", load.offered_load, 3);
    put_rows(&recording, &load, recommended, json);
    json_put_integer(json, "current", recording.current);
    if (recommended)
        json_put_integer(json, "recommended", recommended);
    else
        json_put_null(json, "recommended");
    put_assumptions(json);
    free(recording.jobs);
    return status;
}
