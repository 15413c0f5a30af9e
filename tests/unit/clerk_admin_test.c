/* clerk_admin: what administrators may do in which state, and that it is recorded. */
#include "scene.h"

#include "base/mem.h"

/* A project with three stacks; the first is leased to `holder`. */
static struct scene *scene_three(struct told *holder)
{
    struct scene *scene = scene_new(3);
    struct command *command = command_new(VERB_ADD_STACKS);

    command->as.add_stacks.count = 3;
    scene_run(scene, command);
    *holder = scene_run(scene, ask("main", NULL, "a=1"));
    assert_int_equal(holder->stack, 1);
    return scene;
}

static struct told set_aside(struct scene *scene, enum verb verb, const char *name, bool revoke)
{
    struct command *command = on(verb, name, NULL);

    command->as.set_aside.revoke = revoke;
    command->as.set_aside.hold_s = 60;
    command->reason = mem_strdup("why");
    return scene_run(scene, command);
}

static void test_hold_an_available_stack(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);
    struct command *command = on(VERB_HOLD, "test-2", NULL);

    (void)state;
    command->as.set_aside.owner = mem_strdup("ann");
    assert_int_equal(scene_run(scene, command).result, RESULT_DONE);
    assert_int_equal(stack_of(scene, 2)->state, STACK_HELD);
    assert_string_equal(stack_of(scene, 2)->owner, "ann");
    assert_int_equal(stack_of(scene, 2)->held_until, NOON + SECONDS(CLERK_HOLD_S));
    set_aside(scene, VERB_HOLD, "test-2", false); /* again: another end, another owner */
    assert_string_equal(stack_of(scene, 2)->owner, "key");
    scene_pass(scene, 60);
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 2)->state, STACK_AVAILABLE);
    scene_free(scene);
}

static void test_set_aside_a_leased_stack(void **state)
{
    static const struct {
        enum verb verb;
        enum stack_state state;
    } cases[] = {{VERB_HOLD, STACK_HELD}, {VERB_QUARANTINE, STACK_QUARANTINED}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told holder;
        struct scene *scene = scene_three(&holder);

        assert_int_equal(set_aside(scene, cases[i].verb, "test-1", false).result, RESULT_DONE);
        assert_int_equal(stack_of(scene, 1)->state, STACK_LEASED); /* the job goes on */
        assert_int_equal(stack_of(scene, 1)->next_state, cases[i].state);
        scene_pass(scene, 100);
        scene_run(scene, give_back("test-1", &holder, OUTCOME_SUCCESS));
        assert_int_equal(stack_of(scene, 1)->state, cases[i].state);
        assert_string_equal(stack_of(scene, 1)->reason, "why");
        if (cases[i].verb == VERB_HOLD) /* from when it is given back */
            assert_int_equal(stack_of(scene, 1)->held_until, scene->pool->now + SECONDS(60));
        assert_int_equal(scene_run(scene, on(VERB_REINSTATE, "test-1", NULL)).result, RESULT_DONE);
        assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);

        holder = scene_run(scene, ask("main", NULL, NULL));
        assert_int_equal(holder.stack, 1);
        assert_int_equal(set_aside(scene, cases[i].verb, "test-1", true).result, RESULT_DONE);
        assert_null(lease_of(scene, &holder)); /* at once */
        assert_int_equal(stack_of(scene, 1)->state, cases[i].state);
        scene_free(scene);
    }
}

static void test_expiry_of_a_leased_stack_that_is_set_aside(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);

    (void)state;
    set_aside(scene, VERB_QUARANTINE, "test-1", false);
    scene->pool->now = holder.expires_at;
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_QUARANTINED);
    scene_free(scene);
}

/* A job that wants to look at the stack does not overrule an administrator's quarantine. */
static void test_quarantine_is_stronger_than_the_jobs_hold(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);

    (void)state;
    set_aside(scene, VERB_QUARANTINE, "test-1", false);
    scene_run(scene, give_back("test-1", &holder, OUTCOME_HOLD));
    assert_int_equal(stack_of(scene, 1)->state, STACK_QUARANTINED);
    scene_free(scene);
}

