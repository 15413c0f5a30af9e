/*
 * call: one HTTP request as nginx passes it over FastCGI, and the way of its response back. The
 * only user of libfcgi. No shared state; any thread.
 */
#ifndef CALL_H
#define CALL_H

#include "base/buf.h"
#include "base/client.h"

#include <stdbool.h>

#define CALL_BODY_MAX  (256 * 1024)
#define CALL_PARAM_MAX 4096 /* of a longer text the first 4,097 bytes are there */

/* Read to its end. Texts are never NULL. */
struct call {
    struct client client;
    char *method;
    char *path;
    char *query;
    char *project; /* who asks: from nginx's key map; empty without a key */
    char *role;
    char *key_name;
    char *key_number;
    char *idempotency_key;
    char *id;      /* nginx's $request_id, for the log */
    char *seconds; /* how long it took to arrive */
    struct buf body;
    bool body_too_large;
    struct buf texts; /* what the texts above point into */
};

/* Once, before any other thread starts. */
bool call_library_start(void);

/* Reads the call of a readable connection; whoever gets it frees it. NULL: the connection has ended
 * or broke the protocol, and is closed. */
struct call *call_read(int fd);
void call_free(struct call *call);

/* Sends a response; see gateway_send(). The client stays the caller's. */
bool call_respond(struct client client, const struct buf *headers, const struct buf *body,
                  bool may_block);

#endif
