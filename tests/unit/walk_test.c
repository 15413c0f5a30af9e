/*
 * walk: random commands, time and restarts on one pool, a batch at a time. After every step the
 * whole pool is checked (check_pool.h), and each lease's change since the step before must be one
 * that the life cycle in pool.h has, with a cause.
 *
 * When it fails it prints how to run the same walk again.
 */
#include "base/mem.h"
#include "copy_pool.h"
#include "scene.h"

#define MEMOS       400
#define STACKS_SEEN 64

/* A lease as it was before the batch. */
struct memo {
    uint64_t number;
    enum lease_state state;
    bool has_request_id;
    uint64_t instance;
    int64_t due;
    int64_t call_no;
    uint32_t stack;
    uint64_t fence;
    uint32_t passed_over;
    uint8_t lease_id[LEASE_ID_SIZE];
};

/* What the commands of the batch may have done. */
struct causes {
    bool released[STACKS_SEEN];
    bool revoked[STACKS_SEEN];
    bool extended[STACKS_SEEN];
    bool hung_up;
    bool cancelled;
    bool superseded;
};

struct walk {
    struct scene *scene;
    struct chance chance;
    struct memo memos[MEMOS];
    size_t memo_count;
    struct causes causes;
    uint64_t fences[STACKS_SEEN]; /* the highest ever granted */
    uint64_t requests;            /* how many requestIds there were */
    uint64_t grants;
    uint64_t steps;
};

static bool maybe(struct walk *walk, unsigned percent)
{
    return chance_percent(&walk->chance, percent);
}

static unsigned below(struct walk *walk, unsigned bound)
{
    return chance_below(&walk->chance, bound);
}

/* Before the batch */

static void remember(struct walk *walk)
{
    struct scene *scene = walk->scene;
    const struct lease *lease;

    walk->memo_count = 0;
    walk->causes = (struct causes){.hung_up = false};
    for (size_t at = 0; (lease = map_next(&scene->pool->leases, &at)) != NULL;) {
        struct memo *memo = &walk->memos[walk->memo_count++];
        assert_true(walk->memo_count < MEMOS);
        *memo = (struct memo){.number = lease->number,
                              .state = lease->state,
                              .has_request_id = lease->request_id != NULL,
                              .instance = lease->instance,
                              .due = lease_is_due(&scene->clerk, scene->pool, lease),
                              .call_no = lease->call_no,
                              .stack = lease->stack ? lease->stack->number : 0,
                              .fence = lease->fence,
                              .passed_over = lease->passed_over};
        memcpy(memo->lease_id, lease->lease_id, LEASE_ID_SIZE);
    }
}

static const struct memo *memo_of(const struct walk *walk, uint64_t number)
{
    for (size_t i = 0; i < walk->memo_count; i++)
        if (walk->memos[i].number == number)
            return &walk->memos[i];
    return NULL;
}

static const struct memo *any_memo(struct walk *walk)
{
    return walk->memo_count ? &walk->memos[below(walk, (unsigned)walk->memo_count)] : NULL;
}

/* Commands */

static const char *any_units(struct walk *walk)
{
    static const char *const sets[] = {
        NULL, "", "a=1", "a=1 b=1 c=1", "a=2 b=1 c=1", "a=1 b=2 c=2", "a=2 b=2 c=2", "d=1"};
    return sets[below(walk, COUNT(sets))];
}

static struct command *any_request(struct walk *walk)
{
    static const char *const branches[] = {"main", "feature", "fix"};
    char request_id[32];
    bool repeated = walk->requests > 0 && maybe(walk, 30);
    uint64_t id =
        repeated ? walk->requests - 1 - below(walk, 12) % walk->requests : walk->requests++;
    struct command *command;
    struct command_request *request;

    /* What a request says goes by its id, so that repeats mostly agree. */
    struct chance of_id = chance_new(id * 977);
    const char *branch = branches[chance_below(&of_id, COUNT(branches))];

