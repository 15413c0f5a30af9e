/* reader_gauges: stacks and live requests by state, for Prometheus. Worker threads. */
#include "read/reader_private.h"

#include "database/sql.h"

/* The columns behind the project's name; every project has every series, also where it is 0. */
static const struct gauge {
    const char *name;
    const char *state; /* NULL: no label */
    const char *help;  /* NULL: the same metric as the one before */
    const char *sql;
} gauges[] = {
    {"max_stacks", NULL, "How many stacks requests may create.", "MAX(p.max_stacks)"},
    {"stacks", "available", "Stacks by state.", "SUM(s.state = 'available')"},
    {"stacks", "leased", NULL, "SUM(s.state = 'leased')"},
    {"stacks", "held", NULL, "SUM(s.state = 'held')"},
    {"stacks", "quarantined", NULL, "SUM(s.state = 'quarantined')"},
    {"stacks", "draining", NULL, "SUM(s.state = 'draining')"},
    {"requests", "waiting", "Live requests by state.",
     "(SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'waiting')"},
    {"requests", "active", NULL,
     "(SELECT COUNT(*) FROM lease l WHERE l.project_id = p.project_id AND l.state = 'active')"},
    {"oldest_waiting_seconds", NULL, "Age of the request that has waited longest.",
     "(SELECT MAX(TIMESTAMPDIFF(SECOND, l.asked_at, UTC_TIMESTAMP(6))) FROM lease l"
     " WHERE l.project_id = p.project_id AND l.state = 'waiting')"},
};

enum { GAUGE_COUNT = sizeof gauges / sizeof gauges[0] };

static void visit(void *context, const struct database_row *row)
{
    struct reading *reading = context;

    reading->found = true;
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        const char *value = row->values[i + 1] ? row->values[i + 1] : "0";
        struct buf *text = &reading->texts[i];

        buf_printf(text, "stack_orchestrator_%s{project=\"%s\"", gauges[i].name, row->values[0]);
        if (gauges[i].state)
            buf_printf(text, ",state=\"%s\"", gauges[i].state);
        buf_printf(text, "} %s\n", value);
    }
}

enum reader_status reader_gauges(struct reader *reader, const char *project, struct buf *out)
{
    struct buf texts[GAUGE_COUNT] = {{0}};
    struct reading reading = {.texts = texts};
    struct buf *sql = &reader->sql;
    enum reader_status status;

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
    status = reader_run(reader, visit, &reading);
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        if (gauges[i].help)
            buf_printf(out, "# HELP stack_orchestrator_%s %s\n# TYPE stack_orchestrator_%s gauge\n",
                       gauges[i].name, gauges[i].help, gauges[i].name);
        if (texts[i].len)
            buf_append(out, texts[i].data, texts[i].len);
        buf_free(&texts[i]);
    }
    return status == READER_NO_DATABASE ? status : READER_OK;
}