static void test_reinstate(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);

    (void)state;
    assert_int_equal(scene_run(scene, on(VERB_REINSTATE, "test-2", NULL)).result, RESULT_NO_EFFECT);
    set_aside(scene, VERB_HOLD, "test-1", false);
    scene_run(scene, on(VERB_REINSTATE, "test-1", NULL)); /* nothing is to happen after all */
    assert_null(stack_of(scene, 1)->reason);
    scene_run(scene, on(VERB_DELETE_STACK, "test-1", NULL));
    assert_int_equal(stack_of(scene, 1)->state, STACK_DRAINING);
    assert_int_equal(scene_run(scene, on(VERB_REINSTATE, "test-1", NULL)).result, RESULT_DONE);
    assert_int_equal(stack_of(scene, 1)->state, STACK_LEASED);
    scene_run(scene, give_back("test-1", &holder, OUTCOME_NONE));
    assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);
    scene_run(scene, on(VERB_DELETE_STACK, "test-1", NULL));
    assert_int_equal(scene_run(scene, on(VERB_REINSTATE, "test-1", NULL)).result, RESULT_NO_STACK);
    scene_free(scene);
}

static void test_revoke(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);
    struct command *command = on(VERB_REVOKE, "test-1", NULL);

    (void)state;
    assert_int_equal(scene_run(scene, on(VERB_REVOKE, "test-2", NULL)).result,
                     RESULT_INVALID_STATE);
    command->as.revoke.fence = (int64_t)holder.fence + 1; /* meant another lease */
    assert_int_equal(scene_run(scene, command).result, RESULT_INVALID_STATE);
    assert_non_null(lease_of(scene, &holder));
    command = on(VERB_REVOKE, "test-1", NULL);
    command->as.revoke.fence = (int64_t)holder.fence;
    scene_add(scene, command);
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_REVOKED);
    scene_settle(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);
    assert_string_equal(stack_of(scene, 1)->content->units[0].fingerprint, UNIT_UNKNOWN);
    assert_int_equal(scene_run(scene, on(VERB_EXTEND, "test-1", &holder)).result,
                     RESULT_LEASE_LOST);
    scene_free(scene);
}

static void test_delete_last(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);
    struct told told;

    (void)state;
    for (uint32_t number = 3; number > 1; number--) {
        told = scene_run(scene, command_new(VERB_DELETE_LAST));
        assert_int_equal(told.result, RESULT_DONE);
        assert_int_equal(told.stack, number);
    }
    assert_int_equal(scene_run(scene, command_new(VERB_DELETE_LAST)).result, RESULT_STACK_LEASED);
    assert_int_equal(stack_of(scene, 1)->state, STACK_LEASED);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_HOLD));
    assert_int_equal(scene_run(scene, command_new(VERB_DELETE_LAST)).result, RESULT_INVALID_STATE);
    scene_run(scene, on(VERB_REINSTATE, "test-1", NULL));
    assert_int_equal(scene_run(scene, command_new(VERB_DELETE_LAST)).result, RESULT_DONE);
    assert_int_equal(scene_run(scene, command_new(VERB_DELETE_LAST)).result, RESULT_NO_MORE_STACK);
    told = scene_run(scene, ask("main", NULL, NULL));
    assert_true(told.is_new);
    assert_int_equal(told.fence, holder.fence + 1); /* survives deletion */
    scene_free(scene);
}

static void test_delete_drains(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);

    (void)state;
    assert_int_equal(scene_run(scene, on(VERB_DELETE_STACK, "test-1", NULL)).result,
                     RESULT_DRAINING);
    assert_int_equal(scene_run(scene, on(VERB_DELETE_STACK, "test-1", NULL)).result,
                     RESULT_DRAINING);
    assert_int_equal(set_aside(scene, VERB_HOLD, "test-1", true).result, RESULT_INVALID_STATE);
    assert_int_equal(scene_run(scene, command_new(VERB_DELETE_LAST)).stack, 3);
    assert_int_equal(scene_run(scene, mark("test-1", &holder, "c")).result, RESULT_DONE);
    assert_int_equal(scene_run(scene, on(VERB_EXTEND, "test-1", &holder)).result, RESULT_DONE);
    scene_run(scene, give_back("test-1", &holder, OUTCOME_HOLD)); /* deletion is stronger */
    assert_null(pool_stack(scene->pool, 1));
    assert_int_equal(scene->pool->stack_count, 1);
    assert_int_equal(scene_run(scene, give_back("test-1", &holder, OUTCOME_NONE)).result,
                     RESULT_NO_STACK);
    scene_free(scene);
}