    snprintf(request_id, sizeof request_id, "r%llu", (unsigned long long)id);
    command = ask(branch, maybe(walk, 60) ? request_id : NULL, NULL);
    request = &command->as.request;
    if (chance_percent(&of_id, 70)) {
        static const char *const sets[] = {"", "a=1", "a=1 b=1 c=1", "a=2 b=1 c=1", "a=2 b=2 c=2"};
        request->units =
            units(maybe(walk, 2) ? any_units(walk) : sets[chance_below(&of_id, COUNT(sets))]);
    }
    request->wait_s = maybe(walk, 30) ? 0 : (int)below(walk, 400);
    request->lease_s = maybe(walk, 30) ? -1 : 1 + (int)below(walk, 900);
    request->has_priority = maybe(walk, 60);
    request->priority = maybe(walk, 60) ? 0 : PRIORITY_MIN + (int)below(walk, PRIORITY_COUNT);
    request->supersede = maybe(walk, 5);
    request->wont_resume = maybe(walk, 20);
    if (chance_percent(&of_id, 15)) {
        char name[32];
        snprintf(name, sizeof name, "test-%u", 1 + chance_below(&of_id, 7));
        command->stack_name = mem_strdup(name);
    }
    request->purpose = chance_percent(&of_id, 8) ? PURPOSE_REFRESH : PURPOSE_TEST;
    if (request->supersede)
        walk->causes.superseded = true;
    return command;
}

static void say_more(struct walk *walk, struct command *command)
{
    int seconds = maybe(walk, 50) ? -1 : 1 + (int)below(walk, 600);

    if (command->verb == VERB_EXTEND)
        command->as.extend.lease_s = seconds;
    else if (command->verb == VERB_RELEASE)
        command->as.release.hold_s = seconds;
    else if (command->verb == VERB_HOLD || command->verb == VERB_QUARANTINE)
        command->as.set_aside =
            (struct command_set_aside){.revoke = maybe(walk, 30),
                                       .owner = maybe(walk, 30) ? mem_strdup("owner") : NULL,
                                       .hold_s = seconds};
}

static struct command *on_any_stack(struct walk *walk, enum verb verb, uint32_t *number)
{
    char name[32];
    struct command *command;
    const struct memo *memo = any_memo(walk);

    *number = memo && memo->stack && maybe(walk, 70) ? memo->stack : 1 + below(walk, 9);
    snprintf(name, sizeof name, "test-%u", *number);
    command = on(verb, name, NULL);
    for (size_t i = 0; i < walk->memo_count; i++) {
        if (walk->memos[i].stack == *number && maybe(walk, 80)) {
            command->has_lease_id = true;
            memcpy(command->lease_id, walk->memos[i].lease_id, LEASE_ID_SIZE);
            command->lease_id[0] ^= (uint8_t)maybe(walk, 5);
        }
    }
    say_more(walk, command);
    command->reason = maybe(walk, 30) ? mem_strdup("reason") : NULL;
    return command;
}

static struct command *by_number(struct walk *walk, enum verb verb)
{
    struct command *command = command_new(verb);
    const struct memo *memo = any_memo(walk);

    uint64_t number = memo ? memo->number : below(walk, 20);

    if (verb == VERB_PRIORITIZE)
        command->as.prioritize = (struct command_prioritize){
            .number = number, .priority = PRIORITY_MIN + (int)below(walk, PRIORITY_COUNT)};
    else if (verb == VERB_CANCEL)
        command->as.cancel.number = number;
    else
        command->as.hang_up = (struct command_hang_up){
            .number = number, .call_no = memo ? memo->call_no + (maybe(walk, 5) ? 1 : 0) : 0};
    return command;
}

static struct command *any_update(struct walk *walk)
{
    struct command *command = command_new(VERB_UPDATE_PROJECT);
    struct command_update_project *change = &command->as.update_project;

