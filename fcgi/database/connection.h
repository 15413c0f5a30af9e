/*
 * connection: one connection to one server. Text in, rows out. The only user of the MySQL client
 * library; knows neither which server is the right one (database) nor what must be settled with it
 * first (session).
 *
 * Not shared between threads. All calls block, for CONNECTION_TIMEOUT_S at most.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "base/buf.h"
#include "base/config.h"
#include "database/database_host.h"
#include "database/database_row.h"
#include "database/database_status.h"

#include <stdbool.h>

#define CONNECTION_OPEN_TIMEOUT_S 2
#define CONNECTION_TIMEOUT_S      10

struct connection;

/* How the server is given several statements. */
enum connection_manner {
    CONNECTION_TOGETHER,
    CONNECTION_ONE_BY_ONE,  /* Galera rolls a transaction back when another node was first. If that
                             * happens between two statements of one text, the server runs the rest
                             * outside of any transaction, and says nothing. */
    CONNECTION_AS_COMPOUND, /* MariaDB: one reply for all; else each wakes both sides */
};

/* Once, before any other thread starts; and at the very end. */
bool connection_library_start(void);
void connection_library_end(void);

/* The password is read from its file each time, so that it can be changed. NULL: it failed, and the
 * log has why. `host` must live as long as the connection. */
struct connection *connection_open(const struct config *config, struct database_host *host);
void connection_close(struct connection *connection); /* may be NULL */

/* TOGETHER until then. */
void connection_set_manner(struct connection *connection, enum connection_manner manner);

/* Runs one or more statements, separated by `;`. The server stops at the first that fails. `visit`
 * may be NULL. After DATABASE_LOST only connection_close() and connection_is_server_unwell() are
 * left. */
DATABASE_MUST_CHECK
enum database_status connection_run(struct connection *connection, const struct buf *sql,
                                    database_visit *visit, void *context);
/* The same for a statement that may well be refused: that is not logged. */
DATABASE_MUST_CHECK
enum database_status connection_try(struct connection *connection, const char *text,
                                    database_visit *visit, void *context);
/* Statements that give no rows, each ending in `;`: cheaper where the server takes them as one. */
DATABASE_MUST_CHECK
enum database_status connection_write(struct connection *connection, const struct buf *sql);

/* Whether it was lost because the server said that it can't work, or said nothing for too long. A
 * cut connection tells nothing about its server. */
bool connection_is_server_unwell(const struct connection *connection);
/* Whether it was lost because a statement took longer than the session allows. */
bool connection_was_slow(const struct connection *connection);

#endif
