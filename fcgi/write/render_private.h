/* render_private: what the files of `render` share and nobody else calls. */
#ifndef RENDER_PRIVATE_H
#define RENDER_PRIVATE_H

#include "write/render.h"

/* Retry-After: when it may work at once, and when others must give stacks back first. */
#define RETRY_SOON_S 1
#define RETRY_MAX_S  30

void render_granted(const struct pool *pool, const struct lease *lease, struct response *response);
void render_wait_over(const struct pool *pool, const struct lease *lease,
                      struct response *response);
void render_extended(const struct pool *pool, const struct command *command,
                     struct response *response);

#endif