    change->max_stacks = maybe(walk, 80) ? 1 + (int)below(walk, 7) : -1;
    change->lease_s = maybe(walk, 30) ? 1 + (int)below(walk, 600) : -1;
    change->max_lease_s = maybe(walk, 30) ? 100 + (int)below(walk, 900) : -1;
    if (change->max_lease_s >= 0 && maybe(walk, 90)) /* or it would be refused */
        change->lease_s = 1 + (int)below(walk, 100);
    change->wait_s = maybe(walk, 30) ? (int)below(walk, 300) : -1;
    change->quarantine_after = maybe(walk, 30) ? (int)below(walk, 4) : -1;
    change->settle_s = maybe(walk, 30) ? (int)below(walk, 60) : -1;
    change->has_max_held = maybe(walk, 30);
    change->max_held = (int)below(walk, 4) - 1;
    change->has_initial_commit = maybe(walk, 10);
    change->has_main_branch = maybe(walk, 30);
    change->main_branch = maybe(walk, 50) ? mem_strdup("fix") : NULL;
    change->has_paused = maybe(walk, 80);
    change->paused = maybe(walk, 10);
    change->prefix = maybe(walk, 10) ? mem_strdup("other-") : NULL;
    return command;
}

static void measure(struct walk *walk, struct command_mark_units *marks)
{
    static const char *const names[] = {"a", "b", "c", "other"};

    marks->times = mem_alloc(sizeof *marks->times);
    marks->times[0] = (struct unit_time){mem_strdup(names[below(walk, 4)]), below(walk, 100000)};
    marks->time_count = 1;
}

static struct command *any_command(struct walk *walk)
{
    struct command *command;
    uint32_t number;
    unsigned dice = below(walk, 100);

    if (dice < 42)
        return any_request(walk);
    if (dice < 62) {
        command = on_any_stack(walk, VERB_RELEASE, &number);
        command->as.release.outcome = maybe(walk, 60) ? OUTCOME_NONE : (enum outcome)below(walk, 7);
        command->as.release.interrupted = maybe(walk, 20);
        walk->causes.released[number] = true;
    } else if (dice < 67) {
        command = on_any_stack(walk, VERB_MARK, &number);
        command->as.mark.commit = mem_strdup(maybe(walk, 50) ? "c1" : "c2");
        command->as.mark.as_marked = maybe(walk, 40);
    } else if (dice < 73) {
        command = on_any_stack(walk, VERB_MARK_UNITS, &number);
        command->has_lease_id = true; /* api asks for it */
        measure(walk, &command->as.mark_units);
        command->as.mark_units.units = units(maybe(walk, 30) ? "a= b=" : any_units(walk));
        command->as.mark_units.removed = units(maybe(walk, 30) ? "e= f=" : NULL);
    } else if (dice < 79) {
        command = on_any_stack(walk, VERB_EXTEND, &number);
        walk->causes.extended[number] = true;
    } else if (dice < 86) {
        command = by_number(walk, VERB_HANG_UP);
        walk->causes.hung_up = true;
    } else if (dice < 88) {
        command = by_number(walk, VERB_CANCEL);
        walk->causes.cancelled = true;
    } else if (dice < 92) {
        static const enum verb verbs[] = {VERB_HOLD, VERB_QUARANTINE, VERB_REVOKE};
        command = on_any_stack(walk, verbs[below(walk, 3)], &number);
        walk->causes.revoked[number] = true;
    } else if (dice < 96) {
        command = on_any_stack(walk, VERB_REINSTATE, &number);
        command->by_admin = maybe(walk, 50);
    } else if (dice < 97) {
        command = on_any_stack(walk, VERB_DELETE_STACK, &number);
    } else if (dice < 98) {
        command = command_new(VERB_DELETE_LAST);
    } else if (dice < 99) {
        command = command_new(VERB_ADD_STACKS);
        command->as.add_stacks.count = 1 + below(walk, 2);
    } else if (maybe(walk, 50)) {
        command = by_number(walk, VERB_PRIORITIZE);
    } else {
        command = any_update(walk);
    }
    return command;
}

