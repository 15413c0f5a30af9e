/* reader_capacity: the recorded history, and what it says about the number of stacks. The more jobs
 * that is, the longer it takes to find out, and the less a few new ones change it: so the answer is
 * remembered for a while. */
#include "read/reader_private.h"

#include "base/times.h"
#include "database/sql.h"
#include "read/capacity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS       28
#define JOBS_MAX   50000 /* the latest; keeps a call below a second */
#define AROUND     3
#define STACKS_MAX 1000
#define ROWS_MAX   (10 * AROUND + 1)

#define REMEMBERED       16    /* answers of a worker */
#define REMEMBER_MS      10    /* for each job, */
#define REMEMBER_MOST_MS 60000 /* but no longer than that */

struct reader_estimate {
    char *project; /* NULL: none */
    double p95_wait_s;
    int64_t until_ms; /* monotonic */

    size_t jobs;
    struct capacity_load load;
    uint32_t current;
    uint32_t recommended; /* 0: none */
    size_t row_count;
    struct capacity_row rows[ROWS_MAX];
};

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

/* Calculating */

static void replay(const struct recording *recording, struct reader_estimate *estimate)
{
    uint32_t low = estimate->current > AROUND ? estimate->current - AROUND : 1;
    uint32_t high = estimate->current + AROUND;

    if (estimate->recommended && estimate->recommended < low)
        low = estimate->recommended;
    if (estimate->recommended > high)
        high = estimate->recommended;
    if (high - low >= ROWS_MAX) { /* far apart: show the surroundings of what is recommended */
        if (estimate->recommended < estimate->current)
            high = low + (ROWS_MAX - 1);
        else
            low = high - (ROWS_MAX - 1);
    }
    for (uint32_t stacks = low; stacks <= high; stacks++)
        capacity_replay(recording->jobs, recording->count, &estimate->load, stacks,
                        &estimate->rows[estimate->row_count++]);
}

static void calculate(const struct recording *recording, struct reader_estimate *estimate)
{
    estimate->jobs = recording->count;
    estimate->current = recording->current;
    capacity_measure(recording->jobs, recording->count, &estimate->load);
    if (recording->count == 0)
        return;
    estimate->recommended = capacity_recommend(recording->jobs, recording->count, &estimate->load,
                                               estimate->p95_wait_s, STACKS_MAX);
    replay(recording, estimate);
}

static enum reader_status find_out(struct reader *reader, struct reader_estimate *estimate)
{
    struct recording recording = {0};
    enum reader_status status;

    add_sql(reader_start_sql(reader, estimate->project), estimate->project);
    status = reader_run(reader, visit, &recording.reading);
    if (status == READER_OK)
        calculate(&recording, estimate);
    free(recording.jobs);
    return status;
}

/* Remembering */

static const struct reader_estimate *recall(const struct reader *reader, const char *project,
                                            double p95_wait_s, int64_t now_ms)
{
    for (size_t i = 0; reader->estimates && i < REMEMBERED; i++) {
        const struct reader_estimate *at = &reader->estimates[i];
        if (at->project && at->until_ms > now_ms && at->p95_wait_s == p95_wait_s &&
            strcmp(at->project, project) == 0)
            return at;
    }
    return NULL;
}

/* The place of the one that is over first. */
static struct reader_estimate *make_place(struct reader *reader)
{
    struct reader_estimate *place;

    if (!reader->estimates)
        reader->estimates = mem_zalloc(REMEMBERED * sizeof *reader->estimates);
    place = reader->estimates;
    for (size_t i = 1; i < REMEMBERED; i++)
        if (reader->estimates[i].until_ms < place->until_ms)
            place = &reader->estimates[i];
    free(place->project);
    *place = (struct reader_estimate){0};
    return place;
}

static enum reader_status estimate(struct reader *reader, const char *project, double p95_wait_s,
                                   const struct reader_estimate **found)
{
    int64_t now_ms = times_monotonic_ms();
    struct reader_estimate *place;
    enum reader_status status;
    int64_t for_ms;

    *found = recall(reader, project, p95_wait_s, now_ms);
    if (*found)
        return READER_OK;
    place = make_place(reader);
    place->project = mem_strdup(project);
    place->p95_wait_s = p95_wait_s;
    status = find_out(reader, place);
    for_ms = (int64_t)place->jobs * REMEMBER_MS;
    place->until_ms = now_ms + (for_ms < REMEMBER_MOST_MS ? for_ms : REMEMBER_MOST_MS);
    *found = place;
    return status;
}

void reader_forget_estimates(struct reader *reader)
{
    for (size_t i = 0; reader->estimates && i < REMEMBERED; i++)
        free(reader->estimates[i].project);
    free(reader->estimates);
}

/* Telling */

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

enum reader_status reader_capacity(struct reader *reader, const char *project, double p95_wait_s,
                                   struct json_writer *json)
{
    const struct reader_estimate *found;
    enum reader_status status = estimate(reader, project, p95_wait_s, &found);

    json_open_object(json, "target");
    json_put_number(json, "p95WaitSeconds", p95_wait_s, 0);
    json_close_object(json);
    json_put_integer(json, "days", DAYS);
    json_put_integer(json, "jobs", (int64_t)found->jobs);
    json_open_object(json, "busiestHour");
    if (found->jobs)
        json_put_time(json, "start", found->load.busiest_hour_at);
    else
        json_put_null(json, "start");
    json_put_integer(json, "jobs", (int64_t)found->load.busiest_hour_jobs);
    json_close_object(json);
    json_put_number(json, "meanHoldSeconds", found->load.mean_hold_s, 3);
    json_put_number(json, "offeredLoad", found->load.offered_load, 3);
    json_open_array(json, "stacks");
    for (size_t i = 0; i < found->row_count; i++)
        put_row(json, &found->rows[i]);
    json_close_array(json);
    json_put_integer(json, "current", found->current);
    if (found->recommended)
        json_put_integer(json, "recommended", found->recommended);
    else
        json_put_null(json, "recommended");
    put_assumptions(json);
    return status;
}
