/*
 * reader: answers GET calls straight from the database. Each worker thread has one, with a
 * connection of its own. It reads only what is committed and locks nothing. It shows no leaseId, no
 * requestId.
 */
#ifndef READER_H
#define READER_H

#include "base/buf.h"
#include "base/config.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

#define READER_LIMIT_MAX 100  /* rows of a page; also the default */
#define READER_VIEW_MAX  1000 /* the same of /status, which has no default */

enum reader_status {
    READER_OK,
    READER_NO_PROJECT,
    READER_KEY_ENDED,
    READER_NO_DATABASE,
    READER_TOO_SLOW, /* the server ended a statement that took longer than it may */
};

struct reader_filter {
    uint64_t limit;
    uint64_t before; /* request or action number; 0: from the latest */
    char *stack_name;
    char *branch;
    int state;     /* enum lease_state; -1: any */
    int64_t since; /* by the end, microseconds; 0: none */
    int64_t until;
};

/* What of /status is asked for. {0}: all of it. */
enum reader_part {
    READER_COUNTS = 1,
    READER_STACKS = 2,
    READER_QUEUE = 4,
    READER_TIMES = 8,
    READER_FIGURES = 16,
    READER_ALL = 31
};

struct reader_view {
    unsigned parts;                /* of enum reader_part; 0: all */
    uint64_t limit;                /* stacks, and waiting requests; 0: none */
    char *stacks_after;            /* name of a stack; NULL: from the first */
    char *stack_name;              /* only that one */
    char *state;                   /* only stacks of that state, or */
#define READER_STATE_ASIDE "aside" /* held, quarantined, draining */
    char *find;                    /* only what says that somewhere, whatever its case */
};

struct reader;

struct reader *reader_new(const struct config *config);
void reader_free(struct reader *reader);
void reader_filter_free(struct reader_filter *filter);
void reader_view_free(struct reader_view *view);

/* Whose key the calls that follow have; the name is only looked at during these. */
void reader_set_key(struct reader *reader, const char *name, uint32_t number);

/* Each writes members into an open JSON object. */
enum reader_status reader_list_stacks(struct reader *reader, const char *project,
                                      struct json_writer *json);
enum reader_status reader_status_page(struct reader *reader, const char *project,
                                      const struct reader_view *view, struct json_writer *json);
enum reader_status reader_history(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json);
enum reader_status reader_actions(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json);
/* In their order, `limit` of those after that one. */
enum reader_status reader_events(struct reader *reader, const char *project, uint64_t after,
                                 uint64_t limit, struct json_writer *json);
/* What a request for any stack would find now. */
struct reader_room {
    uint64_t free; /* stacks that it would get one of, also new ones */
    uint64_t waiting;
    bool is_paused;
};

enum reader_status reader_room(struct reader *reader, const char *project,
                               struct reader_room *room);
/* `p95_wait_s`: how long 95 % of the jobs should wait at most. */
enum reader_status reader_capacity(struct reader *reader, const char *project, double p95_wait_s,
                                   struct json_writer *json);
/* Gauges of one project (NULL: of all) in Prometheus' text format: stacks and requests by state. */
enum reader_status reader_gauges(struct reader *reader, const char *project, struct buf *out);

#endif
