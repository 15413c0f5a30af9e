/*
 * event: what happened in a project, for those who follow it. Collected in the pool during a batch
 * (pool_events), numbered under the project's lock, and written with the changes that it tells of.
 */
#ifndef EVENT_H
#define EVENT_H

#include "rules/words.h"

#include <stdint.h>

struct action;
struct lease;

enum event_kind {
    EVENT_GRANTED,
    EVENT_UNDELIVERED, /* the grant reached nobody: the request waits again */
    EVENT_ENDED,       /* a request or lease */
    EVENT_HELD,
    EVENT_QUARANTINED,
    EVENT_RETURNED, /* a stack that was held or quarantined is lent again */
    EVENT_ACTION,   /* of an administrator */
};

struct event {
    struct event *next;
    uint64_t number;
    enum event_kind kind;
    const struct lease *lease;   /* NULL: of no request */
    const struct action *action; /* NULL: of nobody */
    uint32_t stack_number;       /* 0: none */
    enum lease_state state;      /* of an end, */
    enum outcome outcome;        /* as it was then */
    char *owner;                 /* of a stack that is set aside */
    char *reason;
};

const char *event_kind_name(enum event_kind kind);

#endif
