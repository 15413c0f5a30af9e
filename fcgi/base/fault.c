/* fault: see fault.h. Any thread. */
#include "base/fault.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool find(const char *name, char path[PATH_MAX])
{
    const char *directory = getenv("STACK_ORCHESTRATOR_FAULTS");

    return directory && snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX &&
           access(path, R_OK) == 0;
}

bool fault_is_armed(const char *name)
{
    char path[PATH_MAX];
    return find(name, path);
}

/* Reads the order and removes it. false: there is none, or another thread was faster. */
static bool take(const char *name, char action[32])
{
    char path[PATH_MAX];
    FILE *file;
    bool got;

    if (!find(name, path) || !(file = fopen(path, "re")))
        return false;
    got = fgets(action, 32, file) != NULL;
    fclose(file);
    return unlink(path) == 0 && got;
}

enum fault fault_point(const char *name)
{
    char action[32];

    if (!take(name, action))
        return FAULT_NONE;
    action[strcspn(action, "\n")] = '\0';
    fprintf(stderr, "fault at %s: %s\n", name, action);
    if (strcmp(action, "kill") == 0)
        raise(SIGKILL);
    else if (strcmp(action, "stop") == 0 && kill(getpid(), SIGSTOP) == 0)
        poll(NULL, 0, 50); /* another thread may take the signal */
    else if (strncmp(action, "delay ", 6) == 0)
        poll(NULL, 0, (int)strtol(action + 6, NULL, 10));
    else if (strcmp(action, "cut") == 0)
        return FAULT_CUT;
    else
        return FAULT_ERROR;
    return FAULT_NONE;
}
