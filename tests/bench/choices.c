/* choices STACKS UNITS
 *
 * What the choice of a stack costs, in memory alone: a request is queued, matched and granted,
 * marks what it deployed, and gives the stack back. Prints three medians in microseconds: of a job
 * that names no units, of one that names them, and of a plain scan for the nearest idle stack,
 * which is the least that a choice costs if nothing is remembered. Each stack runs something else;
 * each job changes three units, and comes from one of ten branches or from main. */
#include "base/mem.h"
#include "rules/clerk.h"
#include "rules/match.h"
#include "rules/pool.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS      60
#define WARM_ROUNDS 20 /* not counted: each branch asks for the first time */
#define NAME_SIZE   32

enum kind { PLAIN, WITH_UNITS, SCAN, KINDS };

struct world {
    struct pool *pool;
    size_t unit_count;
    uint64_t chance;        /* the same in each run */
    unsigned *fingerprints; /* what the next job needs */
    int64_t times_ns[KINDS][ROUNDS];
    size_t counts[KINDS];
};

static struct manifest *manifest_of(const struct world *world)
{
    struct unit *units = mem_alloc(world->unit_count * sizeof *units);
    char *texts = mem_alloc(world->unit_count * 2 * NAME_SIZE);
    struct manifest *manifest;

    for (size_t i = 0; i < world->unit_count; i++) {
        char *name = texts + i * 2 * NAME_SIZE;
        snprintf(name, NAME_SIZE, "services/%06zu", i);
        snprintf(name + NAME_SIZE, NAME_SIZE, "%u", world->fingerprints[i]);
        units[i] = (struct unit){name, name + NAME_SIZE};
    }
    manifest = manifest_new(units, world->unit_count);
    free(units);
    free(texts);
    return manifest;
}

static void change(struct world *world, int count)
{
    while (count-- > 0) {
        world->chance = world->chance * 6364136223846793005u + 1442695040888963407u;
        world->fingerprints[(world->chance >> 33) % world->unit_count]++;
    }
}

static void furnish(struct world *world, uint32_t stacks)
{
    struct pool *pool = world->pool = pool_new(1, "bench");

    pool->prefix = mem_strdup("test-");
    pool->max_stacks = stacks;
    pool->next_lease_number = 1;
    pool->now = 1;
    for (uint32_t i = 1; i <= stacks; i++) {
        change(world, 2);
        pool_set_new_content(pool, pool_create_stack(pool, i), manifest_of(world));
    }
    pool_settle(pool);
}

static struct lease *new_request(const char *branch)
{
    struct lease *lease = mem_zalloc(sizeof *lease);

    lease->branch = mem_strdup(branch);
    lease->lease_s = 60;
    lease->instance = 1;
    lease->wait_until = INT64_MAX;
    return lease;
}

static void count(struct world *world, enum kind kind, int64_t began_ns)
{
    world->times_ns[kind][world->counts[kind]++] = tool_now() - began_ns;
}

static void borrow(struct world *world, enum kind kind, const char *branch, bool is_counted)
{
    struct pool *pool = world->pool;
    struct lease *lease = new_request(branch);
    struct manifest *units = kind == WITH_UNITS ? manifest_of(world) : NULL;
    struct match match;
    int64_t began_ns = tool_now();

    pool->now++;
    pool_enqueue(pool, lease, units);
    if (!match_next(pool, &match) || !match.stack)
        tool_die("no stack");
    pool_activate(pool, lease, match.stack, false);
    if (units)
        pool_set_content(pool, match.stack, lease->units);
    pool_end_lease(pool, lease, LEASE_RELEASED, OUTCOME_NOT_DEPLOYED); /* what was set stays */
    if (is_counted)
        count(world, kind, began_ns);
    manifest_unref(units);
    pool_settle(pool);
}

static void scan(struct world *world)
{
    struct manifest *units = manifest_of(world);
    int64_t began_ns = tool_now();
    uint64_t least = UINT64_MAX;

    for (const struct stack *at = world->pool->idle_first; at; at = at->idle_next) {
        uint64_t distance = deploy_times_distance(&world->pool->deploy_times, units, at->content);
        if (distance < least)
            least = distance;
    }
    count(world, SCAN, began_ns);
    if (least == UINT64_MAX)
        tool_die("no stack");
    manifest_unref(units);
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    static struct world world;
    char branch[NAME_SIZE];

    if (argc != 3)
        tool_die("usage: choices STACKS UNITS");
    world.unit_count = (size_t)tool_number(argv[2], 2000);
    world.fingerprints = mem_zalloc(world.unit_count * sizeof *world.fingerprints);
    furnish(&world, (uint32_t)tool_number(argv[1], STACK_NUMBER_MAX));
    for (int round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
        snprintf(branch, sizeof branch, round % 5 ? "branch-%d" : "main", round % 11);
        change(&world, 3);
        borrow(&world, WITH_UNITS, branch, round >= WARM_ROUNDS);
        if (round < WARM_ROUNDS)
            continue;
        scan(&world);
        borrow(&world, PLAIN, branch, true);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        int64_t median_ns;
        qsort(world.times_ns[kind], world.counts[kind], sizeof(int64_t), compare);
        median_ns = world.times_ns[kind][world.counts[kind] / 2];
        printf("%.2f\n", (double)median_ns / 1000);
    }
    pool_free(world.pool);
    free(world.fingerprints);
    return 0;
}
