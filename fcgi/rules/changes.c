/* changes: see changes.h. */
#include "rules/changes.h"

#include "base/mem.h"

#include <stdlib.h>

void numbers_add(struct numbers *numbers, uint64_t number)
{
    numbers->at = mem_grow(numbers->at, &numbers->size, numbers->count, sizeof *numbers->at);
    numbers->at[numbers->count++] = number;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

void numbers_sort(struct numbers *numbers)
{
    size_t kept = 0;

    if (numbers->count > 1)
        qsort(numbers->at, numbers->count, sizeof *numbers->at, compare);
    for (size_t i = 0; i < numbers->count; i++)
        if (i == 0 || numbers->at[i] != numbers->at[kept - 1])
            numbers->at[kept++] = numbers->at[i];
    numbers->count = kept;
}

size_t changes_count(const struct changes *changes)
{
    return changes->stacks.count + changes->leases.count + changes->manifests.count;
}

void changes_free(struct changes *changes)
{
    free(changes->stacks.at);
    free(changes->leases.at);
    free(changes->manifests.at);
    *changes = (struct changes){0};
}
