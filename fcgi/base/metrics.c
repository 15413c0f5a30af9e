/* metrics: see metrics.h. Counters start at 0 with the program, as Prometheus expects. */
#include "base/metrics.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/times.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS_MAX 12

struct histogram {
    const double *bounds; /* seconds, rising; `count` of them */
    size_t bound_count;
    uint64_t buckets[BUCKETS_MAX + 1]; /* the last one: above all bounds */
    uint64_t count;
    double sum;
};

struct project_metrics {
    struct project_metrics *next; /* of all, the newest first */
    char *name;
    uint64_t grants;
    uint64_t new_stacks;
    uint64_t same_content;
    uint64_t changed_units;
    uint64_t ended[METRICS_ENDS_MAX];
    struct histogram wait;
    struct histogram hold;
};

static const double quick[] = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5};
static const double patient[] = {.1, 1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600};

static const double lasting[] = {60,   300,  600,   1200,  1800,  3600,
                                 5400, 7200, 14400, 28800, 43200, 86400};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t responses[600]; /* by status */
static struct histogram response_time = {.bounds = quick, .bound_count = BUCKETS_MAX};
static struct histogram commit_time = {.bounds = quick, .bound_count = BUCKETS_MAX};
static uint64_t commands;
static time_t started;
static const char *const *end_names;
static size_t end_count;
static uint64_t parked;
static struct project_metrics *projects;
static struct map projects_by_name;

static void observe(struct histogram *histogram, double value)
{
    size_t at = 0;

    while (at < histogram->bound_count && value > histogram->bounds[at])
        at++;
    histogram->buckets[at]++;
    histogram->count++;
    histogram->sum += value;
}

static double to_seconds(int64_t time_us)
{
    return (double)time_us / (double)TIMES_SECOND;
}

void metrics_start(void)
{
    started = time(NULL);
}

void metrics_name_ends(const char *const *names, size_t count)
{
    pthread_mutex_lock(&lock);
    end_names = names;
    end_count = count;
    pthread_mutex_unlock(&lock);
}

void metrics_count_response(int status, int64_t duration_us)
{
    pthread_mutex_lock(&lock);
    if (status >= 0 && status < 600)
        responses[status]++;
    if (duration_us >= 0)
        observe(&response_time, to_seconds(duration_us));
    pthread_mutex_unlock(&lock);
}

void metrics_count_batch(size_t count, int64_t duration_us)
{
    pthread_mutex_lock(&lock);
    commands += count;
    observe(&commit_time, to_seconds(duration_us));
    pthread_mutex_unlock(&lock);
}

void metrics_set_parked(size_t count)
{
    pthread_mutex_lock(&lock);
    parked = count;
    pthread_mutex_unlock(&lock);
}

static struct project_metrics *find_project(const char *name)
{
    struct project_metrics *project = map_get_named(&projects_by_name, name);

    if (project)
        return project;
    project = mem_zalloc(sizeof *project);
    project->name = mem_strdup(name);
    map_put_named(&projects_by_name, project->name, project);
    project->wait = (struct histogram){.bounds = patient, .bound_count = BUCKETS_MAX};
    project->hold = (struct histogram){.bounds = lasting, .bound_count = BUCKETS_MAX};
    project->next = projects;
    projects = project;
    return project;
}

void metrics_count_grant(const char *name, bool is_new, int64_t changed_units, int64_t wait_us)
{
    struct project_metrics *project;

    pthread_mutex_lock(&lock);
    project = find_project(name);
    project->grants++;
    project->new_stacks += is_new;
    project->same_content += changed_units == 0;
    if (changed_units > 0)
        project->changed_units += (uint64_t)changed_units;
    observe(&project->wait, to_seconds(wait_us));
    pthread_mutex_unlock(&lock);
}

void metrics_count_end(const char *name, size_t end, int64_t hold_us)
{
    struct project_metrics *project;

    pthread_mutex_lock(&lock);
    project = find_project(name);
    project->ended[end]++;
    if (hold_us >= 0)
        observe(&project->hold, to_seconds(hold_us));
    pthread_mutex_unlock(&lock);
}

/* Exposition. Nothing in a project's name needs escaping in a label. */

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP stack_orchestrator_%s %s\n# TYPE stack_orchestrator_%s %s\n", name,
               help, name, type);
}

static void put_histogram(struct buf *out, const char *name, const char *label,
                          const struct histogram *histogram)
{
    uint64_t below = 0;
    const char *comma = *label ? "," : "";

    for (size_t i = 0; i < histogram->bound_count; i++) {
        below += histogram->buckets[i];
        buf_printf(out, "stack_orchestrator_%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, comma,
                   histogram->bounds[i], (unsigned long long)below);
    }
    buf_printf(out, "stack_orchestrator_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma,
               (unsigned long long)histogram->count);
    buf_printf(
        out, *label ? "stack_orchestrator_%s_sum{%s} %.6f\n" : "stack_orchestrator_%s_sum%s %.6f\n",
        name, label, histogram->sum);
    buf_printf(out,
               *label ? "stack_orchestrator_%s_count{%s} %llu\n"
                      : "stack_orchestrator_%s_count%s %llu\n",
               name, label, (unsigned long long)histogram->count);
}

