/* desk: which pools are let go, and when they are news again. */
#include "unit.h"

#include "write/desk.h"

static struct desk *open_desk(struct desks *desks, const char *name, uint32_t id, int64_t used_ms)
{
    struct desk *desk = desks_get(desks, name);

    desk_open(desk, id);
    desk->pool->version = 40 + id;
    desk->used_ms = used_ms;
    desk->deadline_ms = 7000;
    return desk;
}

static void test_unused_pools_are_let_go(void **state)
{
    struct desks desks = {.deadline_ms = INT64_MAX};
    struct desk *old = open_desk(&desks, "old", 1, 1000);
    struct desk *busy = open_desk(&desks, "busy", 2, 3000);
    struct desk *waited = open_desk(&desks, "waited", 3, 1000);
    struct desk *doubtful = open_desk(&desks, "doubtful", 4, 1000);
    int client;

    (void)state;
    map_put(&waited->lot, 1, &client);
    doubtful->is_doubtful = true;
    desks_let_go(&desks, 2000);
    assert_null(old->pool);
    assert_null(old->activity);
    assert_non_null(busy->pool);
    assert_non_null(waited->pool);
    assert_non_null(doubtful->pool);
    assert_int_equal(old->deadline_ms, 7000); /* what is due is still done */
    map_remove(&waited->lot, 1);
    desks_free(&desks);
}

static void test_what_was_let_go_is_news_once_it_changed(void **state)
{
    struct desks desks = {.deadline_ms = INT64_MAX};
    struct desk *desk = open_desk(&desks, "demo", 1, 1000);

    (void)state;
    assert_true(desk_knows(desk, 1, 41));
    assert_false(desk_knows(desk, 1, 42));
    assert_false(desk_knows(desk, 2, 41));
    desks_let_go(&desks, 2000);
    assert_true(desk_knows(desk, 1, 41));
    assert_false(desk_knows(desk, 1, 42));
    assert_false(desk_knows(desk, 2, 41));
    desk_open(desk, 1);
    desk_forget(desk);
    assert_false(desk_knows(desk, 1, 41)); /* what is forgotten must be read */
    desks_free(&desks);
}

UNIT_MAIN(cmocka_unit_test(test_unused_pools_are_let_go),
          cmocka_unit_test(test_what_was_let_go_is_news_once_it_changed))
