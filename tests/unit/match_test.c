/*
 * match: who gets which stack. Each rule by example, then thousands of random pools against a
 * second, slow reading of the rules (match.h; design section 4).
 */
#include "base/mem.h"
#include "scene.h"

#include "rules/activity.h"
#include "rules/match.h"

#include <math.h>

#define LINE_MOST 64

/* The second reading */

/* Units that differ, by looking at each name of both; `runs` NULL: unknown, all differ. */
static size_t differing(const struct manifest *needs, const struct manifest *runs)
{
    size_t count = needs->count + (runs ? runs->count : 0);

    for (size_t n = 0; runs && n < needs->count; n++)
        for (size_t r = 0; r < runs->count; r++)
            if (strcmp(needs->units[n].name, runs->units[r].name) == 0)
                count -= strcmp(needs->units[n].fingerprint, runs->units[r].fingerprint) ? 1 : 2;
    return count;
}

static bool is_before(const struct pool *pool, const struct lease *a, const struct lease *b)
{
    int64_t minutes_a = (pool->now - a->asked_at) / SECONDS(60);
    int64_t minutes_b = (pool->now - b->asked_at) / SECONDS(60);

    if (a->priority + minutes_a != b->priority + minutes_b)
        return a->priority + minutes_a > b->priority + minutes_b;
    return a->number < b->number;
}

/* Everybody who is connected and not yet served, in order. */
static size_t whole_line(const struct pool *pool, struct lease *line[LINE_MOST])
{
    size_t count = 0;
    struct lease *lease;

    for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;) {
        size_t place = count;
        if (lease->state != LEASE_WAITING || !lease->instance || lease->reserved)
            continue;
        assert_true(count < LINE_MOST);
        for (; place > 0 && is_before(pool, lease, line[place - 1]); place--)
            line[place] = line[place - 1];
        line[place] = lease;
        count++;
    }
    return count;
}

static const struct manifest *will_run(const struct stack *stack)
{
    return stack->lease && stack->lease->units ? stack->lease->units : stack->content;
}

/* What the branch loses if the job gets `stack`: nothing unless it is the one that fits it best. */
static double loss(const struct pool *pool, const struct active_branch *branch,
                   const struct lease *lease, const struct stack *stack)
{
    double mine = (double)differing(branch->reach->content, will_run(stack));
    double other = (double)differing(branch->reach->content, lease->units);

    if (branch->is_merged || strcmp(branch->name, lease->branch) == 0)
        return 0;
    for (size_t i = 1; i < pool->stacks_size; i++) {
        const struct stack *at = pool->stacks[i];
        double its;
        if (!at || at == stack || at->state == STACK_QUARANTINED)
            continue;
        its = (double)differing(branch->reach->content, will_run(at));
        if (its < mine || (its == mine && at->number < stack->number))
            return 0;
        other = its < other ? its : other;
    }
    if (other <= mine)
        return 0;
    return .5 * exp(-(double)(pool->activity->grants - branch->grant) / 8) * (other - mine);
}

/* From main; no more than three idle stacks may be nearer to it than what counts. */
static double stale(const struct pool *pool, const struct stack *stack)
{
    const struct manifest *main = pool->activity->main->content;
    double mine = (double)differing(main, will_run(stack));
    double fourth = INFINITY;

    for (const struct stack *at = pool->idle_first; at; at = at->idle_next) {
        double its = (double)differing(main, will_run(at));
        unsigned nearer = 0;
        unsigned as_near = 0;
        for (const struct stack *other = pool->idle_first; other; other = other->idle_next) {
            double theirs = (double)differing(main, will_run(other));
            nearer += theirs < its;
            as_near += theirs <= its;
        }
        if (nearer <= 3 && as_near >= 4)
            fourth = its;
    }
    return mine < fourth ? mine : fourth;
}

static double price(const struct pool *pool, const struct lease *lease, const struct stack *stack)
{
    const struct activity *activity = pool->activity;
    double price = (double)differing(lease->units, will_run(stack));
    double lost = 0;

    if (activity->main)
        price -= .6 * stale(pool, stack); /* nobody refreshes here */
    for (size_t i = 0; i < activity->branch_count; i++)
        lost += loss(pool, &activity->branches[i], lease, stack);
    return price + lost;
}

