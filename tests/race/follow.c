/*
 * follow: two programs in one process that write to one project of a real database in turns,
 * whatever comes to their minds. Each time that one reads what the other changed, its pool must be
 * what reading the whole project makes. Run by follow.bats:
 *
 *     follow CONFIG PROJECT STEPS
 */
#include "../unit/same_pool.h"
#include "../unit/scene.h"

#include "base/config.h"
#include "database/database.h"
#include "store/store_private.h"

#define HOSTS 2

struct host {
    struct store *store;
    struct scene scene;
};

static struct {
    const char *project;
    struct config config;
    struct host hosts[HOSTS];
    struct chance chance;
    int64_t ahead; /* of the database's clock, so that things become due */
    struct told told[40];
    size_t told_count;
    unsigned steps, followed, loaded;
} world;

static unsigned below(unsigned bound)
{
    return chance_below(&world.chance, bound);
}

static bool maybe(unsigned percent)
{
    return chance_percent(&world.chance, percent);
}

/* Commands */

static const char *any_units(void)
{
    static const char *const sets[] = {
        NULL,          "",           "a=1",         "a=1 b=1 c=1", "a=2 b=1 c=1", "a=1 b=2 c=2",
        "a=2 b=2 c=2", "d=1",        "a=3 b=3 d=9", "e=1 f=1",     "a=4 b=1 c=1", "b=5",
        "a=1 e=7",     "a=2 e=7 f=3"};
    return sets[below(COUNT(sets))];
}

static struct command *any_request(void)
{
    static const char *const branches[] = {"main", "feature", "fix", "x", "y", "z",
                                           "u",    "v",       "w",   "t", "s"};
    struct command *command;
    struct command_request *request;
    char id[16];

    snprintf(id, sizeof id, "r%u", below(60));
    command = ask(branches[below(COUNT(branches))], maybe(50) ? id : NULL, any_units());
    request = &command->as.request;
    request->job_name = maybe(20) ? mem_strdup("job") : NULL;
    request->wait_s = maybe(40) ? 0 : (int)below(400);
    request->lease_s = maybe(50) ? -1 : 1 + (int)below(900);
    request->has_priority = maybe(40);
    request->priority = PRIORITY_MIN + (int)below(PRIORITY_COUNT);
    request->supersede = maybe(5);
    request->purpose = maybe(10) ? PURPOSE_REFRESH : PURPOSE_TEST;
    if (maybe(10)) {
        char name[32];
        snprintf(name, sizeof name, "test-%u", 1 + below(8));
        command->stack_name = mem_strdup(name);
    }
    return command;
}

static const struct told *any_told(void)
{
    return world.told_count ? &world.told[below((unsigned)world.told_count)] : NULL;
}

static struct command *on_any_stack(enum verb verb)
{
    const struct told *told = any_told();
    char name[32];

    snprintf(name, sizeof name, "test-%u", told && told->stack ? told->stack : 1 + below(9));
    return on(verb, name, told && maybe(80) ? told : NULL);
}

static struct command *any_mark_units(void)
{
    struct command *command = on_any_stack(VERB_MARK_UNITS);

    command->has_lease_id = true; /* the API asks for it */
    command->as.mark_units.units = units(maybe(50) ? "a=1 b=2" : "c=3 e=7");
    return command;
}

static struct command *any_release(void)
{
    static const enum outcome outcomes[] = {
        OUTCOME_NONE,          OUTCOME_SUCCESS,      OUTCOME_FAILED, OUTCOME_DEPLOY_FAILED,
        OUTCOME_DEPLOY_FAILED, OUTCOME_NOT_DEPLOYED, OUTCOME_HOLD,   OUTCOME_QUARANTINE};
    struct command *command = on_any_stack(VERB_RELEASE);

    command->as.release.outcome = outcomes[below(COUNT(outcomes))];
    return command;
}

static struct command *any_aside(void)
{
    struct command *command = on_any_stack(maybe(50) ? VERB_HOLD : VERB_QUARANTINE);

    command->as.set_aside = (struct command_set_aside){
        .revoke = maybe(30), .owner = maybe(50) ? mem_strdup("me") : NULL, .hold_s = 60};
    command->reason = mem_strdup("why");
    return command;
}

static struct command *any_command(void)
{
    static const struct told nobody;
    const struct told *told = any_told();
    unsigned kind = below(100);
    struct command *command;

    if (kind < 45)
        return any_request();
    if (kind < 65)
        return any_release();
    if (kind < 72)
        return any_mark_units();
    if (kind < 78) {
        command = on_any_stack(VERB_MARK);
        command->as.mark.commit = mem_strdup("c1");
        return command;
    }
    if (kind < 82)
        return on_any_stack(VERB_EXTEND);
    if (kind < 86)
        return any_aside();
    if (kind < 91)
        return on_any_stack(VERB_REINSTATE);
    if (kind < 93)
        return on_any_stack(VERB_REVOKE);
    if (kind < 95)
        return on_any_stack(VERB_DELETE_STACK);
    if (kind < 96) {
        command = command_new(VERB_ADD_STACKS);
        command->by_admin = true;
        command->as.add_stacks.count = 1 + below(2);
        return command;
    }
    return about(kind < 98 ? VERB_CANCEL : VERB_HANG_UP, told ? told : &nobody);
}

static void remember(const struct told *told)
{
    if (told->lease)
        world.told[world.told_count < COUNT(world.told) ? world.told_count++
                                                        : below(COUNT(world.told))] = *told;
}

/* Batches */

static void assert_ok(enum database_status status)
{
    assert_int_equal(status, DATABASE_OK);
}

