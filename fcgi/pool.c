/* pool: the containers of one project, and the moves between them. No SQL, no I/O. */
#include "pool.h"

#include "buf.h"
#include "times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Weight of one more hold in the running mean. */
#define HOLD_WEIGHT 0.1

struct pool *pool_new(uint32_t id, const char *name)
{
    struct pool *pool = mem_zalloc(sizeof *pool);

    pool->id = id;
    pool->name = mem_strdup(name);
    pool->deadline = TIMES_NEVER;
    return pool;
}

void stack_free(struct stack *stack)
{
    free(stack->branch);
    free(stack->commit);
    free(stack->owner);
    free(stack->reason);
    free(stack);
}

void lease_free(struct lease *lease)
{
    char *const texts[] = {lease->request_id, lease->key_name,    lease->branch,
                           lease->commit,     lease->job_url,     lease->job_name,
                           lease->job_user,   lease->stack_commit};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    manifest_unref(lease->units);
    manifest_unref(lease->stack_content);
    free(lease);
}

static void free_actions(struct pool *pool)
{
    while (pool->actions) {
        struct action *action = pool->actions;
        pool->actions = action->next;
        free(action->key_name);
        free(action->detail);
        free(action->reason);
        free(action);
    }
}

static void free_ended(struct pool *pool)
{
    while (pool->ended_leases) {
        struct lease *lease = pool->ended_leases;
        pool->ended_leases = lease->next_dirty;
        lease_free(lease);
    }
}

void pool_free(struct pool *pool)
{
    struct lease *lease;
    struct manifest *manifest;

    if (!pool)
        return;
    free_ended(pool);
    free_actions(pool);
    for (size_t at = 0; (lease = map_next(&pool->leases, &at));)
        lease_free(lease);
    for (size_t i = 0; i < pool->stacks_size; i++) {
        if (pool->stacks[i]) {
            manifest_unref(pool->stacks[i]->content);
            stack_free(pool->stacks[i]);
        }
    }
    for (size_t i = 0; i < pool->touched_count; i++)
        manifest_unref(pool->touched[i]);
    for (size_t at = 0; (manifest = map_next(&pool->manifests, &at));)
        manifest_unref(manifest);
    map_free(&pool->manifests);
    map_free(&pool->leases);
    map_free(&pool->requests);
    free(pool->touched);
    free(pool->stacks);
    free(pool->name);
    free(pool->prefix);
    free(pool->initial_commit);
    free(pool);
}

bool pool_is_dirty(const struct pool *pool)
{
    return pool->settings_dirty || pool->dirty_stacks || pool->dirty_leases || pool->ended_leases ||
           pool->touched_count || pool->actions;
}

void pool_due_at(struct pool *pool, int64_t time_us)
{
    if (time_us < pool->deadline)
        pool->deadline = time_us;
}

/* Manifests: the pool's map holds one reference, every use another. */

static void touch_manifest(struct pool *pool, struct manifest *manifest)
{
    if (manifest->touched)
        return;
    if (pool->touched_count == pool->touched_size) {
        pool->touched_size = pool->touched_size ? pool->touched_size * 2 : 16;
        pool->touched = mem_realloc(pool->touched, pool->touched_size * sizeof(struct manifest *));
    }
    manifest->touched = true;
    pool->touched[pool->touched_count++] = manifest_ref(manifest);
}

void pool_add_manifest(struct pool *pool, struct manifest *manifest)
{
    struct manifest *other = map_get(&pool->manifests, manifest->hash);

    if (other) { /* two of one hash: the older one is no longer found, but stays in use */
        map_remove(&pool->manifests, manifest->hash);
        manifest_unref(other);
    }
    map_put(&pool->manifests, manifest->hash, manifest);
}

static struct manifest *use(struct pool *pool, struct manifest *manifest)
{
    if (!manifest)
        return NULL;
    if (manifest->uses++ == 0)
        touch_manifest(pool, manifest);
    return manifest_ref(manifest);
}

static void drop(struct pool *pool, struct manifest *manifest)
{
    if (!manifest)
        return;
    if (--manifest->uses == 0)
        touch_manifest(pool, manifest);
    manifest_unref(manifest);
}