/* Less than on a mean stack that others have. */
static double gain(const struct pool *pool, const struct lease *lease, const struct stack *stack)
{
    double sum = 0;
    unsigned count = 0;

    for (size_t i = 1; i < pool->stacks_size; i++) {
        if (pool->stacks[i] && pool->stacks[i]->lease) {
            sum += (double)differing(lease->units, will_run(pool->stacks[i]));
            count++;
        }
    }
    return (double)differing(lease->units, will_run(stack)) - (count ? sum / count : 0);
}

/* Longer idle; of two of the same instant the one before in the list. */
static struct stack *best_for(const struct pool *pool, const struct lease *lease, double *cost)
{
    struct stack *best = NULL;
    double least = INFINITY;

    for (struct stack *at = pool->idle_first; at; at = at->idle_next) {
        if (at->reserved)
            continue;
        if (lease->units) {
            double its = price(pool, lease, at);
            if (!best || its < least) {
                best = at;
                least = its;
            }
        } else {
            bool is_own = at->branch && strcmp(at->branch, lease->branch) == 0;
            if (!best || is_own) /* of its own the latest, which is idle for the shortest time */
                best = at;
        }
    }
    *cost = best && lease->units ? gain(pool, lease, best) : INFINITY;
    return best;
}

struct expected {
    struct lease *lease;
    struct stack *stack; /* NULL: a new one */
    size_t passed;
};

/* Takes those who want one particular stack out of the line. The first of them whose stack is idle,
 * if nobody of the others stands before it; NULL: none. */
static struct lease *first_wanting(const struct pool *pool, struct lease *line[], size_t *count)
{
    struct lease *found = NULL;
    size_t left = 0;

    for (size_t i = 0; i < *count; i++) {
        const struct stack *wanted = pool_stack(pool, line[i]->wanted_stack);
        if (!line[i]->wanted_stack)
            line[left++] = line[i];
        else if (!found && left == 0 && wanted && wanted->state == STACK_AVAILABLE &&
                 !wanted->reserved)
            found = line[i];
    }
    *count = left;
    return found;
}

static bool expect_next(const struct pool *pool, struct expected *expected)
{
    struct lease *line[LINE_MOST] = {NULL};
    size_t count = whole_line(pool, line);
    struct lease *wanting = first_wanting(pool, line, &count);
    size_t window = count < 5 ? count : 5;
    size_t idle = 0;
    bool may_create = pool->stack_count + pool->reserved_new < pool->max_stacks;
    double cost;

    for (const struct stack *at = pool->idle_first; at; at = at->idle_next)
        idle += !at->reserved;
    if (wanting) {
        *expected =
            (struct expected){.lease = wanting, .stack = pool_stack(pool, wanting->wanted_stack)};
        return true;
    }
    if (count == 0 || (idle == 0 && !may_create))
        return false;
    *expected = (struct expected){.lease = line[0]};
    expected->stack = best_for(pool, line[0], &cost);
    if (may_create || idle >= window)
        return true; /* no shortage among those who are looked at */
    for (size_t i = 1; i < window; i++) {
        double other_cost;
        struct stack *other = best_for(pool, line[i], &other_cost);

        if (line[i - 1]->passed_over >= 5)
            break; /* neither the one behind nor anyone later may pass it */
        if (line[i]->units && other && other_cost < cost &&
            (expected->lease->units ||
             differing(line[i]->units, will_run(other)) < line[i]->units->count)) {
            *expected = (struct expected){.lease = line[i], .stack = other, .passed = i};
            cost = other_cost;
        }
    }
    return true;
}

/* Random pools */

static const char *const sets[] = {NULL,          "",        "a=1",         "a=1 b=1 c=1",
                                   "a=2 b=1 c=1", "a=2 b=2", "a=2 b=2 c=2", "a=1 b=1 c=1 d=1 e=1"};

static struct scene *random_scene(struct chance *chance)
{
    struct scene *scene = scene_new(1 + chance_below(chance, 8));
    struct pool *pool = scene->pool;
    unsigned stacks = chance_below(chance, pool->max_stacks + 1);

