/*
 * gateway: the only user of libfcgi. Takes calls from nginx over FastCGI and answers them.
 *
 * Connections are kept between requests (fastcgi_keep_conn on); an idle one costs no thread.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "base/buf.h"
#include "base/client.h"

#include <stdbool.h>
#include <stddef.h>

#define GATEWAY_BODY_MAX (256 * 1024)

/* One HTTP request, read to its end. Texts are never NULL. */
struct call {
    struct client client;
    char *method;
    char *path;
    char *query;
    char *project; /* who asks: from nginx's key map; empty without a key */
    char *role;
    char *key_name;
    char *idempotency_key;
    char *id; /* nginx's $request_id, for the log */
    struct buf body;
    bool body_too_large;
    struct buf texts; /* what the texts above point into */
};

struct gateway;

/* Listens on the unix socket `path` (mode 0660), or takes over descriptor 0 if path is "-".
 * NULL: said why in the log. */
struct gateway *gateway_open(const char *path);
void gateway_close(struct gateway *gateway);

/* Blocks until a request is there; called by any number of threads. The caller owns the result
 * and frees it with gateway_free(). NULL: the gateway was stopped. */
struct call *gateway_next(struct gateway *gateway);
void gateway_free(struct call *call);

/* Accepts no new connections and closes the idle ones; gateway_next() hands out what still comes
 * in on open connections, until gateway_stop() makes it return NULL to every thread. */
void gateway_drain(struct gateway *gateway);
void gateway_stop(struct gateway *gateway);

/* Answers and gives up the client. `headers` are whole lines ending in \r\n, after the status.
 * Waits up to 10 s for a slow reader if `may_block`, else 50 ms.
 * false: the answer could not be handed to nginx; the client is gone. */
bool gateway_send(struct gateway *gateway, struct client client, const struct buf *headers,
                  const struct buf *body, bool may_block);

/* Gives up a client without an answer. */
void gateway_drop(struct client client);

#endif
