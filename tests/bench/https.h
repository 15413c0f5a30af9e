/* https: kept-alive HTTPS/1.1 connections for load generators, without blocking. The only user of
 * OpenSSL. One call at a time on a connection; ends the process when the machine refuses. */
#ifndef HTTPS_H
#define HTTPS_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPS_ANSWER_MAX 4096

struct https_server {
    SSL_CTX *tls;
    uint16_t port;
    char (*keys)[128];
    size_t key_count;
};

struct https {
    int fd;
    SSL *tls;
    size_t key; /* which of the server's; 0 once it is open */
    char *out;  /* what is still to be sent; NULL: nothing */
    size_t out_len;
    size_t out_sent;
    size_t in_len;
    char *in; /* HTTPS_ANSWER_MAX + 1 bytes while an answer comes in, else NULL */
};

enum https_result { HTTPS_NOT_YET, HTTPS_ANSWERED, HTTPS_ENDED };

/* The server at 127.0.0.1:`port`, whose certificate comes from the authority in `ca_file`; a key is
 * a line of `key_file`. */
void https_server_open(struct https_server *server, uint16_t port, const char *ca_file,
                       const char *key_file);

/* Connects, with the handshake, and blocks for it. */
void https_open(struct https *https, const struct https_server *server);
void https_close(struct https *https);

/* Sends a POST, or a GET if `body` is NULL; what the socket doesn't take at once goes out with
 * https_receive(). */
void https_send(struct https *https, const struct https_server *server, const char *path,
                const char *body);

/* To be called when the socket is readable (or writable, while `out`). With HTTPS_ANSWERED `status`
 * is the answer's, and `https->in` its text with headers until the next https_send(). */
enum https_result https_receive(struct https *https, int *status);

/* Copies the string member `name` of the answer's JSON into `text`. Returns 0 if it isn't there. */
int https_member(const struct https *https, const char *name, char *text, size_t size);

/* Whether the server closes the connection after this answer, as it does after some thousands. */
int https_is_last(const struct https *https);

#endif