    if (chance_percent(chance, 70))
        stacks = pool->max_stacks;
    for (uint32_t number = 1; number <= stacks; number++) {
        static const char *const branches[] = {NULL, "main", "feature", "fix"};
        struct stack *stack = pool_create_stack(pool, number);
        struct manifest *content = units(sets[chance_below(chance, COUNT(sets))]);

        pool->now += chance_below(chance, 3) * TIMES_SECOND;
        stack->branch = mem_strdup(branches[chance_below(chance, 4)]);
        if (content) {
            content->number = 1000 + number;
            pool_add_manifest(pool, manifest_ref(content));
            pool_set_content(pool, stack, content);
            manifest_unref(content);
        }
        pool_move_stack(pool, stack,
                        chance_percent(chance, 60) ? STACK_AVAILABLE : STACK_QUARANTINED);
    }
    return scene;
}

/* `wanting` of a hundred want one particular stack. */
static void add_waiters(struct scene *scene, struct chance *chance, unsigned count,
                        unsigned wanting)
{
    static const char *const branches[] = {"main", "feature", "fix"};
    static const uint64_t holders[] = {US, US, US, US, OTHER, 0};
    struct pool *pool = scene->pool;

    while (count-- > 0) {
        struct lease *lease = mem_zalloc(sizeof *lease);
        struct manifest *needs = units(sets[chance_below(chance, COUNT(sets))]);

        lease->branch = mem_strdup(branches[chance_below(chance, 3)]);
        lease->request_id = mem_strdup("x"); /* may wait without a connection */
        lease->lease_s = 60;
        lease->instance = holders[chance_below(chance, COUNT(holders))];
        lease->wait_until = TIMES_NEVER;
        if (chance_percent(chance, 40))
            lease->priority = PRIORITY_MIN + (int)chance_below(chance, PRIORITY_COUNT);
        if (chance_percent(chance, wanting))
            lease->wanted_stack = 1 + chance_below(chance, pool->max_stacks);
        lease->passed_over = chance_percent(chance, 70) ? 0 : chance_below(chance, 6);
        pool_enqueue(pool, lease, needs);
        manifest_unref(needs);
        pool->now += chance_below(chance, 40) * TIMES_SECOND;
    }
}

static void check_next(const struct pool *pool, bool found, const struct match *match)
{
    struct expected expected = {.passed = 0};
    struct lease *line[LINE_MOST] = {NULL};
    size_t count;

    assert_int_equal(found, expect_next(pool, &expected));
    if (!found)
        return;
    assert_ptr_equal(match->lease, expected.lease);
    assert_ptr_equal(match->stack, expected.stack);
    assert_int_equal(match->passed_count, expected.passed);
    count = whole_line(pool, line);
    first_wanting(pool, line, &count);
    for (size_t i = 0; i < match->passed_count; i++) {
        assert_ptr_equal(match->passed[i], line[i]);
        assert_true(line[i]->passed_over < 5);
    }
    if (!match->stack) {
        assert_true(match->number > 0);
        assert_null(pool_stack(pool, match->number));
        for (uint32_t number = 1; number < match->number; number++)
            assert_non_null(pool_stack(pool, number));
    }
}

static void carry_out_match(struct pool *pool, const struct match *match, bool is_ours)
{
    struct stack *stack = match->stack;

    if (!is_ours) {
        match->lease->reserved = true;
        if (stack)
            stack->reserved = true;
        else
            pool->reserved_new++;
        return;
    }
    for (size_t i = 0; i < match->passed_count; i++)
        match->passed[i]->passed_over++;
    pool_activate(pool, match->lease, stack ? stack : pool_create_stack(pool, match->number),
                  !stack);
}

static void test_random_pools(void **state)
{
    struct chance chance = chance_new(50);

    (void)state;
    for (uint64_t i = 0; i < 5000 * unit_setting("UNIT_STEPS", 1); i++) {
        struct scene *scene = random_scene(&chance);
        struct match match;
        bool found;

        add_waiters(scene, &chance, chance_below(&chance, 12), 30);
        do {
            found = match_next(scene->pool, &match);
            check_next(scene->pool, found, &match);
            if (found)
                carry_out_match(scene->pool, &match, match.lease->instance == US);
        } while (found);
        scene_free(scene);
    }
}

