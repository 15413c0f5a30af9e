/* reader: a double that tells of the pool in memory just enough to be looked at. */
#include "read/reader.h"

#include "world.h"

#include <stdlib.h>

void reader_view_free(struct reader_view *view)
{
    free(view->stacks_after);
    free(view->stack_name);
    free(view->state);
    free(view->find);
}

void reader_filter_free(struct reader_filter *filter)
{
    free(filter->stack_name);
    free(filter->branch);
}

void reader_set_key(struct reader *reader, const char *name, uint32_t number)
{
    (void)reader;
    (void)name;
    (void)number;
}

static enum reader_status tell_stacks(struct json_writer *json)
{
    if (world.is_deleted)
        return READER_NO_PROJECT;
    if (world.refusals > 0)
        return READER_NO_DATABASE;
    json_open_array(json, "stacks");
    for (size_t i = 0; i < world.rows->stacks_size; i++)
        if (world.rows->stacks[i])
            json_put_string(json, NULL, words_stack_state(world.rows->stacks[i]->state));
    json_close_array(json);
    return READER_OK;
}

enum reader_status reader_list_stacks(struct reader *reader, const char *project,
                                      struct json_writer *json)
{
    (void)reader;
    (void)project;
    return tell_stacks(json);
}

enum reader_status reader_status_page(struct reader *reader, const char *project,
                                      const struct reader_view *view, struct json_writer *json)
{
    (void)reader;
    (void)project;
    (void)view;
    return tell_stacks(json);
}

enum reader_status reader_room(struct reader *reader, const char *project, struct reader_room *room)
{
    (void)reader;
    (void)project;
    room->free = world.rows ? world.rows->idle_count : 0;
    return world.refusals > 0 ? READER_NO_DATABASE : READER_OK;
}

static void tell_filter(const struct reader_filter *filter, struct json_writer *json)
{
    json_put_integer(json, "limit", (int64_t)filter->limit);
    json_put_string(json, "stackName", filter->stack_name);
    json_put_string(json, "branch", filter->branch);
}

enum reader_status reader_history(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    (void)reader;
    (void)project;
    tell_filter(filter, json);
    return tell_stacks(json);
}

enum reader_status reader_actions(struct reader *reader, const char *project,
                                  const struct reader_filter *filter, struct json_writer *json)
{
    return reader_history(reader, project, filter, json);
}

enum reader_status reader_events(struct reader *reader, const char *project, uint64_t after,
                                 uint64_t limit, struct json_writer *json)
{
    (void)reader;
    (void)project;
    json_put_integer(json, "next", (int64_t)after);
    json_put_integer(json, "latest", (int64_t)limit);
    return tell_stacks(json);
}

enum reader_status reader_capacity(struct reader *reader, const char *project, double p95_wait_s,
                                   struct json_writer *json)
{
    (void)reader;
    (void)project;
    json_put_number(json, "targetSeconds", p95_wait_s, 0);
    return tell_stacks(json);
}

enum reader_status reader_gauges(struct reader *reader, const char *project, struct buf *out)
{
    (void)reader;
    (void)project;
    (void)out;
    return world.refusals > 0 ? READER_NO_DATABASE : READER_OK;
}
