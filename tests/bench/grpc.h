/* grpc: calls of one message each over HTTP/2 without TLS, and the little of protobuf that they
 * need. The only user of nghttp2. One thread per connection; ends the process when something goes
 * wrong. */
#ifndef GRPC_H
#define GRPC_H

#include <stddef.h>
#include <stdint.h>

#define GRPC_MESSAGE_MAX 65536

struct grpc;

struct message {
    size_t len;
    unsigned char data[GRPC_MESSAGE_MAX];
};

/* To 127.0.0.1:`port`. */
struct grpc *grpc_open(uint16_t port);
void grpc_close(struct grpc *grpc);

/* Sends `question` to `path`, and waits for the answer. */
void grpc_call(struct grpc *grpc, const char *path, const struct message *question,
               struct message *answer);

/* Appends a field. */
void message_add_number(struct message *message, unsigned field, uint64_t number);
void message_add_bytes(struct message *message, unsigned field, const void *data, size_t len);

struct message_field {
    unsigned number;
    uint64_t value;            /* of a number */
    const unsigned char *data; /* of bytes or of a message inside; else NULL */
    size_t len;
};

/* Reads the field at *at, and moves on. Returns 0 at the end. */
int message_next(const unsigned char **at, const unsigned char *end, struct message_field *field);

#endif
