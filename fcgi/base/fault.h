/*
 * fault: points at which tests break the program. Only `make FAULTS=1` builds them; otherwise they
 * do nothing.
 *
 * The environment variable STACK_ORCHESTRATOR_FAULTS names a directory. A file in it that has the
 * name of a point says what happens when a thread next passes it:
 *
 *     kill       SIGKILL           delay MS   waits
 *     stop       SIGSTOP           cut        the connection at hand is cut
 *     error      the next step fails
 *
 * Each file works once. The thread removes it first, so its absence shows that the fault happened.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

enum fault { FAULT_NONE, FAULT_CUT, FAULT_ERROR };

#ifdef FAULTS
enum fault fault_point(const char *name);
/* For what must be prepared before the fault. */
bool fault_is_armed(const char *name);
#else
static inline enum fault fault_point(const char *name)
{
    (void)name;
    return FAULT_NONE;
}

static inline bool fault_is_armed(const char *name)
{
    (void)name;
    return false;
}
#endif

#endif