/* The pool's own copy of the same units, or `units` itself as a new one of that number. */
static struct manifest *intern(struct pool *pool, struct manifest *units, uint64_t number)
{
    struct manifest *known;

    if (!units)
        return NULL;
    known = map_get(&pool->manifests, units->hash);
    if (known && manifest_equal(known, units))
        return known;
    units->number = number;
    units->uses = 0;
    units->stored = false;
    units->touched = false;
    pool_add_manifest(pool, manifest_ref(units));
    return units;
}

static void settle_manifests(struct pool *pool)
{
    for (size_t i = 0; i < pool->touched_count; i++) {
        struct manifest *manifest = pool->touched[i];
        manifest->touched = false;
        manifest->stored = manifest->uses > 0;
        if (!manifest->stored && map_get(&pool->manifests, manifest->hash) == manifest) {
            map_remove(&pool->manifests, manifest->hash);
            manifest_unref(manifest);
        }
        manifest_unref(manifest);
    }
    pool->touched_count = 0;
}

void pool_settle(struct pool *pool)
{
    for (struct stack *stack = pool->dirty_stacks; stack; stack = stack->next_dirty)
        stack->dirty = false;
    for (struct lease *lease = pool->dirty_leases; lease; lease = lease->next_dirty) {
        lease->dirty = false;
        lease->stored = true;
        lease->asker = NULL;
    }
    pool->dirty_stacks = NULL;
    pool->dirty_leases = NULL;
    pool->settings_dirty = false;
    free_ended(pool);
    free_actions(pool);
    settle_manifests(pool);
}

/* Stacks */

struct stack *pool_stack(const struct pool *pool, uint32_t number)
{
    struct stack *stack = number < pool->stacks_size ? pool->stacks[number] : NULL;
    return stack && stack->state != STACK_DELETED ? stack : NULL;
}

struct stack *pool_stack_named(const struct pool *pool, const char *name)
{
    size_t prefix_len = strlen(pool->prefix);
    unsigned long number;
    char *end;

    if (strncmp(name, pool->prefix, prefix_len) != 0)
        return NULL;
    name += prefix_len;
    if (*name < '1' || *name > '9') /* no sign, no space, no leading zero */
        return NULL;
    number = strtoul(name, &end, 10);
    return *end || number > STACK_NUMBER_MAX ? NULL : pool_stack(pool, (uint32_t)number);
}

struct stack *pool_last_stack(const struct pool *pool)
{
    for (size_t number = pool->stacks_size; number-- > 1;)
        if (pool_stack(pool, (uint32_t)number))
            return pool->stacks[number];
    return NULL;
}

void pool_touch_stack(struct pool *pool, struct stack *stack)
{
    if (stack->dirty)
        return;
    stack->dirty = true;
    stack->next_dirty = pool->dirty_stacks;
    pool->dirty_stacks = stack;
}

static void idle_insert(struct pool *pool, struct stack *stack)
{
    struct stack *before = pool->idle_last;

    /* Nearly always the last place: only the clock of another database host can go back. */
    while (before && before->modified > stack->modified)
        before = before->idle_previous;
    stack->idle_previous = before;
    stack->idle_next = before ? before->idle_next : pool->idle_first;
    *(stack->idle_previous ? &stack->idle_previous->idle_next : &pool->idle_first) = stack;
    *(stack->idle_next ? &stack->idle_next->idle_previous : &pool->idle_last) = stack;
    pool->idle_count++;
}

static void idle_remove(struct pool *pool, struct stack *stack)
{
    *(stack->idle_previous ? &stack->idle_previous->idle_next : &pool->idle_first) =
        stack->idle_next;
    *(stack->idle_next ? &stack->idle_next->idle_previous : &pool->idle_last) =
        stack->idle_previous;
    stack->idle_previous = stack->idle_next = NULL;
    pool->idle_count--;
}

