/*
 * traps: histories in which a rule of choice can do badly. In none of them may ours redeploy much
 * more than taking the nearest stack each time.
 */
#include "unit.h"

#include "base/mem.h"
#include "rules/match.h"
#include "rules/pool.h"

#include <string.h>

#define STACKS 6
#define BUSY   2 /* jobs at a time, when the next one asks */
#define UNITS  24
#define JOBS   1500
#define MOST   1.1 /* of what the nearest stack costs */

struct job {
    char branch[20];
    unsigned content[UNITS];
};

struct history {
    struct chance chance;
    unsigned lines[STACKS + 2][UNITS]; /* what each line of work runs now */
    struct job job;
};

static void set_branch(struct history *history, const char *name)
{
    snprintf(history->job.branch, sizeof history->job.branch, "%s", name);
}

static void name_branch(struct history *history, const char *word, unsigned number)
{
    snprintf(history->job.branch, sizeof history->job.branch, "%s%u", word, number);
}

static void change(struct history *history, unsigned *content, unsigned count)
{
    while (count-- > 0)
        content[chance_below(&history->chance, UNITS)] =
            1 + (unsigned)(chance_bits(&history->chance) >> 40);
}

static void ask_line(struct history *history, unsigned line)
{
    memcpy(history->job.content, history->lines[line], sizeof history->job.content);
}

/* A job of that line of work; the first is main. */
static void ask_branch(struct history *history, const char *word, unsigned line)
{
    if (line)
        name_branch(history, word, line);
    else
        set_branch(history, "main");
    ask_line(history, line);
}

/* Histories: each makes the next job. */

static void main_and_features(struct history *history, unsigned turn)
{
    unsigned line = turn % 4 == 0 ? 0 : 1 + chance_below(&history->chance, 5);

    if (line == 0 || chance_percent(&history->chance, 15)) {
        change(history, history->lines[0], 1);
        if (line > 0)
            memcpy(history->lines[line], history->lines[0], sizeof history->lines[0]);
    }
    change(history, history->lines[line], line ? 1 : 0);
    ask_branch(history, "feature", line);
}

static void long_lived_forks(struct history *history, unsigned turn)
{
    unsigned line = turn % (STACKS + 2);

    if (turn < STACKS + 2)
        change(history, history->lines[line], 3 * UNITS);
    change(history, history->lines[line], 1);
    ask_branch(history, "fork", line);
}

static void release_lines(struct history *history, unsigned turn)
{
    unsigned line =
        chance_percent(&history->chance, 60) ? 0 : 1 + chance_below(&history->chance, 3);

    if (turn < 8)
        change(history, history->lines[turn % 4], UNITS);
    change(history, history->lines[line], 2);
    ask_branch(history, "release", line);
}

static void reverts(struct history *history, unsigned turn)
{
    if (turn == 0)
        change(history, history->lines[1], UNITS);
    set_branch(history, turn % 2 ? "main" : "feature");
    ask_line(history, turn / 2 % 2);
}

static void total_rebuilds(struct history *history, unsigned turn)
{
    if (turn % 5 == 0)
        for (unsigned i = 0; i < UNITS; i++)
            history->lines[0][i] = 1000 + turn;
    memcpy(history->job.content, history->lines[0], sizeof history->job.content);
    set_branch(history, "main");
    if (turn % 5 > 0) {
        name_branch(history, "feature", turn % 5);
        change(history, history->job.content, 1);
    }
}

static void random_content(struct history *history, unsigned turn)
{
    for (unsigned i = 0; i < UNITS; i++)
        history->job.content[i] = 1 + chance_below(&history->chance, 3);
    name_branch(history, "b", turn % 9);
    if (turn % 3 == 0)
        set_branch(history, "main");
}

/* Two thirds of the units change each time, and nothing ever comes back. */
static void drift(struct history *history, unsigned turn)
{
    change(history, history->job.content, UNITS);
    name_branch(history, "b", turn % 9);
    if (turn % 3 == 0)
        set_branch(history, "main");
}

/* One content more than there are stacks, in turn. */
static void k_server_trap(struct history *history, unsigned turn)
{
    unsigned line = turn % (STACKS + 1 - BUSY);

    if (turn < STACKS + 1)
        change(history, history->lines[turn], UNITS);
    name_branch(history, "b", line);
    ask_line(history, line);
}

static void main_never_seen(struct history *history, unsigned turn)
{
    main_and_features(history, turn);
    if (strcmp(history->job.branch, "main") == 0)
        set_branch(history, "trunk");
}

/* A branch of that name that is no trunk. */
static void wrong_main(struct history *history, unsigned turn)
{
    main_and_features(history, turn);
    if (strcmp(history->job.branch, "main") == 0) {
        set_branch(history, "trunk");
    } else if (turn % 7 == 1) {
        change(history, history->job.content, UNITS);
        set_branch(history, "main");
    }
}

/* The measure: the idle stack with the fewest units that differ, of those the one idle longest. */

struct nearest {
    unsigned runs[STACKS][UNITS];
    int idle[STACKS];
    size_t idle_count;
    int busy[BUSY + 1];
    size_t busy_count;
    unsigned long cost;
};

