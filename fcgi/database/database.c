/* database: see database.h. */
#include "database/database.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "database/connection.h"
#include "database/database_host.h"
#include "database/session.h"

#include <stdio.h>
#include <stdlib.h>

struct database {
    const struct config *config;
    unsigned statement_s;
    struct database_hosts hosts;
    size_t at;                     /* the host that is or was connected */
    size_t shunned;                /* the one that failed at work; hosts.count: none */
    struct connection *connection; /* NULL: not connected */
    bool was_slow;
    char refusal[200];
};

struct database *database_new(const struct config *config, unsigned statement_s)
{
    struct database *database = mem_zalloc(sizeof *database);

    database->config = config;
    database->statement_s = statement_s;
    database_hosts_init(&database->hosts, config->database_host);
    database->shunned = database->hosts.count;
    return database;
}

void database_free(struct database *database)
{
    database_disconnect(database);
    database_hosts_free(&database->hosts);
    free(database);
}

void database_disconnect(struct database *database)
{
    connection_close(database->connection);
    database->connection = NULL;
}

bool database_is_connected(const struct database *database)
{
    return database->connection != NULL;
}

bool database_was_slow(const struct database *database)
{
    return database->was_slow;
}

const char *database_refusal(const struct database *database)
{
    return database->refusal;
}

/* Connecting */

/* Whether the server takes us, and we take it. */
static bool start_session(struct database *database, struct connection *connection,
                          struct database_host *host)
{
    char why[sizeof database->refusal];

    switch (session_start(connection, database->statement_s, why, sizeof why)) {
    case SESSION_STARTED:
        return true;
    case SESSION_REFUSED:
        snprintf(database->refusal, sizeof database->refusal, "%s", why);
        database_host_complain(host, "refused", why);
        return false;
    case SESSION_FAILED:
        return false;
    }
    return false;
}

/* Takes the place of the present connection, if it can be used. */
static enum database_status connect_to(struct database *database, size_t at)
{
    struct database_host *host = &database->hosts.list[at];
    struct connection *connection = connection_open(database->config, host);

    if (!connection)
        return DATABASE_LOST;
    if (!start_session(database, connection, host)) {
        connection_close(connection);
        return DATABASE_LOST;
    }
    log_info("database connected at %s", host->name);
    database_host_forget_complaint(host);
    database_disconnect(database);
    database->connection = connection;
    database->at = at;
    return DATABASE_OK;
}

enum database_status database_connect(struct database *database)
{
    enum database_status status = DATABASE_LOST;
    size_t shunned = database->shunned;

    if (database->connection)
        return DATABASE_OK;
    database->refusal[0] = '\0';
    database->was_slow = false;
    for (size_t i = 0; i < database->hosts.count && status != DATABASE_OK; i++)
        if (i != shunned)
            status = connect_to(database, i);
    if (status != DATABASE_OK && shunned < database->hosts.count)
        status = connect_to(database, shunned);
    database->shunned = database->hosts.count;
    return status;
}

bool database_fail_back(struct database *database)
{
    size_t present = database->at;

    if (!database->connection)
        return false;
    for (size_t i = 0; i < present; i++)
        if (connect_to(database, i) == DATABASE_OK)
            return true;
    return false;
}

/* Running */

/* A server that is unwell would only fail again; another one may do better. */
static enum database_status settle(struct database *database, enum database_status status)
{
    if (status != DATABASE_LOST)
        return status;
    database->was_slow = connection_was_slow(database->connection);
    if (connection_is_server_unwell(database->connection))
        database->shunned = database->at;
    database_disconnect(database);
    return status;
}

enum database_status database_run(struct database *database, const struct buf *sql,
                                  database_visit *visit, void *context)
{
    if (!database->connection)
        return DATABASE_LOST;
    return settle(database, connection_run(database->connection, sql, visit, context));
}

enum database_status database_write(struct database *database, const struct buf *sql)
{
    if (!database->connection)
        return DATABASE_LOST;
    return settle(database, connection_write(database->connection, sql));
}

#ifdef FAULTS
enum database_status database_fault(struct database *database, const char *point,
                                    enum database_status status)
{
    switch (fault_point(point)) {
    case FAULT_CUT:
        database_disconnect(database);
        return DATABASE_LOST;
    case FAULT_ERROR:
        return DATABASE_ERROR;
    case FAULT_NONE:
        break;
    }
    return status;
}
#endif
