/*
 * office: what the writer keeps from one batch to the next: a desk for each project, the commands
 * that wait for their turn, the clerk, the clients that are owed a response.
 *
 * Made and freed by the thread that starts and stops the writer; in between only the writer's
 * thread touches it, so it has no lock. `contact` is its way to the database, `batch` does its
 * work.
 */
#ifndef OFFICE_H
#define OFFICE_H

#include "base/config.h"
#include "http/gateway.h"
#include "rules/clerk.h"
#include "rules/command.h"
#include "store/store.h"
#include "write/delivery.h"
#include "write/desk.h"

#include <stdbool.h>
#include <stdint.h>

struct office {
    struct store *store;
    struct clerk clerk;
    struct delivery delivery;
    struct desks desks;
    uint32_t waiting_per_project_max;
    uint32_t waiting_max;

    struct command_list pending; /* in the order of their arrival */
    size_t alone; /* batches still to be run with one command or desk each: together they failed */
    struct command_list later; /* our own that failed even alone; retried until they succeed */
    int64_t later_ms;          /* monotonic; when they are tried again */

    struct database_clock clock;
    int64_t now;          /* of the latest batch, by that clock */
    int64_t connected_ms; /* monotonic; when the database was there again */
    int64_t seen_ms;      /* monotonic; when it was last seen there */
    uint64_t watches;     /* how many there were */
};

/* `waker` ends office_wait() when it becomes readable. NULL: no resources. */
struct office *office_new(const struct config *config, struct gateway *gateway, int waker);
void office_free(struct office *office);

/* Waits for the waker, for hang-ups (which become commands) or for the time. */
void office_wait(struct office *office, int64_t timeout_ms);
void office_add(struct office *office, struct command_list commands);
/* Nobody hears of the request any more, as far as that call is concerned: its client hung up, or
 * was `sent_away`. Runs before what callers sent later. */
void office_hang_up(struct office *office, const struct desk *desk, uint64_t number,
                    int64_t call_no, bool sent_away);

/* Takes what is due by now into the work. Whether there is any. */
bool office_find_work(struct office *office);
bool office_has_work(const struct office *office);
/* When a desk is due by itself, monotonic. */
int64_t office_deadline_ms(const struct office *office);

/* While the database is away: sends 503 to commands, and to parked clients whose wait is over. What
 * must be put right once it is back is remembered. */
void office_refuse(struct office *office);
/* Sends 503 to all parked clients; from now on nobody is parked. */
void office_drain(struct office *office);

#endif
