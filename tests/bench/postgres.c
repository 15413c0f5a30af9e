/* postgres: a pool in PostgreSQL with SKIP LOCKED. The address is a connection string. Ways:
 *
 *   skip    BEGIN, SELECT … FOR UPDATE SKIP LOCKED, UPDATE, COMMIT
 *   single  one UPDATE with that SELECT inside: one round trip */
#include "peer.h"
#include "tool.h"

#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICK "SELECT stack_no FROM stack WHERE state='available' LIMIT 1 FOR UPDATE SKIP LOCKED"
#define LEND "UPDATE stack SET state='leased',fence=fence+1,lease_id=$1 WHERE stack_no="

struct peer {
    PGconn *connection;
    int is_single;
    int client;
    unsigned long leases;
    char lease_id[17];
};

static PGconn *connect_to(const char *address)
{
    PGconn *connection = PQconnectdb(address);

    if (PQstatus(connection) != CONNECTION_OK)
        tool_die("PostgreSQL: %s", PQerrorMessage(connection));
    return connection;
}

static PGresult *must(PGconn *connection, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        tool_die("PostgreSQL: %s", PQerrorMessage(connection));
    return result;
}

static void query(PGconn *connection, const char *text)
{
    PQclear(must(connection, PQexec(connection, text)));
}

static void prepare(PGconn *connection, const char *name, const char *text)
{
    PQclear(must(connection, PQprepare(connection, name, text, 0, NULL)));
}

void peer_fill(const char *address, const char *way, int stacks)
{
    PGconn *connection = connect_to(address);
    char text[128];

    (void)way;
    query(connection, "DROP TABLE IF EXISTS stack");
    query(connection, "CREATE TABLE stack (stack_no INT PRIMARY KEY, fence BIGINT NOT NULL,"
                      " state TEXT NOT NULL, lease_id CHAR(16) NULL) WITH (fillfactor=50)");
    snprintf(text, sizeof text,
             "INSERT INTO stack SELECT n, 0, 'available' FROM generate_series(0, %d) n",
             stacks - 1);
    query(connection, text);
    PQfinish(connection);
}

struct peer *peer_open(const char *address, const char *way, int client)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer)
        tool_die("out of memory");
    peer->is_single = strcmp(way, "single") == 0;
    peer->client = client;
    peer->connection = connect_to(address);
    prepare(peer->connection, "pick", PICK);
    prepare(peer->connection, "lend", LEND "$2");
    prepare(peer->connection, "single", LEND "(" PICK ") RETURNING stack_no");
    prepare(peer->connection, "return",
            "UPDATE stack SET state='available',lease_id=NULL WHERE stack_no=$1 AND lease_id=$2");
    return peer;
}

void peer_close(struct peer *peer)
{
    PQfinish(peer->connection);
    free(peer);
}

/* Runs a prepared statement; returns the number in its first column, or PEER_AGAIN without a row.
 */
static int run(struct peer *peer, const char *name, int count, const char *first,
               const char *second)
{
    const char *const values[] = {first, second};
    PGresult *result = must(peer->connection,
                            PQexecPrepared(peer->connection, name, count, values, NULL, NULL, 0));
    int number = PEER_AGAIN;

    if (PQntuples(result) > 0)
        number = (int)tool_number(PQgetvalue(result, 0, 0), 1e9);
    else if (strcmp(name, "return") == 0 && strcmp(PQcmdTuples(result), "1") != 0)
        tool_die("stack %s was another's", first);
    PQclear(result);
    return number;
}

int peer_borrow(struct peer *peer)
{
    char text[16];
    int stack;

    snprintf(peer->lease_id, sizeof peer->lease_id, "%04x%012lx", (unsigned)peer->client & 0xffffU,
             peer->leases++ & 0xffffffffffffUL);
    if (peer->is_single)
        return run(peer, "single", 1, peer->lease_id, NULL);
    query(peer->connection, "BEGIN");
    stack = run(peer, "pick", 0, NULL, NULL);
    if (stack != PEER_AGAIN) {
        snprintf(text, sizeof text, "%d", stack);
        run(peer, "lend", 2, peer->lease_id, text);
    }
    query(peer->connection, "COMMIT");
    return stack;
}

void peer_return(struct peer *peer, int stack)
{
    char text[16];

    snprintf(text, sizeof text, "%d", stack);
    run(peer, "return", 2, text, peer->lease_id);
}
