/*
 * api: the routes. Checks the role, turns bodies into commands, and answers the calls that need
 * none.
 */
#ifndef API_H
#define API_H

#include "http/gateway.h"
#include "http/response.h"
#include "read/reader.h"
#include "rules/command.h"

#include <stdbool.h>

struct api {
    struct reader *reader; /* the calling thread's own */
    bool is_ready;         /* whether the writer has its database */
    const char *refusal;   /* if not: why a server that answered isn't used; may be empty */
};

/* Whether api_handle() will read from the database for this call. */
bool api_reads(const struct call *call);

/* Either returns a command for the writer, or fills `response` and returns NULL. */
struct command *api_handle(const struct api *api, const struct call *call,
                           struct response *response);

#endif
