/* batch_private: what the files of `batch` share and nobody else sees. */
#ifndef BATCH_PRIVATE_H
#define BATCH_PRIVATE_H

#include "write/batch.h"

#include "rules/clerk.h"
#include "store/store.h"
#include "write/answers.h"
#include "write/project.h"

struct batch {
    struct store *store;
    struct clerk clerk;
    struct answers answers;
    struct projects projects;
    uint32_t waiting_per_project_max;
    uint32_t waiting_max;

    struct command_list pending; /* in the order of their arrival */
    size_t alone; /* batches that have but one command or due project: together those failed */
    struct command_list later; /* our own that failed alone: nobody else would do them */
    int64_t later_ms;          /* monotonic; when they are tried again */

    struct project **members; /* of the batch at work */
    size_t member_count;

    uint64_t watches; /* how many there were */

    int64_t connected_ms; /* monotonic; when the database was there again */
    bool committing;      /* the COMMIT was sent */
    struct database_clock clock;
    int64_t now; /* of the latest batch, by that clock */
};

/* Locks the members' rows and brings their pools up to date, unless it may be assumed that they
 * are. Members whose row is another host's at the moment, or that don't exist, are members no
 * longer. */
enum database_status batch_prepare_members(struct batch *batch);
/* Who else is alive: read at every watch, and whenever a pool is read, since a program that it
 * names may be new. */
enum database_status batch_find_others(struct batch *batch);
/* Nobody hears of the request any more, as far as that call is concerned. Runs before what callers
 * sent later. */
void batch_hang_up(struct batch *batch, const struct project *project, uint64_t number,
                   int64_t wait_until);
/* The caller frees the list, not the names. */
const char **batch_member_names(const struct batch *batch);

#endif
