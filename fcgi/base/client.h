/*
 * client: who waits for a response. What lies below `http` passes it on without knowing FastCGI.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>

/* Small, so that parked clients are cheap. Exactly one part of the program owns it at any time;
 * gateway_send() or gateway_drop() ends that. */
struct client {
    int fd;
    unsigned short request; /* FastCGI's number of it on this connection */
    bool keep;
};

#endif
