/*
 * clerk, for jobs: each row of the life cycle drawn in pool.h, what must not be possible, and the
 * times at which things end.
 */
#include "scene.h"

#include "base/mem.h"

#include <stdio.h>
#include <time.h>

/* waiting → active → released */
static void test_request_mark_release(void **state)
{
    struct scene *scene = scene_new(2);
    struct told told = scene_run(scene, ask("feature", NULL, "a=1 b=1"));
    const struct stack *stack = stack_of(scene, 1);

    (void)state;
    assert_int_equal(told.result, RESULT_GRANTED);
    assert_true(told.is_new);
    assert_int_equal(told.fence, 1);
    assert_int_equal(told.changed_units, 2); /* a new stack's content is unknown */
    assert_int_equal(told.expires_at, NOON + SECONDS(3600));
    assert_string_equal(lease_of(scene, &told)->stack_commit, "initial");
    assert_string_equal(stack->branch, "feature");
    scene_pass(scene, 5);
    assert_int_equal(scene_run(scene, mark("test-1", &told, "c1")).result, RESULT_DONE);
    assert_string_equal(stack->commit, "c1");
    assert_int_equal(stack->content->count, 2);
    assert_int_equal(scene_run(scene, give_back("test-1", &told, OUTCOME_SUCCESS)).result,
                     RESULT_DONE);
    assert_int_equal(stack->state, STACK_AVAILABLE);
    assert_null(lease_of(scene, &told));
    assert_int_equal(stack->content->count, 2);
    told = scene_run(scene, ask("main", NULL, "b=1 a=2"));
    assert_int_equal(told.changed_units, 1);
    assert_int_equal(told.fence, 2);
    assert_false(told.is_new);
    assert_string_equal(lease_of(scene, &told)->stack_commit, "c1");
    scene_free(scene);
}

/* What a stack is known to run after its lease. */
static void test_content_after_the_lease(void **state)
{
    static const struct {
        bool marked;
        enum outcome outcome;
        const char *fingerprint;
    } cases[] = {
        {true, OUTCOME_NONE, "2"},
        {true, OUTCOME_SUCCESS, "2"},
        {true, OUTCOME_FAILED, "2"},
        {true, OUTCOME_DEPLOY_FAILED, UNIT_UNKNOWN},
        {true, OUTCOME_NOT_DEPLOYED, "2"},
        {false, OUTCOME_NONE, UNIT_UNKNOWN},
        {false, OUTCOME_SUCCESS, UNIT_UNKNOWN},
        {false, OUTCOME_FAILED, UNIT_UNKNOWN},
        {false, OUTCOME_DEPLOY_FAILED, UNIT_UNKNOWN},
        {false, OUTCOME_NOT_DEPLOYED, "1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene *scene = scene_new(1);
        struct told told = scene_run(scene, ask("main", NULL, "a=1"));

        scene_run(scene, mark("test-1", &told, "c1"));
        scene_run(scene, give_back("test-1", &told, OUTCOME_SUCCESS));
        told = scene_run(scene, ask("main", NULL, "a=2"));
        if (cases[i].marked)
            scene_run(scene, mark("test-1", &told, "c2"));
        scene_run(scene, give_back("test-1", &told, cases[i].outcome));
        assert_string_equal(stack_of(scene, 1)->content->units[0].fingerprint,
                            cases[i].fingerprint);
        assert_string_equal(stack_of(scene, 1)->commit, cases[i].marked ? "c2" : "c1");
        scene_free(scene);
    }
}

static void test_mark_without_units_or_lease_makes_unknown(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", NULL, "a=1"));

    (void)state;
    scene_run(scene, mark("test-1", NULL, "c0")); /* may be an old job, late */
    assert_null(stack_of(scene, 1)->content);
    scene_run(scene, mark("test-1", &told, "c1"));
    scene_run(scene, give_back("test-1", &told, OUTCOME_SUCCESS));
    assert_non_null(stack_of(scene, 1)->content);
    assert_int_equal(scene_run(scene, mark("test-1", NULL, "c2")).result, RESULT_DONE);
    assert_null(stack_of(scene, 1)->content);
    assert_string_equal(stack_of(scene, 1)->commit, "c2");
    assert_int_equal(scene_run(scene, mark("test-1", &told, "c3")).result, RESULT_LEASE_LOST);
    assert_string_equal(stack_of(scene, 1)->commit, "c2");
    told = scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, mark("test-1", &told, "c4"));
    scene_run(scene, give_back("test-1", &told, OUTCOME_SUCCESS));
    assert_null(stack_of(scene, 1)->content);
    scene_free(scene);
}

/* active → expired, to the microsecond */
static void test_expiry(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command = ask("main", NULL, "a=1");
    struct told told;

    (void)state;
    command->as.request.lease_s = 10;
    told = scene_run(scene, command);
    scene_run(scene, mark("test-1", &told, "c"));
    scene->pool->now = told.expires_at - 1;
    scene_finish(scene);
    assert_non_null(lease_of(scene, &told));
    scene->pool->now = told.expires_at;
    clerk_settle_due(&scene->clerk, scene->pool);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_EXPIRED);
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);
    assert_int_equal(scene_run(scene, on(VERB_EXTEND, "test-1", &told)).result, RESULT_LEASE_LOST);
    assert_int_equal(scene_run(scene, give_back("test-1", &told, OUTCOME_NONE)).result,
                     RESULT_NO_EFFECT);
    scene_free(scene);
}

