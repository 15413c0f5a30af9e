/* store_event: see store_event.h. Writer's thread. */
#include "store/store_event.h"

#include "database/sql.h"
#include "rules/event.h"

static const char *word_of(const struct event *event)
{
    if (event->action)
        return command_verb_name(event->action->verb);
    return event->kind == EVENT_ENDED ? words_lease_state(event->state) : NULL;
}

static void add_event(struct buf *sql, const struct pool *pool, const struct event *event)
{
    const struct lease *lease = event->lease;
    const struct action *action = event->action;

    buf_printf(sql, "(%u,%llu,", pool->id, (unsigned long long)event->number);
    sql_time(sql, pool->now);
    buf_printf(sql, ",'%s'", event_kind_name(event->kind));
    sql_next_optional(sql, lease ? lease->number : 0);
    sql_next_optional(sql, event->stack_number);
    sql_next_text(sql, lease ? lease->key_name : action ? action->key_name : event->owner);
    sql_next_text(sql, lease ? lease->branch : NULL);
    sql_next_text(sql, lease ? lease->job_url : NULL);
    sql_next_text(sql, lease ? lease->job_name : NULL);
    sql_next_text(sql, word_of(event));
    sql_next_text(sql, event->kind == EVENT_ENDED ? words_outcome(event->outcome) : NULL);
    sql_next_text(sql, action ? action->detail : NULL);
    sql_next_text(sql, action ? action->reason : event->reason);
    buf_puts(sql, ")");
}

void store_event_write(struct buf *sql, struct pool *const pools[], size_t count)
{
    static const char start[] =
        "INSERT INTO event (project_id,event_no,at,kind,lease_no,stack_no,who,branch,job_url,"
        "job_name,word,outcome,detail,reason) VALUES ";
    const char *separator = start;

    for (size_t i = 0; i < count; i++) {
        for (const struct event *at = pools[i]->events; at; at = at->next) {
            buf_puts(sql, separator);
            add_event(sql, pools[i], at);
            separator = ",";
        }
    }
    if (separator != start)
        buf_puts(sql, ";");
}
