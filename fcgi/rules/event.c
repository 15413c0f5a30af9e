/* event: see event.h. */
#include "rules/event.h"

const char *event_kind_name(enum event_kind kind)
{
    static const char *const names[] = {
        [EVENT_GRANTED] = "granted",   [EVENT_UNDELIVERED] = "undelivered",
        [EVENT_ENDED] = "ended",       [EVENT_HELD] = "held",
        [EVENT_RETURNED] = "returned", [EVENT_QUARANTINED] = "quarantined",
        [EVENT_ACTION] = "action"};

    return names[kind];
}
