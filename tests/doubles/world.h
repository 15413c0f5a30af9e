/*
 * world: what the doubles stand in for, and how a test moves it. A double has the functions of the
 * header that it is named after; the program's other parts don't see the difference.
 *
 *     store    a database with one project, in memory; any number of hosts share it
 *     gateway  clients are numbers; each answer goes to world.answered
 *     parking  clients hang up when the test says so
 *     reader   GET calls, from what is committed
 *     clock    time passes when the test says so; chance repeats
 */
#ifndef WORLD_H
#define WORLD_H

#include "base/buf.h"
#include "http/gateway.h"
#include "rules/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_PROJECT "demo"
#define WORLD_HOSTS   2

/* What the database does instead of what it is asked for, once. */
enum world_trouble {
    TROUBLE_NONE,
    TROUBLE_BUSY,         /* another host holds the project's row */
    TROUBLE_BEGIN_RETRY,  /* deadlock */
    TROUBLE_BEGIN_LOST,   /* the connection breaks while the rows are locked, */
    TROUBLE_LOAD_LOST,    /* while they are read, */
    TROUBLE_COMMIT_LOST,  /* before the COMMIT came through, */
    TROUBLE_COMMIT_DOUBT, /* after it: it has happened */
    TROUBLE_COMMIT_RETRY,
    TROUBLE_COMMIT_ERROR, /* a statement fails for good */
    TROUBLE_BETTER,       /* a better server is there, and the connection to this one is given up */
    TROUBLE_COUNT,
};

/* How a lease ended. */
struct world_ended {
    uint64_t number;
    enum lease_state state;
    enum outcome outcome;
    int64_t ended_at;
    char *request_id;
    uint32_t stack;
    uint8_t lease_id[LEASE_ID_SIZE];
};

typedef void world_answered(struct client client, const struct buf *headers, const struct buf *body,
                            bool delivered);

struct world {
    int64_t now_us; /* every clock */
    uint64_t chance;

    enum world_trouble trouble;
    unsigned refusals;   /* so many attempts to connect fail */
    bool is_deleted;     /* the project */
    bool is_undelivered; /* the next answer */
    struct pool *rows;   /* what is committed */
    struct world_ended *history;
    size_t history_count;
    uint64_t heard[WORLD_HOSTS];   /* instances that beat their heart, */
    int64_t heard_at[WORLD_HOSTS]; /* and when; of each host */
    unsigned host;                 /* that store_new() makes one for */
    uint64_t instances;            /* how many there were */

    world_answered *answered;
    void (*dropped)(struct client client);
};

extern struct world world;

/* One project without stacks; everything else is the test's. */
void world_open(void);
void world_close(void);

/* Somebody else changed the project. */
void world_change(void);

/* The parked client will be found gone. false: nobody is parked under that number. */
bool world_hang_up(int client);

#endif