static unsigned differing(const unsigned *a, const unsigned *b)
{
    unsigned count = 0;

    for (unsigned i = 0; i < UNITS; i++)
        count += a[i] != b[i];
    return count;
}

static void nearest_turn(struct nearest *nearest, const struct job *job)
{
    size_t best = 0;
    int stack;

    if (nearest->busy_count == BUSY) {
        nearest->idle[nearest->idle_count++] = nearest->busy[0];
        memmove(nearest->busy, nearest->busy + 1, --nearest->busy_count * sizeof(int));
    }
    for (size_t i = 1; i < nearest->idle_count; i++)
        if (differing(job->content, nearest->runs[nearest->idle[i]]) <
            differing(job->content, nearest->runs[nearest->idle[best]]))
            best = i;
    stack = nearest->idle[best];
    memmove(nearest->idle + best, nearest->idle + best + 1,
            (--nearest->idle_count - best) * sizeof(int));
    nearest->cost += differing(job->content, nearest->runs[stack]);
    memcpy(nearest->runs[stack], job->content, sizeof job->content);
    nearest->busy[nearest->busy_count++] = stack;
}

/* Ours */

static struct manifest *manifest_of(const struct job *job)
{
    char texts[UNITS][2][16];
    struct unit units[UNITS];

    for (unsigned i = 0; i < UNITS; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "unit%02u", i);
        snprintf(texts[i][1], sizeof texts[i][1], "%u", job->content[i]);
        units[i] = (struct unit){texts[i][0], texts[i][1]};
    }
    return manifest_new(units, UNITS);
}

static struct pool *new_pool(void)
{
    struct pool *pool = pool_new(1, "demo");
    struct manifest *nothing = manifest_of(&(struct job){.branch = ""});

    pool->prefix = mem_strdup("test-");
    pool->max_stacks = STACKS;
    pool->next_lease_number = 1;
    pool->now = 1;
    pool_set_new_content(pool, pool_create_stack(pool, 1), nothing);
    for (uint32_t i = 2; i <= STACKS; i++)
        pool_set_content(pool, pool_create_stack(pool, i), pool->stacks[1]->content);
    return pool;
}

static void give_back(struct pool *pool, struct lease *lease)
{
    pool_set_content(pool, lease->stack, lease->units);
    pool_end_lease(pool, lease, LEASE_RELEASED, OUTCOME_NOT_DEPLOYED); /* what was set stays */
    pool_settle(pool);
}

static struct lease *ask_for(struct pool *pool, const struct job *job)
{
    struct lease *lease = mem_zalloc(sizeof *lease);
    struct manifest *units = manifest_of(job);
    struct match match;

    lease->branch = mem_strdup(job->branch);
    lease->instance = 1;
    lease->wait_until = INT64_MAX;
    lease->lease_s = 60;
    pool_enqueue(pool, lease, units);
    manifest_unref(units);
    assert_true(match_next(pool, &match));
    assert_ptr_equal(match.lease, lease);
    assert_non_null(match.stack);
    pool_activate(pool, lease, match.stack, false);
    return lease;
}

static void check_trap(void (*next)(struct history *history, unsigned turn), double most)
{
    struct history history = {.chance = chance_new(70)};
    struct nearest nearest = {.idle_count = STACKS};
    struct lease *busy[BUSY] = {NULL};
    struct pool *pool = new_pool();
    unsigned long cost = 0;

    for (int i = 0; i < STACKS; i++)
        nearest.idle[i] = i;
    for (unsigned turn = 0; turn < JOBS; turn++) {
        struct lease **slot = &busy[turn % BUSY];
        next(&history, turn);
        nearest_turn(&nearest, &history.job);
        pool->now++;
        if (*slot)
            give_back(pool, *slot);
        *slot = ask_for(pool, &history.job);
        cost += (unsigned long)(*slot)->changed_units;
    }
    pool_free(pool);
    print_message("%lu units, the nearest stack %lu: %.3f\n", cost, nearest.cost,
                  (double)cost / (double)nearest.cost);
    assert_true((double)cost <= most * (double)nearest.cost);
}

#define TRAP(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        check_trap(name, MOST);                                                                    \
    }

TRAP(long_lived_forks)
TRAP(release_lines)
TRAP(reverts)
TRAP(total_rebuilds)
TRAP(random_content)
TRAP(k_server_trap)
TRAP(main_never_seen)
TRAP(wrong_main)

/* The worst that we know. */
static void test_drift(void **state)
{
    (void)state;
    check_trap(drift, 1.15);
}

/* No trap: the everyday history must cost less. */
static void test_main_and_features(void **state)
{
    (void)state;
    check_trap(main_and_features, 1);
}

UNIT_MAIN(cmocka_unit_test(test_main_and_features), cmocka_unit_test(test_long_lived_forks),
          cmocka_unit_test(test_release_lines), cmocka_unit_test(test_reverts),
          cmocka_unit_test(test_total_rebuilds), cmocka_unit_test(test_random_content),
          cmocka_unit_test(test_k_server_trap), cmocka_unit_test(test_main_never_seen),
          cmocka_unit_test(test_wrong_main), cmocka_unit_test(test_drift))
