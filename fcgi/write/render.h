/* render: what came of a command, as status and JSON (RFC 9110 for the statuses). */
#ifndef RENDER_H
#define RENDER_H

#include "http/response.h"
#include "rules/command.h"
#include "rules/pool.h"

/* The response to a command; for a request also that of the lease that it made.
 * `pool` may be NULL for results that come without one. Writer's thread. */
void render_command(const struct pool *pool, const struct command *command,
                    struct response *response);

/* The response to a parked request, whose command is long gone; `ignored` was the command's. */
void render_request(const struct pool *pool, const struct lease *lease, enum result_code code,
                    struct ignored_fields *ignored, struct response *response);

/* How the wait for a lease ended, going by its state. RESULT_WAITING: it hasn't. */
enum result_code render_result_of(const struct lease *lease);

#endif
