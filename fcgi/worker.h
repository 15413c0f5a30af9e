/* worker: the threads that take calls. They answer reads, and hand commands to the writer. */
#ifndef WORKER_H
#define WORKER_H

#include "base/config.h"
#include "http/gateway.h"
#include "write/writer.h"

struct workers;

/* NULL: said why in the log. */
struct workers *workers_start(const struct config *config, struct gateway *gateway,
                              struct writer *writer);
/* After gateway_stop(): waits for the threads to end. */
void workers_join(struct workers *workers);

#endif
