/* store: a double of the database: one project, in memory, shared by all that store_new() made. */
#include "store/store.h"

#include "../fuzz/fuzz.h"
#include "../unit/copy_pool.h"
#include "world.h"

#include "base/mem.h"
#include "base/times.h"

#include <stdlib.h>
#include <string.h>

struct world world;

struct store {
    uint64_t instance;
    unsigned host;
    bool is_connected;
    bool has_begun;
    bool is_committed; /* the latest batch */
};

void world_open(void)
{
    struct pool *rows = pool_new(1, WORLD_PROJECT);

    rows->prefix = mem_strdup("test-");
    rows->max_stacks = 3;
    rows->lease_s = 60;
    rows->max_lease_s = 600;
    rows->wait_s = 30;
    rows->next_lease_number = 1;
    world = (struct world){.now_us = INT64_C(1767268800000000), .rows = rows};
}

void world_close(void)
{
    for (size_t i = 0; i < world.history_count; i++)
        free(world.history[i].request_id);
    free(world.history);
    pool_free(world.rows);
}

void world_change(void)
{
    world.rows->version++;
}

static bool is_due(enum world_trouble trouble)
{
    if (world.trouble != trouble)
        return false;
    world.trouble = TROUBLE_NONE;
    return true;
}

static enum database_status lose(struct store *store)
{
    store->is_connected = store->has_begun = false;
    return DATABASE_LOST;
}

struct store *store_new(const struct config *config)
{
    struct store *store = mem_zalloc(sizeof *store);

    (void)config;
    store->instance = ++world.instances;
    store->host = world.host;
    return store;
}

void store_free(struct store *store)
{
    free(store);
}

uint64_t store_instance(const struct store *store)
{
    return store->instance;
}

static void beat(const struct store *store)
{
    world.heard[store->host] = store->instance;
    world.heard_at[store->host] = world.now_us;
}

static struct database_time read_clock(void)
{
    return (struct database_time){
        .said = world.now_us, .asked = world.now_us, .answered = world.now_us};
}

enum database_status store_connect(struct store *store, struct database_time *reconnected)
{
    if (store->is_connected)
        return DATABASE_OK;
    if (world.refusals > 0) {
        world.refusals--;
        return DATABASE_LOST;
    }
    store->is_connected = true;
    *reconnected = read_clock();
    beat(store);
    return DATABASE_OK;
}

void store_leave(struct store *store)
{
    if (store->is_connected)
        world.heard[store->host] = 0;
}

void store_disconnect(struct store *store)
{
    store->is_connected = false;
}

bool store_fail_back(struct store *store)
{
    if (!store->is_connected || !is_due(TROUBLE_BETTER))
        return false;
    store->is_connected = false;
    return true;
}

const char *store_refusal(const struct store *store)
{
    (void)store;
    return "";
}

enum database_status store_find_others(struct store *store, bool was_away,
                                       struct store_others *others)
{
    int64_t patience = (was_away ? 3600 : 2) * TIMES_SECOND;

    *others = (struct store_others){0};
    if (!store->is_connected)
        return DATABASE_LOST;
    others->instances = mem_alloc(WORLD_HOSTS * sizeof *others->instances);
    for (unsigned i = 0; i < WORLD_HOSTS; i++)
        if (i != store->host && world.heard[i] && world.heard_at[i] > world.now_us - patience)
            others->instances[others->count++] = world.heard[i];
    return DATABASE_OK;
}

static void add_row(struct store_begin *begin)
{
    struct store_row *row = &begin->rows[begin->count++];

    begin->now = read_clock();
    *row = (struct store_row){
        .id = world.rows->id, .version = world.rows->version, .name = WORLD_PROJECT};
}

enum database_status store_begin(struct store *store, const char *const names[],
                                 struct pool *const pools[], size_t count,
                                 struct store_begin *begin)
{
    (void)pools;
    *begin = (struct store_begin){0};
    begin->rows = mem_zalloc((count + 1) * sizeof *begin->rows);
    begin->changes = mem_zalloc((count + 1) * sizeof *begin->changes);
    if (!store->is_connected || is_due(TROUBLE_BEGIN_LOST))
        return lose(store);
    store->has_begun = true;
    if (is_due(TROUBLE_BEGIN_RETRY))
        return DATABASE_RETRY;
    for (size_t i = 0; i < count && !world.is_deleted; i++) {
        if (strcmp(names[i], WORLD_PROJECT) != 0)
            continue;
        if (is_due(TROUBLE_BUSY))
            begin->busy_count++;
        else
            add_row(begin);
    }
    return DATABASE_OK;
}

