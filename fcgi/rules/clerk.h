/*
 * clerk: the rules. Runs commands and the passing of time on a pool; no SQL, no I/O, no clients.
 *
 * For one batch the writer calls, for each project: clerk_run() for its commands in the order of
 * their arrival, then clerk_settle_due(), then clerk_grant(), then clerk_end_waits(). Releases and
 * heartbeats thus come before expiry, and expiry before the grants that it allows.
 */
#ifndef CLERK_H
#define CLERK_H

#include "rules/clerk_due.h" /* struct clerk: its settings */
#include "rules/command.h"
#include "rules/pool.h"

/* Runs one command; what came of it is in command->result. */
void clerk_run(const struct clerk *clerk, struct pool *pool, struct command *command);

/* Ends what is over: leases, places in the queue, holds. Treats requests whose instance died as
 * disconnected. */
void clerk_settle_due(const struct clerk *clerk, struct pool *pool);

/* Grants stacks to waiting requests. Afterwards clerk_grant_refresh() for each command whose
 * result so far is RESULT_NOT_NOW: refreshes take only what nobody else wants. */
void clerk_grant(const struct clerk *clerk, struct pool *pool);
void clerk_grant_refresh(const struct clerk *clerk, struct pool *pool, struct command *command);

/* Ends the waits that are over, and those of new requests that the queue has no room for. Then
 * notes when something is due next. */
void clerk_end_waits(const struct clerk *clerk, struct pool *pool);

#endif
