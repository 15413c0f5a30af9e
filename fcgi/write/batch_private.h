/* batch_private: what the files of `batch` share and nobody else sees. Writer's thread. */
#ifndef BATCH_PRIVATE_H
#define BATCH_PRIVATE_H

#include "write/contact.h"
#include "write/office.h"

struct batch {
    struct office *office;
    struct desk **desks; /* of the projects that it concerns; each has its commands */
    size_t count;
    bool committing; /* the COMMIT was sent */
};

/* batch_prepare: locks the rows of the desks' projects and brings their pools up to date, unless it
 * may be assumed that they are. Desks whose row another instance has locked, or that have none,
 * leave the batch. */
CONTACT_CHECKED enum database_status batch_prepare(struct batch *batch);
/* The caller frees the list, not what is in it. */
const char **batch_names(const struct batch *batch);
struct pool **batch_pools(const struct batch *batch);

/* batch_decide: what the clerk makes of the commands and of what is due, in memory. */
CONTACT_CHECKED enum database_status batch_decide(struct batch *batch);

/* batch_settle: each of these ends the batch. */
void batch_settle(struct batch *batch);  /* it is committed */
void batch_give_up(struct batch *batch); /* the database was lost */
void batch_isolate(struct batch *batch); /* a statement failed for good */
/* Before another try: what was done in memory is forgotten. */
void batch_forget_pools(struct batch *batch);

#endif