void store_begin_free(struct store_begin *begin)
{
    free(begin->changes);
    free(begin->rows);
    *begin = (struct store_begin){0};
}

enum database_status store_follow(struct store *store, struct store_following list[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i].done = false;
    return store->is_connected ? DATABASE_OK : DATABASE_LOST;
}

enum database_status store_load(struct store *store, struct pool *pool)
{
    if (!store->is_connected || is_due(TROUBLE_LOAD_LOST))
        return lose(store);
    copy_rows(pool, world.rows);
    return DATABASE_OK;
}

/* Looking up */

static void take_past(const struct world_ended *ended, struct past_request *past)
{
    *past = (struct past_request){.number = ended->number,
                                  .ended = true,
                                  .state = ended->state,
                                  .outcome = ended->outcome,
                                  .ended_at = ended->ended_at};
}

enum database_status store_find_past(struct store *store, const struct pool *pool,
                                     struct command *commands)
{
    int64_t since = world.now_us - 86400 * TIMES_SECOND;

    if (!store->is_connected)
        return DATABASE_LOST;
    for (struct command *at = commands; at; at = at->next) {
        at->past = (struct past_request){0};
        if (!command_request_id(at) || pool_request(pool, command_request_id(at)))
            continue;
        for (size_t i = 0; i < world.history_count; i++) /* the latest counts */
            if (world.history[i].request_id && world.history[i].ended_at > since &&
                strcmp(world.history[i].request_id, command_request_id(at)) == 0)
                take_past(&world.history[i], &at->past);
    }
    return DATABASE_OK;
}

enum database_status store_find_ended(struct store *store, const struct pool *pool, uint64_t number,
                                      struct past_request *past)
{
    (void)pool;
    *past = (struct past_request){0};
    for (size_t i = 0; i < world.history_count; i++)
        if (world.history[i].number == number)
            take_past(&world.history[i], past);
    return store->is_connected ? DATABASE_OK : DATABASE_LOST;
}

enum database_status store_was_leased(struct store *store, const struct pool *pool,
                                      const struct stack *stack, const uint8_t *lease_id,
                                      bool *was_leased)
{
    (void)pool;
    *was_leased = false;
    for (size_t i = 0; i < world.history_count; i++)
        if (world.history[i].stack == stack->number &&
            memcmp(world.history[i].lease_id, lease_id, LEASE_ID_SIZE) == 0)
            *was_leased = true;
    return store->is_connected ? DATABASE_OK : DATABASE_LOST;
}

/* Commit */

static void add_history(const struct lease *lease)
{
    struct world_ended *ended;

    world.history = mem_realloc(world.history, (world.history_count + 1) * sizeof *world.history);
    ended = &world.history[world.history_count++];
    *ended = (struct world_ended){.number = lease->number,
                                  .state = lease->state,
                                  .outcome = lease->outcome,
                                  .ended_at = lease->ended_at,
                                  .request_id = mem_strdup(lease->request_id),
                                  .stack = lease->stack ? lease->stack->number : 0};
    memcpy(ended->lease_id, lease->lease_id, LEASE_ID_SIZE);
}

