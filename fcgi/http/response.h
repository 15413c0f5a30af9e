/* response: status, headers and body of one response, errors all in one shape. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include "base/buf.h"
#include "base/json.h"

struct response {
    int status;
    struct buf headers; /* whole lines ending in \r\n */
    struct buf body;
};

/* A JSON body is written between these two. */
struct json_writer *response_open(void);
void response_close(struct response *response, int status, struct json_writer *json);

/* {"error": {"code", "message"}} */
void response_error(struct response *response, int status, const char *code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* The same, left open inside the error object for more members; end with response_close_error(). */
struct json_writer *response_open_error(const char *code, const char *message);
void response_close_error(struct response *response, int status, struct json_writer *json);

/* Any other body. */
void response_raw(struct response *response, int status, const char *type, const struct buf *body);

void response_add_header(struct response *response, const char *name, const char *value);
void response_retry_after(struct response *response, int64_t seconds);
void response_free(struct response *response);

#endif