static void test_expiry_frees_the_stack_for_the_next(void **state)
{
    struct scene *scene = scene_new(1);
    struct told first = scene_run(scene, ask("main", NULL, NULL));
    struct command *command = ask("main", NULL, NULL);
    struct told second;

    (void)state;
    command->as.request.wait_s = 3600;
    second = scene_run(scene, command);
    scene->pool->now = first.expires_at; /* and the wait is over, too: the grant comes first */
    scene_finish(scene);
    assert_int_equal(lease_of(scene, &second)->state, LEASE_ACTIVE);
    assert_int_equal(lease_of(scene, &second)->fence, 2);
    assert_null(stack_of(scene, 1)->content);
    scene_free(scene);
}

static void test_lease_seconds(void **state)
{
    struct scene *scene = scene_new(3);
    struct command *command = ask("main", NULL, NULL);
    struct told told;

    (void)state;
    scene->pool->max_lease_s = 1000;
    command->as.request.lease_s = 5000;
    told = scene_run(scene, command);
    assert_int_equal(told.expires_at, NOON + SECONDS(1000));
    told = scene_run(scene, ask("main", NULL, NULL)); /* the project's 3600 are too many, too */
    assert_int_equal(told.expires_at, NOON + SECONDS(1000));
    command = ask("main", NULL, NULL);
    command->as.request.lease_s = 1;
    assert_int_equal(scene_run(scene, command).expires_at, NOON + SECONDS(1));
    scene_free(scene);
}

static struct told extend(struct scene *scene, const struct told *told, int seconds)
{
    struct command *command = on(VERB_EXTEND, "test-1", told);

    command->as.extend.lease_s = seconds;
    return scene_run(scene, command);
}

static void test_extend(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told;
    struct told wrong;

    (void)state;
    scene->pool->max_lease_s = 5000;
    told = scene_run(scene, ask("main", NULL, NULL));
    scene_pass(scene, 100);
    assert_int_equal(extend(scene, &told, 50).expires_at, NOON + SECONDS(150)); /* may be sooner */
    assert_int_equal(extend(scene, &told, -1).expires_at, NOON + SECONDS(3700));
    assert_int_equal(extend(scene, &told, 86400).expires_at, NOON + SECONDS(5000)); /* lifetime */
    wrong = told;
    wrong.lease_id[15] ^= 1;
    assert_int_equal(extend(scene, &wrong, 10).result, RESULT_LEASE_LOST);
    assert_int_equal(lease_of(scene, &told)->expires_at, NOON + SECONDS(5000));
    assert_int_equal(scene_run(scene, on(VERB_EXTEND, "test-2", &told)).result, RESULT_NO_STACK);
    /* A heartbeat in the batch that would have expired it comes first. */
    scene->pool->now = NOON + SECONDS(4000);
    extend(scene, &told, 500);
    scene->pool->now = NOON + SECONDS(4500);
    assert_int_equal(extend(scene, &told, 100).result, RESULT_DONE);
    assert_non_null(lease_of(scene, &told));
    scene->pool->now = NOON + SECONDS(5000);
    /* Its lifetime is over: no answer may say otherwise, since the stack goes on in this batch. */
    assert_int_equal(extend(scene, &told, 100).result, RESULT_LEASE_LOST);
    assert_null(lease_of(scene, &told));
    scene_free(scene);
}

/* Leases with a requestId are protected; plain ones once their leaseId was used. */
static void test_protection(void **state)
{
    static const enum verb uses[] = {VERB_MARK, VERB_EXTEND};
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", "r1", NULL));
    struct told wrong = told;

    (void)state;
    wrong.lease_id[0] ^= 0x80;
    assert_int_equal(scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE)).result,
                     RESULT_LEASE_ID_REQUIRED);
    assert_int_equal(scene_run(scene, mark("test-1", NULL, "c")).result, RESULT_LEASE_ID_REQUIRED);
    assert_int_equal(scene_run(scene, give_back("test-1", &wrong, OUTCOME_NONE)).result,
                     RESULT_WRONG_LEASE_ID);
    assert_int_equal(scene_run(scene, mark("test-1", &wrong, "c")).result, RESULT_WRONG_LEASE_ID);
    assert_null(stack_of(scene, 1)->commit);
    assert_int_equal(scene_run(scene, give_back("test-1", &told, OUTCOME_NONE)).result,
                     RESULT_DONE);

    for (size_t i = 0; i < COUNT(uses); i++) {
        told = scene_run(scene, ask("main", NULL, NULL));
        wrong = told;
        wrong.lease_id[3] ^= 1;
        assert_int_equal(scene_run(scene, mark("test-1", NULL, "c")).result, RESULT_DONE);
        scene_run(scene, mark("test-1", &wrong, "d"));
        assert_string_equal(stack_of(scene, 1)->commit, "c");
        assert_false(lease_of(scene, &told)->is_protected);
        assert_int_equal(scene_run(scene, on(uses[i], "test-1", &told)).result, RESULT_DONE);
        assert_int_equal(scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE)).result,
                         RESULT_LEASE_ID_REQUIRED);
        scene_run(scene, give_back("test-1", &told, OUTCOME_NONE));
        assert_null(lease_of(scene, &told));
    }
    scene_free(scene);
}

