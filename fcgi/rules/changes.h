/* changes: which rows of a project a batch changed, or several did. */
#ifndef CHANGES_H
#define CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbers {
    uint64_t *at;
    size_t count;
    size_t size;
};

/* Beside the rows of stacks, leases and manifests. They are kept in the database. */
enum change_part {
    PART_NOTES = 1,    /* of the stacks that changed */
    PART_FAILURES = 2, /* likewise */
    PART_ACTIVITY = 4,
    PART_DEPLOY_TIMES = 8,
    PART_SETTINGS = 16,
};

struct changes {
    uint64_t batches; /* that are counted in */
    unsigned parts;
    double mean_hold_s; /* afterwards; see struct pool */
    struct numbers stacks;
    struct numbers leases;    /* those that ended, too */
    struct numbers manifests; /* new ones; those without a use are gone */
};

void numbers_add(struct numbers *numbers, uint64_t number);
/* In order, none twice. */
void numbers_sort(struct numbers *numbers);

size_t changes_count(const struct changes *changes); /* rows */
void changes_free(struct changes *changes);

#endif
