/* peer: a pool of stacks in another store, without HTTP. One file per store implements this; peer.c
 * drives it with a thread for each client, and looks that no stack is lent twice at once.
 * What goes wrong ends the process, but for a lost race. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>

#define PEER_AGAIN (-1)

struct peer; /* one client's connection; used by one thread at a time */

/* Makes the pool anew, with stacks 0 to `stacks` - 1. `way`: one of the ways the store knows. */
void peer_fill(const char *address, const char *way, int stacks);

struct peer *peer_open(const char *address, const char *way, int client);
void peer_close(struct peer *peer);

/* Returns a stack, or PEER_AGAIN if others were faster. Durable before it returns, as is
 * peer_return(). */
int peer_borrow(struct peer *peer);
void peer_return(struct peer *peer, int stack);

#endif