static void test_release_by_name(void **state)
{
    struct scene *scene = scene_new(1);

    (void)state;
    assert_int_equal(scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE)).result,
                     RESULT_NO_STACK);
    scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE)).result, RESULT_DONE);
    assert_int_equal(scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE)).result,
                     RESULT_NO_EFFECT);
    scene_free(scene);
}

/* waiting → timedOut; with a requestId only after the grace */
static void test_wait_ends(void **state)
{
    struct scene *scene = scene_new(1);
    struct told plain;
    struct told named;
    struct command *command;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    command = ask("main", NULL, NULL);
    command->as.request.wait_s = 0;
    plain = scene_run(scene, command);
    assert_int_equal(plain.result, RESULT_WAIT_OVER); /* at once */
    assert_int_equal(plain.state, LEASE_TIMED_OUT);
    assert_int_equal(plain.position, 1);
    command = ask("main", "r0", NULL);
    command->as.request.wait_s = 0;
    named = scene_run(scene, command);
    assert_int_equal(named.result, RESULT_WAIT_OVER);
    assert_int_equal(named.state, LEASE_WAITING); /* keeps its place */

    command = ask("main", NULL, NULL);
    command->as.request.wait_s = 30;
    plain = scene_run(scene, command);
    assert_int_equal(plain.result, RESULT_WAITING);
    scene->pool->now = NOON + SECONDS(30) - 1;
    scene_finish(scene);
    assert_non_null(lease_of(scene, &plain));
    scene->pool->now = NOON + SECONDS(30);
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->number, plain.lease);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_TIMED_OUT);
    assert_int_equal(scene->pool->ended_leases->position, 2); /* behind r0 */
    scene_settle(scene);

    scene->pool->now = NOON + SECONDS(60) - 1;
    scene_finish(scene);
    assert_non_null(lease_of(scene, &named));
    scene->pool->now = NOON + SECONDS(60);
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->number, named.lease);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_TIMED_OUT);
    scene_settle(scene);
    scene_free(scene);
}

/* By the processor's clock: work that grew with the square would take minutes. */
static void test_many_waits_end_together(void **state)
{
    const unsigned many = 100000;
    struct scene *scene = scene_new(1);
    struct pool *pool = scene->pool;
    clock_t began;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    for (unsigned i = 0; i < many; i++) {
        char id[16];
        struct command *command;

        snprintf(id, sizeof id, "r%u", i);
        command = ask("main", i % 2 ? id : NULL, NULL);
        command->as.request.priority = (int)(i % 3);
        command->key_name = mem_strdup("key");
        clerk_run(&scene->clerk, pool, command);
        pool_settle(pool);
        command_free(command);
    }
    assert_int_equal(pool->waiting_count, many);
    scene_pass(scene, 600);
    began = clock();
    scene_decide(scene);
    assert_int_equal(pool->waiting_count, many / 2); /* a requestId keeps its place */
    scene_settle(scene);
    scene_pass(scene, 60);
    scene_decide(scene);
    assert_int_equal(pool->waiting_count, 0);
    scene_settle(scene);
    assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
    scene_free(scene);
}

static void test_wait_seconds_of_the_project(void **state)
{
    struct scene *scene = scene_new(0);
    struct told told;

    (void)state;
    scene->pool->wait_s = 7;
    told = scene_run(scene, ask("main", NULL, NULL));
    assert_int_equal(lease_of(scene, &told)->wait_until, NOON + SECONDS(7));
    scene_free(scene);
}

/* The same batch: what becomes free is granted before waits end. */
static void test_grant_before_wait_over(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command = ask("main", NULL, NULL);
    struct told told;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    command->as.request.wait_s = 10;
    told = scene_run(scene, command);
    scene_pass(scene, 10);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &told)->state, LEASE_ACTIVE);
    scene_free(scene);
}

/* waiting → abandoned */
static void test_hang_up(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", "holder", NULL));
    struct told plain = scene_run(scene, ask("main", NULL, NULL));
    struct told named = scene_run(scene, ask("main", "r1", NULL));

    (void)state;
    scene_add(scene, about(VERB_HANG_UP, &plain));
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_ABANDONED);
    scene_settle(scene);
    scene_run(scene, about(VERB_HANG_UP, &named));
    assert_int_equal(lease_of(scene, &named)->instance, 0);
    scene_run(scene, about(VERB_HANG_UP, &named)); /* no longer grace by hanging up again */
    assert_int_equal(lease_of(scene, &named)->place_until, NOON + SECONDS(60));
    scene_run(scene, give_back("test-1", &holder, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &named)->state, LEASE_WAITING); /* nobody would hear of it */
    assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);
    scene_pass(scene, 60);
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_ABANDONED);
    scene_settle(scene);
    scene_run(scene, about(VERB_HANG_UP, &named)); /* gone: nothing happens */
    scene_free(scene);
}

