/*
 * call: libfcgi reads and checks the records of a call. The response is framed here, in one write:
 * so a parked client is a descriptor and a request number, and libfcgi's 18 KiB of streams are free
 * while it waits.
 */
#include "http/call.h"

#include "base/fault.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fcgiapp.h>

#include <fastcgi.h>

#define SEND_PATIENCE_MS 50 /* of the writer, for a response larger than the socket's buffer */

bool call_library_start(void)
{
    return FCGX_Init() == 0;
}

/* Reading */

static const char *param(const FCGX_Request *fcgi, const char *name)
{
    const char *value = FCGX_GetParam(name, fcgi->envp);
    return value ? value : "";
}

static void read_body(FCGX_Request *fcgi, struct call *call)
{
    char chunk[8192];
    int len;

    while ((len = FCGX_GetStr(chunk, sizeof chunk, fcgi->in)) > 0) {
        if (call->body.len + (size_t)len > CALL_BODY_MAX)
            call->body_too_large = true; /* read on, or nginx says 502 */
        else if (!call->body_too_large)
            buf_append(&call->body, chunk, (size_t)len);
    }
}

static void copy_params(const FCGX_Request *fcgi, struct call *call)
{
    static const char *const names[] = {
        "REQUEST_METHOD", "DOCUMENT_URI",  "QUERY_STRING",       "SO_PROJECT",    "SO_ROLE",
        "SO_KEY_NAME",    "SO_KEY_NUMBER", "SO_IDEMPOTENCY_KEY", "SO_REQUEST_ID", "SO_SECONDS"};
    char **const fields[] = {
        &call->method,   &call->path,       &call->query,           &call->project, &call->role,
        &call->key_name, &call->key_number, &call->idempotency_key, &call->id,      &call->seconds};
    enum { COUNT = sizeof names / sizeof names[0] };
    size_t offsets[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        const char *value = param(fcgi, names[i]);
        offsets[i] = call->texts.len;
        buf_append(&call->texts, value, strnlen(value, CALL_PARAM_MAX + 1));
        buf_append(&call->texts, "", 1);
    }
    for (size_t i = 0; i < COUNT; i++)
        *fields[i] = call->texts.data + offsets[i];
}

struct call *call_read(int fd)
{
    FCGX_Request fcgi;
    struct call *call;
    bool broken;

    FCGX_InitRequest(&fcgi, -1, 0); /* no listener: libfcgi must never accept by itself */
    fcgi.ipcFd = fd;
    fcgi.keepConnection = 1; /* or FCGX_Accept_r closes what it is handed */
    fcgi.detached = 1;       /* or its close waits up to 2 s for nginx */
    if (FCGX_Accept_r(&fcgi) < 0)
        return NULL;
    call = mem_zalloc(sizeof *call);
    copy_params(&fcgi, call);
    read_body(&fcgi, call);
    call->client = (struct client){
        .fd = fd, .request = (unsigned short)fcgi.requestId, .keep = fcgi.keepConnection != 0};
    broken = FCGX_GetError(fcgi.in) != 0;
    FCGX_Free(&fcgi, 0);
    if (!broken)
        return call;
    close(fd);
    call_free(call);
    return NULL;
}

void call_free(struct call *call)
{
    buf_free(&call->texts);
    buf_free(&call->body);
    free(call);
}

/* Responding */

static void add_header(struct buf *out, int type, unsigned request, size_t len)
{
    const FCGI_Header header = {
        .version = FCGI_VERSION_1,
        .type = (unsigned char)type,
        .requestIdB1 = (unsigned char)(request >> 8),
        .requestIdB0 = (unsigned char)request,
        .contentLengthB1 = (unsigned char)(len >> 8),
        .contentLengthB0 = (unsigned char)len,
    };
    buf_append(out, &header, sizeof header);
}

/* An empty record would end the response. */
static void add_stdout(struct buf *out, unsigned request, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    add_header(out, FCGI_STDOUT, request, len);
    buf_append(out, bytes, len);
}

static void add_end(struct buf *out, unsigned request)
{
    const FCGI_EndRequestBody body = {.protocolStatus = FCGI_REQUEST_COMPLETE};

    add_header(out, FCGI_STDOUT, request, 0);
    add_header(out, FCGI_END_REQUEST, request, sizeof body);
    buf_append(out, &body, sizeof body);
}

/* Blocks only briefly: nginx reads at once unless it is overrun. */
static bool can_send_soon(int fd)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    return poll(&writable, 1, SEND_PATIENCE_MS) > 0 && !(writable.revents & (POLLERR | POLLHUP));
}

static bool send_bytes(int fd, const char *bytes, size_t len, int flags)
{
    size_t done = 0;

    while (done < len) {
        ssize_t sent = send(fd, bytes + done, len - done, flags | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT) && can_send_soon(fd))
            continue;
        if (sent <= 0)
            return false;
        done += (size_t)sent;
    }
    return true;
}

static bool send_all(int fd, const struct buf *out, int flags)
{
    size_t half = fault_is_armed("midAnswer") ? out->len / 2 : 0;

    if (half && (!send_bytes(fd, out->data, half, flags) || fault_point("midAnswer") != FAULT_NONE))
        return false;
    return send_bytes(fd, out->data + half, out->len - half, flags);
}

/* In one piece, unless it is larger than a record can be. */
bool call_respond(struct client client, const struct buf *headers, const struct buf *body,
                  bool may_block)
{
    int flags = may_block ? 0 : MSG_DONTWAIT;
    struct buf out = {0};
    size_t done = 0;
    bool sent = true;

    add_stdout(&out, client.request, headers->data, headers->len);
    do {
        size_t left = body->len - done;
        size_t part = left < FCGI_MAX_LENGTH ? left : FCGI_MAX_LENGTH;

        add_stdout(&out, client.request, body->data + done, part);
        done += part;
        if (done == body->len)
            add_end(&out, client.request);
        sent = send_all(client.fd, &out, flags);
        buf_clear(&out);
    } while (sent && done < body->len);
    buf_free(&out);
    return sent;
}