/* Counted by the callers themselves: how often somebody behind them was served first. */
static void test_nobody_is_passed_over_more_than_5_times(void **state)
{
    struct chance chance = chance_new(51);
    unsigned worst = 0;

    (void)state;
    for (uint64_t round = 0; round < 100 * unit_setting("UNIT_STEPS", 1); round++) {
        struct scene *scene = scene_new(1 + chance_below(&chance, 3));
        unsigned passed[4000] = {0};

        for (int turn = 0; turn < 150; turn++) {
            struct lease *line[LINE_MOST] = {NULL};
            struct lease *lease;
            struct match match;

            for (unsigned n = chance_below(&chance, 3); n > 0; n--) {
                if (scene->pool->waiting_count < 30)
                    add_waiters(scene, &chance, 1, 0);
            }
            for (size_t at = 0; (lease = map_next(&scene->pool->leases, &at)) != NULL;)
                if (lease->state == LEASE_WAITING)
                    lease->passed_over = passed[lease->number];
            for (size_t at = 0; (lease = map_next(&scene->pool->leases, &at)) != NULL;) {
                if (lease->state == LEASE_ACTIVE && chance_percent(&chance, 50)) {
                    pool_set_content(scene->pool, lease->stack, lease->units);
                    lease->deployed_at = scene->pool->now;
                    pool_end_lease(scene->pool, lease, LEASE_RELEASED, OUTCOME_SUCCESS);
                    break; /* the map has changed */
                }
            }
            while (whole_line(scene->pool, line) > 0 && match_next(scene->pool, &match)) {
                for (size_t i = 0; line[i] && line[i] != match.lease; i++) {
                    passed[line[i]->number]++;
                    assert_true(passed[line[i]->number] <= 5);
                    worst = passed[line[i]->number] > worst ? passed[line[i]->number] : worst;
                }
                carry_out_match(scene->pool, &match, true);
            }
            pool_settle(scene->pool);
            scene->pool->now += chance_below(&chance, 30) * TIMES_SECOND;
        }
        scene_free(scene);
    }
    assert_int_equal(worst, 5); /* the bound was reached, so it was tried */
}

/* By example */

static struct command *ask_for_branch(const char *branch, const char *stack_name)
{
    struct command *command = ask(branch, NULL, NULL);

    command->stack_name = mem_strdup(stack_name);
    return command;
}

static struct command *ask_for(const char *stack_name, const char *request_id)
{
    struct command *command = ask("main", request_id, NULL);

    command->stack_name = mem_strdup(stack_name);
    command->as.request.wait_s = 3600;
    return command;
}

/* Stacks 1, 2, … that ran those units, given back in that order, a minute apart. */
static struct scene *scene_with(const char *const contents[], size_t count)
{
    struct scene *scene = scene_new((uint32_t)count);
    struct told told[10];

    for (size_t i = 0; i < count; i++) {
        told[i] = scene_run(scene, ask("main", NULL, contents[i]));
        assert_int_equal(told[i].result, RESULT_GRANTED);
        assert_int_equal(told[i].stack, i + 1);
    }
    for (size_t i = 0; i < count; i++) {
        char name[20];
        snprintf(name, sizeof name, "test-%u", (unsigned)i + 1);
        scene_pass(scene, 60);
        scene_run(scene, mark(name, &told[i], "c"));
        scene_run(scene, give_back(name, &told[i], OUTCOME_SUCCESS));
    }
    scene_pass(scene, 60);
    return scene;
}

static void expect_stack(struct scene *scene, struct command *command, uint32_t number)
{
    struct told told = scene_run(scene, command);

    assert_int_equal(told.result, RESULT_GRANTED);
    assert_int_equal(told.stack, number);
}

static void test_fewest_units_differ(void **state)
{
    const char *const contents[] = {"a=1 b=1 c=1", "a=2 b=2 c=1", "a=2 b=2 c=2"};
    struct scene *scene = scene_with(contents, 3);

    (void)state;
    expect_stack(scene, ask("main", NULL, "a=2 b=2 c=3"), 2); /* a tie: idle longer */
    expect_stack(scene, ask("main", NULL, "a=1 b=1 c=2"), 1);
    expect_stack(scene, ask("main", NULL, "z=1"), 3);
    scene_free(scene);
}

static void test_missing_and_unknown_units_differ(void **state)
{
    const char *const contents[] = {NULL, "a=1 b=1 c=1 d=1", "a=1"};
    struct scene *scene = scene_with(contents, 3);

    (void)state;
    assert_null(stack_of(scene, 1)->content);
    /* From 1: 2 units, unknown; from 2: 2 to remove; from 3: 1 is missing. */
    expect_stack(scene, ask("main", NULL, "a=1 b=1"), 3);
    expect_stack(scene, ask("main", NULL, "a=1 b=1 c=1"), 2);
    expect_stack(scene, ask("main", NULL, "a=1"), 1);
    scene_free(scene);
}

