/* health: which failures are remembered, and what they mean for the choice of a stack. */
#include "unit.h"

#include "base/buf.h"
#include "rules/health.h"

#include <string.h>

static void fail_deploy(struct health *health, const char *branch, const char *url, int64_t at)
{
    health_note_failure(health, &(struct failure){.lease_number = (uint64_t)at,
                                                  .branch = (char *)branch,
                                                  .job_url = (char *)url,
                                                  .at = at});
}

static void test_each_branch_is_remembered_once(void **state)
{
    struct health health = {0};

    (void)state;
    health_note_cut_off(&health, 1);
    assert_int_equal(health_first_failure(&health), 0);
    fail_deploy(&health, "one", NULL, 2);
    fail_deploy(&health, "two", NULL, 3);
    fail_deploy(&health, "one", NULL, 4);
    assert_int_equal(health.failed_deploys, 4);
    assert_int_equal(health.failed_since, 1);
    assert_int_equal(health.failure_count, 2);
    assert_int_equal(health_first_failure(&health), 2);
    assert_string_equal(health.failed_branch, "one");
    assert_true(health_forget_failures(&health));
    assert_false(health_forget_failures(&health));
    assert_int_equal(health.unsettled_since, 1); /* that is another matter */
    health_free(&health);
}

static void test_no_more_branches_than_the_bound(void **state)
{
    struct health health = {0};

    (void)state;
    for (int i = 0; i < 2 * HEALTH_FAILURES_MAX; i++) {
        char branch[16];
        snprintf(branch, sizeof branch, "b%d", i);
        fail_deploy(&health, branch, NULL, 1 + i);
    }
    assert_int_equal(health.failure_count, HEALTH_FAILURES_MAX);
    assert_int_equal(health.failed_deploys, 2 * HEALTH_FAILURES_MAX);
    health_free(&health);
}

static void test_healthy_comes_first_then_settled(void **state)
{
    struct health well = {0};
    struct health unsettled = {0};
    struct health failed = {0};

    (void)state;
    health_note_cut_off(&unsettled, 1);
    fail_deploy(&failed, "bad", NULL, 1);
    assert_int_equal(health_rank(&well, "bad"), 0);
    assert_true(health_rank(&unsettled, "bad") > 0);
    assert_int_equal(health_rank(&failed, "bad"), 0); /* its own branch is welcome back */
    assert_true(health_rank(&failed, "other") > health_rank(&unsettled, "other"));
    health_free(&failed);
}

static void test_the_reason_names_branches_and_jobs_and_stays_short(void **state)
{
    struct health health = {0};
    char url[700];
    char *reason;

    (void)state;
    fail_deploy(&health, "one", "https://ci.example.org/1", 1);
    fail_deploy(&health, "two", NULL, 2);
    reason = health_reason(&health);
    assert_string_equal(reason, "deploys failed: two, one (https://ci.example.org/1)");
    free(reason);
    memset(url, 'u', sizeof url);
    url[sizeof url - 1] = '\0';
    fail_deploy(&health, "three", url, 3);
    fail_deploy(&health, "four", url, 4);
    reason = health_reason(&health);
    assert_true(strlen(reason) <= 1000);
    assert_non_null(strstr(reason, "four (uuu"));
    assert_non_null(strstr(reason, "…"));
    free(reason);
    health_free(&health);
}

UNIT_MAIN(cmocka_unit_test(test_each_branch_is_remembered_once),
          cmocka_unit_test(test_no_more_branches_than_the_bound),
          cmocka_unit_test(test_healthy_comes_first_then_settled),
          cmocka_unit_test(test_the_reason_names_branches_and_jobs_and_stays_short))