/* Who says how long its place is kept is believed when it hangs up; not when it was sent away. */
static void test_grace_of_its_own(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", "holder", NULL));
    struct command *command = ask("main", "r1", NULL);
    struct told named;

    (void)state;
    (void)holder;
    command->as.request.grace_s = 5;
    named = scene_run(scene, command);
    command = about(VERB_HANG_UP, &named);
    command->as.hang_up.sent_away = true;
    scene_run(scene, command);
    assert_int_equal(lease_of(scene, &named)->place_until, NOON + SECONDS(60));
    command = ask("main", "r1", NULL);
    command->as.request.grace_s = 5;
    named = scene_run(scene, command);
    scene_run(scene, about(VERB_HANG_UP, &named));
    assert_int_equal(lease_of(scene, &named)->place_until, NOON + SECONDS(5));
    scene_pass(scene, 5);
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_ABANDONED);
    scene_free(scene);
}

static void test_hang_up_of_a_displaced_connection(void **state)
{
    struct scene *scene = scene_new(1);
    struct told named;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    named = scene_run(scene, ask("main", "r1", NULL));
    scene_add(scene, ask("main", "r1", NULL)); /* came back in the batch that sees the hang-up */
    scene_add(scene, about(VERB_HANG_UP, &named));
    scene_finish(scene);
    assert_int_equal(lease_of(scene, &named)->instance, US);
    scene_free(scene);
}

/* waiting → cancelled; nothing else can be cancelled */
static void test_cancel(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", "holder", NULL));
    struct told named = scene_run(scene, ask("main", "r1", NULL));
    struct told plain = scene_run(scene, ask("main", NULL, NULL));
    struct command *command = command_new(VERB_CANCEL);

    (void)state;
    command->as.cancel.request_id = mem_strdup("r1");
    assert_int_equal(scene_run(scene, command).result, RESULT_DONE);
    assert_null(lease_of(scene, &named));
    assert_int_equal(scene_run(scene, about(VERB_CANCEL, &plain)).result, RESULT_DONE);
    assert_null(lease_of(scene, &plain));
    assert_int_equal(scene_run(scene, about(VERB_CANCEL, &holder)).result, RESULT_INVALID_STATE);
    assert_int_equal(lease_of(scene, &holder)->state, LEASE_ACTIVE);
    assert_int_equal(scene_run(scene, about(VERB_CANCEL, &plain)).result, RESULT_NO_REQUEST);
    command = command_new(VERB_CANCEL);
    command->as.cancel.request_id = mem_strdup("r1");
    command->past = (struct past_request){.number = named.lease, .ended = true};
    assert_int_equal(scene_run(scene, command).result, RESULT_NO_EFFECT);
    scene_free(scene);
}

/* waiting → superseded */
static void test_supersede(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command = ask("feature", NULL, NULL);
    struct told holder = scene_run(scene, ask("feature", NULL, NULL));
    struct told older = scene_run(scene, ask("feature", "r1", NULL));
    struct told other = scene_run(scene, ask("main", NULL, NULL));
    struct told newer;
    size_t same_batch = scene_add(scene, ask("feature", NULL, NULL));

    (void)state;
    command->as.request.supersede = true;
    newer = scene_run(scene, command);
    assert_int_equal(scene->told[same_batch].result, RESULT_SUPERSEDED);
    assert_int_equal(newer.result, RESULT_WAITING);
    assert_null(lease_of(scene, &older));
    assert_non_null(lease_of(scene, &other));
    assert_int_equal(lease_of(scene, &holder)->state, LEASE_ACTIVE); /* only waiting ones */
    scene_free(scene);
}

/* One that won't wait ends nobody's wait, unless it gets the stack. */
static void test_supersede_without_waiting(void **state)
{
    struct scene *scene = scene_new(1);
    struct told holder = scene_run(scene, ask("main", NULL, NULL));
    struct told older = scene_run(scene, ask("feature", "r1", NULL));
    struct command *command = ask("feature", NULL, NULL);

    (void)state;
    command->as.request.supersede = true;
    command->as.request.wait_s = 0;
    assert_int_equal(scene_run(scene, command).result, RESULT_WAIT_OVER);
    assert_non_null(lease_of(scene, &older));
    scene_run(scene, about(VERB_HANG_UP, &older));
    scene_run(scene, give_back("test-1", &holder, OUTCOME_NONE));
    command = ask("feature", NULL, NULL);
    command->as.request.supersede = true;
    command->as.request.wait_s = 0;
    assert_int_equal(scene_run(scene, command).result, RESULT_GRANTED);
    assert_null(lease_of(scene, &older));
    scene_free(scene);
}