static void test_without_units_same_branch_else_idle_longest(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    for (uint32_t i = 1; i <= 4; i++) {
        static const char *const branches[] = {"main", "feature", "fix", "feature"};
        expect_stack(scene, ask(branches[i - 1], NULL, NULL), i);
    }
    for (int i = 4; i >= 1; i--) { /* 4 is idle longest */
        char name[20];
        snprintf(name, sizeof name, "test-%d", i);
        scene_pass(scene, 1);
        scene_run(scene, give_back(name, NULL, OUTCOME_SUCCESS));
    }
    expect_stack(scene, ask("main", NULL, NULL), 1);
    expect_stack(scene, ask("other", NULL, NULL), 4);
    expect_stack(scene, ask("feature", NULL, NULL), 2);
    expect_stack(scene, ask("feature", NULL, NULL), 3);
    assert_int_equal(scene_run(scene, ask("main", NULL, NULL)).result, RESULT_WAITING);
    scene_free(scene);
}

static void test_lowest_free_number_is_made(void **state)
{
    struct scene *scene = scene_new(4);
    struct told told;

    (void)state;
    for (uint32_t i = 1; i <= 4; i++) {
        told = scene_run(scene, ask("main", NULL, NULL));
        assert_true(told.is_new);
        assert_int_equal(told.stack, i);
    }
    scene_run(scene, give_back("test-2", NULL, OUTCOME_NONE));
    scene_run(scene, on(VERB_DELETE_STACK, "test-2", NULL));
    scene_run(scene, give_back("test-3", NULL, OUTCOME_NONE));
    told = scene_run(scene, ask("main", NULL, NULL)); /* first what is there */
    assert_int_equal(told.stack, 3);
    assert_false(told.is_new);
    told = scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(told.stack, 2);
    assert_true(told.is_new);
    assert_int_equal(told.fence, 2); /* goes on where the old test-2 ended */
    assert_int_equal(scene_run(scene, ask("main", NULL, NULL)).result, RESULT_WAITING);
    scene_free(scene);
}

static void test_plain_requests_are_served_in_order(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", NULL, NULL));
    struct told waiting[6];

    (void)state;
    for (size_t i = 0; i < 6; i++)
        waiting[i] = scene_run(scene, ask(i % 2 ? "main" : "feature", NULL, NULL));
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(lease_of(scene, &waiting[i])->state, LEASE_WAITING);
        assert_int_equal(scene_position(scene, &waiting[i]), 1);
        scene_run(scene, give_back("test-1", &holder, OUTCOME_NONE));
        assert_int_equal(lease_of(scene, &waiting[i])->state, LEASE_ACTIVE);
        assert_int_equal(lease_of(scene, &waiting[i])->passed_over, 0);
        memcpy(holder.lease_id, lease_of(scene, &waiting[i])->lease_id, LEASE_ID_SIZE);
    }
    scene_free(scene);
}

static void test_bounded_affinity(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", NULL, "a=1 b=1"));
    struct told unlucky;
    struct told lucky[6];

    (void)state;
    scene_run(scene, mark("test-1", &holder, "c"));
    unlucky = scene_run(scene, ask("main", NULL, "a=2 b=2"));
    for (size_t i = 0; i < 6; i++)
        lucky[i] = scene_run(scene, ask("main", NULL, "a=1 b=1"));
    for (size_t i = 0; i < 5; i++) {
        scene_run(scene, give_back("test-1", i ? NULL : &holder, OUTCOME_NOT_DEPLOYED));
        assert_int_equal(lease_of(scene, &lucky[i])->state, LEASE_ACTIVE);
        assert_int_equal(lease_of(scene, &unlucky)->passed_over, i + 1);
    }
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NOT_DEPLOYED));
    assert_int_equal(lease_of(scene, &unlucky)->state, LEASE_ACTIVE);
    assert_int_equal(lease_of(scene, &lucky[5])->state, LEASE_WAITING);
    scene_free(scene);
}

