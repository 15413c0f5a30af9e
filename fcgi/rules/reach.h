/*
 * reach: how far a content is from what each stack runs, or will run once its job has deployed.
 * Kept from one choice to the next: only stacks whose content changed are compared again. Writer's
 * thread only.
 */
#ifndef REACH_H
#define REACH_H

#include "rules/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reach_entry {
    uint64_t hash; /* of the content that was compared; 0: an unknown one */
    uint32_t distance;
    bool is_known;
};

struct reach {
    struct manifest *content;
    struct reach_entry *entries; /* by number of the stack */
    size_t size;
    struct reach_entry latest; /* neighbours often run the same */
};

struct reach *reach_new(struct manifest *content); /* has a reference of its own */
void reach_free(struct reach *reach);              /* NULL: nothing happens */

/* The steps from one content to another that is near it; NULL: it isn't. The manifests must outlive
 * it. */
struct reach_path;
struct reach_path *reach_path_new(const struct manifest *from, const struct manifest *to);
void reach_path_free(struct reach_path *path);
/* Counts the distance on from that of `base`, where it is known, along the path between their
 * contents. */
void reach_follow(struct reach *reach, const struct reach *base, const struct reach_path *path,
                  uint32_t number, const struct manifest *runs);

/* Units to deploy until the stack of that number, which runs `runs` (NULL: unknown), runs the
 * content. */
uint32_t reach_distance(struct reach *reach, uint32_t number, const struct manifest *runs);

#endif
