/*
 * store_purge: takes away what is older, or more, than is kept. It has a connection of its own, and
 * locks nothing that a batch needs.
 */
#ifndef STORE_PURGE_H
#define STORE_PURGE_H

#include "base/config.h"
#include "database/database_status.h"

#include <stdbool.h>

struct store_purge;

struct store_purge *store_purge_new(const struct config *config);
void store_purge_free(struct store_purge *purge);

/* Takes a little of it away; `*more`: there is more. Does nothing while another host is at it. */
DATABASE_MUST_CHECK enum database_status store_purge_run(struct store_purge *purge, bool *more);

#endif
