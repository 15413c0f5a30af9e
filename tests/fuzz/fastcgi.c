/*
 * fastcgi: a broken or hostile nginx. The real gateway and libfcgi on a real socket; no thread, and
 * nothing waits: where a peer that stays silent would run into a time limit, it does so at once.
 *
 * The input is what nginx sends; the byte MARK begins something else than bytes to send:
 *     MARK o   another connection        MARK 0…3   on which one the rest is
 *     MARK h   half-close                MARK c     close
 *     MARK p   let the gateway work      MARK r N   it reads N bytes at most at a time (0: any)
 *     MARK m   the byte MARK itself
 *     MARK q   a whole request as nginx sends it, from the next bytes: see send_request()
 *
 * What must hold: a request that was sent whole comes in as it was sent, however it was cut into
 * records and reads, and its answer comes back whole; what comes in otherwise keeps its limits; and
 * no descriptor is left open in the end.
 */
#include "fuzz.h"

#include "base/log.h"
#include "http/gateway.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fastcgi.h>

#define MARK        0xfa
#define CONNECTIONS 4

ssize_t __real_read(int fd, void *bytes, size_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len);

struct connection {
    int fd;        /* -1: closed */
    bool is_clean; /* only whole requests were sent on it, one after the other's answer */
};

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

/* The gateway is made once, by LLVMFuzzerInitialize(). */
static struct gateway *gateway;
static struct sockaddr_un address;
static socklen_t address_size;
static struct connection connections[CONNECTIONS];
static size_t connection_count;
static size_t current;
static size_t read_most;      /* 0: as much as there is */
static bool is_gateway_at_it; /* so that reads are those of libfcgi */

/* The request that was sent whole and must come in next. */
static struct expected {
    bool is_there;
    char path[64];
    char query[CALL_PARAM_MAX + 2];
    struct buf body;
} expected;

static const char answer_headers[] = "Status: 200 OK\r\nContent-Length: 3\r\n\r\n";
static const char answer_body[] = "ok\n";

ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
    if (!is_gateway_at_it)
        return __real_read(fd, bytes, len);
    if (read_most && len > read_most)
        len = read_most;
    return recv(fd, bytes, len, MSG_DONTWAIT);
}

/* libfcgi 2.4.2 itself loses 48 bytes with each management record of an unknown type. nginx sends
 * none, and nobody else reaches the socket. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:FillBuffProc";
}

/* The gateway */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    address.sun_family = AF_UNIX;
    address_size = sizeof address.sun_family; /* the kernel finds a name, which no file has */
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, address_size) == 0);
    address_size = sizeof address;
    check(getsockname(fd, (struct sockaddr *)&address, &address_size) == 0);
    check(listen(fd, 64) == 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
    gateway = gateway_open("-");
    check(gateway);
    gateway_stop(gateway); /* gateway_next() gives NULL when there is nothing else */
    return 0;
}

static void check_text(const char *text)
{
    check(text && strlen(text) <= CALL_PARAM_MAX + 1);
}

static void take_request(struct call *call)
{
    struct buf headers = {.data = (char *)answer_headers, .len = sizeof answer_headers - 1};
    struct buf body = {.data = (char *)answer_body, .len = sizeof answer_body - 1};

    check_text(call->method);
    check_text(call->path);
    check_text(call->query);
    check_text(call->project);
    check_text(call->role);
    check_text(call->key_name);
    check_text(call->key_number);
    check_text(call->idempotency_key);
    check_text(call->id);
    check_text(call->seconds);
    check(call->body.len <= CALL_BODY_MAX);
    if (expected.is_there) {
        expected.is_there = false;
        check(strcmp(call->method, "POST") == 0 && strcmp(call->path, expected.path) == 0);
        check(strcmp(call->query, expected.query) == 0);
        check(!call->body_too_large && call->body.len == expected.body.len);
        check(!call->body.len || memcmp(call->body.data, expected.body.data, call->body.len) == 0);
    }
    if (strcmp(call->path, "/drop") == 0)
        gateway_drop(call->client);
    else
        gateway_send(gateway, call->client, &headers, &body, false);
    call_free(call);
}

