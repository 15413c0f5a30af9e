/*
 * fault: points at which tests break the program. Only `make FAULTS=1` builds them; elsewhere they
 * are nothing.
 *
 * The environment variable STACK_ORCHESTRATOR_FAULTS names a directory. A file in it that is called
 * like a point says what happens when a thread next comes by:
 *
 *     kill       SIGKILL           delay MS   waits
 *     stop       SIGSTOP           cut        the connection at hand is cut
 *     error      what comes next fails
 *
 * Each file works once: whoever comes by removes it first, so its absence tells that it did.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

enum fault { FAULT_NONE, FAULT_CUT, FAULT_ERROR };

#ifdef FAULTS
enum fault fault_point(const char *name);
/* For what must be done before it happens. */
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
