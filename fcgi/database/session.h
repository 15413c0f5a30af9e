/*
 * session: what a fresh connection is asked and told. It is asked for the facts by which `server`
 * judges, and told the settings that every transaction relies on.
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

/* Makes all settings that a transaction relies on; no statement may take longer than `statement_s`.
 * A connection may be used only after SESSION_STARTED. SESSION_REFUSED: fills `why`. */
__attribute__((warn_unused_result)) enum session_result
session_start(struct connection *connection, unsigned statement_s, char *why, size_t why_size);

#endif
