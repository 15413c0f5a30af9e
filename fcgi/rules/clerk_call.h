/*
 * clerk_call: the calls about a request, told apart. A program that can't answer a call wants to
 * take back what it gave; by then the caller may have come again, to any program, and been heard.
 * Called by the other files of `clerk`, on the writer's thread.
 */
#ifndef CLERK_CALL_H
#define CLERK_CALL_H

#include "rules/command.h"
#include "rules/pool.h"

/* A call that waits for the request: gets a number, and its wait an end. The number begins at the
 * time of that end: so not even a request that takes the lease number of one whose COMMIT was lost
 * has a call of the same number. */
void clerk_call_wait(const struct pool *pool, struct lease *lease, struct command_request *request);
/* A caller shows that it has the grant, so earlier calls that reached nobody don't matter. */
void clerk_call_note_heard(struct lease *lease);

#endif
