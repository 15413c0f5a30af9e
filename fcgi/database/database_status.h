/* database_status: what came of a statement, and what the errors of a server mean. */
#ifndef DATABASE_STATUS_H
#define DATABASE_STATUS_H

#include <stdbool.h>

enum database_status {
    DATABASE_OK,
    DATABASE_RETRY, /* deadlock, lock wait, changed row: roll back and do it all again */
    DATABASE_LOST,  /* no connection, or a server that can't write; what was sent may have happened
                     */
    DATABASE_ERROR, /* the statement is at fault; the log has it */
};

/* For a function whose status the caller must check. */
#define DATABASE_MUST_CHECK __attribute__((warn_unused_result))

enum database_status database_status_of(unsigned error);

/* Whether that error says that the server itself is unwell: another one of the list may be better.
 */
bool database_status_is_unwell(unsigned error);
/* Whether that error says that the statement took too long. */
bool database_status_is_slow(unsigned error);

#endif
