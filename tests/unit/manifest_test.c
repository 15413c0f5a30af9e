/* manifest: distance and comparison against brute force. */
#include "unit.h"

#include "rules/manifest.h"

#include <string.h>

#define UNITS 12

struct set {
    struct unit units[UNITS];
    size_t count;
};

static const char *const names[UNITS] = {
    "a",        "b", "services/orders", "services/order", "é", "migrations", "A", "z", "0", " ",
    "services", "aa"};
static const char *const prints[] = {"1", "2", "aaaa"};

/* In random order. */
static struct set random_set(struct chance *chance)
{
    struct set set = {.count = 0};

    for (size_t i = 0; i < UNITS; i++) {
        size_t at;
        if (chance_percent(chance, 40))
            continue;
        at = chance_below(chance, (unsigned)set.count + 1);
        memmove(set.units + at + 1, set.units + at, (set.count - at) * sizeof set.units[0]);
        set.units[at] = (struct unit){names[i], prints[chance_below(chance, COUNT(prints))]};
        set.count++;
    }
    return set;
}

static const struct unit *find(const struct set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->units[i].name, name) == 0)
            return &set->units[i];
    return NULL;
}

/* -1: the same on both sides. */
static int difference(const struct set *needs, const struct set *runs, const char *name)
{
    const struct unit *need = find(needs, name);
    const struct unit *run = runs ? find(runs, name) : NULL;

    if (!need)
        return run ? UNIT_REMOVED : -1;
    return run && strcmp(need->fingerprint, run->fingerprint) == 0 ? -1 : UNIT_CHANGED;
}

struct visits {
    const struct set *needs;
    const struct set *runs;
    size_t count;
    const char *last;
};

static void visit(void *context, enum manifest_difference kind, const char *name)
{
    struct visits *visits = context;

    assert_int_equal(difference(visits->needs, visits->runs, name), kind);
    if (visits->last)
        assert_true(strcmp(visits->last, name) < 0); /* sorted, none twice */
    visits->last = name;
    visits->count++;
}

static void check_pair(const struct set *needs, const struct set *runs)
{
    struct manifest *left = manifest_new(needs->units, needs->count);
    struct manifest *right = runs ? manifest_new(runs->units, runs->count) : NULL;
    struct visits visits = {.needs = needs, .runs = runs};
    size_t expected = 0;

    for (size_t i = 0; i < UNITS; i++)
        expected += difference(needs, runs, names[i]) >= 0;
    assert_int_equal(manifest_distance(left, right), expected);
    manifest_compare(left, right, visit, &visits);
    assert_int_equal(visits.count, expected);
    assert_int_equal(manifest_equal(left, right), right && expected == 0);
    if (right && expected == 0)
        assert_true(left->hash == right->hash);
    manifest_unref(left);
    manifest_unref(right);
}

static void test_against_brute_force(void **state)
{
    struct chance chance = chance_new(20);

    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct set needs = random_set(&chance);
        struct set runs = random_set(&chance);
        struct set shuffled = needs;

        check_pair(&needs, &runs);
        check_pair(&needs, NULL);
        for (size_t n = 0; n < shuffled.count / 2; n++) {
            struct unit swap = shuffled.units[n];
            shuffled.units[n] = shuffled.units[shuffled.count - 1 - n];
            shuffled.units[shuffled.count - 1 - n] = swap;
        }
        check_pair(&needs, &shuffled);
    }
}

static void test_names_and_prints_do_not_run_together(void **state)
{
    const struct unit one[] = {{"ab", "c"}};
    const struct unit other[] = {{"a", "bc"}};
    struct manifest *left = manifest_new(one, 1);
    struct manifest *right = manifest_new(other, 1);

    (void)state;
    assert_false(manifest_equal(left, right));
    assert_int_equal(manifest_distance(left, right), 2);
    right->hash = left->hash; /* two of one hash are still told apart */
    assert_false(manifest_equal(left, right));
    manifest_unref(left);
    manifest_unref(right);
}

static void test_empty_and_null(void **state)
{
    const struct unit unit = {"a", "1"};
    struct manifest *empty = manifest_new(NULL, 0);
    struct manifest *one = manifest_new(&unit, 1);

    (void)state;
    assert_true(manifest_equal(NULL, NULL));
    assert_false(manifest_equal(NULL, empty));
    assert_false(manifest_equal(empty, NULL));
    assert_true(manifest_equal(empty, empty));
    assert_int_equal(manifest_distance(empty, NULL), 0);
    assert_int_equal(manifest_distance(empty, one), 1);
    assert_int_equal(manifest_distance(one, empty), 1);
    assert_true(manifest_covers(one, one));
    assert_true(manifest_covers(one, empty));
    assert_true(manifest_covers(NULL, empty));
    assert_false(manifest_covers(empty, one));
    assert_false(manifest_covers(NULL, one));
    assert_null(manifest_ref(NULL));
    manifest_unref(NULL);
    manifest_unref(empty);
    manifest_unref(one);
}

static void test_owns_its_texts(void **state)
{
    char name[] = "name";
    char print[] = "print";
    const struct unit unit = {name, print};
    struct manifest *manifest = manifest_new(&unit, 1);

    (void)state;
    memset(name, 'x', 4);
    memset(print, 'x', 5);
    assert_string_equal(manifest->units[0].name, "name");
    assert_string_equal(manifest->units[0].fingerprint, "print");
    assert_ptr_equal(manifest_ref(manifest), manifest);
    assert_int_equal(manifest->references, 2);
    manifest_unref(manifest);
    assert_string_equal(manifest->units[0].name, "name");
    manifest_unref(manifest);
}

UNIT_MAIN(cmocka_unit_test(test_against_brute_force),
          cmocka_unit_test(test_names_and_prints_do_not_run_together),
          cmocka_unit_test(test_empty_and_null), cmocka_unit_test(test_owns_its_texts))
