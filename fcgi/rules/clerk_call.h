/*
 * clerk_call: tells apart the calls that ask for the same request. When an instance can't deliver a
 * grant it takes it back, but not if the caller has called again since, be it another instance.
 * Called by the other files of `clerk`, on the writer's thread.
 */
#ifndef CLERK_CALL_H
#define CLERK_CALL_H

#include "rules/command.h"
#include "rules/pool.h"

/* Gives a waiting call its number and its deadline. The number is that deadline in microseconds, or
 * the next one if the call before has it; so it is never reused, even if a lost COMMIT lets a lease
 * number be given out again. */
void clerk_call_wait(const struct pool *pool, struct lease *lease, struct command_request *request);
/* The caller has shown that it knows of the grant: undelivered answers to earlier calls no longer
 * take it back. */
void clerk_call_note_heard(struct lease *lease);

#endif
