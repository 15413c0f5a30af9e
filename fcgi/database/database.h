/*
 * database: the servers of the setting `database_host`, and a connection to the best of them that
 * can be used. What the readers and the store speak to.
 *
 * Not shared between threads. All calls block, for CONNECTION_TIMEOUT_S at most.
 */
#ifndef DATABASE_H
#define DATABASE_H

#include "base/buf.h"
#include "base/config.h"
#include "database/connection.h"
#include "database/database_row.h"
#include "database/database_status.h"

#include <stdbool.h>
#include <stdint.h>

struct database;

/* How long the server works on one statement. What a client has given up would otherwise go on, and
 * pile up. MySQL only bounds what reads. */
#define DATABASE_READING_S 5
#define DATABASE_WRITING_S (CONNECTION_TIMEOUT_S + 2) /* nobody waits for it any more */

/* Doesn't connect yet. */
struct database *database_new(const struct config *config, unsigned statement_s);
void database_free(struct database *database);

/* Connects to the first host of the list whose server can keep the promise, unless already
 * connected. One that failed in the middle of its work is tried last. */
DATABASE_MUST_CHECK
enum database_status database_connect(struct database *database);
/* Between two transactions: moves to a host earlier in the list, if one can be used again. Returns
 * whether it did. Takes CONNECTION_OPEN_TIMEOUT_S for each silent one. */
bool database_fail_back(struct database *database);
/* Why the latest server that could be reached was refused; empty: none was. */
const char *database_refusal(const struct database *database);
void database_disconnect(struct database *database);
bool database_is_connected(const struct database *database);
/* Whether the latest DATABASE_LOST came of a statement that took too long. */
bool database_was_slow(const struct database *database);

/* Runs one or more statements, separated by `;`. The server stops at the first that fails, so a
 * COMMIT at the end only happens if all went well. `visit` may be NULL. */
DATABASE_MUST_CHECK
enum database_status database_run(struct database *database, const struct buf *sql,
                                  database_visit *visit, void *context);
/* Statements that give no rows, each ending in `;`: cheaper where the server takes them as one. */
DATABASE_MUST_CHECK
enum database_status database_write(struct database *database, const struct buf *sql);

#ifdef FAULTS
/* A fault point at which the connection may be lost; else returns `status`. */
DATABASE_MUST_CHECK
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

#endif
