/* pool: the containers by themselves; their moves are walked over in walk_test. */
#include "scene.h"

#include "base/mem.h"

static void test_position_is_the_rank_among_all_who_wait(void **state)
{
    struct chance chance = chance_new(60);

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct scene *scene = scene_new(0);
        struct pool *pool = scene->pool;
        const struct lease *lease;

        for (unsigned i = chance_below(&chance, 20); i > 0; i--) {
            struct command *command = ask("main", NULL, NULL);
            command->as.request.priority =
                PRIORITY_MIN + (int)chance_below(&chance, PRIORITY_COUNT);
            command->as.request.wait_s = 3600;
            scene_run(scene, command);
            scene_pass(scene, chance_below(&chance, 100));
        }
        pool_number_queue(pool);
        for (size_t at = 0; (lease = map_next(&pool->leases, &at)) != NULL;) {
            uint32_t position = 1;
            const struct lease *other;
            for (size_t slot = 0; (other = map_next(&pool->leases, &slot)) != NULL;) {
                int64_t ahead = pool_rank(pool, other) - pool_rank(pool, lease);
                position += ahead > 0 || (ahead == 0 && other->number < lease->number);
            }
            assert_int_equal(lease->position, position);
        }
        scene_free(scene);
    }
}

static void test_rank(void **state)
{
    struct scene *scene = scene_new(0);
    struct told told = scene_run(scene, ask("main", NULL, NULL));
    const struct lease *lease = lease_of(scene, &told);

    (void)state;
    assert_int_equal(pool_rank(scene->pool, lease), 0);
    scene->pool->now += SECONDS(60) - 1;
    assert_int_equal(pool_rank(scene->pool, lease), 0);
    scene->pool->now += 1;
    assert_int_equal(pool_rank(scene->pool, lease), 1);
    scene_pass(scene, 59 * 60);
    assert_int_equal(pool_rank(scene->pool, lease), 60);
    scene_free(scene);
}

static int64_t estimate_of(struct scene *scene, const struct told *told)
{
    pool_number_queue(scene->pool);
    return lease_of(scene, told)->estimate_s;
}

static void test_estimate(void **state)
{
    struct scene *scene = scene_new(0);
    struct told told[6];

    (void)state;
    told[0] = scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(estimate_of(scene, &told[0]), 3600); /* no stack and no lease so far */
    scene->pool->max_stacks = 2;
    for (size_t i = 1; i < COUNT(told); i++)
        told[i] = scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(estimate_of(scene, &told[2]), 1800);
    assert_int_equal(estimate_of(scene, &told[5]), 7200);
    scene_pass(scene, 100);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    assert_int_equal(estimate_of(scene, &told[4]), 100); /* by what leases really take */
    scene_pass(scene, 100);
    scene_run(scene, give_back("test-2", NULL, OUTCOME_NONE)); /* 200: a tenth of it counts */
    assert_int_equal(estimate_of(scene, &told[5]), 110);
    scene_free(scene);
}

static void test_estimate_is_a_second_at_least(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    scene->pool->now++;
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    scene_run(scene, ask("main", NULL, NULL));
    told = scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(estimate_of(scene, &told), 1);
    scene_free(scene);
}

/* Another database host's clock may be behind. */
static void test_idle_list_when_the_clock_goes_back(void **state)
{
    struct scene *scene = scene_new(3);

    (void)state;
    for (int i = 0; i < 3; i++)
        scene_run(scene, ask("main", NULL, NULL));
    scene_pass(scene, 10);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    scene_pass(scene, -5);
    scene_run(scene, give_back("test-2", NULL, OUTCOME_NONE)); /* checked by check_pool() */
    scene_pass(scene, 2);
    scene_run(scene, give_back("test-3", NULL, OUTCOME_NONE));
    assert_int_equal(scene->pool->idle_first->number, 2);
    assert_int_equal(scene->pool->idle_first->idle_next->number, 3);
    assert_int_equal(scene->pool->idle_last->number, 1);
    scene_free(scene);
}

static void test_idle_list_after_loading(void **state)
{
    static const int64_t modified[] = {30, 10, 20, 10};
    static const uint32_t order[] = {2, 4, 3, 1};
    struct scene *scene = scene_new(4);
    const struct stack *at;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct stack *stack = mem_zalloc(sizeof *stack);
        stack->number = i + 1;
        stack->modified = modified[i];
        pool_add_stack(scene->pool, stack);
    }
    pool_end_load(scene->pool);
    check_pool(&scene->clerk, scene->pool, true);
    at = scene->pool->idle_first;
    for (size_t i = 0; i < 4; i++, at = at->idle_next)
        assert_int_equal(at->number, order[i]);
    scene_free(scene);
}