static void test_add_stacks(void **state)
{
    struct scene *scene = scene_new(4);
    struct command *command = command_new(VERB_ADD_STACKS);
    size_t at;

    (void)state;
    command->as.add_stacks.count = 2;
    scene_run(scene, command);
    scene_run(scene, on(VERB_DELETE_STACK, "test-1", NULL));
    command = command_new(VERB_ADD_STACKS);
    command->as.add_stacks.count = 4;
    assert_int_equal(scene_run(scene, command).result, RESULT_TOO_MANY_STACKS);
    assert_int_equal(scene->pool->stack_count, 1);
    command = command_new(VERB_ADD_STACKS);
    command->as.add_stacks.count = 3;
    at = scene_add(scene, command);
    assert_int_equal(command->result.count, 3);
    assert_int_equal(command->result.added[0], 1);
    assert_int_equal(command->result.added[1], 3);
    assert_int_equal(command->result.added[2], 4);
    scene_finish(scene);
    assert_int_equal(scene->told[at].result, RESULT_DONE);
    scene_free(scene);
}

static void test_update_project(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);
    struct command *command = command_new(VERB_UPDATE_PROJECT);

    (void)state;
    command->as.update_project.prefix = mem_strdup("other-");
    command->as.update_project.max_stacks = 1;
    assert_int_equal(scene_run(scene, command).result, RESULT_STACKS_EXIST);
    assert_int_equal(scene->pool->max_stacks, 3); /* all or nothing */
    command = command_new(VERB_UPDATE_PROJECT);
    command->as.update_project.prefix = mem_strdup("test-"); /* the same is no change */
    command->as.update_project.max_stacks = 0;
    command->as.update_project.wait_s = 0;
    command->as.update_project.has_initial_commit = true;
    assert_int_equal(scene_run(scene, command).result, RESULT_DONE);
    assert_int_equal(scene->pool->max_stacks, 0);
    assert_int_equal(scene->pool->lease_s, 3600);
    assert_null(scene->pool->initial_commit);
    assert_non_null(lease_of(scene, &holder)); /* nobody loses a stack */
    assert_int_equal(scene->pool->stack_count, 3);
    assert_int_equal(scene_run(scene, ask("main", NULL, NULL)).result, RESULT_GRANTED);
    scene_free(scene);
}

static struct command *prioritize(const struct told *told, int priority)
{
    struct command *command = command_new(VERB_PRIORITIZE);

    command->as.prioritize =
        (struct command_prioritize){.number = told->lease, .priority = priority};
    return command;
}

static struct command *ask_with(const char *request_id, bool has_priority, int priority)
{
    struct command *command = ask("main", request_id, NULL);

    command->as.request.has_priority = has_priority;
    command->as.request.priority = priority;
    return command;
}

static void test_who_waits_is_moved(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);
    struct told first;
    struct told second;

    (void)state;
    scene->pool->max_stacks = 1;
    while (scene_run(scene, ask("main", NULL, NULL)).result == RESULT_GRANTED)
        ;
    first = scene_run(scene, ask_with("first", true, 1));
    second = scene_run(scene, ask_with("second", false, 0));
    assert_int_equal(scene_run(scene, prioritize(&second, 9)).result, RESULT_DONE);
    assert_int_equal(lease_of(scene, &second)->priority, 9);
    scene_run(scene, ask_with("first", true, 5)); /* its caller's new wish */
    assert_int_equal(lease_of(scene, &first)->priority, 5);
    scene_run(scene, prioritize(&first, -3));
    scene_run(scene, ask_with("first", true, 5)); /* which it only repeats */
    scene_run(scene, ask_with("first", false, 0));
    assert_int_equal(lease_of(scene, &first)->priority, -3);
    assert_int_equal(scene_run(scene, prioritize(&holder, 1)).result, RESULT_INVALID_STATE);
    holder.lease = 999;
    assert_int_equal(scene_run(scene, prioritize(&holder, 1)).result, RESULT_NO_REQUEST);
    scene_free(scene);
}

static struct command *pause(bool paused, const char *reason)
{
    struct command *command = command_new(VERB_UPDATE_PROJECT);

    command->as.update_project.has_paused = true;
    command->as.update_project.paused = paused;
    command->reason = mem_strdup(reason);
    return command;
}

