/*
 * database: the only user of the MySQL client library. One connection, text in, rows out.
 *
 * Not shared between threads. All calls block, for DATABASE_TIMEOUT_S at most.
 */
#ifndef DATABASE_H
#define DATABASE_H

#include "base/buf.h"
#include "base/config.h"
#include "database/database_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATABASE_CONNECT_TIMEOUT_S 2
#define DATABASE_TIMEOUT_S         10

struct database;

/* Once, before any other thread starts; and at the very end. */
bool database_library_start(void);
void database_library_end(void);

/* Doesn't connect yet. The password is read from its file at each connect, so that it can be
 * changed. */
struct database *database_new(const struct config *config);
void database_free(struct database *database);

/* Connects to the first host of the list whose server can keep the promise, unless already
 * connected. One that failed in the middle of its work is tried last. */
enum database_status database_connect(struct database *database);
/* Between two transactions: goes over to a host that stands before the present one in the list, if
 * one can be used again. Takes DATABASE_CONNECT_TIMEOUT_S for each that is silent. Whether it did.
 */
bool database_improve(struct database *database);
/* Why the latest server that answered was refused; empty: none was. */
const char *database_refusal(const struct database *database);
void database_disconnect(struct database *database);
bool database_is_connected(const struct database *database);

/* One row; `set` counts the results of one text from 0. A NULL column has values[i] NULL. */
struct database_row {
    unsigned set;
    unsigned count;
    char **values;
    unsigned long *lengths;
};

typedef void database_visit(void *context, const struct database_row *row);

/* Runs one or more statements, separated by `;`. The server stops at the first that fails, so a
 * COMMIT at the end only happens if all went well. `visit` may be NULL. */
enum database_status database_run(struct database *database, const struct buf *sql,
                                  database_visit *visit, void *context);
/* The same for a statement that may well be refused: that is not logged. */
enum database_status database_try(struct database *database, const char *text,
                                  database_visit *visit, void *context);
/* Statements that give no rows, each ending in `;`: cheaper where the server takes them as one. */
enum database_status database_write(struct database *database, const struct buf *sql);

#ifdef FAULTS
/* A fault point at which the connection may be lost; else returns `status`. */
enum database_status database_fault(struct database *database, const char *point,
                                    enum database_status status);
#else
static inline enum database_status database_fault(struct database *database, const char *point,
                                                  enum database_status status)
{
    (void)database;
    (void)point;
    return status;
}
#endif

/* Columns as numbers; NULL gives `otherwise`. */
uint64_t database_uint(const struct database_row *row, unsigned column, uint64_t otherwise);
int64_t database_int(const struct database_row *row, unsigned column, int64_t otherwise);

#endif
