/* response: see response.h. No state; any thread. */
#include "http/response.h"

#include <stdarg.h>
#include <stdio.h>

static const char *reason_phrase(int status)
{
    /* RFC 9110, 15; RFC 6585 for 429 */
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 422:
        return "Unprocessable Content";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

/* Once the body is there: its length spares nginx and the client the chunks. */
static void start(struct response *response, int status, const char *type)
{
    struct buf added = response->headers; /* those that were added before */

    response->status = status;
    response->headers = (struct buf){0};
    buf_printf(&response->headers,
               "Status: %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store\r\n",
               status, reason_phrase(status), type, response->body.len);
    buf_append(&response->headers, added.data, added.len);
    buf_puts(&response->headers, "\r\n");
    buf_free(&added);
}

struct json_writer *response_open(void)
{
    struct json_writer *json = json_writer_new();
    json_open_object(json, NULL);
    return json;
}

void response_close(struct response *response, int status, struct json_writer *json)
{
    json_close_object(json);
    buf_clear(&response->body);
    json_writer_take(json, &response->body);
    buf_puts(&response->body, "\n");
    json_writer_free(json);
    start(response, status, "application/json");
}

struct json_writer *response_open_error(const char *code, const char *message)
{
    struct json_writer *json = response_open();

    json_open_object(json, "error");
    json_put_string(json, "code", code);
    json_put_string(json, "message", message);
    return json;
}

void response_close_error(struct response *response, int status, struct json_writer *json)
{
    json_close_object(json);
    response_close(response, status, json);
}

void response_error(struct response *response, int status, const char *code, const char *format,
                    ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    response_close_error(response, status, response_open_error(code, message));
}

void response_raw(struct response *response, int status, const char *type, const struct buf *body)
{
    buf_clear(&response->body);
    buf_append(&response->body, body->data, body->len);
    start(response, status, type);
}

void response_add_header(struct response *response, const char *name, const char *value)
{
    buf_printf(&response->headers, "%s: %s\r\n", name, value);
}

void response_retry_after(struct response *response, int64_t seconds)
{
    buf_printf(&response->headers, "Retry-After: %lld\r\n", (long long)seconds);
}

void response_free(struct response *response)
{
    buf_free(&response->headers);
    buf_free(&response->body);
}
