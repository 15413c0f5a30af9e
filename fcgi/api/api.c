/* api: a table of routes. No state; any thread. */
#include "api/api.h"

#include "api/api_body.h"
#include "api/api_query.h"
#include "api/fields.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* nginx bounds the time between two parts of a body, not the whole. What comes later than this has
 * no effect. */
#define ARRIVAL_MAX_S 60

#define FREE_RETRY_S 5

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_CI, ROLE_ADMIN };

typedef void respond_function(const struct api *api, const struct call *call,
                              struct response *response);

struct route {
    const char *path;
    enum role role;            /* the least that may */
    respond_function *respond; /* GET: needs no command */
    enum verb verb;            /* POST: makes a command */
    api_body *body;
};

static respond_function respond_list_stacks;
static respond_function respond_free;
static respond_function respond_status;
static respond_function respond_history;
static respond_function respond_actions;
static respond_function respond_events;
static respond_function respond_capacity;
static respond_function respond_metrics;
static respond_function respond_health;
static respond_function respond_ready;

static const struct route routes[] = {
    {"/requestStack", ROLE_CI, NULL, VERB_REQUEST, api_body_request},
    {"/setLastDeployedCommit", ROLE_CI, NULL, VERB_MARK, api_body_mark},
    {"/markUnits", ROLE_CI, NULL, VERB_MARK_UNITS, api_body_mark_units},
    {"/releaseStack", ROLE_CI, NULL, VERB_RELEASE, api_body_release},
    {"/listStacks", ROLE_VIEWER, respond_list_stacks, 0, NULL},
    {"/deleteLastStack", ROLE_CI, NULL, VERB_DELETE_LAST, api_body_none},
    {"/extendLease", ROLE_CI, NULL, VERB_EXTEND, api_body_extend},
    {"/cancelRequest", ROLE_CI, NULL, VERB_CANCEL, api_body_cancel},
    {"/holdStack", ROLE_ADMIN, NULL, VERB_HOLD, api_body_hold},
    {"/quarantineStack", ROLE_ADMIN, NULL, VERB_QUARANTINE, api_body_quarantine},
    {"/reinstateStack", ROLE_CI, NULL, VERB_REINSTATE, api_body_reinstate},
    {"/revokeLease", ROLE_ADMIN, NULL, VERB_REVOKE, api_body_revoke},
    {"/addStacks", ROLE_ADMIN, NULL, VERB_ADD_STACKS, api_body_add_stacks},
    {"/deleteStack", ROLE_ADMIN, NULL, VERB_DELETE_STACK, api_body_stack},
    {"/updateProject", ROLE_ADMIN, NULL, VERB_UPDATE_PROJECT, api_body_update_project},
    {"/prioritizeRequest", ROLE_ADMIN, NULL, VERB_PRIORITIZE, api_body_prioritize},
    {"/free", ROLE_VIEWER, respond_free, 0, NULL},
    {"/status", ROLE_VIEWER, respond_status, 0, NULL},
    {"/history", ROLE_VIEWER, respond_history, 0, NULL},
    {"/actions", ROLE_VIEWER, respond_actions, 0, NULL},
    {"/events", ROLE_VIEWER, respond_events, 0, NULL},
    {"/capacity", ROLE_VIEWER, respond_capacity, 0, NULL},
    {"/metrics", ROLE_VIEWER, respond_metrics, 0, NULL},
    {"/healthz", ROLE_NONE, respond_health, 0, NULL},
    {"/readyz", ROLE_NONE, respond_ready, 0, NULL},
};

static enum role role_of(const struct call *call)
{
    static const char *const names[] = {"", "viewer", "ci", "admin"};

    if (strcmp(call->role, "metrics") == 0 && strcmp(call->path, "/metrics") == 0)
        return ROLE_VIEWER;

    for (enum role role = ROLE_ADMIN; role > ROLE_NONE; role--)
        if (strcmp(names[role], call->role) == 0 && call->project[0])
            return role;
    return ROLE_NONE;
}

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

bool api_reads(const struct call *call)
{
    const struct route *route = find_route(call->path);

    return route && route->respond && route->role > ROLE_NONE;
}

