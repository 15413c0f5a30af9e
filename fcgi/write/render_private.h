/* render_private: what the files of `render` share and nobody else calls. */
#ifndef RENDER_PRIVATE_H
#define RENDER_PRIVATE_H

#include "write/render.h"

/* Retry-After: when it may work at once, and when others must give stacks back first. */
#define RETRY_SOON_S 1
#define RETRY_MAX_S  30

/* 200, and the fields of the call that nobody knows. */
void render_success_close(const struct command *command, struct json_writer *json,
                          struct response *response);
void render_success_say(const struct command *command, struct response *response,
                        const char *format, ...) __attribute__((format(printf, 3, 4)));
void render_granted(const struct pool *pool, const struct command *command,
                    struct response *response);
void render_wait_over(const struct pool *pool, const struct lease *lease,
                      struct response *response);
/* If the project is paused: since when, by whom, and why. */
void render_put_pause(struct json_writer *json, const struct pool *pool);
void render_extended(const struct pool *pool, const struct command *command,
                     struct response *response);

#endif
