/* store_parts: what the files of `store` share and nobody else sees. */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include "store.h"

struct store {
    struct database *database;
    uint64_t instance;
    char place[240];      /* host and socket */
    uint64_t batch;       /* number of the latest batch sent */
    bool schema_is_wrong; /* and was complained about */
    struct buf fence;     /* what makes a COMMIT of unknown fate impossible; empty: none is */
    struct buf sql;
};

/* The store's own buffer, emptied. */
struct buf *store_start_sql(struct store *store);
/* A visit for results of one number: `context` is an int64_t. */
void store_take_number(void *context, const struct database_row *row);

#endif