/* active → waiting, at its old place */
static void test_unheard_grant(void **state)
{
    struct scene *scene = scene_new(1);
    struct told first;
    struct told named;
    struct told behind;
    uint8_t lost[LEASE_ID_SIZE];

    (void)state;
    first = scene_run(scene, ask("main", NULL, "a=1"));
    scene_run(scene, mark("test-1", &first, "c"));
    named = scene_run(scene, ask("feature", "r1", "a=2"));
    behind = scene_run(scene, ask("fix", NULL, NULL));
    scene_run(scene, give_back("test-1", &first, OUTCOME_NONE));
    memcpy(lost, lease_of(scene, &named)->lease_id, LEASE_ID_SIZE);
    assert_int_equal(lease_of(scene, &named)->state, LEASE_ACTIVE);

    scene_run(scene, about(VERB_HANG_UP, &named));
    assert_int_equal(lease_of(scene, &named)->state, LEASE_WAITING);
    assert_int_equal(lease_of(scene, &named)->instance, 0);
    assert_int_equal(scene_position(scene, &named), 1);
    assert_int_equal(lease_of(scene, &behind)->state, LEASE_ACTIVE); /* the next got it */
    assert_int_equal(lease_of(scene, &behind)->fence, 3);
    assert_string_equal(lease_of(scene, &behind)->stack_content->units[0].fingerprint, "1");

    assert_int_equal(scene_run(scene, ask("feature", "r1", "a=2")).result, RESULT_WAITING);
    scene_run(scene, give_back("test-1", NULL, OUTCOME_NOT_DEPLOYED));
    assert_int_equal(lease_of(scene, &named)->state, LEASE_ACTIVE);
    assert_memory_not_equal(lease_of(scene, &named)->lease_id, lost, LEASE_ID_SIZE);
    scene_free(scene);
}

static void test_unheard_grant_of_a_new_stack(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", "r1", NULL));

    (void)state;
    assert_true(told.is_new);
    scene_run(scene, about(VERB_HANG_UP, &told));
    assert_false(lease_of(scene, &told)->is_new);
    scene_free(scene);
}

static void test_unheard_grant_to_a_plain_one_ends(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", NULL, "a=1"));

    (void)state;
    scene_add(scene, about(VERB_HANG_UP, &told));
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_RELEASED);
    assert_int_equal(scene->pool->ended_leases->outcome, OUTCOME_NOT_DEPLOYED);
    scene_settle(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);
    scene_run(scene, about(VERB_HANG_UP, &told)); /* again: nothing */
    scene_free(scene);
}

/* A program that was cut off tells of its lost call late: somebody has the grant by then. */
static void test_heard_grant_is_kept(void **state)
{
    struct scene *scene = scene_new(3);
    struct told extended = scene_run(scene, ask("main", "r1", NULL));
    struct told marked = scene_run(scene, ask("main", NULL, NULL));
    struct told repeated = scene_run(scene, ask("main", "r2", NULL));
    struct told waited = scene_run(scene, ask("main", "r3", NULL));

    (void)state;
    scene->pool->max_lease_s = scene->pool->lease_s;
    assert_int_equal(extend(scene, &extended, -1).result, RESULT_DONE); /* it ends when it did */
    scene_run(scene, about(VERB_HANG_UP, &extended));
    assert_int_equal(lease_of(scene, &extended)->state, LEASE_ACTIVE);

    scene_run(scene, mark("test-2", &marked, "c"));
    scene_run(scene, about(VERB_HANG_UP, &marked));
    assert_int_equal(lease_of(scene, &marked)->state, LEASE_ACTIVE);

    assert_int_equal(scene_run(scene, ask("main", "r2", NULL)).result, RESULT_GRANTED);
    scene_run(scene, on(VERB_EXTEND, "test-3", &repeated));
    scene_run(scene, about(VERB_HANG_UP, &repeated));
    assert_int_equal(lease_of(scene, &repeated)->state, LEASE_ACTIVE);

    assert_int_equal(scene_run(scene, ask("main", "r3", NULL)).result, RESULT_WAITING);
    scene_run(scene, give_back("test-1", &extended, OUTCOME_NONE));
    assert_int_equal(lease_of(scene, &waited)->state, LEASE_ACTIVE);
    scene_run(scene, about(VERB_HANG_UP, &waited));
    assert_int_equal(lease_of(scene, &waited)->state, LEASE_ACTIVE);
    scene_free(scene);
}

static void test_refresh_never_waits(void **state)
{
    struct scene *scene = scene_new(2);
    struct told told;
    struct command *command = command_new(VERB_ADD_STACKS);

    (void)state;
    assert_int_equal(scene_run(scene, ask_refresh("r0", "a=1")).result, RESULT_NOT_NOW);
    command->as.add_stacks.count = 2;
    scene_run(scene, command);
    told = scene_run(scene, ask_refresh("r1", "a=1"));
    assert_int_equal(told.result, RESULT_GRANTED);
    assert_int_equal(told.changed_units, 1);
    scene_add(scene, about(VERB_HANG_UP, &told));
    scene_decide(scene);
    assert_int_equal(scene->pool->ended_leases->state, LEASE_ABANDONED);
    scene_settle(scene);
    assert_null(lease_of(scene, &told)); /* ended, not queued */
    assert_int_equal(scene->pool->waiting_count, 0);
    command = ask_refresh("r1", "a=1"); /* nobody had it, so the same request may ask again */
    command->past = (struct past_request){.number = 1, .ended = true, .state = LEASE_ABANDONED};
    assert_int_equal(scene_run(scene, command).result, RESULT_GRANTED);
    scene_free(scene);
}

static void test_refresh_twins_get_one_lease(void **state)
{
    struct scene *scene = scene_new(4);
    struct command *command = command_new(VERB_ADD_STACKS);
    size_t one;
    size_t two;

    (void)state;
    command->as.add_stacks.count = 4;
    scene_run(scene, command);
    one = scene_add(scene, ask_refresh("r1", NULL));
    two = scene_add(scene, ask_refresh("r1", NULL));
    scene_finish(scene);
    assert_int_equal(scene->told[one].result, RESULT_GRANTED);
    assert_int_equal(scene->told[two].result, RESULT_GRANTED);
    assert_int_equal(scene->told[one].lease, scene->told[two].lease);
    assert_int_equal(scene->pool->idle_count, 3);
    scene_free(scene);
}