/* Whether this caller may call this route this way; if not, says so. */
static bool admit(const struct call *call, const struct route *route, struct response *response)
{
    bool is_get = strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
    enum role role = role_of(call);

    if (strlen(call->query) > CALL_PARAM_MAX) {
        response_error(response, 414, "uriTooLong", "The query is longer than %d bytes",
                       CALL_PARAM_MAX);
        return false;
    }
    if (strtod(call->seconds, NULL) > ARRIVAL_MAX_S) {
        response_error(response, 408, "requestTimeout", "The request took more than %d s to arrive",
                       ARRIVAL_MAX_S);
        return false;
    }
    if (!route) {
        response_error(response, 404, "notFound", "There is no such path");
        return false;
    }
    if (route->role > ROLE_NONE && role == ROLE_NONE) {
        response_error(response, 401, "unauthorized", "A valid X-API-Key is required");
        return false;
    }
    if (route->respond ? !is_get : strcmp(call->method, "POST") != 0) {
        response_add_header(response, "Allow", route->respond ? "GET, HEAD" : "POST");
        response_error(response, 405, "methodNotAllowed", "%s is called with %s", route->path,
                       route->respond ? "GET" : "POST");
        return false;
    }
    if (role < route->role) {
        response_error(response, 403, "forbidden", "A key of role %s may not call %s", call->role,
                       route->path);
        return false;
    }
    return true;
}

/* Most names have one key only, which has no number. */
static uint32_t key_number_of(const struct call *call)
{
    return (uint32_t)strtoul(call->key_number, NULL, 10);
}

/* Calls of the original service take fields that nobody knows, as it did, and name them. */
static bool is_of_original(enum verb verb)
{
    return verb == VERB_REQUEST || verb == VERB_MARK || verb == VERB_RELEASE ||
           verb == VERB_DELETE_LAST;
}

static struct ignored_fields *ignored_of(struct fields *fields)
{
    struct ignored_fields *ignored;

    fields_find_unknown(fields);
    if (fields->unknown.count == 0)
        return NULL;
    ignored = mem_alloc(sizeof *ignored);
    *ignored = fields->unknown;
    return ignored;
}

static struct command *read_body(const struct call *call, const struct route *route,
                                 struct json_document *document, struct response *response)
{
    struct fields fields = {.object = json_root(document), .inside = ""};
    struct command *command;

    if (fields.object->type != JSON_OBJECT) {
        response_error(response, 400, "invalidJson", "The body must be a JSON object");
        return NULL;
    }
    command = command_new(route->verb);
    command->project = mem_strdup(call->project);
    command->key_name = mem_strdup(call->key_name);
    command->key_number = key_number_of(call);
    command->trace = mem_strdup(call->id);
    command->by_admin = role_of(call) == ROLE_ADMIN;
    route->body(&fields, call, command);
    if (!is_of_original(route->verb))
        fields_refuse_unknown(&fields);
    else
        command->ignored = ignored_of(&fields);
    if (fields_are_good(&fields))
        return command;
    fields_reply(&fields, response);
    command_free(command);
    return NULL;
}

static struct command *make_command(const struct call *call, const struct route *route,
                                    struct response *response)
{
    struct json_document *document;
    struct command *command;
    char why[200];

    if (call->body_too_large) {
        response_error(response, 413, "bodyTooLarge", "The body is larger than 256 KiB");
        return NULL;
    }
    document = json_parse(call->body.data ? call->body.data : "", call->body.len, why, sizeof why);
    if (!document) {
        response_error(response, 400, "invalidJson", "The body is not valid JSON: %s", why);
        return NULL;
    }
    command = read_body(call, route, document, response);
    json_free(document);
    return command;
}

struct command *api_handle(const struct api *api, const struct call *call,
                           struct response *response)
{
    const struct route *route = find_route(call->path);

    if (!admit(call, route, response))
        return NULL;
    if (!route->respond)
        return make_command(call, route, response);
    if (route->role > ROLE_NONE)
        reader_set_key(api->reader, call->key_name, key_number_of(call));
    route->respond(api, call, response);
    return NULL;
}

/* Answers that change nothing */

static void respond_health(const struct api *api, const struct call *call,
                           struct response *response)
{
    struct json_writer *json = response_open();

    (void)api;
    (void)call;
    json_put_string(json, "status", "ok");
    response_close(response, 200, json);
}

static void respond_ready(const struct api *api, const struct call *call, struct response *response)
{
    struct json_writer *json;

    (void)call;
    if (!api->is_ready) {
        response_retry_after(response, 1);
        response_error(response, 503, "databaseUnavailable", "The database is not available%s%s",
                       *api->refusal ? ": " : "", api->refusal);
        return;
    }
    json = response_open();
    json_put_string(json, "status", "ready");
    response_close(response, 200, json);
}

static void refuse_key(struct response *response)
{
    response_error(response, 401, "unauthorized", "This key was revoked or has expired");
}

