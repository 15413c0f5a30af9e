/* store_private: what the files of `store` share and nobody else sees. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "store/store.h"

/* The database's time when the statement begins. */
#define STORE_NOW_US SQL_MICROSECONDS "UTC_TIMESTAMP(6))"

struct store {
    struct database *database;
    uint64_t instance;
    char place[240];      /* host and socket */
    int64_t started;      /* when this run first reached the database, by its clock */
    uint64_t batch;       /* number of the latest batch sent */
    bool has_begun;       /* a transaction, which has the rows locked */
    bool schema_is_wrong; /* and was complained about */
    bool has_others;      /* alive, which want to know what batches change */
    struct buf settling;  /* what settles the fate of the latest COMMIT; empty: it is known */
    struct buf sql;
};

/* The store's own buffer, emptied. */
struct buf *store_start_sql(struct store *store);
/* A visit for results of one number: `context` is an int64_t. */
void store_take_number(void *context, const struct database_row *row);
/* `('a','b')` */
void store_add_names(struct buf *sql, const char *const names[], size_t count);
/* The instance's own row, made anew should it be gone. `last_batch`: what becomes the number of the
 * latest batch; NULL: it stays. */
void store_add_heartbeat(struct buf *sql, const struct store *store, const char *last_batch);

#endif