static void test_only_the_first_five_are_looked_at(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", NULL, "a=1 b=1"));
    struct told first;
    struct told sixth;

    (void)state;
    scene_run(scene, mark("test-1", &holder, "c"));
    first = scene_run(scene, ask("main", NULL, "a=9 b=9"));
    for (size_t i = 0; i < 4; i++)
        scene_run(scene, ask("main", NULL, "a=8 b=8"));
    sixth = scene_run(scene, ask("main", NULL, "a=1 b=1"));
    scene_run(scene, give_back("test-1", &holder, OUTCOME_SUCCESS));
    assert_int_equal(lease_of(scene, &first)->state, LEASE_ACTIVE);
    assert_int_equal(lease_of(scene, &sixth)->state, LEASE_WAITING);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NOT_DEPLOYED));
    assert_int_equal(lease_of(scene, &sixth)->state, LEASE_ACTIVE); /* it was the fifth by then */
    scene_free(scene);
}

static void test_priority_and_aging(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command;
    struct told low;
    struct told high;
    struct told late;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    low = scene_run(scene, ask("main", NULL, NULL));
    command = ask("main", NULL, NULL);
    command->as.request.priority = 2;
    high = scene_run(scene, command);
    assert_int_equal(scene_position(scene, &high), 1);
    assert_int_equal(scene_position(scene, &low), 2);
    scene_pass(scene, 119);
    command = ask("main", NULL, NULL);
    command->as.request.priority = 2;
    late = scene_run(scene, command);
    assert_int_equal(scene_position(scene, &late), 2); /* 2 to 1 */
    scene_pass(scene, 1); /* low has waited for two minutes: as high as late, and older */
    assert_int_equal(scene_position(scene, &high), 1);
    assert_int_equal(scene_position(scene, &low), 2);
    assert_int_equal(scene_position(scene, &late), 3);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &high)->state, LEASE_ACTIVE);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &low)->state, LEASE_ACTIVE);
    scene_free(scene);
}

static void test_who_is_not_connected_is_passed_over_without_counting(void **state)
{
    struct scene *scene = scene_new(1);
    struct told away;
    struct told second;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    away = scene_run(scene, ask("main", "r1", NULL));
    second = scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, about(VERB_HANG_UP, &away));
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &second)->state, LEASE_ACTIVE);
    assert_int_equal(lease_of(scene, &away)->passed_over, 0);
    assert_int_equal(scene_position(scene, &away), 1);
    scene_free(scene);
}

static void test_one_particular_stack(void **state)
{
    struct scene *scene = scene_new(2);
    struct told wanting;
    struct told any;

    (void)state;
    assert_int_equal(scene_run(scene, ask_for("test-1", NULL)).result, RESULT_NO_STACK);
    scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, ask("main", NULL, NULL));
    wanting = scene_run(scene, ask_for("test-2", NULL));
    any = scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE)); /* the queue goes on behind it */
    assert_int_equal(lease_of(scene, &any)->stack->number, 1);
    assert_int_equal(lease_of(scene, &any)->passed_over, 0);
    assert_int_equal(lease_of(scene, &wanting)->state, LEASE_WAITING);
    any = scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, give_back("test-2", NULL, OUTCOME_NONE)); /* the other came later */
    assert_int_equal(lease_of(scene, &wanting)->stack->number, 2);
    assert_int_equal(lease_of(scene, &any)->state, LEASE_WAITING);
    scene_free(scene);
}

/* A queue that never ends doesn't keep it from its stack, nor does it keep the queue. */
static void test_one_particular_stack_in_a_long_queue(void **state)
{
    struct scene *scene = scene_new(1);
    struct told wanting;
    unsigned served = 0;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    wanting = scene_run(scene, ask_for("test-1", "low"));
    while (lease_of(scene, &wanting)->state == LEASE_WAITING) {
        struct command *command = ask("main", NULL, NULL);
        command->as.request.priority = 5;
        command->as.request.wait_s = 3600;
        scene_run(scene, command);
        scene_pass(scene, 30);
        scene_run(scene, give_back("test-1", NULL, OUTCOME_NOT_DEPLOYED));
        served++;
        assert_true(served < 20);
    }
    assert_true(served > 5); /* those of a higher rank came first */
    scene_free(scene);
}

