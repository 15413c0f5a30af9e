/* session: see session.h. */
#include "database/session.h"

#include "base/buf.h"
#include "database/server.h"

/* Nobody holds a row for long. A batch that could pass over a project doesn't wait for it for long.
 */
#define SESSION_SQL                                                                                \
    "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00',"         \
    " autocommit=1, completion_type=0, sql_safe_updates=0, innodb_lock_wait_timeout=1;"            \
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;"

static void take_fact(void *context, const struct database_row *row)
{
    server_note(context, row->values[0], row->values[1]);
}

static enum database_status show_facts(struct connection *connection, struct server *server)
{
    struct buf sql = {0};
    enum database_status status;

    buf_puts(&sql, SESSION_SQL "SHOW GLOBAL VARIABLES WHERE Variable_name IN ");
    server_put_names(&sql);
    buf_puts(&sql, ";SHOW GLOBAL STATUS WHERE Variable_name IN ");
    server_put_names(&sql);
    status = connection_run(connection, &sql, take_fact, server);
    buf_free(&sql);
    return status;
}

/* A partition has cut UNREACHABLE members off, or they died a moment ago. */
#define GROUP_SQL                                                                                  \
    "SELECT m.member_state, m.member_role, (SELECT 2 * SUM(o.member_state <> 'UNREACHABLE')"       \
    " > COUNT(*) FROM performance_schema.replication_group_members o)"                             \
    " FROM performance_schema.replication_group_members m WHERE m.member_id = @@server_uuid"

static void take_member(void *context, const struct database_row *row)
{
    for (unsigned i = 0; i < row->count; i++)
        server_note_fact(context, FACT_GROUP_STATE + i, row->values[i]);
}

/* MySQL 8; group replication has channels of its own. */
#define SOURCES_SQL                                                                                \
    "SELECT COUNT(*) FROM performance_schema.replication_connection_status"                        \
    " WHERE service_state <> 'OFF' AND channel_name NOT LIKE 'group\\_replication\\_%'"

static void take_sources(void *context, const struct database_row *row)
{
    server_note_fact(context, FACT_SOURCES, row->values[0]);
}

/* Without the right to look, the facts stay unknown. */
static enum database_status look_at_mysql(struct connection *connection, struct server *server)
{
    enum database_status status = DATABASE_OK;

    if (server_is_group_member(server))
        status = connection_try(connection, GROUP_SQL, take_member, server);
    if (status != DATABASE_LOST)
        status = connection_try(connection, SOURCES_SQL, take_sources, server);
    return status == DATABASE_ERROR ? DATABASE_OK : status;
}

static enum database_status look_at(struct connection *connection, struct server *server)
{
    enum database_status status = show_facts(connection, server);

    if (status == DATABASE_OK && !server_is_mariadb(server))
        status = look_at_mysql(connection, server);
    return status;
}

/* What each kind of server has its own word for. On a cluster, a transaction begins with all that
 * was committed on any node before. */
static enum database_status settle(struct connection *connection, const struct server *server,
                                   unsigned statement_s)
{
    struct buf sql = {0};
    enum database_status status;

    if (server_is_mariadb(server))
        buf_printf(&sql, "SET SESSION max_statement_time=%u", statement_s);
    else
        buf_printf(&sql, "SET SESSION max_execution_time=%u", statement_s * 1000);
    if (server_is_galera(server))
        buf_puts(&sql, ", wsrep_sync_wait=1");
    else if (server_is_group_member(server))
        buf_puts(&sql, ", group_replication_consistency='BEFORE_ON_PRIMARY_FAILOVER'");
    status = connection_run(connection, &sql, NULL, NULL);
    buf_free(&sql);
    return status;
}

static enum connection_manner manner_of(const struct server *server)
{
    if (server_is_galera(server))
        return CONNECTION_ONE_BY_ONE;
    return server_is_mariadb(server) ? CONNECTION_AS_COMPOUND : CONNECTION_TOGETHER;
}

enum session_result session_start(struct connection *connection, unsigned statement_s, char *why,
                                  size_t why_size)
{
    struct server server = {0};

    if (look_at(connection, &server) != DATABASE_OK)
        return SESSION_FAILED;
    if (!server_is_fit(&server, why, why_size))
        return SESSION_REFUSED;
    connection_set_manner(connection, manner_of(&server));
    return settle(connection, &server, statement_s) == DATABASE_OK ? SESSION_STARTED
                                                                   : SESSION_FAILED;
}
