/*
 * scene: a project, its clerk and its callers, for tests of the rules.
 *
 * A batch is run as the writer runs it: scene_add() for each command, then scene_finish(), which
 * checks the whole pool and keeps what each caller is told. scene_run() is a batch of one.
 */
#ifndef SCENE_H
#define SCENE_H

#include "check_pool.h"
#include "unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/times.h"
#include "rules/clerk.h"
#include "rules/clerk_private.h"
#include "rules/command.h"
#include "rules/content.h"
#include "rules/pool.h"
#include "write/render.h"

#include <string.h>

#define US              1u /* this program */
#define OTHER           2u /* another one, alive */
#define DEAD            3u /* one that is not */
#define NOON            INT64_C(1767268800000000)
#define SECONDS(number) (TIMES_SECOND * (number))
#define BATCH_MOST      64

/* What a caller is told, kept beyond its batch. */
struct told {
    enum result_code result;
    uint32_t stack;
    uint64_t lease; /* number */
    uint64_t fence;
    enum lease_state state; /* of the lease */
    bool is_new;
    int64_t changed_units;
    int64_t expires_at;
    uint32_t position;
    const char *field;
    enum stack_state stack_state;
    int64_t call_no; /* by which our own commands know the call */
    uint8_t lease_id[LEASE_ID_SIZE];
};

#define ROWS_MOST 200

struct scene {
    uint64_t rows[ROWS_MOST][7]; /* digests of what the database has of each stack, by change */
    struct pool *pool;
    struct clerk clerk;
    uint64_t others[2];
    struct command *commands[BATCH_MOST];
    struct told told[BATCH_MOST];
    size_t count;
};

static inline struct pool *scene_pool(uint32_t max_stacks)
{
    struct pool *pool = pool_new(1, "demo");

    pool->prefix = mem_strdup("test-");
    pool->initial_commit = mem_strdup("initial");
    pool->max_stacks = max_stacks;
    pool->lease_s = 3600;
    pool->max_lease_s = 86400;
    pool->wait_s = 600;
    pool->next_lease_number = 1;
    pool->now = NOON;
    return pool;
}

static inline struct scene *scene_new(uint32_t max_stacks)
{
    struct scene *scene = mem_zalloc(sizeof *scene);

    scene->pool = scene_pool(max_stacks);
    scene->others[0] = OTHER;
    scene->clerk = (struct clerk){.instance = US,
                                  .others = scene->others,
                                  .other_count = 1,
                                  .request_grace_us = SECONDS(60),
                                  .startup_grace_us = SECONDS(60),
                                  .up_since = NOON - SECONDS(86400),
                                  .waiting_max = 1000};
    return scene;
}

static inline void scene_free(struct scene *scene)
{
    pool_free(scene->pool);
    free(scene);
}

static inline void scene_pass(struct scene *scene, int64_t seconds)
{
    scene->pool->now += SECONDS(seconds);
}

static inline size_t scene_add(struct scene *scene, struct command *command)
{
    assert_true(scene->count < BATCH_MOST);
    if (!command->key_name)
        command->key_name = mem_strdup("key");
    clerk_run(&scene->clerk, scene->pool, command);
    scene->commands[scene->count] = command;
    return scene->count++;
}

/* As `answers` does it. */
static inline enum result_code final_result(const struct command *command)
{
    const struct lease *lease = command->result.lease;

    if (command->result.code != RESULT_WAITING)
        return command->result.code;
    return lease->asker == command ? render_result_of(lease) : RESULT_REPLACED;
}

static inline struct told tell(const struct command *command)
{
    const struct lease *lease = command->result.lease;
    const struct stack *stack = command->result.stack;
    struct told told = {.result = final_result(command), .field = command->result.field};

    if (lease) {
        told.lease = lease->number;
        told.fence = lease->fence;
        told.state = lease->state;
        told.is_new = lease->is_new;
        told.changed_units = lease->changed_units;
        told.expires_at = lease->expires_at;
        told.position = lease->position;
        told.call_no = lease->call_no;
        memcpy(told.lease_id, lease->lease_id, LEASE_ID_SIZE);
        stack = stack ? stack : lease->stack;
    }
    if (stack) {
        told.stack = stack->number;
        told.stack_state = stack->state;
    }
    return told;
}

/* Time, grants and ends of waits; everything is still unwritten. */
static inline void scene_decide(struct scene *scene)
{
    clerk_settle_due(&scene->clerk, scene->pool);
    clerk_grant(&scene->clerk, scene->pool);
    for (size_t i = 0; i < scene->count; i++)
        if (scene->commands[i]->verb == VERB_REQUEST &&
            scene->commands[i]->result.code == RESULT_NOT_NOW)
            clerk_grant_refresh(&scene->clerk, scene->pool, scene->commands[i]);
    clerk_end_waits(&scene->clerk, scene->pool);
    check_pool(&scene->clerk, scene->pool, false);
    for (size_t i = 0; i < scene->count; i++)
        scene->told[i] = tell(scene->commands[i]);
}

