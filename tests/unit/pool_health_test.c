/* pool_health: what the end of a lease leaves: content, unrest, and when a stack may be had again.
 */
#include "base/mem.h"
#include "copy_pool.h"
#include "scene.h"

/* markUnits; texts may be NULL. */
static struct command *mark_units(const char *stack_name, const struct told *told,
                                  const char *marks, const char *removed)
{
    struct command *command = on(VERB_MARK_UNITS, stack_name, told);

    command->as.mark_units.units = units(marks);
    command->as.mark_units.removed = units(removed);
    return command;
}

static struct command *mark_as_marked(const char *stack_name, const struct told *told)
{
    struct command *command = mark(stack_name, told, "c");

    command->as.mark.as_marked = true;
    return command;
}

static struct command *ask_for(const char *branch, const char *needs, int lease_s)
{
    struct command *command = ask(branch, NULL, needs);

    command->as.request.lease_s = lease_s;
    return command;
}

/* A project of one stack that runs `content`. */
static struct scene *scene_running(const char *content)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", NULL, content));

    scene_run(scene, mark("test-1", &told, "c"));
    scene_run(scene, give_back("test-1", &told, OUTCOME_SUCCESS));
    return scene;
}

static void expire(struct scene *scene, const struct told *told)
{
    scene->pool->now = told->expires_at;
    scene_finish(scene);
}

static void assert_runs(const struct scene *scene, const char *expected)
{
    struct manifest *content = units(expected);

    assert_true(manifest_equal(stack_of(scene, 1)->content, content));
    manifest_unref(content);
}

static void test_a_job_that_falls_silent_is_deploying_until_all_is_marked(void **state)
{
    static const struct {
        const char *runs;
        const char *needs;
        const char *marks[2];
        const char *removed;
        bool unsettled;
    } cases[] = {
        {"a=1", "a=2", {NULL}, NULL, true},
        {"a=1", "a=2", {"a="}, NULL, true}, /* it was at work on it */
        {"a=1", "a=2", {"a=", "a=2"}, NULL, false},
        {"a=1 b=1", "a=2 b=2", {"a=2", "b="}, NULL, true},
        {"a=1 b=1", "a=2 b=2", {"a=2"}, NULL, true},
        {"a=", "a=2", {NULL}, NULL, true}, /* it was unknown before */
        {"a=", "a=2", {"a=2"}, NULL, false},
        {"a=1 b=1", "a=1 b=1", {"b="}, NULL, true}, /* it deploys more than it was told */
        {"a=1 old=1", "a=1", {"old="}, NULL, true},
        {"a=1 old=1", "a=1", {NULL}, "old=", false},
        {"a=1", "a=1", {NULL}, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene *scene = scene_running("a=1");
        struct told told = scene_run(scene, ask_for("main", "a=1", 60));

        scene_run(scene, mark_units("test-1", &told, cases[i].runs, NULL));
        scene_run(scene, mark_as_marked("test-1", &told));
        scene_run(scene, give_back("test-1", &told, OUTCOME_SUCCESS));
        told = scene_run(scene, ask_for("main", cases[i].needs, 60));
        for (size_t at = 0; at < 2 && cases[i].marks[at]; at++)
            scene_run(scene, mark_units("test-1", &told, cases[i].marks[at], NULL));
        if (cases[i].removed)
            scene_run(scene, mark_units("test-1", &told, NULL, cases[i].removed));
        expire(scene, &told);
        if ((stack_of(scene, 1)->health.unsettled_since != 0) != cases[i].unsettled)
            print_error("case %zu\n", i);
        assert_int_equal(stack_of(scene, 1)->health.unsettled_since != 0, cases[i].unsettled);
        scene_free(scene);
    }
}

/* "asMarked" is the job's word that its deploy is over, and that the rest runs as before. */
static void test_after_as_marked_nothing_is_forgotten(void **state)
{
    static const enum outcome outcomes[] = {OUTCOME_NONE, OUTCOME_SUCCESS, OUTCOME_FAILED};

    (void)state;
    for (size_t i = 0; i <= COUNT(outcomes); i++) {
        struct scene *scene = scene_running("a=1 b=1 old=1");
        struct told told = scene_run(scene, ask_for("main", "a=2 b=2", 60));

        scene_run(scene, mark_units("test-1", &told, "a=2", NULL));
        scene_run(scene, mark_as_marked("test-1", &told));
        if (i < COUNT(outcomes))
            scene_run(scene, give_back("test-1", &told, outcomes[i]));
        else
            expire(scene, &told);
        assert_runs(scene, "a=2 b=1 old=1");
        assert_int_equal(stack_of(scene, 1)->health.unsettled_since, 0);
        scene_free(scene);
    }
}

static void test_after_as_marked_a_failed_deploy_forgets_what_was_not_marked(void **state)
{
    struct scene *scene = scene_running("a=1 b=1");
    struct told told = scene_run(scene, ask("main", NULL, "a=2 b=2"));

    (void)state;
    scene_run(scene, mark_units("test-1", &told, "a=2", NULL));
    scene_run(scene, mark_as_marked("test-1", &told));
    scene_run(scene, give_back("test-1", &told, OUTCOME_DEPLOY_FAILED));
    assert_runs(scene, "a=2 b=");
    scene_free(scene);
}

static void test_a_mark_after_as_marked_begins_another_deploy(void **state)
{
    struct scene *scene = scene_running("a=1 b=1");
    struct told told = scene_run(scene, ask_for("main", "a=2 b=2", 60));

    (void)state;
    scene_run(scene, mark_as_marked("test-1", &told));
    scene_run(scene, mark_units("test-1", &told, "a=2", NULL));
    expire(scene, &told);
    assert_runs(scene, "a=2 b=");
    assert_int_not_equal(stack_of(scene, 1)->health.unsettled_since, 0);
    scene_free(scene);
}

/* Jobs whose units all have other names, one after the other. */
static void test_what_is_unknown_does_not_grow_without_end(void **state)
{
    struct scene *scene = scene_new(1);

    (void)state;
    for (int job = 0; job < 6; job++) {
        struct unit list[2000];
        static char names[2000][32];
        struct command *command = ask("main", NULL, NULL);
        struct told told;

        for (int i = 0; i < 2000; i++) {
            snprintf(names[i], sizeof names[i], "u%d-%d", job, i);
            list[i] = (struct unit){.name = names[i], .fingerprint = "1"};
        }
        command->as.request.units = manifest_new(list, COUNT(list));
        told = scene_run(scene, command);
        assert_int_equal(told.result, RESULT_GRANTED);
        scene_run(scene, give_back("test-1", &told, OUTCOME_DEPLOY_FAILED));
        if (stack_of(scene, 1)->content)
            assert_true(stack_of(scene, 1)->content->count <= CONTENT_UNITS_MAX);
    }
    scene_free(scene);
}

static struct told cut_off(struct scene *scene)
{
    struct told told = scene_run(scene, ask("main", NULL, "a=1"));
    struct command *command = give_back("test-1", &told, OUTCOME_DEPLOY_FAILED);

    command->as.release.interrupted = true;
    return scene_run(scene, command);
}

static void wait_for_rest(struct scene *scene, int64_t seconds)
{
    struct told told = scene_run(scene, ask("main", NULL, "a=1"));

    assert_int_equal(told.result, RESULT_WAITING);
    assert_int_equal(scene->pool->deadline, scene->pool->now + SECONDS(seconds));
    scene->pool->now = scene->pool->deadline;
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_LEASED);
}

