/*
 * database_session: what a fresh connection is asked and told: the facts by which database_server
 * judges, and the settings that every transaction relies on.
 */
#ifndef DATABASE_SESSION_H
#define DATABASE_SESSION_H

#include "database/database.h"

/* What may differ from server to server is set, whatever a transaction relies on. */
enum database_status session_start(struct database *database, struct server *server);

/* On a cluster, a transaction begins with all that was committed on any node before. */
enum database_status session_set_causality(struct database *database, const struct server *server);

#endif