static void put_program(struct buf *out, bool is_ready)
{
    put_head(out, "build_info", "gauge", "Which program this is.");
    buf_puts(out, "stack_orchestrator_build_info{version=\"" VERSION "\"} 1\n");
    buf_printf(out,
               "# HELP process_start_time_seconds When the program started, Unix time.\n"
               "# TYPE process_start_time_seconds gauge\n"
               "process_start_time_seconds %lld\n",
               (long long)started);
    put_head(out, "answers_total", "counter", "Answers by HTTP status.");
    for (int status = 0; status < 600; status++)
        if (responses[status] || status == 200 || status == 500 || status == 503) /* for alerts */
            buf_printf(out, "stack_orchestrator_answers_total{status=\"%d\"} %llu\n", status,
                       (unsigned long long)responses[status]);
    put_head(out, "answer_duration_seconds", "histogram",
             "Time from a request to its answer, without those that waited for a stack.");
    put_histogram(out, "answer_duration_seconds", "", &response_time);
    put_head(out, "commit_duration_seconds", "histogram",
             "Time of one transaction, from its locks to its commit.");
    put_histogram(out, "commit_duration_seconds", "", &commit_time);
    put_head(out, "commands_total", "counter", "Commands that were committed.");
    buf_printf(out, "stack_orchestrator_commands_total %llu\n", (unsigned long long)commands);
    put_head(out, "parked_requests", "gauge", "Connections that wait for a stack.");
    buf_printf(out, "stack_orchestrator_parked_requests %llu\n", (unsigned long long)parked);
    put_head(out, "database_up", "gauge", "Whether the database could be reached (1) or not (0).");
    buf_printf(out, "stack_orchestrator_database_up %d\n", is_ready);
}

static bool is_wanted(const struct project_metrics *project, const char *name)
{
    return !name || strcmp(project->name, name) == 0;
}

static void put_counter(struct buf *out, const char *name, const char *help, size_t offset,
                        const char *wanted)
{
    put_head(out, name, "counter", help);
    for (const struct project_metrics *at = projects; at; at = at->next) {
        uint64_t value;
        memcpy(&value, (const char *)at + offset, sizeof value);
        if (is_wanted(at, wanted))
            buf_printf(out, "stack_orchestrator_%s{project=\"%s\"} %llu\n", name, at->name,
                       (unsigned long long)value);
    }
}

static void put_ended(struct buf *out, const char *wanted)
{
    put_head(out, "requests_ended_total", "counter", "Requests and leases by how they ended.");
    for (const struct project_metrics *at = projects; at; at = at->next)
        for (size_t end = 0; is_wanted(at, wanted) && end < end_count; end++)
            buf_printf(
                out, "stack_orchestrator_requests_ended_total{project=\"%s\",state=\"%s\"} %llu\n",
                at->name, end_names[end], (unsigned long long)at->ended[end]);
}

static void put_times(struct buf *out, const char *name, const char *help, size_t offset,
                      const char *wanted)
{
    put_head(out, name, "histogram", help);
    for (const struct project_metrics *at = projects; at; at = at->next) {
        const void *times = (const char *)at + offset;
        struct buf label = {0};

        buf_printf(&label, "project=\"%s\"", at->name);
        if (is_wanted(at, wanted))
            put_histogram(out, name, label.data, times);
        buf_free(&label);
    }
}

void metrics_put(struct buf *out, const char *project, bool is_ready)
{
    pthread_mutex_lock(&lock);
    put_program(out, is_ready);
    put_counter(out, "grants_total", "Stacks that were granted.",
                offsetof(struct project_metrics, grants), project);
    put_counter(out, "stacks_created_total", "Stacks that were created for a request.",
                offsetof(struct project_metrics, new_stacks), project);
    put_counter(out, "same_content_grants_total", "Grants for which no unit had to be deployed.",
                offsetof(struct project_metrics, same_content), project);
    put_counter(out, "changed_units_total", "Units that differed at grants.",
                offsetof(struct project_metrics, changed_units), project);
    put_ended(out, project);
    put_times(out, "wait_seconds", "Time from a request to its grant.",
              offsetof(struct project_metrics, wait), project);
    put_times(out, "hold_seconds", "Time from a grant to its end.",
              offsetof(struct project_metrics, hold), project);
    pthread_mutex_unlock(&lock);
}