/* Sends what a reader wrote, or says why it could not. */
static void finish_reading(enum reader_status status, struct json_writer *json,
                           struct response *response)
{
    if (status == READER_OK) {
        response_close(response, 200, json);
        return;
    }
    json_writer_free(json);
    if (status == READER_KEY_ENDED) {
        refuse_key(response);
        return;
    }
    if (status == READER_NO_PROJECT) {
        response_error(response, 404, "unknownProject", "The project of this key does not exist");
        return;
    }
    response_retry_after(response, status == READER_TOO_SLOW ? 10 : 1);
    response_error(response, 503, "databaseUnavailable",
                   status == READER_TOO_SLOW ? "The database took too long for this; ask for less"
                                             : "The database is not available");
}

static void respond_list_stacks(const struct api *api, const struct call *call,
                                struct response *response)
{
    struct json_writer *json = response_open();
    finish_reading(reader_list_stacks(api->reader, call->project, json), json, response);
}

/* For callers that look whether they should ask: curl's --fail tells them by the status. */
static void respond_free(const struct api *api, const struct call *call, struct response *response)
{
    struct reader_room room = {0};
    enum reader_status status = reader_room(api->reader, call->project, &room);
    struct json_writer *json;

    if (status != READER_OK || room.free > 0) {
        json = response_open();
        json_put_integer(json, "free", (int64_t)room.free);
        finish_reading(status, json, response);
        return;
    }
    json = response_open_error("noneFree",
                               room.is_paused ? "The project is paused" : "No stack is free");
    json_put_integer(json, "waiting", (int64_t)room.waiting);
    response_retry_after(response, FREE_RETRY_S);
    response_close_error(response, 503, json);
}

static void respond_status(const struct api *api, const struct call *call,
                           struct response *response)
{
    struct fields fields = {.inside = ""};
    struct reader_view view = {.limit = 0};
    struct json_writer *json;

    if (!api_query_view(call->query, &view, &fields)) {
        fields_reply(&fields, response);
        reader_view_free(&view);
        return;
    }
    json = response_open();
    json_open_object(json, "key"); /* who asks, so that a page knows what it may offer */
    json_put_string(json, "name", call->key_name);
    json_put_string(json, "role", call->role);
    json_close_object(json);
    finish_reading(reader_status_page(api->reader, call->project, &view, json), json, response);
    reader_view_free(&view);
}

static void respond_filtered(const struct api *api, const struct call *call,
                             struct response *response,
                             enum reader_status (*read)(struct reader *reader, const char *project,
                                                        const struct reader_filter *filter,
                                                        struct json_writer *json))
{
    struct fields fields = {.inside = ""};
    struct reader_filter filter;
    struct json_writer *json;

    if (!api_query_filter(call->query, &filter, &fields)) {
        fields_reply(&fields, response);
    } else {
        json = response_open();
        finish_reading(read(api->reader, call->project, &filter, json), json, response);
    }
    reader_filter_free(&filter);
}

static void respond_history(const struct api *api, const struct call *call,
                            struct response *response)
{
    respond_filtered(api, call, response, reader_history);
}

static void respond_events(const struct api *api, const struct call *call,
                           struct response *response)
{
    struct fields fields = {.inside = ""};
    struct json_writer *json;
    uint64_t after = 0;
    uint64_t limit = READER_LIMIT_MAX;

    if (!api_query_events(call->query, &after, &limit, &fields)) {
        fields_reply(&fields, response);
        return;
    }
    json = response_open();
    finish_reading(reader_events(api->reader, call->project, after, limit, json), json, response);
}

static void respond_capacity(const struct api *api, const struct call *call,
                             struct response *response)
{
    struct fields fields = {.inside = ""};
    struct json_writer *json;
    uint64_t target_s = API_TARGET_S;

    if (!api_query_target(call->query, &target_s, &fields)) {
        fields_reply(&fields, response);
        return;
    }
    json = response_open();
    finish_reading(reader_capacity(api->reader, call->project, (double)target_s, json), json,
                   response);
}

/* The role `metrics` is that of nginx's loopback listener, and sees all projects. */
static void respond_metrics(const struct api *api, const struct call *call,
                            struct response *response)
{
    const char *project = strcmp(call->role, "metrics") == 0 ? NULL : call->project;
    struct buf text = {0};
    enum reader_status status;

    metrics_put(&text, project, api->is_ready);
    status = reader_gauges(api->reader, project, &text);
    if (status == READER_KEY_ENDED) {
        buf_free(&text);
        refuse_key(response);
        return;
    }
    if (status != READER_OK)
        buf_puts(&text, "# The gauges of stacks and requests need the database, which is away.\n");
    response_raw(response, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
    buf_free(&text);
}

static void respond_actions(const struct api *api, const struct call *call,
                            struct response *response)
{
    respond_filtered(api, call, response, reader_actions);
}