static void test_who_waits_for_a_stack_that_is_deleted(void **state)
{
    struct scene *scene = scene_new(2);
    struct told waiting[2];

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, ask("main", NULL, NULL));
    waiting[0] = scene_run(scene, ask_for("test-2", NULL));
    waiting[1] = scene_run(scene, ask_for("test-2", "r1"));
    scene_run(scene, about(VERB_HANG_UP, &waiting[1]));
    scene_run(scene, on(VERB_DELETE_STACK, "test-2", NULL));
    assert_non_null(lease_of(scene, &waiting[0])); /* until its job gives it back */
    scene_run(scene, give_back("test-2", NULL, OUTCOME_NONE));
    assert_null(lease_of(scene, &waiting[0]));
    assert_null(lease_of(scene, &waiting[1]));
    scene_run(scene, on(VERB_DELETE_STACK, "test-1", NULL));
    scene_add(scene, ask_for("test-1", NULL));
    scene_add(scene, give_back("test-1", NULL, OUTCOME_NONE)); /* in one batch */
    scene_finish(scene);
    assert_int_equal(scene->told[0].result, RESULT_NO_STACK);
    scene_free(scene);
}

static void test_a_held_stack_that_another_stack_is_wanted_for(void **state)
{
    struct scene *scene = scene_new(2);
    struct told told = scene_run(scene, ask("fix", NULL, NULL));
    struct told other = scene_run(scene, ask("main", NULL, NULL));

    (void)state;
    scene_run(scene, give_back("test-1", &told, OUTCOME_HOLD));
    told = scene_run(scene, ask_for_branch("fix", "test-2"));
    assert_int_equal(told.result, RESULT_WAITING); /* test-1 is its branch's, but not wanted */
    scene_run(scene, give_back("test-2", &other, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &told)->stack->number, 2);
    told = scene_run(scene, ask_for_branch("main", "test-1"));
    assert_int_equal(told.result, RESULT_WAITING); /* held for another branch */
    told = scene_run(scene, ask_for_branch("fix", "test-1"));
    assert_int_equal(told.result, RESULT_GRANTED);
    scene_free(scene);
}

static struct told ask_for_other(struct scene *scene)
{
    uint64_t living = US;
    struct told told;

    /* Each looks at what is due as if it had just loaded the pool. */
    scene->pool->deadline = scene->pool->now;
    scene->clerk.instance = OTHER;
    scene->clerk.others = &living;
    told = scene_run(scene, ask("main", "theirs", NULL));
    scene->clerk.instance = US;
    scene->clerk.others = scene->others;
    scene->pool->deadline = scene->pool->now;
    return told;
}

static void test_living_instances_reserve(void **state)
{
    struct scene *scene = scene_new(2);
    struct told theirs;
    struct told ours[2];

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, ask("main", NULL, NULL));
    theirs = ask_for_other(scene);
    ours[0] = scene_run(scene, ask("main", NULL, NULL));
    ours[1] = scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &theirs)->state, LEASE_WAITING); /* theirs to grant */
    assert_int_equal(lease_of(scene, &ours[0])->state, LEASE_WAITING);
    assert_int_equal(scene->pool->idle_count, 1);
    scene_run(scene, give_back("test-2", NULL, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &ours[0])->state, LEASE_ACTIVE);
    assert_int_equal(lease_of(scene, &ours[1])->state, LEASE_WAITING);
    assert_int_equal(lease_of(scene, &theirs)->state, LEASE_WAITING);
    assert_int_equal(scene->pool->idle_count, 1);

    scene->clerk.other_count = 0; /* it died */
    scene_pass(scene, 2);
    scene_finish(scene);
    assert_int_equal(lease_of(scene, &theirs)->instance, 0); /* keeps its place for the grace */
    assert_int_equal(lease_of(scene, &ours[1])->state, LEASE_ACTIVE);
    scene_pass(scene, 59);
    scene_finish(scene);
    assert_non_null(lease_of(scene, &theirs));
    scene_pass(scene, 1);
    scene_finish(scene);
    assert_null(lease_of(scene, &theirs));
    scene_free(scene);
}

static void test_new_stacks_are_reserved_too(void **state)
{
    struct scene *scene = scene_new(1);
    struct told theirs;
    struct told ours;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    theirs = ask_for_other(scene);
    ours = scene_run(scene, ask("main", NULL, NULL));
    scene->pool->max_stacks = 2; /* room for one more: it is theirs */
    scene_finish(scene);
    assert_int_equal(lease_of(scene, &ours)->state, LEASE_WAITING);
    scene->pool->max_stacks = 3;
    scene_finish(scene);
    assert_int_equal(lease_of(scene, &ours)->state, LEASE_ACTIVE);
    assert_int_equal(lease_of(scene, &theirs)->state, LEASE_WAITING);
    scene_free(scene);
}

