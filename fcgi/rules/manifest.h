/* manifest: a set of units with their fingerprints; what a job needs or what a stack runs. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unit {
    const char *name;
    const char *fingerprint;
};

/* Shared between stacks and leases and never changed; counted, not copied. */
struct manifest {
    /* Names it in the store: that of the request which brought it; a content has one of its own. */
    uint64_t number;
    unsigned references; /* how many point to it */
    unsigned uses;       /* stacks and live leases of its pool that refer to it */
    bool stored;         /* the database has its row */
    bool touched;        /* its pool looks at it again when the batch is written */
    uint64_t hash;
    uint64_t names_hash; /* the same: the same names */
    uint64_t *prints;    /* a hash of each fingerprint, side by side for quick comparing */
    size_t count;
    struct unit units[]; /* sorted by name, no name twice */
};

/* Copies `units` (any order, no name twice). The caller has one reference to the result. */
struct manifest *manifest_new(const struct unit *units, size_t count);
struct manifest *manifest_ref(struct manifest *manifest); /* NULL stays NULL */
void manifest_unref(struct manifest *manifest);           /* frees it with the last reference */

/* Whether both hold the same units with the same fingerprints; NULL equals only NULL. */
bool manifest_equal(const struct manifest *left, const struct manifest *right);

/* How many units differ between what is needed and what runs; a unit that is missing on either
 * side differs. `runs` NULL: unknown, so every needed unit differs. */
size_t manifest_distance(const struct manifest *needs, const struct manifest *runs);

/* The fingerprint of a unit, NULL: it isn't there. `hint`: where it may stand. */
const char *manifest_find(const struct manifest *manifest, const char *name, size_t hint);

/* Whether every needed unit runs as it is needed, whatever else runs. `runs` NULL: unknown. */
bool manifest_covers(const struct manifest *runs, const struct manifest *needs);

/* Whether a unit of one name stands in both. */
bool manifest_shares_names(const struct manifest *left, const struct manifest *right);

enum manifest_difference { UNIT_CHANGED, UNIT_REMOVED };

/* Calls `visit` for each unit that must be deployed (UNIT_CHANGED: new or other fingerprint)
 * or that runs but is no longer needed (UNIT_REMOVED), by name. */
void manifest_compare(const struct manifest *needs, const struct manifest *runs,
                      void (*visit)(void *context, enum manifest_difference kind, const char *name),
                      void *context);

/* The same by hashes where both have the same names: much quicker, and right but for one case in
 * 2^64. For choices, where that does no harm. */
void manifest_skim(const struct manifest *needs, const struct manifest *runs,
                   void (*visit)(void *context, enum manifest_difference kind, const char *name),
                   void *context);

#endif