static inline uint64_t row_digest(const struct stack *stack, unsigned change)
{
    struct buf text = {0};
    uint64_t digest;

    if (change == STACK_LIFE)
        buf_printf(&text, "%d %d %llu %s %llu %lld", (int)stack->state, (int)stack->next_state,
                   (unsigned long long)stack->fence, stack->branch ? stack->branch : "",
                   (unsigned long long)(stack->lease ? stack->lease->number : 0),
                   (long long)stack->modified);
    else if (change == STACK_CONTENT)
        buf_printf(&text, "%s %llu %lld", stack->commit ? stack->commit : "",
                   (unsigned long long)(stack->content ? stack->content->number : 0),
                   (long long)stack->health.deployed_at);
    else if (change == STACK_BIRTH)
        buf_printf(&text, "%lld", (long long)stack->created);
    else if (change == STACK_ASIDE)
        buf_printf(&text, "%u %lld %d %llx", stack->hold_s, (long long)stack->held_until,
                   stack->held_by_job,
                   (unsigned long long)mem_hash(stack->hold_lease_id, LEASE_ID_SIZE));
    else if (change == STACK_HEALTH)
        buf_printf(&text, "%u %lld %s %lld", stack->health.failed_deploys,
                   (long long)stack->health.failed_since,
                   stack->health.failed_branch ? stack->health.failed_branch : "",
                   (long long)stack->health.unsettled_since);
    else if (change == STACK_GRANT)
        buf_printf(&text, "%llu", (unsigned long long)stack->grant_no);
    else
        buf_printf(&text, "%llu %s %s", (unsigned long long)stack->note_number,
                   stack->owner ? stack->owner : "", stack->reason ? stack->reason : "");
    digest = mem_hash(text.data, text.len);
    buf_free(&text);
    return digest;
}

/* What the batch would write makes the rows what the pool is: no change is forgotten. */
static inline void scene_write(struct scene *scene)
{
    const struct pool *pool = scene->pool;

    for (size_t i = 1; i < pool->stacks_size && i < ROWS_MOST; i++) {
        const struct stack *stack = pool->stacks[i];
        if (!stack)
            continue;
        for (unsigned at = 0, change = 1; change < STACK_CURED; at++, change *= 2) {
            uint64_t digest = row_digest(stack, change);
            if (!scene->rows[i][at] || stack->changed & change)
                scene->rows[i][at] = digest;
            assert_int_equal(scene->rows[i][at], digest);
        }
    }
}

/* The batch is written and answered. */
static inline void scene_settle(struct scene *scene)
{
    scene_write(scene);
    pool_settle(scene->pool);
    while (scene->count > 0)
        command_free(scene->commands[--scene->count]);
    check_pool(&scene->clerk, scene->pool, true);
}

static inline void scene_finish(struct scene *scene)
{
    scene_decide(scene);
    scene_settle(scene);
}

static inline struct told scene_run(struct scene *scene, struct command *command)
{
    size_t at = scene_add(scene, command);

    scene_finish(scene);
    return scene->told[at];
}

/* Units from a text like "a=1 b=2"; NULL: none told. */
static inline struct manifest *units(const char *text)
{
    struct unit list[16];
    size_t count = 0;
    char *copy = mem_strdup(text);
    char *rest = copy;
    char *pair;
    struct manifest *manifest;

    if (!text)
        return NULL;
    while ((pair = strsep(&rest, " ")) != NULL) {
        char *name = strsep(&pair, "=");
        if (*name)
            list[count++] = (struct unit){.name = name, .fingerprint = pair};
    }
    manifest = manifest_new(list, count);
    free(copy);
    return manifest;
}

/* requestStack; texts may be NULL. */
static inline struct command *ask(const char *branch, const char *request_id, const char *needs)
{
    struct command *command = command_new(VERB_REQUEST);

    command->as.request.branch = mem_strdup(branch);
    command->as.request.request_id = mem_strdup(request_id);
    command->as.request.units = units(needs);
    return command;
}

static inline struct command *ask_refresh(const char *request_id, const char *needs)
{
    struct command *command = ask("main", request_id, needs);

    command->as.request.purpose = PURPOSE_REFRESH;
    return command;
}

/* A command on the named stack, with the leaseId of `told` if that isn't NULL. */
static inline struct command *on(enum verb verb, const char *stack_name, const struct told *told)
{
    struct command *command = command_new(verb);

    command->by_admin = true;
    command->stack_name = mem_strdup(stack_name);
    if (told) {
        command->has_lease_id = true;
        memcpy(command->lease_id, told->lease_id, LEASE_ID_SIZE);
    }
    return command;
}

static inline struct command *give_back(const char *stack_name, const struct told *told,
                                        enum outcome outcome)
{
    struct command *command = on(VERB_RELEASE, stack_name, told);

    command->as.release.outcome = outcome;
    return command;
}

static inline struct command *mark(const char *stack_name, const struct told *told,
                                   const char *commit)
{
    struct command *command = on(VERB_MARK, stack_name, told);

    command->as.mark.commit = mem_strdup(commit);
    return command;
}

/* The writer's own VERB_HANG_UP; also cancelRequest by number. */
static inline struct command *about(enum verb verb, const struct told *told)
{
    struct command *command = command_new(verb);

    if (verb == VERB_CANCEL)
        command->as.cancel.number = told->lease;
    else
        command->as.hang_up =
            (struct command_hang_up){.number = told->lease, .call_no = told->call_no};
    return command;
}

static inline struct stack *stack_of(const struct scene *scene, uint32_t number)
{
    struct stack *stack = pool_stack(scene->pool, number);

    assert_non_null(stack);
    return stack;
}

static inline const struct lease *lease_of(const struct scene *scene, const struct told *told)
{
    return pool_lease(scene->pool, told->lease);
}

static inline uint32_t scene_position(struct scene *scene, const struct told *told)
{
    pool_number_queue(scene->pool);
    return lease_of(scene, told)->position;
}

#endif