/* Restarts */

static void reload(struct walk *walk)
{
    struct pool *old = walk->scene->pool;

    walk->scene->pool = copy_pool(old);
    pool_free(old);
}

/* Another host at work between two batches of ours: its own callers, its clerk. */
static void lend_to_other(struct walk *walk)
{
    struct scene *scene = walk->scene;
    uint64_t living = US;

    reload(walk); /* it remembers nothing of ours */
    scene->clerk.instance = OTHER;
    scene->clerk.others = &living;
    scene_add(scene, any_request(walk));
    if (maybe(walk, 50))
        scene_add(scene, any_request(walk));
    scene_finish(scene);
    scene->clerk.instance = US;
    scene->clerk.others = scene->others;
    reload(walk);
    check_pool(&scene->clerk, scene->pool, true);
}

/* After the batch */

static bool was_fresh_grant(const struct walk *walk, const struct lease *lease)
{
    const struct memo *memo = memo_of(walk, lease->number);
    return !memo || memo->state != LEASE_ACTIVE ||
           memcmp(memo->lease_id, lease->lease_id, LEASE_ID_SIZE) != 0;
}

static bool is_dead(const struct walk *walk, uint64_t instance)
{
    return instance == OTHER && walk->scene->clerk.other_count == 0;
}

static void check_live(struct walk *walk, const struct lease *lease)
{
    const struct clerk *clerk = &walk->scene->clerk;
    const struct pool *pool = walk->scene->pool;
    const struct memo *memo = memo_of(walk, lease->number);

    assert_true(lease->passed_over <= 5);
    if (memo)
        assert_true(lease->passed_over >= memo->passed_over);
    if (lease->state == LEASE_ACTIVE) {
        if (was_fresh_grant(walk, lease)) {
            assert_true(lease->fence > walk->fences[lease->stack->number]);
            walk->fences[lease->stack->number] = lease->fence;
            assert_int_equal(lease->granted_at, pool->now);
            assert_int_equal(pool->pause.since, 0);
            walk->grants++;
            /* Nobody is granted whom nobody waits for. */
            assert_true(!memo || memo->instance == US || lease->asker);
        } else if (memo) {
            assert_int_equal(lease->stack->number, memo->stack);
            assert_true(lease_is_due(clerk, pool, lease) > pool->now);
        }
        return;
    }
    if (memo && memo->state == LEASE_ACTIVE)
        assert_true(walk->causes.hung_up);
    assert_int_equal(lease->purpose, PURPOSE_TEST); /* refreshes never wait */
    if (lease->instance == US)
        assert_true(lease->wait_until > pool->now);
    else if (!lease->instance)
        assert_true(lease_is_due(clerk, pool, lease) > pool->now);
    else
        assert_true(lease->instance == OTHER && !is_dead(walk, OTHER));
}

static void check_ended(const struct walk *walk, const struct lease *lease)
{
    const struct memo *memo = memo_of(walk, lease->number);
    const struct causes *causes = &walk->causes;
    bool was_active = memo && memo->state == LEASE_ACTIVE;
    int64_t now = walk->scene->pool->now;

    switch (lease->state) {
    case LEASE_RELEASED:
        assert_true(was_active && (causes->released[memo->stack] || causes->hung_up));
        break;
    case LEASE_EXPIRED:
        assert_true(was_active && (memo->due <= now || causes->extended[memo->stack]));
        break;
    case LEASE_REVOKED:
        assert_true(was_active && causes->revoked[memo->stack]);
        break;
    case LEASE_TIMED_OUT:
        assert_true(!was_active || causes->hung_up);
        if (memo && memo->has_request_id)
            assert_true(memo->due <= now || memo->instance);
        break;
    case LEASE_ABANDONED:
        assert_true(!was_active || causes->hung_up);
        assert_true(causes->hung_up ||
                    (memo && (memo->due <= now || is_dead(walk, memo->instance))));
        break;
    case LEASE_CANCELLED:
        assert_true((causes->cancelled || lease->stack_gone) && (!was_active || causes->hung_up));
        break;
    case LEASE_SUPERSEDED:
        assert_true(causes->superseded && (!was_active || causes->hung_up));
        break;
    default:
        fail();
    }
}

