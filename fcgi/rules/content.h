/*
 * content: what a stack runs, unit by unit, and what a job's marks and the end of its lease make of
 * it. Pure.
 *
 * A content is a manifest in which a unit's fingerprint may be UNIT_UNKNOWN: something of that name
 * may run, nobody knows what, so it counts as changed for every job. NULL: nothing is known.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include "rules/manifest.h"

#include <stdbool.h>

/* Twice what one job may name: what it needs, and what it removes. */
#define CONTENT_UNITS_MAX 4000

#define UNIT_UNKNOWN "" /* a job's own fingerprints are never empty */

/* What runs after a job's marks: each unit of `marks` has its fingerprint there, those of `removed`
 * (NULL: none) are gone, the rest is as before. The caller has one reference to the result. */
struct manifest *content_mark(const struct manifest *runs, const struct manifest *marks,
                              const struct manifest *removed);

/* What is known to run once a lease ends that never said that all of its units run. Told to make
 * `granted` (what ran at its grant) into `needs`, it may have been at work on each unit in which
 * these differ: those become unknown, except the ones it marked. With `distrust` the marks don't
 * count either. The caller has one reference to the result. */
struct manifest *content_forget(const struct manifest *runs, const struct manifest *needs,
                                const struct manifest *granted, bool distrust);

/* Whether a job that says no more may be in the middle of its deploy: a unit that it was told to
 * change or remove is as it was, or it said of one that it was about to touch it. */
bool content_is_in_work(const struct manifest *runs, const struct manifest *needs,
                        const struct manifest *granted);

#endif
