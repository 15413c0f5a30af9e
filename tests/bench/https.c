/* https: see https.h. */
#include "https.h"

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void https_server_open(struct https_server *server, uint16_t port, const char *ca_file,
                       const char *key_file)
{
    FILE *file = fopen(key_file, "re");
    char line[sizeof *server->keys];

    server->keys = NULL;
    server->key_count = 0;
    while (file && fgets(line, sizeof line, file)) {
        server->keys = tool_resize(server->keys, (server->key_count + 1) * sizeof *server->keys);
        line[strcspn(line, "\n")] = 0;
        memcpy(server->keys[server->key_count++], line, sizeof line);
    }
    if (!server->key_count)
        tool_die("%s: no key in it", key_file);
    fclose(file);
    server->port = port;
    server->tls = SSL_CTX_new(TLS_client_method());
    if (!server->tls || SSL_CTX_load_verify_locations(server->tls, ca_file, NULL) != 1)
        tool_die("%s: no authority in it", ca_file);
    SSL_CTX_set_verify(server->tls, SSL_VERIFY_PEER, NULL);
    /* Ten thousand of them must fit. */
    SSL_CTX_set_mode(server->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

void https_open(struct https *https, const struct https_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    const int on = 1;

    *https = (struct https){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (https->fd < 0 || connect(https->fd, (struct sockaddr *)&address, sizeof address) < 0)
        tool_die("can't connect: %s", strerror(errno));
    setsockopt(https->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    https->tls = SSL_new(server->tls);
    if (!https->tls || SSL_set_fd(https->tls, https->fd) != 1 ||
        SSL_set1_host(https->tls, "localhost") != 1 || SSL_connect(https->tls) != 1)
        tool_die("TLS: %s", ERR_reason_error_string(ERR_peek_last_error()));
    if (fcntl(https->fd, F_SETFL, O_NONBLOCK) < 0)
        tool_die("fcntl: %s", strerror(errno));
}

void https_close(struct https *https)
{
    SSL_free(https->tls);
    close(https->fd);
    free(https->out);
    free(https->in);
    *https = (struct https){.fd = -1};
}

/* Returns 0 when the connection has ended. */
static int push(struct https *https)
{
    while (https->out) {
        int sent = SSL_write(https->tls, https->out + https->out_sent,
                             (int)(https->out_len - https->out_sent));
        if (sent <= 0) {
            int error = SSL_get_error(https->tls, sent);
            return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ;
        }
        https->out_sent += (size_t)sent;
        if (https->out_sent == https->out_len) {
            free(https->out);
            https->out = NULL;
        }
    }
    return 1;
}

void https_send(struct https *https, const struct https_server *server, const char *path,
                const char *body)
{
    int len = asprintf(&https->out,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       body ? "POST" : "GET", path, server->keys[https->key],
                       body ? strlen(body) : 0, body ? body : "");
    if (len < 0)
        tool_die("out of memory");
    https->out_len = (size_t)len;
    https->out_sent = 0;
    free(https->in);
    https->in = NULL;
    https->in_len = 0;
    push(https); /* an end shows in https_receive() too */
}

static int is_complete(const struct https *https, int *status)
{
    const char *body = strstr(https->in, "\r\n\r\n");
    const char *length;

    if (!body || strncmp(https->in, "HTTP/1.1 ", 9) != 0)
        return 0;
    *status = (int)strtol(https->in + 9, NULL, 10);
    body += 4;
    length = strcasestr(https->in, "\r\nContent-Length:");
    if (length && length < body)
        return strlen(body) >= strtoul(length + 17, NULL, 10);
    /* Chunked: JSON on one line has no line end of its own. */
    return strstr(body - 2, "\r\n0\r\n\r\n") != NULL;
}

enum https_result https_receive(struct https *https, int *status)
{
    if (!push(https))
        return HTTPS_ENDED;
    if (!https->in && !(https->in = malloc(HTTPS_ANSWER_MAX + 1)))
        tool_die("out of memory");
    for (;;) {
        int got = SSL_read(https->tls, https->in + https->in_len,
                           (int)(HTTPS_ANSWER_MAX - https->in_len));
        if (got <= 0) {
            int error = SSL_get_error(https->tls, got);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                return HTTPS_ENDED;
            if (https->in_len == 0) { /* a session ticket: 10,000 idle ones need no buffer */
                free(https->in);
                https->in = NULL;
            }
            return HTTPS_NOT_YET;
        }
        https->in_len += (size_t)got;
        https->in[https->in_len] = 0;
        if (is_complete(https, status))
            return HTTPS_ANSWERED;
        if (https->in_len == HTTPS_ANSWER_MAX)
            tool_die("an answer is longer than %d bytes", HTTPS_ANSWER_MAX);
    }
}

int https_member(const struct https *https, const char *name, char *text, size_t size)
{
    char pattern[64];
    const char *at;
    size_t len;

    snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
    at = strstr(https->in, pattern);
    if (!at)
        return 0;
    at += strlen(pattern);
    len = strcspn(at, "\"");
    if (len >= size)
        return 0;
    memcpy(text, at, len);
    text[len] = 0;
    return 1;
}

int https_is_last(const struct https *https)
{
    return https->in && strcasestr(https->in, "\r\nConnection: close\r\n") != NULL;
}
