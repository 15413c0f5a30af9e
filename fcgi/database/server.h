/*
 * server: what a database server says of itself, and whether it can keep what the program promises.
 * Pure; `session` asks the server.
 *
 * The promise: an answered grant or release survives a power cut, and nobody decides on rows that
 * another has changed meanwhile. So a server is refused if it acknowledges a COMMIT before that is
 * on disk, takes no writes, copies another server's rows into its own, or has lost its cluster.
 */
#ifndef SERVER_H
#define SERVER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Facts of one server, by the server's own names for them; empty: it doesn't know that one. */
enum server_fact {
    FACT_VERSION,
    FACT_FLUSH_LOG,
    FACT_LOG_BIN,
    FACT_SYNC_BINLOG,
    FACT_BINLOG_FORMAT,
    FACT_REDO_LOG,
    FACT_READ_ONLY,
    FACT_INNODB_READ_ONLY,
    FACT_REPLICA_RUNS, /* MariaDB */
    FACT_REPLICAS_RUN, /* MariaDB: threads of all its sources */
    FACT_SOURCES,      /* MySQL: how many servers it copies from */
    FACT_WSREP_ON,
    FACT_WSREP_CLUSTER,
    FACT_WSREP_READY,
    FACT_WSREP_STATE,
    FACT_GROUP_NAME, /* of MySQL's group replication */
    FACT_GROUP_SINGLE_PRIMARY,
    FACT_GROUP_STATE, /* of this member; these three stand together */
    FACT_GROUP_ROLE,
    FACT_GROUP_MAJORITY, /* whether it reaches more than half of the members */
    FACT_COUNT
};

struct server {
    char facts[FACT_COUNT][40];
};

/* What to ask for: `('log_bin','read_only',…)`. */
void server_put_names(struct buf *sql);

/* Takes a name and a value of SHOW VARIABLES or SHOW STATUS; others are ignored. */
void server_note(struct server *server, const char *name, const char *value);
void server_note_fact(struct server *server, enum server_fact fact, const char *value);

bool server_is_mariadb(const struct server *server);
bool server_is_galera(const struct server *server);
bool server_is_group_member(const struct server *server);

/* Whether the program may use it; if not, `why`. */
bool server_is_fit(const struct server *server, char *why, size_t why_size);

#endif
