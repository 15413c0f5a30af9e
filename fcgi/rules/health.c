/* health: see health.h. */
#include "rules/health.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define REASON_MAX 1000

static void failure_free(struct failure *failure)
{
    free(failure->branch);
    free(failure->job_name);
    free(failure->job_url);
    free(failure);
}

void health_add(struct health *health, struct failure *failure)
{
    failure->next = health->failures;
    health->failures = failure;
    health->failure_count++;
}

static bool has_failed_for(const struct health *health, const char *branch)
{
    const struct failure *at = health->failures;

    while (at && strcmp(at->branch, branch) != 0)
        at = at->next;
    return at != NULL;
}

static void count_failed(struct health *health, int64_t now)
{
    if (health->failed_deploys++ == 0)
        health->failed_since = now;
}

void health_note_failure(struct health *health, const struct failure *failure)
{
    if (!has_failed_for(health, failure->branch) && health->failure_count < HEALTH_FAILURES_MAX) {
        struct failure *copy = mem_zalloc(sizeof *copy);
        copy->lease_number = failure->lease_number;
        copy->branch = mem_strdup(failure->branch);
        copy->job_name = mem_strdup(failure->job_name);
        copy->job_url = mem_strdup(failure->job_url);
        copy->at = failure->at;
        health_add(health, copy);
    }
    count_failed(health, failure->at);
    mem_replace(&health->failed_branch, failure->branch);
}

void health_note_cut_off(struct health *health, int64_t now)
{
    count_failed(health, now);
    health->unsettled_since = now;
}

int64_t health_first_failure(const struct health *health)
{
    const struct failure *at = health->failures;

    while (at && at->next)
        at = at->next;
    return at ? at->at : 0;
}

static void free_failures(struct health *health)
{
    while (health->failures) {
        struct failure *failure = health->failures;
        health->failures = failure->next;
        failure_free(failure);
    }
    health->failure_count = 0;
}

bool health_forget_failures(struct health *health)
{
    bool had = health->failed_deploys > 0;

    free_failures(health);
    health->failed_deploys = 0;
    health->failed_since = 0;
    mem_replace(&health->failed_branch, NULL);
    return had;
}

char *health_reason(const struct health *health)
{
    struct buf text = {0};

    buf_puts(&text, "deploys failed:");
    for (const struct failure *at = health->failures; at; at = at->next) {
        const char *job = at->job_url ? at->job_url : at->job_name ? at->job_name : "";
        if (text.len + strlen(at->branch) + strlen(job) + sizeof ", … ()" > REASON_MAX) {
            buf_puts(&text, " …");
            break;
        }
        buf_printf(&text, "%s %s", at == health->failures ? "" : ",", at->branch);
        if (*job)
            buf_printf(&text, " (%s)", job);
    }
    return text.data;
}

unsigned health_rank(const struct health *health, const char *branch)
{
    bool failed = health->failed_branch && strcmp(health->failed_branch, branch) != 0;

    return (failed ? 2u : 0u) + (health->unsettled_since ? 1u : 0u);
}

void health_free(struct health *health)
{
    free_failures(health);
    free(health->failed_branch);
}
