/*
 * contact: the office's contact with the database between batches: connecting, watching what others
 * change, clearing away what is old. Called by `writer` and `batch`, on the writer's thread.
 */
#ifndef CONTACT_H
#define CONTACT_H

#include "write/office.h"

#include <stdbool.h>

enum contact_status {
    CONTACT_OK,
    CONTACT_LOST, /* the database is away: contact_connect(), or else office_refuse() */
};

#define CONTACT_CHECKED __attribute__((warn_unused_result))

/* Connects if need be. */
CONTACT_CHECKED enum contact_status contact_connect(struct office *office);
/* Goes back to a server that stands before this one in the list, if one is well. Whether it did;
 * then the connection is to be made anew. */
bool contact_fail_back(struct office *office);

/* Beats the heart, and looks which projects changed elsewhere; their desks are due at once.
 * `together`: other instances are alive, and clients are parked here, so the next look should come
 * soon. */
CONTACT_CHECKED enum contact_status contact_watch(struct office *office, bool *together);
/* Which other instances are alive: read at every watch, and whenever a pool is read, since it may
 * name one that is new. */
enum database_status contact_find_others(struct office *office);

#endif
