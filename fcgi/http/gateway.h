/*
 * gateway: nginx's connections. Hands out the calls that come in on them, and sends the responses.
 *
 * Connections are kept between calls (fastcgi_keep_conn on); an idle one costs no thread.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "base/buf.h"
#include "base/client.h"
#include "http/call.h"

#include <stdbool.h>

struct gateway;

/* Listens on the unix socket `path` (mode 0660), or takes over descriptor 0 if path is "-".
 * NULL: said why in the log. */
struct gateway *gateway_open(const char *path);
void gateway_close(struct gateway *gateway);

/* Blocks until a call is there; called by any number of threads. The caller owns it and frees it
 * with call_free(). NULL: the gateway was stopped. */
struct call *gateway_next(struct gateway *gateway);

/* Accepts no new connections and closes the idle ones; gateway_next() hands out what still comes
 * in on open connections, until gateway_stop() makes it return NULL to every thread. */
void gateway_drain(struct gateway *gateway);
void gateway_stop(struct gateway *gateway);

/* Sends a response and gives up the client. `headers` are whole lines ending in \r\n, after the
 * status. Waits up to 10 s for a slow reader if `may_block`, else 50 ms. false: the response could
 * not be handed to nginx; the client is gone. */
bool gateway_send(struct gateway *gateway, struct client client, const struct buf *headers,
                  const struct buf *body, bool may_block);

/* Gives up a client without a response. */
void gateway_drop(struct client client);

#endif