static void test_the_end_of_a_rest_is_due_after_a_restart(void **state)
{
    struct scene *scene = scene_new(1);
    struct pool *old = scene->pool;

    (void)state;
    scene->pool->settle_s = 60;
    cut_off(scene);
    scene_pass(scene, 10);
    scene->pool = copy_pool(old);
    pool_free(old);
    wait_for_rest(scene, 50);
    scene_free(scene);
}

static void test_the_end_of_a_rest_is_due_once_the_setting_changes(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command = command_new(VERB_UPDATE_PROJECT);

    (void)state;
    cut_off(scene);
    scene_pass(scene, 10);
    command->as.update_project.settle_s = 60;
    scene_run(scene, command);
    wait_for_rest(scene, 50);
    scene_free(scene);
}

static void test_the_end_of_a_rest_is_due_once_a_hold_ends(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", NULL, "a=1"));
    struct command *command = give_back("test-1", &told, OUTCOME_HOLD);

    (void)state;
    scene->pool->settle_s = 60;
    command->as.release.interrupted = true;
    command->as.release.hold_s = 1000;
    scene_run(scene, command);
    scene_pass(scene, 10);
    pool_due_at(scene->pool, scene->pool->now);
    scene_finish(scene); /* what is due is looked up anew */
    command = on(VERB_REINSTATE, "test-1", &told);
    command->by_admin = false;
    assert_int_equal(scene_run(scene, command).result, RESULT_DONE);
    wait_for_rest(scene, 50);
    scene_free(scene);
}

static void test_nobody_gets_a_stack_that_rests_for_a_refresh(void **state)
{
    struct scene *scene = scene_new(3);
    struct command *command = command_new(VERB_ADD_STACKS);

    (void)state;
    scene->pool->settle_s = 60;
    command->as.add_stacks.count = 2;
    scene_run(scene, command);
    cut_off(scene);
    assert_int_equal(scene_run(scene, ask_refresh(NULL, "a=1")).result, RESULT_NOT_NOW);
    command = command_new(VERB_ADD_STACKS);
    command->as.add_stacks.count = 1;
    scene_run(scene, command);
    assert_int_not_equal(scene_run(scene, ask_refresh(NULL, "a=1")).stack, 1);
    scene_free(scene);
}

UNIT_MAIN(cmocka_unit_test(test_a_job_that_falls_silent_is_deploying_until_all_is_marked),
          cmocka_unit_test(test_after_as_marked_nothing_is_forgotten),
          cmocka_unit_test(test_after_as_marked_a_failed_deploy_forgets_what_was_not_marked),
          cmocka_unit_test(test_a_mark_after_as_marked_begins_another_deploy),
          cmocka_unit_test(test_what_is_unknown_does_not_grow_without_end),
          cmocka_unit_test(test_the_end_of_a_rest_is_due_after_a_restart),
          cmocka_unit_test(test_the_end_of_a_rest_is_due_once_the_setting_changes),
          cmocka_unit_test(test_the_end_of_a_rest_is_due_once_a_hold_ends),
          cmocka_unit_test(test_nobody_gets_a_stack_that_rests_for_a_refresh))
