/* words: every word there and back; they stand in the database, so none may change. */
#include "unit.h"

#include "rules/words.h"

#include <string.h>

static void test_stack_states(void **state)
{
    static const char *const names[] = {"available",   "leased",   "held",
                                        "quarantined", "draining", "deleted"};

    (void)state;
    for (int i = 0; i < (int)COUNT(names); i++) {
        assert_string_equal(words_stack_state((enum stack_state)i), names[i]);
        assert_int_equal(words_find_stack_state(names[i]), i);
    }
}

static void test_lease_states(void **state)
{
    static const char *const names[] = {"waiting",   "active",    "released",
                                        "expired",   "revoked",   "timedOut",
                                        "abandoned", "cancelled", "superseded"};

    (void)state;
    assert_int_equal(COUNT(names), LEASE_SUPERSEDED + 1);
    for (int i = 0; i < (int)COUNT(names); i++) {
        assert_string_equal(words_lease_state((enum lease_state)i), names[i]);
        assert_int_equal(words_find_lease_state(names[i]), i);
    }
}

static void test_outcomes(void **state)
{
    static const char *const names[] = {"success",     "failed", "deployFailed",
                                        "notDeployed", "hold",   "quarantine"};

    (void)state;
    assert_null(words_outcome(OUTCOME_NONE));
    for (int i = 0; i < (int)COUNT(names); i++) {
        assert_string_equal(words_outcome((enum outcome)(i + 1)), names[i]);
        assert_int_equal(words_find_outcome(names[i]), i + 1);
    }
}

static void test_purposes(void **state)
{
    (void)state;
    assert_string_equal(words_purpose(PURPOSE_TEST), "test");
    assert_string_equal(words_purpose(PURPOSE_REFRESH), "refresh");
    assert_int_equal(words_find_purpose("refresh"), PURPOSE_REFRESH);
    assert_int_equal(words_find_purpose("test"), PURPOSE_TEST);
}

static void test_unknown_words(void **state)
{
    static const char *const unknown[] = {"", "Available", "timedout", "success ", " hold", "none"};

    (void)state;
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_int_equal(words_find_stack_state(unknown[i]), -1);
        assert_int_equal(words_find_lease_state(unknown[i]), -1);
        assert_int_equal(words_find_outcome(unknown[i]), -1);
        assert_int_equal(words_find_purpose(unknown[i]), -1);
    }
}

UNIT_MAIN(cmocka_unit_test(test_stack_states), cmocka_unit_test(test_lease_states),
          cmocka_unit_test(test_outcomes), cmocka_unit_test(test_purposes),
          cmocka_unit_test(test_unknown_words))