/* Two sets of units whose hashes agree are still two. */
static void test_manifests_of_one_hash(void **state)
{
    struct scene *scene = scene_new(2);
    struct command *one = ask("main", NULL, "a=1");
    struct command *two = ask("main", NULL, "a=2");
    struct told told[2];

    (void)state;
    two->as.request.units->hash = one->as.request.units->hash;
    pool_settle(scene->pool);
    clerk_run(&scene->clerk, scene->pool, one);
    clerk_run(&scene->clerk, scene->pool, two);
    clerk_grant(&scene->clerk, scene->pool);
    told[0] = tell(one);
    told[1] = tell(two);
    assert_string_equal(lease_of(scene, &told[0])->units->units[0].fingerprint, "1");
    assert_string_equal(lease_of(scene, &told[1])->units->units[0].fingerprint, "2");
    pool_settle(scene->pool);
    command_free(one);
    command_free(two);
    for (size_t i = 0; i < 2; i++) {
        struct command *command =
            give_back(told[i].stack == 1 ? "test-1" : "test-2", NULL, OUTCOME_NOT_DEPLOYED);
        clerk_run(&scene->clerk, scene->pool, command);
        pool_settle(scene->pool);
        command_free(command);
    }
    assert_int_equal(scene->pool->manifests.count, 1); /* what main asked for last */
    scene_free(scene);
}

static void test_equal_units_are_kept_once(void **state)
{
    struct scene *scene = scene_new(3);
    struct told told[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        told[i] = scene_run(scene, ask("main", NULL, i == 1 ? "b=2 a=1" : "a=1 b=2"));
    assert_ptr_equal(lease_of(scene, &told[0])->units, lease_of(scene, &told[1])->units);
    assert_ptr_equal(lease_of(scene, &told[0])->units, lease_of(scene, &told[2])->units);
    assert_int_equal(scene->pool->manifests.count, 1);
    assert_int_equal(lease_of(scene, &told[0])->units->number, told[0].lease);
    scene_run(scene, mark("test-1", &told[0], "c"));
    scene_run(scene, give_back("test-1", &told[0], OUTCOME_SUCCESS));
    scene_run(scene, give_back("test-2", &told[1], OUTCOME_NOT_DEPLOYED));
    scene_run(scene, give_back("test-3", &told[2], OUTCOME_NOT_DEPLOYED));
    scene_run(scene, mark("test-1", NULL, "d"));
    assert_int_equal(scene->pool->manifests.count, 1); /* what main asked for last is remembered */
    told[0] = scene_run(scene, ask("main", NULL, "a=2"));
    scene_run(scene, give_back("test-1", &told[0], OUTCOME_NOT_DEPLOYED));
    assert_int_equal(scene->pool->manifests.count, 1); /* the new ones alone */
    scene_free(scene);
}

static void test_names(void **state)
{
    struct scene *scene = scene_new(20);
    struct command *command = command_new(VERB_ADD_STACKS);

    (void)state;
    command->as.add_stacks.count = 17;
    scene_run(scene, command);
    assert_int_equal(pool_stack_named(scene->pool, "test-17")->number, 17);
    assert_null(pool_stack_named(scene->pool, "test-18"));
    assert_null(pool_stack_named(scene->pool, "test-017"));
    assert_int_equal(pool_last_stack(scene->pool)->number, 17);
    assert_int_equal(pool_free_number(scene->pool), 18);
    mem_replace(&scene->pool->prefix, ""); /* a prefix may be empty */
    assert_int_equal(pool_stack_named(scene->pool, "3")->number, 3);
    assert_null(pool_stack_named(scene->pool, "0"));
    assert_null(pool_stack_named(scene->pool, ""));
    scene_free(scene);
}

static void test_free_without_settling(void **state)
{
    struct scene *scene = scene_new(2);

    (void)state;
    /* A batch that the database refused: everything goes, the sanitizer counts. */
    scene_add(scene, ask("main", "r1", "a=1"));
    scene_add(scene, ask("main", NULL, "a=2"));
    scene_add(scene, ask("main", "r2", "a=2"));
    scene_add(scene, on(VERB_HOLD, "test-1", NULL));
    scene_decide(scene);
    pool_free(scene->pool);
    scene->pool = scene_pool(2);
    while (scene->count > 0) {
        struct command *command = scene->commands[--scene->count];
        clerk_run(&scene->clerk, scene->pool, command); /* and once more from the start */
        command_free(command);
    }
    pool_settle(scene->pool);
    check_pool(&scene->clerk, scene->pool, true);
    scene_free(scene);
    pool_free(NULL);
}

UNIT_MAIN(cmocka_unit_test(test_position_is_the_rank_among_all_who_wait),
          cmocka_unit_test(test_rank), cmocka_unit_test(test_estimate),
          cmocka_unit_test(test_estimate_is_a_second_at_least),
          cmocka_unit_test(test_idle_list_when_the_clock_goes_back),
          cmocka_unit_test(test_idle_list_after_loading),
          cmocka_unit_test(test_manifests_of_one_hash),
          cmocka_unit_test(test_equal_units_are_kept_once), cmocka_unit_test(test_names),
          cmocka_unit_test(test_free_without_settling))
