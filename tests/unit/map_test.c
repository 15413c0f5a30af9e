/* map: against a list that does the same the slow way. */
#include "unit.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#define KEYS 300

/* A value that says which key and which turn it belongs to. */
static void *value_of(uint64_t turn)
{
    return (void *)(uintptr_t)(turn + 1);
}

static void check_all(const struct map *map, const uint64_t keys[], void *const values[])
{
    size_t count = 0;
    size_t met = 0;
    const void *value;

    for (size_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(map_get(map, keys[i]), values[i]);
        count += values[i] != NULL;
    }
    assert_int_equal(map->count, count);
    for (size_t at = 0; (value = map_next(map, &at));) {
        size_t i = 0;
        while (i < KEYS && values[i] != value)
            i++;
        assert_true(i < KEYS);
        met++;
    }
    assert_int_equal(met, count);
}

static void walk(struct chance *chance, const uint64_t keys[])
{
    struct map map = {0};
    void *values[KEYS] = {NULL};

    for (uint64_t turn = 0; turn < 20000; turn++) {
        unsigned i = chance_below(chance, KEYS);
        /* Grows and shrinks in turns, so that it is also walked while nearly empty. */
        if (chance_percent(chance, turn / 1000 % 2 ? 30 : 70)) {
            map_put(&map, keys[i], value_of(turn));
            values[i] = value_of(turn);
        } else {
            assert_ptr_equal(map_remove(&map, keys[i]), values[i]);
            values[i] = NULL;
        }
        if (turn % 97 == 0)
            check_all(&map, keys, values);
    }
    check_all(&map, keys, values);
    map_free(&map);
}

static void test_numbers_in_a_row(void **state)
{
    struct chance chance = chance_new(1);
    uint64_t keys[KEYS];

    (void)state;
    for (size_t i = 0; i < KEYS; i++)
        keys[i] = i; /* 0 is a key like others */
    walk(&chance, keys);
}

static void test_random_keys(void **state)
{
    struct chance chance = chance_new(2);
    uint64_t keys[KEYS];

    (void)state;
    for (size_t i = 0; i < KEYS; i++)
        keys[i] = chance_bits(&chance);
    keys[0] = UINT64_MAX;
    walk(&chance, keys);
}

/* Many keys of one home, around the end of the table: removal must close the gaps. */
static void test_keys_that_collide(void **state)
{
    struct chance chance = chance_new(3);
    uint64_t keys[KEYS];
    size_t count = 0;

    (void)state;
    for (uint64_t key = 0; count < KEYS; key++)
        if (((key * 0x9e3779b97f4a7c15u >> 20) & 0x1ff) > 0x1f0)
            keys[count++] = key;
    walk(&chance, keys);
}

static void test_empty(void **state)
{
    struct map map = {0};
    size_t at = 0;

    (void)state;
    assert_null(map_get(&map, 0));
    assert_null(map_remove(&map, 0));
    assert_null(map_next(&map, &at));
    map_free(&map);
    map_put(&map, 7, &at);
    map_put(&map, 7, &map); /* replaces */
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_remove(&map, 7), &map);
    assert_null(map_remove(&map, 7));
    map_free(&map);
    assert_null(map_get(&map, 7));
}

/* Two names of one 64-bit hash, among others. */
static void test_names(void **state)
{
    static const char *const names[] = {"8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ", "", "a"};
    struct map map = {0};

    (void)state;
    assert_int_equal(mem_hash(names[0], strlen(names[0])), mem_hash(names[1], strlen(names[1])));
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_null(map_get_named(&map, names[i]));
        map_put_named(&map, names[i], value_of(i));
    }
    assert_int_equal(map.count, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_ptr_equal(map_remove_named(&map, names[i]), value_of(i));
        assert_null(map_get_named(&map, names[i]));
        for (size_t j = i + 1; j < COUNT(names); j++)
            assert_ptr_equal(map_get_named(&map, names[j]), value_of(j));
    }
    map_free(&map);
}

UNIT_MAIN(cmocka_unit_test(test_empty), cmocka_unit_test(test_numbers_in_a_row),
          cmocka_unit_test(test_random_keys), cmocka_unit_test(test_keys_that_collide),
          cmocka_unit_test(test_names))
