/*
 * session: what a fresh connection is asked and told: the facts by which `server` judges, and the
 * settings that every transaction relies on.
 */
#ifndef SESSION_H
#define SESSION_H

#include "database/connection.h"

#include <stddef.h>

enum session_result {
    SESSION_STARTED,
    SESSION_REFUSED, /* the server can't keep what the program promises */
    SESSION_FAILED,  /* a statement failed; the log has it */
};

/* Sets whatever a transaction relies on and may differ from server to server. Only a connection of
 * SESSION_STARTED may be used. SESSION_REFUSED: fills `why`. */
__attribute__((warn_unused_result)) enum session_result session_start(struct connection *connection,
                                                                      char *why, size_t why_size);

#endif
