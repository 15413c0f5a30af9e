/* database_status: see database_status.h. */
#include "database/database_status.h"

enum database_status database_status_of(unsigned error)
{
    switch (error) {
    case 1205: /* lock wait timeout, and NOWAIT on MariaDB */
    case 1213: /* deadlock; Galera: another node was first */
    case 1020: /* record changed since last read */
    case 1048: /* NULL where none may be: how store_commit ends a batch on a wrong assumption */
    case 1317: /* the statement was interrupted */
    case 3101: /* group replication: rolled back, another member was first */
    case 3572: /* NOWAIT on MySQL */
        return DATABASE_RETRY;
    case 1927: /* connection was killed */
    case 3169: /* session was killed */
    case 4031: /* idle connection was closed */
        return DATABASE_LOST;
    default:
        if (database_status_is_unwell(error) || database_status_is_slow(error))
            return DATABASE_LOST;
        return error >= 2000 && error < 3000 ? DATABASE_LOST : DATABASE_ERROR;
    }
}

bool database_status_is_slow(unsigned error)
{
    return error == 1969 || error == 3024; /* MariaDB's, MySQL's */
}

bool database_status_is_unwell(unsigned error)
{
    switch (error) {
    case 1040: /* too many connections */
    case 1047: /* Galera: not ready */
    case 1053: /* shutdown in progress */
    case 1180: /* error during COMMIT: its fate is unknown */
    case 1290: /* --read-only */
    case 1792: /* read-only transaction */
    case 1836: /* read-only mode */
    case 3032: /* offline mode */
    case 3100: /* group replication: hook error; its fate is unknown */
    case 3796: /* group replication: not in this state of the member */
    case 3797: /* waiting for earlier transactions failed */
    case 3798: /* waiting for the other members failed */
    case 3799: /* it is stopping */
        return true;
    default:
        return false;
    }
}