static void pump(void)
{
    struct call *call;
    int idle_rounds = 0;

    is_gateway_at_it = true;
    while (idle_rounds < 3) { /* connecting, reading, and what was armed again */
        idle_rounds++;
        while ((call = gateway_next(gateway)) != NULL) {
            take_request(call);
            idle_rounds = 0;
        }
    }
    is_gateway_at_it = false;
}

/* nginx */

static struct connection *open_connection(void)
{
    struct connection *connection = &connections[connection_count];

    connection->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    connection->is_clean = true;
    check(connection->fd >= 0);
    check(connect(connection->fd, (struct sockaddr *)&address, address_size) == 0);
    current = connection_count++;
    return connection;
}

static void close_connection(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

static bool send_bytes(struct connection *connection, const void *bytes, size_t len)
{
    if (connection->fd < 0)
        return false;
    return send(connection->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static unsigned next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static void add_record(struct buf *out, int type, const char *bytes, size_t len, size_t padding)
{
    const FCGI_Header header = {.version = FCGI_VERSION_1,
                                .type = (unsigned char)type,
                                .requestIdB0 = 1,
                                .contentLengthB1 = (unsigned char)(len >> 8),
                                .contentLengthB0 = (unsigned char)len,
                                .paddingLength = (unsigned char)padding};
    static const char nothing[256];

    buf_append(out, &header, sizeof header);
    if (len)
        buf_append(out, bytes, len);
    buf_append(out, nothing, padding);
}

/* In records of `part` bytes at most, and an empty one at the end, which nginx never pads. */
static void add_stream(struct buf *out, int type, const struct buf *stream, size_t part,
                       size_t padding)
{
    for (size_t at = 0; at < stream->len; at += part)
        add_record(out, type, stream->data + at, part < stream->len - at ? part : stream->len - at,
                   padding);
    add_record(out, type, NULL, 0, 0);
}

static void add_length(struct buf *out, size_t len, bool is_long)
{
    const unsigned char bytes[] = {(unsigned char)(0x80 | len >> 24), (unsigned char)(len >> 16),
                                   (unsigned char)(len >> 8), (unsigned char)len};

    if (is_long || len > 127)
        buf_append(out, bytes, 4);
    else
        buf_append(out, bytes + 3, 1);
}

static void add_param(struct buf *out, const char *name, const char *value, bool is_long)
{
    add_length(out, strlen(name), is_long);
    add_length(out, strlen(value), is_long);
    buf_puts(out, name);
    buf_puts(out, value);
}

static void read_answer(struct connection *connection, bool keep)
{
    struct buf whole = {0};
    struct buf text = {0};
    char bytes[4096];
    ssize_t len;

    while ((len = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buf_append(&whole, bytes, (size_t)len);
    check(keep ? len < 0 && errno == EAGAIN : len == 0);
    for (size_t at = 0; at < whole.len;) {
        const FCGI_Header *header = (const void *)(whole.data + at);
        size_t part = (size_t)header->contentLengthB1 << 8 | header->contentLengthB0;

        check(whole.len - at >= sizeof *header && header->version == FCGI_VERSION_1);
        check(header->requestIdB1 == 0 && header->requestIdB0 == 1);
        at += sizeof *header;
        check(whole.len - at >= part + header->paddingLength);
        check(header->type == FCGI_STDOUT || header->type == FCGI_END_REQUEST);
        if (header->type == FCGI_STDOUT)
            buf_append(&text, whole.data + at, part);
        at += part + header->paddingLength;
        check((header->type == FCGI_END_REQUEST) == (at == whole.len));
    }
    check(text.data && text.len == strlen(answer_headers) + strlen(answer_body));
    check(memcmp(text.data, answer_headers, strlen(answer_headers)) == 0);
    buf_free(&text);
    buf_free(&whole);
    if (!keep)
        close_connection(connection);
}

/* From the input: how to cut it, how much there is of it, and what is in its body. */
static void send_request(struct connection *connection, struct input *input)
{
    size_t part = 1 + next_byte(input) * next_byte(input);
    size_t padding = next_byte(input);
    unsigned flags = next_byte(input);
    size_t query_len = (next_byte(input) << 4) + 2;
    size_t body_len = next_byte(input) * ((flags & 4) ? 64 : 1);
    bool keep = flags & 1;
    const FCGI_BeginRequestBody begin = {.roleB0 = FCGI_RESPONDER,
                                         .flags = keep ? FCGI_KEEP_CONN : 0};
    struct buf params = {0};
    struct buf out = {0};

    expected.is_there = true;
    snprintf(expected.path, sizeof expected.path, "/request%u", next_byte(input));
    memset(expected.query, 'q', query_len);
    expected.query[query_len] = '\0';
    buf_clear(&expected.body);
    for (size_t i = 0; i < body_len; i++) {
        char byte = (char)next_byte(input);
        buf_append(&expected.body, &byte, 1);
    }
    add_param(&params, "REQUEST_METHOD", "POST", flags & 2);
    add_param(&params, "DOCUMENT_URI", expected.path, flags & 2);
    add_param(&params, "QUERY_STRING", expected.query, flags & 2);
    add_param(&params, "CONTENT_LENGTH", "", flags & 2);
    add_record(&out, FCGI_BEGIN_REQUEST, (const char *)&begin, sizeof begin, 0);
    add_stream(&out, FCGI_PARAMS, &params, part < 16 ? 16 : part, padding);
    add_stream(&out, FCGI_STDIN, &expected.body, part < 16 ? 16 : part, padding);
    if (send_bytes(connection, out.data, out.len)) {
        pump();
        check(!expected.is_there);
        read_answer(connection, keep);
    }
    expected.is_there = false;
    buf_free(&params);
    buf_free(&out);
}

static void command(struct input *input)
{
    static const char mark = (char)MARK;
    struct connection *connection = &connections[current];
    unsigned byte = next_byte(input);

    switch (byte) {
    case 'o':
        if (connection_count < CONNECTIONS)
            open_connection();
        break;
    case 'h':
        if (connection->fd >= 0)
            shutdown(connection->fd, SHUT_WR);
        connection->is_clean = false;
        break;
    case 'c':
        close_connection(connection);
        break;
    case 'p':
        pump();
        break;
    case 'r':
        read_most = next_byte(input);
        break;
    case 'm':
        send_bytes(connection, &mark, 1);
        connection->is_clean = false;
        break;
    case 'q':
        pump();
        if (connection->is_clean && connection->fd >= 0)
            send_request(connection, input);
        break;
    default:
        if (byte >= '0' && byte < '0' + connection_count)
            current = byte - '0';
    }
}

/* libfcgi 2.4.2 adds the lengths of a name and its value as int, and dies of a sum beyond 2^31: it
 * asks for nearly 2^64 bytes. nginx, which is all that reaches the socket, has none that long; here
 * they keep below 2^24. */
static uint8_t tamed(uint8_t byte)
{
    return byte > 0x80 ? 0x80 : byte;
}

static void send_rest(struct input *input)
{
    struct buf out = {0};

    for (; input->at < input->end && *input->at != MARK; input->at++) {
        uint8_t byte = tamed(*input->at);
        buf_append(&out, &byte, 1);
    }
    connections[current].is_clean = false;
    send_bytes(&connections[current], out.data, out.len);
    buf_free(&out);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.at = data, .end = data + size};
    int before = lowest_free_descriptor();

    connection_count = 0;
    read_most = 0;
    open_connection();
    while (input.at < input.end) {
        if (*input.at == MARK) {
            input.at++;
            command(&input);
        } else {
            send_rest(&input);
        }
    }
    pump();
    for (size_t i = 0; i < connection_count; i++)
        close_connection(&connections[i]);
    pump();
    buf_free(&expected.body);
    check(lowest_free_descriptor() == before);
    return 0;
}