static uint64_t number_of(const struct manifest *manifest)
{
    return manifest ? manifest->number : 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What isn't marked as changed isn't written, so it must be what the row has. */
static void check_stack_row(const struct stack *row, const struct stack *stack)
{
    if (!(stack->changed & STACK_LIFE))
        check(row->state == stack->state && row->next_state == stack->next_state &&
              row->fence == stack->fence && same_text(row->branch, stack->branch) &&
              !row->lease == !stack->lease && row->created == stack->created &&
              row->modified == stack->modified);
    if (!(stack->changed & STACK_CONTENT))
        check(same_text(row->commit, stack->commit) &&
              number_of(row->content) == number_of(stack->content));
    if (!(stack->changed & STACK_ASIDE))
        check(row->hold_s == stack->hold_s && row->held_until == stack->held_until);
    check(stack->note_number == row->note_number + (stack->changed & STACK_NOTE ? 1 : 0));
    if (!(stack->changed & STACK_NOTE))
        check(same_text(row->owner, stack->owner) && same_text(row->reason, stack->reason));
}

static void check_lease_row(const struct lease *row, const struct lease *lease)
{
    check(row->state == lease->state && row->passed_over == lease->passed_over);
    check(row->instance == lease->instance && row->call_no == lease->call_no);
    check(row->grace_s == lease->grace_s);
    check(row->place_until == lease->place_until && row->timed_out == lease->timed_out);
    check(row->is_protected == lease->is_protected && row->fence == lease->fence);
    check(row->granted_at == lease->granted_at && row->expires_at == lease->expires_at);
    check(row->deployed_at == lease->deployed_at && !row->stack == !lease->stack);
    check(memcmp(row->lease_id, lease->lease_id, LEASE_ID_SIZE) == 0);
}

static void check_rows(const struct pool *rows, const struct pool *pool)
{
    static const struct stack new_row; /* as the columns' defaults have it */
    const struct lease *lease;

    for (uint32_t i = 1; i < pool->stacks_size; i++) {
        bool is_there = i < rows->stacks_size && rows->stacks[i];
        if (pool->stacks[i])
            check_stack_row(is_there ? rows->stacks[i] : &new_row, pool->stacks[i]);
    }
    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;)
        if (!lease->dirty)
            check_lease_row(pool_lease(rows, lease->number), lease);
}

static void commit(const struct pool *pool)
{
    struct pool *old = world.rows;

    check_rows(old, pool);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        add_history(at);
    world.rows = copy_pool(pool);
    pool_free(old);
}

/* Whether the pools are what the database has; what was locked is. */
static bool holds(const struct store *store, struct pool *const pools[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_current = !world.is_deleted && pools[i]->id == world.rows->id &&
                          pools[i]->version == world.rows->version &&
                          llabs(pools[i]->now - world.now_us) < TIMES_SECOND / 2;
        check(is_current || !store->has_begun);
        if (!is_current)
            return false;
    }
    return true;
}

static bool write_pools(struct store *store, struct pool *const pools[], size_t count)
{
    bool has_written = false;

    for (size_t i = 0; i < count; i++) {
        if (!pool_is_dirty(pools[i]))
            continue;
        pools[i]->version++;
        commit(pools[i]);
        beat(store);
        has_written = true;
    }
    return has_written;
}

enum database_status store_commit(struct store *store, struct pool *pools[], size_t count)
{
    bool is_lost = is_due(TROUBLE_COMMIT_LOST);
    bool is_doubtful = is_due(TROUBLE_COMMIT_DOUBT);

    store->is_committed = false;
    if (!store->is_connected || is_lost)
        return lose(store);
    if (is_due(TROUBLE_COMMIT_RETRY) || !holds(store, pools, count))
        return DATABASE_RETRY;
    if (is_due(TROUBLE_COMMIT_ERROR))
        return DATABASE_ERROR;
    store->is_committed = write_pools(store, pools, count);
    if (is_doubtful)
        return lose(store);
    store->has_begun = false;
    return DATABASE_OK;
}

enum database_status store_was_committed(struct store *store, const char *const names[],
                                         size_t count, bool *was_committed)
{
    (void)names;
    (void)count;
    *was_committed = store->is_committed;
    return store->is_connected ? DATABASE_OK : DATABASE_LOST;
}

void store_rollback(struct store *store)
{
    store->has_begun = false;
}

/* Watching */

enum database_status store_watch(struct store *store, struct store_watch *watch)
{
    *watch = (struct store_watch){0};
    if (!store->is_connected)
        return DATABASE_LOST;
    beat(store);
    watch->now = read_clock();
    watch->count = !world.is_deleted;
    if (!watch->count)
        return DATABASE_OK;
    watch->rows = mem_alloc(sizeof *watch->rows);
    *watch->rows = (struct store_row){
        .id = world.rows->id, .version = world.rows->version, .name = WORLD_PROJECT};
    return DATABASE_OK;
}
