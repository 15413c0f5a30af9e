/* pool_events: what happened in this batch, in its order. Writer's thread. */
#include "rules/pool_private.h"

#include "base/mem.h"

#include <stdlib.h>

static struct event *add(struct pool *pool, enum event_kind kind)
{
    struct event *event = mem_zalloc(sizeof *event);

    event->kind = kind;
    event->number = pool->next_event_number++;
    *(pool->last_event ? &pool->last_event->next : &pool->events) = event;
    pool->last_event = event;
    return event;
}

void pool_tell_lease(struct pool *pool, enum event_kind kind, const struct lease *lease)
{
    struct event *event = add(pool, kind);

    event->lease = lease;
    event->stack_number = lease->stack ? lease->stack->number : 0;
    event->state = lease->state;
    event->outcome = lease->outcome;
}

void pool_tell_stack(struct pool *pool, enum event_kind kind, const struct stack *stack)
{
    struct event *event = add(pool, kind);

    event->stack_number = stack->number;
    event->owner = mem_strdup(stack->owner);
    event->reason = mem_strdup(stack->reason);
}

void pool_tell_action(struct pool *pool, const struct action *action)
{
    struct event *event = add(pool, EVENT_ACTION);

    event->action = action;
    event->stack_number = action->stack_number;
}

void pool_forget_events(struct pool *pool)
{
    while (pool->events) {
        struct event *event = pool->events;
        pool->events = event->next;
        free(event->owner);
        free(event->reason);
        free(event);
    }
    pool->last_event = NULL;
}