static struct pool *load_whole(struct host *host, const struct store_row *row, int64_t now)
{
    struct pool *pool = pool_new(row->id, row->name);

    pool->version = row->version;
    pool->now = now;
    assert_ok(store_load(host->store, pool));
    return pool;
}

static void forget(struct host *host)
{
    pool_free(host->scene.pool);
    host->scene.pool = NULL;
}

/* As batch_prepare does it; and compares. */
static void prepare(struct host *host, struct store_begin *begin)
{
    struct scene *scene = &host->scene;
    const struct store_row *row = &begin->rows[0];
    int64_t now = begin->now.said + world.ahead;
    struct store_following following;
    struct pool *whole;

    if (!scene->pool) {
        scene->pool = load_whole(host, row, now);
        return;
    }
    scene->pool->now = now;
    if (scene->pool->version == row->version)
        return;
    following = (struct store_following){scene->pool, row, &begin->changes[0], false};
    assert_ok(store_follow(host->store, &following, 1));
    if (!following.done) {
        forget(host);
        scene->pool = load_whole(host, row, now);
        world.loaded++;
        return;
    }
    world.followed++;
    check_pool(&scene->clerk, scene->pool, true);
    whole = load_whole(host, row, now);
    same_pool(scene->pool, whole);
    same_pool(whole, scene->pool);
    pool_free(whole);
}

static void begin_batch(struct host *host, struct store_begin *begin)
{
    struct pool *pools[] = {host->scene.pool};

    assert_ok(store_begin(host->store, &world.project, pools, 1, begin));
    assert_int_equal(begin->count, 1);
    prepare(host, begin);
}

static void run_commands(struct scene *scene)
{
    if (maybe(2))
        pool_pause(scene->pool, "key", "why");
    else if (scene->pool->pause.since && maybe(50))
        pool_resume(scene->pool);
    if (maybe(3)) {
        pool_set_main_branch(scene->pool, maybe(50) ? "fix" : NULL);
        scene->pool->settings_dirty = true;
    }
    if (maybe(10))
        deploy_times_note(&scene->pool->deploy_times, maybe(50) ? "a" : "e", 1 + below(9000),
                          scene->pool->now);
    for (unsigned i = below(4); i > 0; i--)
        scene_add(scene, any_command());
    scene_decide(scene);
}

/* Whatever it was: the row's version alone says that it happened. */
static void change_unseen(struct host *host)
{
    struct buf *sql = store_start_sql(host->store);

    buf_puts(sql,
             "UPDATE project SET version = version + 1, max_stacks = max_stacks + 1 WHERE name = ");
    buf_printf(sql, "'%s'", world.project);
    assert_ok(database_run(host->store->database, sql, NULL, NULL));
}

static void step(void)
{
    struct host *host = &world.hosts[below(HOSTS)];
    struct scene *scene = &host->scene;
    struct store_begin begin;
    struct pool *pools[1];

    begin_batch(host, &begin);
    store_begin_free(&begin);
    run_commands(scene);
    pools[0] = scene->pool;
    if (maybe(3)) { /* it failed: what was done in memory is thrown away */
        store_rollback(host->store);
        forget(host);
        while (scene->count > 0)
            command_free(scene->commands[--scene->count]);
        return;
    }
    assert_ok(store_commit(host->store, pools, 1));
    for (size_t i = 0; i < scene->count; i++)
        remember(&scene->told[i]);
    pool_settle(scene->pool);
    while (scene->count > 0)
        command_free(scene->commands[--scene->count]);
    if (maybe(1))
        change_unseen(host);
    if (maybe(30))
        world.ahead += below(60) * TIMES_SECOND;
}

static void open_host(struct host *host)
{
    struct database_time connected = {0};
    struct store_others others;

    host->store = store_new(&world.config);
    assert_ok(store_connect(host->store, &connected));
    host->scene.clerk = (struct clerk){.instance = store_instance(host->store),
                                       .request_grace_us = SECONDS(60),
                                       .startup_grace_us = SECONDS(60),
                                       .up_since = connected.said,
                                       .waiting_max = 30};
    if (host == &world.hosts[0])
        return;
    for (unsigned i = 0; i < HOSTS; i++) { /* from now on they know of each other */
        assert_ok(store_find_others(world.hosts[i].store, false, &others));
        assert_int_equal(others.count, 1);
        world.hosts[i].scene.clerk.others = others.instances;
        world.hosts[i].scene.clerk.other_count = others.count;
    }
}

static void test_what_is_followed_is_what_loading_makes(void **state)
{
    (void)state;
    world.chance = chance_new(22);
    for (unsigned i = 0; i < HOSTS; i++)
        open_host(&world.hosts[i]);
    for (unsigned i = 0; i < world.steps; i++)
        step();
    printf("# followed %u times, loaded %u times\n", world.followed, world.loaded);
    assert_true(world.followed > world.steps / 4);
    assert_true(world.loaded > 0 && world.loaded < world.followed / 5);
    for (unsigned i = 0; i < HOSTS; i++) {
        store_leave(world.hosts[i].store);
        forget(&world.hosts[i]);
        free((void *)world.hosts[i].scene.clerk.others);
        store_free(world.hosts[i].store);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_followed_is_what_loading_makes)};
    char why[500];
    int status;

    if (argc != 4 || !config_load(&world.config, argv[1], why, sizeof why)) {
        fprintf(stderr, "usage: follow CONFIG PROJECT STEPS\n");
        return 2;
    }
    world.project = argv[2];
    world.steps = (unsigned)strtoul(argv[3], NULL, 10);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    config_free(&world.config);
    return status;
}