static void check_told(const struct walk *walk, const struct command *command,
                       const struct told *told)
{
    if (command->verb != VERB_REQUEST)
        return;
    if (told->result == RESULT_GRANTED) {
        const struct causes *causes = &walk->causes;
        /* A later command of the batch may have ended it, time may not: that is no grant. */
        if (told->state == LEASE_ACTIVE)
            assert_int_equal(command->result.lease->stack->fence, told->fence);
        else if (told->state == LEASE_RELEASED)
            assert_true(causes->released[told->stack] || causes->hung_up);
        else if (told->state == LEASE_REVOKED)
            assert_true(causes->revoked[told->stack]);
        else if (told->state == LEASE_EXPIRED)
            assert_true(causes->extended[told->stack]); /* maxLeaseSeconds was lowered */
        else
            assert_true(causes->hung_up);
    }
    if (told->result == RESULT_WAIT_OVER)
        assert_true(told->position > 0 && command->result.lease->estimate_s > 0);
}

static bool is_lendable(const struct pool *pool, uint32_t number)
{
    const struct stack *stack = pool_stack(pool, number);

    assert_non_null(stack); /* nobody waits for what is not there */
    return stack->state == STACK_AVAILABLE && !pool_is_resting(pool, stack);
}

static bool theirs_may_take(const struct pool *pool)
{
    for (int i = 0; i < PRIORITY_COUNT; i++)
        for (const struct lease *at = pool->queue_first[i]; at; at = at->next)
            if (at->instance == OTHER)
                return true;
    return false;
}

/* No stack stays idle while somebody of ours waits, but for those that rest, and those due to other
 * hosts' callers. */
static void check_nobody_starves(const struct walk *walk)
{
    const struct pool *pool = walk->scene->pool;
    uint32_t stacks = 0;
    uint32_t ours = 0;
    uint32_t theirs = 0;

    if (pool->pause.since)
        return;
    for (const struct stack *at = pool->idle_first; at; at = at->idle_next)
        stacks += !pool_is_resting(pool, at);
    if (pool->stack_count < pool->max_stacks)
        stacks += pool->max_stacks - pool->stack_count;
    for (int i = 0; i < PRIORITY_COUNT; i++) {
        for (const struct lease *at = pool->queue_first[i]; at; at = at->next) {
            if (at->instance == US && at->wanted_stack)
                assert_true(!is_lendable(pool, at->wanted_stack) || theirs_may_take(pool));
            else
                ours += at->instance == US;
            theirs += at->instance == OTHER;
        }
    }
    if (ours > 0)
        assert_true(stacks <= theirs);
}

static void check_batch(struct walk *walk)
{
    const struct pool *pool = walk->scene->pool;
    const struct lease *lease;

    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;)
        check_live(walk, lease);
    for (lease = pool->ended_leases; lease; lease = lease->next_dirty)
        check_ended(walk, lease);
    for (size_t i = 0; i < walk->scene->count; i++)
        check_told(walk, walk->scene->commands[i], &walk->scene->told[i]);
    check_nobody_starves(walk);
    assert_true(pool->waiting_count <= walk->scene->clerk.waiting_max ||
                pool->waiting_count <= walk->memo_count);
}

/* The walk */

