/*
 * purger: the thread that takes old rows away, beside the writer, so that nobody waits for it.
 */
#ifndef PURGER_H
#define PURGER_H

#include "base/config.h"
#include "write/writer.h"

struct purger;

/* It works while the writer has a database. NULL: said why in the log. */
struct purger *purger_start(const struct config *config, const struct writer *writer);
/* Before writer_stop(). Waits for what is under way: milliseconds, unless the database is silent.
 */
void purger_stop(struct purger *purger);

#endif
