/* reader_gauges: stacks and live requests by state, for Prometheus. Worker threads. */
#include "read/reader_private.h"

#include "base/buf.h"
#include "database/sql.h"

/* The columns after the project's name. Every project has every series, even if it is 0. */
static const struct gauge {
    const char *name;
    const char *state; /* NULL: no label */
    const char *help;  /* NULL: the same metric as the one before */
    const char *sql;
} gauges[] = {
    {"max_stacks", NULL, "How many stacks requests may create.", "MAX(p.max_stacks)"},
    {"paused", NULL, "1 while nobody gets a stack, since the project is paused.",
     "MAX(p.paused_at IS NOT NULL)"},
    {"stacks", "available", "Stacks by state.", "SUM(s.state = 'available')"},
    {"stacks", "leased", NULL, "SUM(s.state = 'leased')"},
    {"stacks", "held", NULL, "SUM(s.state = 'held')"},
    {"stacks", "quarantined", NULL, "SUM(s.state = 'quarantined')"},
    {"stacks", "draining", NULL, "SUM(s.state = 'draining')"},
    {"stacks_unsettled", NULL, "Stacks on which a deploy was cut off.",
     "SUM(s.unsettled_since IS NOT NULL AND s.state <> 'deleted')"},
    {"failed_deploys", NULL,
     "Deploys that failed or were cut off, until a stack runs something whole.",
     "SUM(s.failed_deploys)"},
    {"requests", "waiting", "Live requests by state.",
     "(SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'waiting')"},
    {"requests", "active", NULL,
     "(SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'active')"},
    {"oldest_waiting_seconds", NULL, "Age of the request that has waited longest.",
     "(SELECT MAX(TIMESTAMPDIFF(SECOND, l.asked_at, UTC_TIMESTAMP(6))) FROM lease l"
     " WHERE l.project_id = p.project_id AND l.state = 'waiting')"},
};

enum { GAUGE_COUNT = sizeof gauges / sizeof gauges[0] };

enum { GAUGES_PROJECT, GAUGES_FIRST };

struct gauging {
    struct page page;
    struct buf texts[GAUGE_COUNT]; /* of each gauge, since rows come by project */
};

static void visit(void *context, const struct database_row *row)
{
    struct gauging *gauging = context;

    gauging->page.found = true;
    for (unsigned i = 0; i < GAUGE_COUNT; i++) {
        const char *value = row->values[GAUGES_FIRST + i];
        struct buf *text = &gauging->texts[i];

        buf_printf(text, "stack_orchestrator_%s{project=\"%s\"", gauges[i].name,
                   row->values[GAUGES_PROJECT]);
        if (gauges[i].state)
            buf_printf(text, ",state=\"%s\"", gauges[i].state);
        buf_printf(text, "} %s\n", value ? value : "0");
    }
}

static void add_sql(struct buf *sql, const char *project)
{
    buf_clear(sql);
    buf_puts(sql, "SELECT p.name");
    for (size_t i = 0; i < GAUGE_COUNT; i++)
        buf_printf(sql, ",%s", gauges[i].sql);
    buf_puts(sql, " FROM project p LEFT JOIN stack s USING (project_id)");
    if (project) {
        buf_puts(sql, " WHERE p.name = ");
        sql_text(sql, project);
    }
    buf_puts(sql, " GROUP BY p.project_id, p.name");
}

static void visit_project(void *context, const struct database_row *row)
{
    reader_take_project(context, row);
}

static enum reader_status check_key(struct reader *reader, const char *project)
{
    struct page page = {0};

    reader_start_sql(reader, project);
    return reader_run(reader, visit_project, &page);
}

enum reader_status reader_gauges(struct reader *reader, const char *project, struct buf *out)
{
    struct gauging gauging = {0};
    enum reader_status status = project ? check_key(reader, project) : READER_OK;

    if (status == READER_KEY_ENDED)
        return status;
    add_sql(&reader->sql, project);
    status = reader_run(reader, visit, &gauging.page);
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        struct buf *text = &gauging.texts[i];

        if (gauges[i].help)
            buf_printf(out, "# HELP stack_orchestrator_%s %s\n# TYPE stack_orchestrator_%s gauge\n",
                       gauges[i].name, gauges[i].help, gauges[i].name);
        if (text->len)
            buf_append(out, text->data, text->len);
        buf_free(text);
    }
    return status == READER_NO_PROJECT ? READER_OK : status;
}
