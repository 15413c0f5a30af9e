/* render_success: 200, with the names of the fields that nobody knows. */
#include "write/render_private.h"

#include <stdarg.h>
#include <stdio.h>

void render_success_close(const struct command *command, struct json_writer *json,
                          struct response *response)
{
    const struct ignored_fields *ignored = command->ignored;

    if (ignored) {
        json_open_array(json, "ignoredFields");
        for (unsigned i = 0; i < ignored->count; i++)
            json_put_string(json, NULL, ignored->names[i]);
        json_close_array(json);
    }
    response_close(response, 200, json);
}

void render_success_say(const struct command *command, struct response *response,
                        const char *format, ...)
{
    struct json_writer *json = response_open();
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_put_string(json, "message", message);
    render_success_close(command, json, response);
}
