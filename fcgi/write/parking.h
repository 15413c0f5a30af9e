/*
 * parking: clients that wait for a stack without a thread. Each is a descriptor and a few bytes;
 * an epoll set tells which of them hang up. Writer's thread only.
 */
#ifndef PARKING_H
#define PARKING_H

#include "base/map.h"
#include "http/gateway.h"
#include "rules/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct desk;

struct parked {
    struct client client;
    struct map *lot;
    uint64_t number;     /* of the request */
    int64_t call_no;     /* of the call; the client is current only while the lease has the same */
    int64_t deadline_ms; /* monotonic; when its wait is over even if the database is away */
    struct desk *desk;   /* whose lot that is */
    struct ignored_fields *ignored; /* of its call, for the response; owned */
};

struct parking;

/* `waker` is a descriptor that ends parking_wait() when it becomes readable. */
struct parking *parking_new(int waker);
void parking_free(struct parking *parking);

size_t parking_count(const struct parking *parking);

/* Keeps the client in its lot (a project's map by request number). false: it can't be watched. */
bool parking_put(struct parking *parking, const struct parked *client);
const struct parked *parking_get(const struct map *lot, uint64_t number);

/* Takes the client out; the caller sends it a response or drops it, and frees `ignored`. false: it
 * isn't there. */
bool parking_take(struct parking *parking, struct map *lot, uint64_t number, struct parked *taken);

/* Waits for the waker, for hang-ups or for `timeout_ms`. */
void parking_wait(struct parking *parking, int64_t timeout_ms);
/* The next client that has hung up; NULL: no more. Doesn't wait. The client stays parked until
 * parking_take(). */
const struct parked *parking_next_gone(struct parking *parking);

#endif
