/*
 * reach: how far a content is from what each stack runs, or will run once its job has deployed: the
 * time to deploy the units that differ. Kept from one choice to the next: only stacks whose content
 * changed are compared again; all of them once the weight of a unit changed. Writer's thread only.
 */
#ifndef REACH_H
#define REACH_H

#include "rules/deploy_times.h"
#include "rules/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reach_entry {
    uint64_t hash; /* of the content that was compared; 0: an unknown one */
    uint64_t distance_ms;
    bool is_known;
};

struct reach {
    struct manifest *content;
    struct reach_entry *entries; /* by number of the stack */
    size_t size;
    struct reach_entry latest; /* neighbours often run the same */
    uint64_t edition;          /* of the deploy times by which they were compared */
};

/* Has a reference of its own. */
struct reach *reach_new(struct manifest *content, const struct deploy_times *times);
void reach_free(struct reach *reach); /* NULL: nothing happens */

/* The steps from the content of one to that of another which is near it; NULL: it isn't. Both must
 * outlive it. */
struct reach_path;
struct reach_path *reach_path_new(const struct reach *from, const struct reach *to,
                                  const struct deploy_times *times);
void reach_path_free(struct reach_path *path);
/* Counts the distance on along the path, if that of its beginning is known. */
void reach_follow(const struct reach_path *path, struct reach *to, uint32_t number,
                  const struct manifest *runs);

/* Milliseconds until the stack of that number, which runs `runs` (NULL: unknown), runs the
 * content. */
uint64_t reach_distance(struct reach *reach, const struct deploy_times *times, uint32_t number,
                        const struct manifest *runs);

#endif
