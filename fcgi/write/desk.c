/* desk: see desk.h. */
#include "write/desk.h"

#include "base/mem.h"
#include "rules/activity.h"

#include <stdlib.h>

static struct desk *desk_new(const char *name)
{
    struct desk *desk = mem_zalloc(sizeof *desk);

    desk->name = mem_strdup(name);
    desk->deadline_ms = INT64_MAX;
    return desk;
}

struct desk *desks_get(struct desks *desks, const char *name)
{
    struct desk *desk = map_get_named(&desks->by_name, name);

    if (!desk) {
        desk = desk_new(name);
        map_put_named(&desks->by_name, desk->name, desk);
    }
    return desk;
}

struct desk *desks_next(const struct desks *desks, size_t *at)
{
    return map_next(&desks->by_name, at);
}

void desks_note(struct desks *desks, const struct desk *desk)
{
    if (desk->deadline_ms < desks->deadline_ms)
        desks->deadline_ms = desk->deadline_ms;
}

void desks_find_due(struct desks *desks, int64_t now_ms)
{
    struct desk *desk;

    if (desks->due_count > 0 || desks->deadline_ms > now_ms)
        return;
    desks->deadline_ms = INT64_MAX;
    desks->due = mem_realloc(desks->due, (desks->by_name.count + 1) * sizeof(struct desk *));
    for (size_t at = 0; (desk = desks_next(desks, &at)) != NULL;) {
        if (desk->deadline_ms <= now_ms)
            desks->due[desks->due_count++] = desk;
        else
            desks_note(desks, desk);
    }
}

struct desk *desks_next_due(struct desks *desks)
{
    if (desks->due_count == 0)
        return NULL;
    return desks->due[--desks->due_count];
}

void desks_free(struct desks *desks)
{
    struct desk *desk;

    for (size_t at = 0; (desk = desks_next(desks, &at)) != NULL;) {
        pool_free(desk->pool);
        activity_free(desk->activity);
        map_free(&desk->lot);
        free(desk->name);
        free(desk);
    }
    map_free(&desks->by_name);
    free(desks->due);
}

void desk_forget(struct desk *desk)
{
    if (desk->pool) {
        activity_free(desk->activity);
        desk->activity = desk->pool->activity;
        desk->pool->activity = NULL;
    }
    pool_free(desk->pool);
    desk->pool = NULL;
    desk->is_doubtful = false;
    desk->left_id = 0;
}

void desks_let_go(struct desks *desks, int64_t since_ms)
{
    struct desk *desk;

    for (size_t at = 0; (desk = desks_next(desks, &at)) != NULL;) {
        struct pool *pool = desk->pool;
        uint32_t id = pool ? pool->id : 0;
        uint64_t version = pool ? pool->version : 0;

        if (!pool || desk->used_ms > since_ms || desk->lot.count > 0 || desk->is_doubtful)
            continue;
        desk_forget(desk);
        activity_free(desk->activity);
        desk->activity = NULL;
        desk->left_id = id;
        desk->left_version = version;
    }
}

bool desk_knows(const struct desk *desk, uint32_t id, uint64_t version)
{
    if (desk->pool)
        return desk->pool->id == id && desk->pool->version == version;
    return desk->left_id == id && desk->left_version == version;
}

void desk_open(struct desk *desk, uint32_t id)
{
    desk->pool = pool_new(id, desk->name);
    desk->left_id = 0;
    desk->pool->remembered = desk->activity;
    desk->activity = NULL;
}

uint64_t *desk_parked_numbers(const struct desk *desk, int64_t until_ms, size_t *count)
{
    uint64_t *numbers = mem_alloc((desk->lot.count + 1) * sizeof *numbers);
    const struct parked *parked;

    *count = 0;
    for (size_t at = 0; (parked = map_next(&desk->lot, &at)) != NULL;)
        if (parked->deadline_ms <= until_ms)
            numbers[(*count)++] = parked->number;
    return numbers;
}
