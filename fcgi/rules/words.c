/* words: tables of names. No state; any thread. */
#include "rules/words.h"

#include <string.h>

#define COUNT(table) (int)(sizeof(table) / sizeof(table)[0])

static const char *const stack_states[] = {
    [STACK_AVAILABLE] = "available",     [STACK_LEASED] = "leased",     [STACK_HELD] = "held",
    [STACK_QUARANTINED] = "quarantined", [STACK_DRAINING] = "draining", [STACK_DELETED] = "deleted",
};

static const char *const lease_states[] = {
    [LEASE_WAITING] = "waiting",       [LEASE_ACTIVE] = "active",
    [LEASE_RELEASED] = "released",     [LEASE_EXPIRED] = "expired",
    [LEASE_REVOKED] = "revoked",       [LEASE_TIMED_OUT] = "timedOut",
    [LEASE_ABANDONED] = "abandoned",   [LEASE_CANCELLED] = "cancelled",
    [LEASE_SUPERSEDED] = "superseded",
};

static const char *const outcomes[] = {
    [OUTCOME_NONE] = NULL,
    [OUTCOME_SUCCESS] = "success",
    [OUTCOME_FAILED] = "failed",
    [OUTCOME_DEPLOY_FAILED] = "deployFailed",
    [OUTCOME_NOT_DEPLOYED] = "notDeployed",
    [OUTCOME_HOLD] = "hold",
    [OUTCOME_QUARANTINE] = "quarantine",
};

static const char *const purposes[] = {"test", "refresh"};

static const char *const marks[] = {"asRequested", "asMarked"};

static int find(const char *const *table, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (table[i] && strcmp(table[i], name) == 0)
            return i;
    return -1;
}

const char *words_stack_state(enum stack_state state)
{
    return stack_states[state];
}

const char *words_lease_state(enum lease_state state)
{
    return lease_states[state];
}

const char *const *words_lease_ends(size_t *count)
{
    *count = (size_t)(COUNT(lease_states) - LEASE_RELEASED);
    return &lease_states[LEASE_RELEASED];
}

const char *words_outcome(enum outcome outcome)
{
    return outcomes[outcome];
}

const char *words_purpose(enum purpose purpose)
{
    return purposes[purpose];
}

int words_find_stack_state(const char *name)
{
    return find(stack_states, COUNT(stack_states), name);
}

int words_find_lease_state(const char *name)
{
    return find(lease_states, COUNT(lease_states), name);
}

int words_find_outcome(const char *name)
{
    return find(outcomes, COUNT(outcomes), name);
}

int words_find_purpose(const char *name)
{
    return find(purposes, COUNT(purposes), name);
}

int words_find_mark(const char *name)
{
    return find(marks, COUNT(marks), name);
}
