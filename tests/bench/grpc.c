/* grpc: see grpc.h. */
#include "grpc.h"

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX 5 /* before a message: not compressed, length */

struct grpc {
    int fd;
    nghttp2_session *session;
    const struct message *question;
    size_t sent; /* of the question with its prefix */
    struct message *answer;
    unsigned char prefix[PREFIX];
    size_t prefix_len; /* of the answer's */
    int is_ended;
    char status[16]; /* grpc-status of the trailer */
};

/* --- Messages --- */

static void add_varint(struct message *message, uint64_t number)
{
    do {
        if (message->len == GRPC_MESSAGE_MAX)
            tool_die("a message is too long");
        message->data[message->len++] = (unsigned char)(number >= 128 ? number | 128 : number);
        number >>= 7;
    } while (number);
}

void message_add_number(struct message *message, unsigned field, uint64_t number)
{
    add_varint(message, (uint64_t)field << 3);
    add_varint(message, number);
}

void message_add_bytes(struct message *message, unsigned field, const void *data, size_t len)
{
    add_varint(message, (uint64_t)field << 3 | 2);
    add_varint(message, len);
    if (len > GRPC_MESSAGE_MAX - message->len)
        tool_die("a message is too long");
    memcpy(message->data + message->len, data, len);
    message->len += len;
}

static uint64_t read_varint(const unsigned char **at, const unsigned char *end)
{
    uint64_t number = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        unsigned char byte = *(*at)++;
        number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return number;
    }
    tool_die("a message is cut off");
}

int message_next(const unsigned char **at, const unsigned char *end, struct message_field *field)
{
    uint64_t tag;

    if (*at >= end)
        return 0;
    tag = read_varint(at, end);
    *field = (struct message_field){.number = (unsigned)(tag >> 3)};
    if ((tag & 7) == 0) {
        field->value = read_varint(at, end);
        return 1;
    }
    if ((tag & 7) != 2)
        tool_die("a field of an unknown kind");
    field->len = read_varint(at, end);
    if (field->len > (size_t)(end - *at))
        tool_die("a message is cut off");
    field->data = *at;
    *at += field->len;
    return 1;
}

/* --- Calls --- */

static ssize_t on_read(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct grpc *grpc = user;
    const struct message *question = grpc->question;
    size_t filled = 0;

    (void)session;
    (void)stream;
    (void)source;
    for (; filled < size && grpc->sent < PREFIX; filled++) {
        unsigned shift = 8 * (unsigned)(PREFIX - 1 - grpc->sent);
        buffer[filled] = grpc->sent++ ? (unsigned char)(question->len >> shift) : 0;
    }
    if (grpc->sent >= PREFIX) {
        size_t left = question->len - (grpc->sent - PREFIX);
        size_t part = left < size - filled ? left : size - filled;
        memcpy(buffer + filled, question->data + (grpc->sent - PREFIX), part);
        grpc->sent += part;
        filled += part;
        if (part == left)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)filled;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user)
{
    struct grpc *grpc = user;

    (void)session;
    (void)flags;
    (void)stream;
    while (len > 0 && grpc->prefix_len < PREFIX) {
        grpc->prefix[grpc->prefix_len++] = *data++;
        len--;
    }
    if (len > GRPC_MESSAGE_MAX - grpc->answer->len)
        tool_die("an answer is too long");
    memcpy(grpc->answer->data + grpc->answer->len, data, len);
    grpc->answer->len += len;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct grpc *grpc = user;

    (void)session;
    (void)frame;
    (void)flags;
    if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
        snprintf(grpc->status, sizeof grpc->status, "%.*s", (int)value_len, (const char *)value);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user)
{
    struct grpc *grpc = user;

    (void)session;
    (void)stream;
    if (error != 0)
        tool_die("a stream ended with error %u", error);
    grpc->is_ended = 1;
    return 0;
}

struct grpc *grpc_open(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct grpc *grpc = calloc(1, sizeof *grpc);
    nghttp2_session_callbacks *callbacks;
    const int on = 1;

    if (!grpc || nghttp2_session_callbacks_new(&callbacks) != 0)
        tool_die("out of memory");
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    if (nghttp2_session_client_new(&grpc->session, callbacks, grpc) != 0)
        tool_die("out of memory");
    nghttp2_session_callbacks_del(callbacks);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    grpc->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (grpc->fd < 0 || connect(grpc->fd, (struct sockaddr *)&address, sizeof address) < 0)
        tool_die("can't connect: %s", strerror(errno));
    setsockopt(grpc->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    nghttp2_submit_settings(grpc->session, NGHTTP2_FLAG_NONE, NULL, 0);
    return grpc;
}

void grpc_close(struct grpc *grpc)
{
    nghttp2_session_del(grpc->session);
    close(grpc->fd);
    free(grpc);
}

static void push(struct grpc *grpc)
{
    /* One write for all frames that are due: headers and data in one packet. */
    unsigned char out[GRPC_MESSAGE_MAX];
    size_t len = 0;
    const uint8_t *data;
    ssize_t part;

    while ((part = nghttp2_session_mem_send(grpc->session, &data)) > 0) {
        if ((size_t)part > sizeof out - len)
            tool_die("a question is too long");
        memcpy(out + len, data, (size_t)part);
        len += (size_t)part;
    }
    for (size_t sent = 0; sent < len; sent += (size_t)part)
        if ((part = send(grpc->fd, out + sent, len - sent, MSG_NOSIGNAL)) <= 0)
            tool_die("send: %s", strerror(errno));
}

static void pull(struct grpc *grpc)
{
    unsigned char in[16384];
    ssize_t got = recv(grpc->fd, in, sizeof in, 0);

    if (got <= 0)
        tool_die("the server ended a connection");
    if (nghttp2_session_mem_recv(grpc->session, in, (size_t)got) != got)
        tool_die("not HTTP/2");
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

void grpc_call(struct grpc *grpc, const char *path, const struct message *question,
               struct message *answer)
{
    const nghttp2_data_provider provider = {.read_callback = on_read};
    const nghttp2_nv headers[] = {header(":method", "POST"),
                                  header(":scheme", "http"),
                                  header(":path", path),
                                  header(":authority", "localhost"),
                                  header("te", "trailers"),
                                  header("content-type", "application/grpc"),
                                  header("user-agent", "grpc-c-bench")};

    grpc->question = question;
    grpc->answer = answer;
    grpc->sent = grpc->prefix_len = answer->len = 0;
    grpc->is_ended = 0;
    grpc->status[0] = 0;
    if (nghttp2_submit_request(grpc->session, NULL, headers, sizeof headers / sizeof *headers,
                               &provider, NULL) < 0)
        tool_die("no more streams on this connection");
    while (!grpc->is_ended) {
        push(grpc);
        if (!grpc->is_ended)
            pull(grpc);
    }
    if (strcmp(grpc->status, "0") != 0)
        tool_die("%s: status %s", path, grpc->status);
}
