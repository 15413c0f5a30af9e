/*
 * delivery: hands responses to the clients of a committed batch, and parks those who wait. Part of
 * `office`; writer's thread only. Nothing here blocks: a response that nginx doesn't take at once
 * counts as not delivered.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "write/desk.h"
#include "write/parking.h"
#include "write/render.h"

/* A request whose client is gone, or was sent away: its grant goes back, its wait ends. */
struct undelivered {
    struct undelivered *next;
    struct desk *desk;
    uint64_t number;
    int64_t call_no;
    bool sent_away;
};

struct delivery {
    struct gateway *gateway;
    struct parking *parking;
    bool draining; /* nobody is parked any more */
    struct undelivered *undelivered;
};

/* All clients of a desk whose batch is committed; its commands are freed. */
void delivery_desk(struct delivery *delivery, struct desk *desk);
/* The requests that reached nobody, one by one; the caller frees them. NULL: no more. */
struct undelivered *delivery_next_undelivered(struct delivery *delivery);

/* One command's client, if it has one. `desk` may be NULL where the result needs none. */
void delivery_command(struct delivery *delivery, struct desk *desk, struct command *command,
                      enum result_code code);
/* All commands of a desk that can't be run; they are freed. */
void delivery_refuse(struct delivery *delivery, struct desk *desk, enum result_code code);
/* The project is gone: its commands and its parked clients. */
void delivery_no_project(struct delivery *delivery, struct desk *desk);
void delivery_no_parked(struct delivery *delivery, struct desk *desk); /* only the latter */

/* The client parked for that request, if there is one. */
void delivery_parked(struct delivery *delivery, struct desk *desk, const struct lease *lease,
                     enum result_code code);
void delivery_number(struct delivery *delivery, struct desk *desk, uint64_t number,
                     enum result_code code);

#endif