static void test_pause(void **state)
{
    struct told holder;
    struct scene *scene = scene_three(&holder);
    struct told waiting;

    (void)state;
    assert_int_equal(scene_run(scene, pause(true, "cleaning")).result, RESULT_DONE);
    assert_int_equal(scene->pool->pause.since, scene->pool->now);
    assert_string_equal(scene->pool->pause.by, "key");
    waiting = scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(waiting.result, RESULT_WAITING);
    assert_int_equal(scene_run(scene, ask_refresh(NULL, NULL)).result, RESULT_NOT_NOW);
    scene_run(scene,
              give_back("test-1", &holder, OUTCOME_HOLD)); /* not even what its branch holds */
    assert_int_equal(lease_of(scene, &waiting)->state, LEASE_WAITING);
    scene_pass(scene, 1);
    scene_run(scene, pause(true, "still cleaning"));
    assert_int_equal(scene->pool->pause.since, scene->pool->now - SECONDS(1));
    assert_string_equal(scene->pool->pause.reason, "still cleaning");
    scene_run(scene, pause(false, NULL));
    assert_int_equal(scene->pool->pause.since, 0);
    assert_null(scene->pool->pause.reason);
    assert_int_equal(lease_of(scene, &waiting)->state, LEASE_ACTIVE);
    scene_free(scene);
}

static void test_unknown_stacks(void **state)
{
    static const enum verb verbs[] = {VERB_HOLD,    VERB_QUARANTINE,   VERB_REINSTATE,
                                      VERB_REVOKE,  VERB_DELETE_STACK, VERB_MARK,
                                      VERB_RELEASE, VERB_EXTEND};
    static const char *const names[] = {"test-4",
                                        "test-0",
                                        "test-01",
                                        "test-",
                                        "test-1 ",
                                        "Test-1",
                                        "test--1",
                                        "test-+1",
                                        "test- 1",
                                        "test-1x",
                                        "1",
                                        "",
                                        "test-4294967297",
                                        "test-18446744073709551617"};
    struct told holder;
    struct scene *scene = scene_three(&holder);

    (void)state;
    for (size_t v = 0; v < COUNT(verbs); v++)
        for (size_t n = 0; n < COUNT(names); n++)
            assert_int_equal(scene_run(scene, on(verbs[v], names[n], NULL)).result,
                             RESULT_NO_STACK);
    scene_free(scene);
}

/* Several in one batch are written in the order in which they were done. */
static void test_actions_are_in_order(void **state)
{
    struct scene *scene = scene_new(5);

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    scene_add(scene, on(VERB_HOLD, "test-1", NULL));
    scene_add(scene, on(VERB_QUARANTINE, "test-1", NULL));
    scene_add(scene, on(VERB_REVOKE, "test-1", NULL));
    scene_decide(scene);
    assert_int_equal(scene->pool->actions->verb, VERB_HOLD);
    assert_int_equal(scene->pool->actions->next->verb, VERB_QUARANTINE);
    assert_int_equal(scene->pool->actions->next->next->verb, VERB_REVOKE);
    scene_settle(scene);
    scene_free(scene);
}

static void test_actions_are_recorded(void **state)
{
    static const enum verb verbs[] = {VERB_HOLD, VERB_QUARANTINE, VERB_REINSTATE,
                                      VERB_DELETE_STACK};
    struct told holder;
    struct scene *scene = scene_three(&holder);

    (void)state;
    for (size_t i = 0; i < COUNT(verbs); i++) {
        struct command *command = on(verbs[i], "test-2", NULL);
        command->key_name = mem_strdup("root");
        command->reason = mem_strdup("because");
        scene_add(scene, command);
        assert_int_equal(scene->pool->actions->verb, verbs[i]);
        assert_int_equal(scene->pool->actions->stack_number, 2);
        assert_string_equal(scene->pool->actions->key_name, "root");
        assert_string_equal(scene->pool->actions->reason, "because");
        assert_null(scene->pool->actions->next);
        scene_finish(scene);
    }
    scene_run(scene, on(VERB_HOLD, "test-9", NULL)); /* what did not happen is not */
    assert_null(scene->pool->actions);
    scene_free(scene);
}

UNIT_MAIN(cmocka_unit_test(test_hold_an_available_stack),
          cmocka_unit_test(test_set_aside_a_leased_stack),
          cmocka_unit_test(test_expiry_of_a_leased_stack_that_is_set_aside),
          cmocka_unit_test(test_quarantine_is_stronger_than_the_jobs_hold),
          cmocka_unit_test(test_reinstate), cmocka_unit_test(test_revoke),
          cmocka_unit_test(test_delete_last), cmocka_unit_test(test_delete_drains),
          cmocka_unit_test(test_add_stacks), cmocka_unit_test(test_update_project),
          cmocka_unit_test(test_who_waits_is_moved), cmocka_unit_test(test_pause),
          cmocka_unit_test(test_unknown_stacks), cmocka_unit_test(test_actions_are_recorded),
          cmocka_unit_test(test_actions_are_in_order))