/* The same requestId: the same lease, the same place. */
static void test_repeats(void **state)
{
    struct scene *scene = scene_new(1);
    struct told first = scene_run(scene, ask("main", "r1", "a=1"));
    struct told again = scene_run(scene, ask("main", "r1", "a=1"));
    struct told waiting;
    size_t one;
    size_t two;

    (void)state;
    assert_int_equal(again.result, RESULT_GRANTED);
    assert_int_equal(again.lease, first.lease);
    assert_memory_equal(again.lease_id, first.lease_id, LEASE_ID_SIZE);
    assert_int_equal(again.expires_at, first.expires_at); /* no heartbeat */

    one = scene_add(scene, ask("main", "r2", NULL));
    two = scene_add(scene, ask("main", "r2", NULL));
    scene_finish(scene);
    assert_int_equal(scene->told[one].result, RESULT_REPLACED);
    assert_int_equal(scene->told[two].result, RESULT_WAITING);
    waiting = scene->told[two];
    assert_int_equal(scene->told[one].lease, waiting.lease);
    assert_int_equal(scene->pool->waiting_count, 1);

    scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, about(VERB_HANG_UP, &waiting));
    scene_pass(scene, 59);
    again = scene_run(scene, ask("main", "r2", NULL)); /* back in time: the same place */
    assert_int_equal(again.result, RESULT_WAITING);
    assert_int_equal(again.lease, waiting.lease);
    assert_int_equal(lease_of(scene, &again)->wait_until, NOON + SECONDS(59 + 600));
    assert_int_equal(scene_position(scene, &again), 1);
    scene_pass(scene, 60);
    scene_finish(scene);
    assert_int_equal(lease_of(scene, &again)->state, LEASE_WAITING); /* the grace is forgotten */
    scene_free(scene);
}

static void test_repeat_with_other_contents(void **state)
{
    static const struct {
        const char *branch;
        const char *commit;
        const char *needs;
        const char *field;
    } cases[] = {
        {"fix", "c", "a=1", "branch"},   {"main", "d", "a=1", "commit"},
        {"main", NULL, "a=1", "commit"}, {"main", "c", "a=2", "units"},
        {"main", "c", NULL, "units"},    {"main", "c", "", "units"},
    };
    struct scene *scene = scene_new(1);
    struct command *command = ask("main", "r1", "a=1");
    struct told told;

    (void)state;
    command->as.request.commit = mem_strdup("c");
    scene_run(scene, command);
    for (size_t i = 0; i < COUNT(cases); i++) {
        command = ask(cases[i].branch, "r1", cases[i].needs);
        command->as.request.commit = mem_strdup(cases[i].commit);
        told = scene_run(scene, command);
        assert_int_equal(told.result, RESULT_REQUEST_MISMATCH);
        assert_string_equal(told.field, cases[i].field);
    }
    command = ask_refresh("r1", "a=1");
    command->as.request.commit = mem_strdup("c");
    told = scene_run(scene, command);
    assert_int_equal(told.result, RESULT_REQUEST_MISMATCH);
    assert_string_equal(told.field, "purpose");
    /* Everything else may differ. */
    command = ask("main", "r1", "a=1");
    command->as.request.commit = mem_strdup("c");
    command->as.request.priority = 5;
    command->as.request.wait_s = 1;
    command->as.request.lease_s = 1;
    command->as.request.job_url = mem_strdup("https://example.org/");
    assert_int_equal(scene_run(scene, command).result, RESULT_GRANTED);
    scene_free(scene);
}

/* After its end: 409, but for waits that were over. */
static void test_repeat_of_an_ended_request(void **state)
{
    struct scene *scene = scene_new(5);

    (void)state;
    for (enum lease_state ended = LEASE_RELEASED; ended <= LEASE_SUPERSEDED; ended++) {
        struct command *command = ask("main", "r1", NULL);
        struct told told;
        bool may = ended == LEASE_TIMED_OUT || ended == LEASE_ABANDONED;

        command->past = (struct past_request){.number = 7, .ended = true, .state = ended};
        told = scene_run(scene, command);
        assert_int_equal(told.result, may ? RESULT_GRANTED : RESULT_REQUEST_ENDED);
        if (may) /* ended before the next one asks */
            scene_run(scene, give_back(told.stack == 1 ? "test-1" : "test-2", &told, OUTCOME_NONE));
    }
    scene_free(scene);
}

