/* store_event: events as rows. Used by the files of `store`. */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "base/buf.h"
#include "rules/pool.h"

#include <stddef.h>

/* The statement that adds the events of these pools; none if there are none. */
void store_event_write(struct buf *sql, struct pool *const pools[], size_t count);

#endif