static void pass_time(struct walk *walk)
{
    int64_t *now = &walk->scene->pool->now;

    switch (below(walk, 10)) {
    case 0:
        *now += SECONDS(below(walk, 300));
        break;
    case 1: /* exactly when something is due */
        if (walk->scene->pool->deadline > *now && walk->scene->pool->deadline != TIMES_NEVER)
            *now = walk->scene->pool->deadline;
        break;
    case 2:
        break; /* two batches in one microsecond */
    default:
        *now += below(walk, 3000000);
    }
}

static void change_the_world(struct walk *walk)
{
    struct clerk *clerk = &walk->scene->clerk;

    if (maybe(walk, 4))
        lend_to_other(walk);
    if (maybe(walk, 4))
        reload(walk);
    if (maybe(walk, 2)) { /* the other host dies, or comes back */
        clerk->other_count = clerk->other_count ? 0 : 1;
        walk->scene->others[0] = OTHER;
        /* Noticed after 2 s at most. */
        walk->scene->pool->now += SECONDS(2);
    }
    if (maybe(walk, 1))
        clerk->up_since = walk->scene->pool->now;
}

static void step(struct walk *walk)
{
    struct scene *scene = walk->scene;

    change_the_world(walk);
    pass_time(walk);
    remember(walk);
    for (unsigned i = below(walk, 5); i > 0; i--)
        scene_add(scene, any_command(walk));
    scene_decide(scene);
    check_batch(walk);
    scene_settle(scene);
}

static struct walk *at_work; /* whose seed is told if it fails */
static uint64_t at_work_salt;

static int tell_seed(void **state)
{
    (void)state;
    if (at_work)
        print_error("walk: UNIT_SEED=%llu, salt %llu, step %llu\n",
                    (unsigned long long)unit_setting("UNIT_SEED", 1),
                    (unsigned long long)at_work_salt, (unsigned long long)at_work->steps);
    return 0;
}

static void run_walk(uint64_t salt, uint32_t max_stacks, uint32_t waiting_max, uint64_t steps)
{
    static struct walk walk;

    walk = (struct walk){.scene = scene_new(max_stacks), .chance = chance_new(salt)};
    walk.scene->clerk.waiting_max = waiting_max;
    at_work = &walk;
    at_work_salt = salt;
    for (; walk.steps < steps * unit_setting("UNIT_STEPS", 1); walk.steps++)
        step(&walk);
    at_work = NULL;
    assert_true(walk.grants > steps / 20); /* something went on */
    scene_free(walk.scene);
}

static void test_few_stacks(void **state)
{
    (void)state;
    for (uint64_t salt = 100; salt < 110; salt++)
        run_walk(salt, 2, 1000, 2000);
}

static void test_some_stacks(void **state)
{
    (void)state;
    for (uint64_t salt = 200; salt < 210; salt++)
        run_walk(salt, 5, 1000, 2000);
}

static void test_short_queue(void **state)
{
    (void)state;
    for (uint64_t salt = 300; salt < 310; salt++)
        run_walk(salt, 3, 4, 2000);
}

static void test_no_grace(void **state)
{
    static struct walk walk;

    (void)state;
    walk = (struct walk){.scene = scene_new(3), .chance = chance_new(400)};
    walk.scene->clerk.request_grace_us = 0;
    walk.scene->clerk.startup_grace_us = 0;
    at_work = &walk;
    at_work_salt = 400;
    for (; walk.steps < 2000; walk.steps++) {
        scene_add(walk.scene, any_command(&walk));
        scene_finish(walk.scene);
        pass_time(&walk);
        remember(&walk);
    }
    at_work = NULL;
    scene_free(walk.scene);
}

UNIT_MAIN(cmocka_unit_test_teardown(test_few_stacks, tell_seed),
          cmocka_unit_test_teardown(test_some_stacks, tell_seed),
          cmocka_unit_test_teardown(test_short_queue, tell_seed),
          cmocka_unit_test_teardown(test_no_grace, tell_seed))