static int compare_idle(const void *left, const void *right)
{
    const struct stack *a = *(struct stack *const *)left;
    const struct stack *b = *(struct stack *const *)right;

    if (a->modified != b->modified)
        return a->modified < b->modified ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

void pool_sort_idle(struct pool *pool)
{
    struct stack **idle = mem_alloc((pool->stack_count + 1) * sizeof(struct stack *));
    size_t count = 0;

    for (size_t i = 1; i < pool->stacks_size; i++)
        if (pool->stacks[i] && pool->stacks[i]->state == STACK_AVAILABLE)
            idle[count++] = pool->stacks[i];
    qsort(idle, count, sizeof(struct stack *), compare_idle);
    for (size_t i = 0; i < count; i++)
        idle_insert(pool, idle[i]);
    free(idle);
}

void pool_add_stack(struct pool *pool, struct stack *stack)
{
    if (stack->number >= pool->stacks_size) {
        size_t size = pool->stacks_size ? pool->stacks_size : 16;
        while (size <= stack->number)
            size *= 2;
        pool->stacks = mem_realloc(pool->stacks, size * sizeof(struct stack *));
        memset(pool->stacks + pool->stacks_size, 0,
               (size - pool->stacks_size) * sizeof(struct stack *));
        pool->stacks_size = size;
    }
    pool->stacks[stack->number] = stack;
    if (stack->state != STACK_DELETED)
        pool->stack_count++;
    if (stack->state == STACK_HELD)
        pool_due_at(pool, stack->held_until);
    if (stack->content) {
        stack->content->uses++;
        manifest_ref(stack->content);
    }
}

void pool_move_stack(struct pool *pool, struct stack *stack, enum stack_state state)
{
    enum stack_state old = stack->state;

    if (old == STACK_AVAILABLE)
        idle_remove(pool, stack);
    if ((old == STACK_DELETED) != (state == STACK_DELETED))
        pool->stack_count += state == STACK_DELETED ? -1u : 1u;
    stack->state = state;
    stack->modified = pool->now;
    if (state == STACK_AVAILABLE)
        idle_insert(pool, stack);
    if (state == STACK_HELD)
        pool_due_at(pool, stack->held_until);
    if (state != STACK_LEASED && state != STACK_DRAINING)
        stack->next_state = STACK_AVAILABLE;
    if (state == STACK_AVAILABLE || state == STACK_DELETED) {
        mem_replace(&stack->owner, NULL);
        mem_replace(&stack->reason, NULL);
    }
    pool_touch_stack(pool, stack);
}

uint32_t pool_free_number(const struct pool *pool)
{
    uint32_t number = 1;

    if (pool->stack_count + pool->reserved_new >= pool->max_stacks)
        return 0;
    while (pool_stack(pool, number))
        number++;
    return number <= STACK_NUMBER_MAX ? number : 0;
}

struct stack *pool_create_stack(struct pool *pool, uint32_t number)
{
    struct stack *stack = number < pool->stacks_size ? pool->stacks[number] : NULL;

    if (!stack) {
        stack = mem_zalloc(sizeof *stack);
        stack->number = number;
        stack->state = STACK_DELETED;
        pool_add_stack(pool, stack);
    }
    stack->created = pool->now;
    mem_replace(&stack->branch, NULL);
    mem_replace(&stack->commit, NULL);
    pool_set_content(pool, stack, NULL);
    pool_move_stack(pool, stack, STACK_AVAILABLE);
    return stack;
}

void pool_set_content(struct pool *pool, struct stack *stack, struct manifest *content)
{
    struct manifest *old = stack->content;

    if (old == content)
        return;
    stack->content = use(pool, content);
    drop(pool, old);
    pool_touch_stack(pool, stack);
}

/* Leases */

static int queue_of(const struct lease *lease)
{
    return lease->priority - PRIORITY_MIN;
}

static void queue_insert(struct pool *pool, struct lease *lease)
{
    struct lease **first = &pool->queue_first[queue_of(lease)];
    struct lease **last = &pool->queue_last[queue_of(lease)];
    struct lease *before = *last;

    while (before && before->number > lease->number)
        before = before->previous;
    lease->previous = before;
    lease->next = before ? before->next : *first;
    *(lease->previous ? &lease->previous->next : first) = lease;
    *(lease->next ? &lease->next->previous : last) = lease;
    pool->waiting_count++;
}

static void queue_remove(struct pool *pool, struct lease *lease)
{
    *(lease->previous ? &lease->previous->next : &pool->queue_first[queue_of(lease)]) = lease->next;
    *(lease->next ? &lease->next->previous : &pool->queue_last[queue_of(lease)]) = lease->previous;
    lease->previous = lease->next = NULL;
    pool->waiting_count--;
}

static uint64_t hash_request(const char *request_id)
{
    return mem_hash(request_id, strlen(request_id));
}

struct lease *pool_lease(const struct pool *pool, uint64_t number)
{
    return map_get(&pool->leases, number);
}

struct lease *pool_request(const struct pool *pool, const char *request_id)
{
    struct lease *lease = map_get(&pool->requests, hash_request(request_id));

    while (lease && strcmp(lease->request_id, request_id) != 0)
        lease = lease->next_same_id;
    return lease;
}

static void index_lease(struct pool *pool, struct lease *lease)
{
    map_put(&pool->leases, lease->number, lease);
    if (lease->request_id) {
        uint64_t hash = hash_request(lease->request_id);
        lease->next_same_id = map_get(&pool->requests, hash);
        map_put(&pool->requests, hash, lease);
    }
}

static void unindex_lease(struct pool *pool, struct lease *lease)
{
    map_remove(&pool->leases, lease->number);
    if (lease->request_id) {
        uint64_t hash = hash_request(lease->request_id);
        struct lease *first = map_get(&pool->requests, hash);
        struct lease **link = &first;

        while (*link != lease)
            link = &(*link)->next_same_id;
        *link = lease->next_same_id;
        if (first)
            map_put(&pool->requests, hash, first);
        else
            map_remove(&pool->requests, hash);
    }
}

void pool_add_lease(struct pool *pool, struct lease *lease)
{
    struct manifest *const used[] = {lease->units, lease->stack_content};

    for (size_t i = 0; i < 2; i++) {
        if (used[i]) {
            used[i]->uses++;
            manifest_ref(used[i]);
        }
    }
    lease->stored = true;
    index_lease(pool, lease);
    if (lease->state == LEASE_WAITING) {
        queue_insert(pool, lease);
        pool_due_at(pool, lease->instance ? lease->wait_until : lease->place_until);
    } else {
        lease->stack->lease = lease;
        pool_due_at(pool, lease->expires_at);
    }
}

void pool_touch_lease(struct pool *pool, struct lease *lease)
{
    if (lease->dirty)
        return;
    lease->dirty = true;
    lease->next_dirty = pool->dirty_leases;
    pool->dirty_leases = lease;
}

void pool_enqueue(struct pool *pool, struct lease *lease, struct manifest *units)
{
    lease->number = pool->next_lease_number++;
    lease->state = LEASE_WAITING;
    lease->asked_at = pool->now;
    lease->changed_units = -1;
    lease->units = use(pool, intern(pool, units, lease->number));
    index_lease(pool, lease);
    queue_insert(pool, lease);
    pool_touch_lease(pool, lease);
    if (lease->wait_until > pool->now)
        pool_due_at(pool, lease->wait_until);
}

static void new_lease_id(uint8_t lease_id[LEASE_ID_SIZE])
{
    while (getrandom(lease_id, LEASE_ID_SIZE, 0) != LEASE_ID_SIZE)
        ;
}

void pool_activate(struct pool *pool, struct lease *lease, struct stack *stack, bool is_new)
{
    queue_remove(pool, lease);
    lease->state = LEASE_ACTIVE;
    lease->instance = 0;
    lease->timed_out = false;
    lease->stack = stack;
    lease->fence = ++stack->fence;
    lease->is_new = is_new;
    lease->is_protected = lease->request_id != NULL;
    new_lease_id(lease->lease_id);
    mem_replace(&lease->stack_commit, stack->commit ? stack->commit : pool->initial_commit);
    lease->stack_content = use(pool, stack->content);
    if (lease->units)
        lease->changed_units = (int64_t)manifest_distance(lease->units, stack->content);
    lease->granted_at = pool->now;
    lease->renewed_at = pool->now;
    lease->expires_at = pool->now + lease->lease_s * TIMES_SECOND;
    lease->deployed_at = 0;
    pool_touch_lease(pool, lease);
    pool_due_at(pool, lease->expires_at);

    stack->lease = lease;
    mem_replace(&stack->branch, lease->branch);
    pool_move_stack(pool, stack, STACK_LEASED);
}

/* Where a stack goes when its job gives it back, unless the job itself says otherwise. */
static void return_stack(struct pool *pool, struct stack *stack)
{
    enum stack_state state = stack->next_state;

    if (stack->state == STACK_DRAINING)
        state = STACK_DELETED;
    if (state == STACK_HELD)
        stack->held_until = pool->now + stack->hold_s * TIMES_SECOND;
    if (state == STACK_DELETED)
        pool_set_content(pool, stack, NULL);
    stack->lease = NULL;
    pool_move_stack(pool, stack, state);
}

void pool_requeue(struct pool *pool, struct lease *lease)
{
    return_stack(pool, lease->stack);
    drop(pool, lease->stack_content);
    lease->stack_content = NULL;
    lease->stack = NULL;
    lease->fence = 0;
    lease->granted_at = 0;
    lease->expires_at = 0;
    lease->changed_units = -1;
    lease->state = LEASE_WAITING;
    queue_insert(pool, lease);
    pool_touch_lease(pool, lease);
}

/* What the stack is known to run once its lease has ended. */
static bool content_is_known(const struct lease *lease, enum outcome outcome)
{
    if (outcome == OUTCOME_NOT_DEPLOYED)
        return true;
    return lease->deployed_at && outcome != OUTCOME_DEPLOY_FAILED;
}

static void forget_lease(struct pool *pool, struct lease *lease)
{
    struct lease **link = &pool->dirty_leases;

    if (lease->dirty) {
        while (*link != lease)
            link = &(*link)->next_dirty;
        *link = lease->next_dirty;
        lease->dirty = false;
    }
    unindex_lease(pool, lease);
    lease->next_dirty = pool->ended_leases;
    pool->ended_leases = lease;
}

void pool_end_lease(struct pool *pool, struct lease *lease, enum lease_state state,
                    enum outcome outcome)
{
    if (lease->state == LEASE_WAITING) {
        queue_remove(pool, lease);
    } else {
        double hold_s = (double)(pool->now - lease->granted_at) / (double)TIMES_SECOND;
        double weight = pool->mean_hold_s > 0 ? HOLD_WEIGHT : 1;

        pool->mean_hold_s += weight * (hold_s - pool->mean_hold_s);
        if (!content_is_known(lease, outcome))
            pool_set_content(pool, lease->stack, NULL);
        return_stack(pool, lease->stack);
    }
    if (lease->units)
        lease->units->uses--, touch_manifest(pool, lease->units);
    if (lease->stack_content)
        lease->stack_content->uses--, touch_manifest(pool, lease->stack_content);
    lease->state = state;
    lease->outcome = outcome;
    lease->ended_at = pool->now;
    forget_lease(pool, lease);
}

void pool_record(struct pool *pool, const struct command *command, uint32_t stack_number,
                 const char *detail)
{
    struct action *action = mem_zalloc(sizeof *action);

    action->verb = command->verb;
    action->stack_number = stack_number;
    action->key_name = mem_strdup(command->key_name);
    action->detail = mem_strdup(detail);
    action->reason = mem_strdup(command->reason);
    action->next = pool->actions;
    pool->actions = action;
}

/* The queue's order */

int64_t pool_rank(const struct pool *pool, const struct lease *lease)
{
    return lease->priority + (pool->now - lease->asked_at) / (60 * TIMES_SECOND);
}

uint32_t pool_position(const struct pool *pool, const struct lease *lease)
{
    int64_t rank = pool_rank(pool, lease);
    uint32_t position = 1;

    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        for (const struct lease *at = pool->queue_first[i]; at; at = at->next) {
            int64_t other = pool_rank(pool, at);
            if (other < rank || (i == (size_t)queue_of(lease) && at == lease))
                break; /* all behind it in this list rank lower still */
            if (other > rank || at->number < lease->number)
                position++;
        }
    }
    return position;
}

int64_t pool_estimate_s(const struct pool *pool, uint32_t position)
{
    double hold_s = pool->mean_hold_s > 0 ? pool->mean_hold_s : pool->lease_s;
    uint32_t stacks = pool->stack_count > 0 ? pool->stack_count : 1;
    double estimate_s = hold_s * position / stacks;

    return estimate_s < 1 ? 1 : (int64_t)(estimate_s + 0.5);
}