static void expect_refresh(struct scene *scene, const char *needs, uint32_t number)
{
    struct told told = scene_run(scene, ask_refresh(NULL, needs));

    assert_int_equal(told.result, number ? RESULT_GRANTED : RESULT_NOT_NOW);
    if (number)
        assert_int_equal(told.stack, number);
}

static void test_refresh(void **state)
{
    const char *const contents[] = {"a=2 b=2 c=2", "a=1 b=2 c=1", "a=1 b=1 c=1", "a=2 b=2 c=1"};
    struct scene *scene = scene_with(contents, 4);

    (void)state;
    expect_refresh(scene, "a=1 b=1 c=1", 1); /* the furthest */
    expect_refresh(scene, "a=1 b=1 c=1", 0); /* jobs had the others lately */
    assert_int_equal(scene->pool->waiting_count, 0);
    scene_free(scene);
}

static void test_refresh_takes_only_what_no_job_had_lately(void **state)
{
    const char *const contents[] = {"a=2 b=2", "a=1 b=2", "a=1 b=3"};
    struct scene *scene = scene_with(contents, 3);
    struct told told = scene_run(scene, ask("feature", NULL, "a=2 b=2"));

    (void)state;
    assert_int_equal(told.stack, 1);
    scene_run(scene, give_back("test-1", &told, OUTCOME_NOT_DEPLOYED));
    expect_refresh(scene, "a=1 b=1", 2); /* 1 is further, but its branch may come back soon */
    scene_free(scene);
}

static void test_two_fresh_stacks_are_enough(void **state)
{
    const char *const contents[] = {"a=2", "a=1", "a=1"};
    struct scene *scene = scene_with(contents, 3);

    (void)state;
    expect_refresh(scene, "a=1", 0);
    pool_set_content(scene->pool, stack_of(scene, 1), NULL);
    expect_refresh(scene, "a=1", 1); /* of one that is unknown every job must deploy all */
    scene_free(scene);
}

static void test_refresh_comes_after_jobs(void **state)
{
    const char *const contents[] = {"a=3", "a=2"};
    struct scene *scene = scene_with(contents, 2);
    size_t refresh = scene_add(scene, ask_refresh(NULL, "a=1"));
    size_t test = scene_add(scene, ask("main", NULL, "a=2"));

    (void)state;
    scene_finish(scene);
    assert_int_equal(scene->told[test].stack, 2);
    assert_int_equal(scene->told[refresh].result, RESULT_NOT_NOW); /* one is left for jobs */
    scene_free(scene);
}

UNIT_MAIN(cmocka_unit_test(test_fewest_units_differ),
          cmocka_unit_test(test_missing_and_unknown_units_differ),
          cmocka_unit_test(test_without_units_same_branch_else_idle_longest),
          cmocka_unit_test(test_lowest_free_number_is_made),
          cmocka_unit_test(test_plain_requests_are_served_in_order),
          cmocka_unit_test(test_bounded_affinity),
          cmocka_unit_test(test_only_the_first_five_are_looked_at),
          cmocka_unit_test(test_priority_and_aging),
          cmocka_unit_test(test_who_is_not_connected_is_passed_over_without_counting),
          cmocka_unit_test(test_one_particular_stack),
          cmocka_unit_test(test_one_particular_stack_in_a_long_queue),
          cmocka_unit_test(test_who_waits_for_a_stack_that_is_deleted),
          cmocka_unit_test(test_a_held_stack_that_another_stack_is_wanted_for),
          cmocka_unit_test(test_living_instances_reserve),
          cmocka_unit_test(test_new_stacks_are_reserved_too), cmocka_unit_test(test_refresh),
          cmocka_unit_test(test_refresh_takes_only_what_no_job_had_lately),
          cmocka_unit_test(test_two_fresh_stacks_are_enough),
          cmocka_unit_test(test_refresh_comes_after_jobs), cmocka_unit_test(test_random_pools),
          cmocka_unit_test(test_nobody_is_passed_over_more_than_5_times))