/* The database can't know yet what ended in this very batch. */
static void test_repeat_in_the_batch_that_ends_it(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", "r1", NULL));
    struct command *repeat = ask("main", "r1", NULL);
    struct command *cancel;
    size_t at;

    (void)state;
    scene_add(scene, give_back("test-1", &told, OUTCOME_FAILED));
    at = scene_add(scene, repeat);
    assert_int_equal(repeat->result.code, RESULT_REQUEST_ENDED);
    assert_int_equal(repeat->past.state, LEASE_RELEASED);
    assert_int_equal(repeat->past.outcome, OUTCOME_FAILED);
    scene_finish(scene);
    assert_int_equal(scene->told[at].result, RESULT_REQUEST_ENDED);

    scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, ask("main", "r2", NULL));
    for (int i = 0; i < 2; i++) {
        cancel = command_new(VERB_CANCEL);
        cancel->as.cancel.request_id = mem_strdup("r2");
        scene_add(scene, cancel);
    }
    at = scene_add(scene, ask("main", "r2", NULL));
    scene_finish(scene);
    assert_int_equal(scene->told[0].result, RESULT_DONE);
    assert_int_equal(scene->told[1].result, RESULT_NO_EFFECT);
    assert_int_equal(scene->told[at].result, RESULT_REQUEST_ENDED);
    scene_free(scene);
}

static void test_repeat_of_a_lease_that_is_over(void **state)
{
    struct scene *scene = scene_new(1);
    struct told told = scene_run(scene, ask("main", "r1", NULL));

    (void)state;
    scene->pool->now = told.expires_at;
    assert_int_equal(scene_run(scene, ask("main", "r1", NULL)).result, RESULT_REQUEST_ENDED);
    assert_int_equal(stack_of(scene, 1)->state, STACK_AVAILABLE);
    scene_free(scene);
}

static void test_queue_full(void **state)
{
    struct scene *scene = scene_new(1);
    size_t told[5];
    struct command *command;

    (void)state;
    scene->clerk.waiting_max = 2;
    scene_run(scene, ask("main", NULL, NULL));
    for (size_t i = 0; i < 4; i++)
        told[i] = scene_add(scene, ask("main", i % 2 ? NULL : "r0", NULL));
    scene_finish(scene);
    assert_int_equal(scene->told[told[0]].result, RESULT_REPLACED);
    assert_int_equal(scene->told[told[1]].result, RESULT_WAITING);
    assert_int_equal(scene->told[told[2]].result, RESULT_WAITING);
    assert_int_equal(scene->told[told[3]].result, RESULT_QUEUE_FULL); /* the newest goes */
    assert_int_equal(scene_run(scene, ask("main", "r9", NULL)).result, RESULT_QUEUE_FULL);
    command = ask("main", "r9", NULL); /* wants no place, so it needs none … */
    command->as.request.wait_s = 0;
    assert_int_equal(scene_run(scene, command).result,
                     RESULT_QUEUE_FULL); /* … but would keep one */
    command = ask("main", NULL, NULL);
    command->as.request.wait_s = 0;
    assert_int_equal(scene_run(scene, command).result, RESULT_WAIT_OVER);
    assert_int_equal(scene->pool->waiting_count, 2);
    assert_int_equal(scene_run(scene, ask("main", "r0", NULL)).result, RESULT_WAITING); /* repeat */
    /* Room is what is left after the grants of the batch. */
    scene_add(scene, give_back("test-1", NULL, OUTCOME_NONE));
    told[0] = scene_add(scene, ask("main", "r9", NULL));
    scene_finish(scene);
    assert_int_equal(scene->told[told[0]].result, RESULT_WAITING);
    scene_free(scene);
}

static void test_zero_room_still_grants(void **state)
{
    struct scene *scene = scene_new(1);

    (void)state;
    scene->clerk.waiting_max = 0;
    assert_int_equal(scene_run(scene, ask("main", NULL, NULL)).result, RESULT_GRANTED);
    assert_int_equal(scene_run(scene, ask("main", NULL, NULL)).result, RESULT_QUEUE_FULL);
    scene_free(scene);
}

/* The program or its database was away: heartbeats get time to come in. */
static void test_startup_grace(void **state)
{
    struct scene *scene = scene_new(3);
    struct command *command = ask("main", NULL, NULL);
    struct told old_lease;
    struct told long_lease = scene_run(scene, ask("main", NULL, NULL));
    struct told renewed;

    (void)state;
    command->as.request.lease_s = 10;
    old_lease = scene_run(scene, command);
    command = ask("main", NULL, NULL);
    command->as.request.lease_s = 10;
    renewed = scene_run(scene, command);
    scene_pass(scene, 100); /* away; both are over by their time */
    scene->clerk.up_since = scene->pool->now;
    command = on(VERB_EXTEND, "test-3", &renewed);
    command->as.extend.lease_s = 5;
    assert_int_equal(scene_run(scene, command).result, RESULT_DONE);
    assert_non_null(lease_of(scene, &old_lease));
    scene_pass(scene, 5); /* whose heartbeat came gets no grace besides */
    scene_finish(scene);
    assert_null(lease_of(scene, &renewed));
    scene_pass(scene, 54);
    scene_finish(scene);
    assert_non_null(lease_of(scene, &old_lease));
    scene_pass(scene, 1);
    scene_finish(scene);
    assert_null(lease_of(scene, &old_lease));
    assert_non_null(lease_of(scene, &long_lease));
    scene_free(scene);
}

/* A database that comes and goes puts off the end of a lease, but not for ever. */
static void test_grace_while_the_database_flaps(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command = ask("main", NULL, NULL);
    struct told lease;
    int minutes = 0;

    (void)state;
    command->as.request.lease_s = 10;
    lease = scene_run(scene, command);
    clerk_due_note_up(&scene->clerk, scene->pool->now, true);
    for (; lease_of(scene, &lease) && minutes < 100; minutes++) {
        scene_pass(scene, 30);
        clerk_due_note_up(&scene->clerk, scene->pool->now, false);
        scene_finish(scene);
        scene_pass(scene, 30);
        scene_finish(scene);
    }
    assert_in_range(minutes, 10, 12);
    clerk_due_note_up(&scene->clerk, scene->pool->now, true);
    assert_int_equal(scene->clerk.up_since, scene->pool->now);
    scene_free(scene);
}

static void test_place_grace_after_startup(void **state)
{
    struct scene *scene = scene_new(1);
    struct told named;

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    named = scene_run(scene, ask("main", "r1", NULL));
    scene_run(scene, about(VERB_HANG_UP, &named));
    scene_pass(scene, 100); /* nobody could come back meanwhile */
    scene->clerk.up_since = scene->pool->now;
    scene_pass(scene, 59);
    scene_finish(scene);
    assert_non_null(lease_of(scene, &named));
    scene_pass(scene, 1);
    scene_finish(scene);
    assert_null(lease_of(scene, &named));
    scene_free(scene);
}

/* outcome hold: kept, until its time is over */
static void test_hold_by_the_job(void **state)
{
    struct scene *scene = scene_new(1);
    struct command *command = ask("main", NULL, NULL);
    struct told told;

    (void)state;
    command->as.request.job_user = mem_strdup("ann");
    told = scene_run(scene, command);
    command = give_back("test-1", &told, OUTCOME_HOLD);
    command->as.release.hold_s = 30;
    command->reason = mem_strdup("look at it");
    scene_run(scene, command);
    assert_int_equal(stack_of(scene, 1)->state, STACK_HELD);
    assert_string_equal(stack_of(scene, 1)->owner, "ann");
    assert_string_equal(stack_of(scene, 1)->reason, "look at it");
    assert_int_equal(stack_of(scene, 1)->held_until, NOON + SECONDS(30));
    assert_int_equal(scene_run(scene, ask("fix", NULL, NULL)).result, RESULT_WAITING);
    scene_pass(scene, 29);
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_HELD);
    scene_pass(scene, 1);
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_LEASED); /* the one who waited */
    scene_run(scene, give_back("test-1", NULL, OUTCOME_HOLD));
    assert_int_equal(stack_of(scene, 1)->held_until, scene->pool->now + SECONDS(CLERK_HOLD_S));
    assert_string_equal(stack_of(scene, 1)->owner, "key"); /* no user told */
    scene_free(scene);
}

static void test_quarantine_by_the_job(void **state)
{
    struct scene *scene = scene_new(1);

    (void)state;
    scene_run(scene, ask("main", NULL, NULL));
    scene_run(scene, give_back("test-1", NULL, OUTCOME_QUARANTINE));
    assert_int_equal(stack_of(scene, 1)->state, STACK_QUARANTINED);
    scene_pass(scene, 1000000);
    scene_finish(scene);
    assert_int_equal(stack_of(scene, 1)->state, STACK_QUARANTINED); /* for as long as it takes */
    scene_free(scene);
}

UNIT_MAIN(cmocka_unit_test(test_request_mark_release),
          cmocka_unit_test(test_content_after_the_lease),
          cmocka_unit_test(test_mark_without_units_or_lease_makes_unknown),
          cmocka_unit_test(test_expiry), cmocka_unit_test(test_expiry_frees_the_stack_for_the_next),
          cmocka_unit_test(test_lease_seconds), cmocka_unit_test(test_extend),
          cmocka_unit_test(test_protection), cmocka_unit_test(test_release_by_name),
          cmocka_unit_test(test_wait_ends), cmocka_unit_test(test_many_waits_end_together),
          cmocka_unit_test(test_wait_seconds_of_the_project),
          cmocka_unit_test(test_grant_before_wait_over), cmocka_unit_test(test_hang_up),
          cmocka_unit_test(test_grace_of_its_own),
          cmocka_unit_test(test_hang_up_of_a_displaced_connection), cmocka_unit_test(test_cancel),
          cmocka_unit_test(test_supersede), cmocka_unit_test(test_supersede_without_waiting),
          cmocka_unit_test(test_unheard_grant), cmocka_unit_test(test_unheard_grant_of_a_new_stack),
          cmocka_unit_test(test_unheard_grant_to_a_plain_one_ends),
          cmocka_unit_test(test_heard_grant_is_kept), cmocka_unit_test(test_refresh_never_waits),
          cmocka_unit_test(test_refresh_twins_get_one_lease), cmocka_unit_test(test_repeats),
          cmocka_unit_test(test_repeat_with_other_contents),
          cmocka_unit_test(test_repeat_of_an_ended_request),
          cmocka_unit_test(test_repeat_in_the_batch_that_ends_it),
          cmocka_unit_test(test_repeat_of_a_lease_that_is_over), cmocka_unit_test(test_queue_full),
          cmocka_unit_test(test_zero_room_still_grants), cmocka_unit_test(test_startup_grace),
          cmocka_unit_test(test_grace_while_the_database_flaps),
          cmocka_unit_test(test_place_grace_after_startup), cmocka_unit_test(test_hold_by_the_job),
          cmocka_unit_test(test_quarantine_by_the_job))
