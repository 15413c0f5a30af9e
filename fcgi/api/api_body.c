/* api_body: one function per body; limits as the API reference gives them. Any thread. */
#include "api/api_body.h"

#include "base/mem.h"
#include "base/text.h"
#include "rules/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_S  3600
#define LEASE_MAX_S 86400
#define HOLD_MAX_S  (30 * 86400)
#define UNIT_MAX_S  86400

static void read_seconds(struct fields *fields, const char *name, int least, int most, int *seconds)
{
    int64_t number = *seconds;

    fields_integer(fields, name, least, most, &number);
    *seconds = (int)number;
}

void api_body_none(struct fields *fields, const struct call *call, struct command *command)
{
    (void)fields;
    (void)call;
    (void)command;
}

/* requestStack */

static void read_job(struct fields *fields, struct command_request *request)
{
    struct fields job;

    if (!fields_object(fields, "job", &job))
        return;
    fields_url(&job, "url", &request->job_url);
    fields_text(&job, "name", FIELD_NAME_MAX, &request->job_name);
    fields_text(&job, "user", FIELD_NAME_MAX, &request->job_user);
    fields_adopt(fields, &job);
}

/* The header Idempotency-Key: a quoted string (RFC 8941, as its draft wants) or bare. */
static char *header_request_id(const struct call *call)
{
    const char *key = call->idempotency_key;
    size_t len = strlen(key);

    if (len >= 2 && key[0] == '"' && key[len - 1] == '"')
        return mem_strndup(key + 1, len - 2);
    return len ? mem_strdup(key) : NULL;
}

static void read_request_id(struct fields *fields, const struct call *call, char **request_id)
{
    char *header = header_request_id(call);

    fields_text(fields, "requestId", FIELD_NAME_MAX, request_id);
    if (header && *request_id && strcmp(header, *request_id) != 0)
        fields_fail(fields, "requestId", "differs from the header Idempotency-Key");
    if (header && (strlen(header) > FIELD_NAME_MAX || !text_is_utf8(header, strlen(header))))
        fields_fail(fields, "requestId", "in the header Idempotency-Key is too long or not UTF-8");
    else if (header && !*request_id)
        mem_replace(request_id, header);
    if (*request_id && !**request_id)
        fields_fail(fields, "requestId", "must not be empty");
    free(header);
}

void api_body_request(struct fields *fields, const struct call *call, struct command *command)
{
    bool resume = true;
    struct command_request *request = &command->as.request;
    int64_t priority = PRIORITY_MIN - 1;
    int purpose = PURPOSE_TEST;

    fields_text(fields, "branch", FIELD_NAME_MAX, &request->branch);
    if (!request->branch || !request->branch[0])
        mem_replace(&request->branch, "main");
    fields_text(fields, "commit", FIELD_NAME_MAX, &request->commit);
    fields_units(fields, "units", &request->units);
    read_job(fields, request);
    read_seconds(fields, "waitSeconds", 0, WAIT_MAX_S, &request->wait_s);
    read_seconds(fields, "leaseSeconds", 1, LEASE_MAX_S, &request->lease_s);
    read_seconds(fields, "graceSeconds", 0, WAIT_MAX_S, &request->grace_s);
    read_request_id(fields, call, &request->request_id);
    fields_integer(fields, "priority", PRIORITY_MIN, PRIORITY_MAX, &priority);
    request->has_priority = priority >= PRIORITY_MIN;
    request->priority = request->has_priority ? (int)priority : 0;
    fields_bool(fields, "supersede", &request->supersede);
    fields_bool(fields, "resume", &resume);
    request->wont_resume = !resume;
    fields_word(fields, "purpose", words_find_purpose, &purpose);
    request->purpose = (enum purpose)purpose;
    fields_text(fields, "stackName", FIELD_NAME_MAX, &command->stack_name);
    if (command->stack_name && purpose == PURPOSE_REFRESH)
        fields_fail(fields, "stackName", "is not for a refresh, which gets what needs it most");
}

/* Leases */

static void read_stack_name(struct fields *fields, struct command *command)
{
    fields_require(fields, "stackName");
    fields_text(fields, "stackName", FIELD_NAME_MAX, &command->stack_name);
}

static void read_lease_id(struct fields *fields, struct command *command)
{
    fields_lease_id(fields, "leaseId", &command->has_lease_id, command->lease_id, LEASE_ID_SIZE);
}

void api_body_mark(struct fields *fields, const struct call *call, struct command *command)
{
    int as_marked = 0;

    (void)call;
    read_stack_name(fields, command);
    fields_require(fields, "lastDeployedCommit");
    fields_text(fields, "lastDeployedCommit", FIELD_NAME_MAX, &command->as.mark.commit);
    fields_word(fields, "content", words_find_mark, &as_marked);
    command->as.mark.as_marked = as_marked;
    read_lease_id(fields, command);
}

void api_body_mark_units(struct fields *fields, const struct call *call, struct command *command)
{
    struct command_mark_units *marks = &command->as.mark_units;

    (void)call;
    read_stack_name(fields, command);
    fields_require(fields, "leaseId");
    read_lease_id(fields, command);
    fields_marks(fields, "units", &marks->units);
    fields_names(fields, "removed", &marks->removed);
    fields_times(fields, "seconds", UNIT_MAX_S, &marks->times, &marks->time_count);
    if (!marks->units && !marks->removed)
        fields_require(fields, "units");
    if (marks->units && marks->removed && manifest_shares_names(marks->units, marks->removed))
        fields_fail(fields, "removed", "names a unit that stands in units, too");
}

void api_body_release(struct fields *fields, const struct call *call, struct command *command)
{
    int outcome = OUTCOME_NONE;

    (void)call;
    read_stack_name(fields, command);
    read_lease_id(fields, command);
    fields_word(fields, "outcome", words_find_outcome, &outcome);
    command->as.release.outcome = (enum outcome)outcome;
    fields_text(fields, "reason", FIELD_REASON_MAX, &command->reason);
    read_seconds(fields, "holdSeconds", 1, HOLD_MAX_S, &command->as.release.hold_s);
    fields_bool(fields, "interrupted", &command->as.release.interrupted);
    fields_bool(fields, "deployFailed", &command->as.release.deploy_failed);
}

void api_body_extend(struct fields *fields, const struct call *call, struct command *command)
{
    (void)call;
    read_stack_name(fields, command);
    fields_require(fields, "leaseId");
    read_lease_id(fields, command);
    read_seconds(fields, "seconds", 1, LEASE_MAX_S, &command->as.extend.lease_s);
}

void api_body_cancel(struct fields *fields, const struct call *call, struct command *command)
{
    struct command_cancel *cancel = &command->as.cancel;
    int64_t number = 0;

    fields_integer(fields, "requestNumber", 1, INT64_MAX, &number);
    cancel->number = (uint64_t)number;
    read_request_id(fields, call, &cancel->request_id);
    if (!number && !cancel->request_id)
        fields_require(fields, "requestId");
}

/* Administration */

void api_body_stack(struct fields *fields, const struct call *call, struct command *command)
{
    (void)call;
    read_stack_name(fields, command);
    fields_text(fields, "reason", FIELD_REASON_MAX, &command->reason);
}

void api_body_reinstate(struct fields *fields, const struct call *call, struct command *command)
{
    api_body_stack(fields, call, command);
    read_lease_id(fields, command);
}

void api_body_quarantine(struct fields *fields, const struct call *call, struct command *command)
{
    api_body_stack(fields, call, command);
    fields_text(fields, "owner", FIELD_NAME_MAX, &command->as.set_aside.owner);
    fields_bool(fields, "revoke", &command->as.set_aside.revoke);
}

void api_body_hold(struct fields *fields, const struct call *call, struct command *command)
{
    api_body_quarantine(fields, call, command);
    read_seconds(fields, "seconds", 1, HOLD_MAX_S, &command->as.set_aside.hold_s);
}

void api_body_revoke(struct fields *fields, const struct call *call, struct command *command)
{
    api_body_stack(fields, call, command);
    fields_integer(fields, "fence", 0, INT64_MAX, &command->as.revoke.fence);
}

void api_body_add_stacks(struct fields *fields, const struct call *call, struct command *command)
{
    int64_t count = 0;

    (void)call;
    fields_require(fields, "count");
    fields_integer(fields, "count", 1, 1000, &count);
    command->as.add_stacks.count = (uint32_t)count;
    fields_text(fields, "reason", FIELD_REASON_MAX, &command->reason);
}

void api_body_prioritize(struct fields *fields, const struct call *call, struct command *command)
{
    int64_t number = 0;
    int64_t priority = 0;

    (void)call;
    fields_require(fields, "requestNumber");
    fields_integer(fields, "requestNumber", 1, INT64_MAX, &number);
    fields_require(fields, "priority");
    fields_integer(fields, "priority", PRIORITY_MIN, PRIORITY_MAX, &priority);
    fields_text(fields, "reason", FIELD_REASON_MAX, &command->reason);
    command->as.prioritize =
        (struct command_prioritize){.number = (uint64_t)number, .priority = (int)priority};
}

static bool is_prefix(const char *prefix)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(prefix);

    return len <= 63 && strspn(prefix, allowed) == len;
}

/* The reason of a pause is kept with the project, where it has less room. */
static void read_pause(struct fields *fields, struct command *command)
{
    struct command_update_project *change = &command->as.update_project;
    const struct json_value *paused = json_member(fields->object, "paused");

    change->has_paused = paused && paused->type != JSON_NULL;
    fields_bool(fields, "paused", &change->paused);
    if (change->paused && command->reason && strlen(command->reason) > FIELD_NAME_MAX)
        fields_fail(fields, "reason", "is too long for a pause (%d bytes at most)", FIELD_NAME_MAX);
}

static bool changes_nothing(const struct command_update_project *change)
{
    return !change->prefix && !change->has_initial_commit && change->max_stacks < 0 &&
           change->lease_s < 0 && change->max_lease_s < 0 && change->wait_s < 0 &&
           change->quarantine_after < 0 && change->settle_s < 0 && !change->has_max_held &&
           !change->has_main_branch && !change->has_paused;
}

void api_body_update_project(struct fields *fields, const struct call *call,
                             struct command *command)
{
    struct command_update_project *change = &command->as.update_project;
    const struct json_value *initial = json_member(fields->object, "initialCommit");

    (void)call;
    fields_text(fields, "prefix", FIELD_NAME_MAX, &change->prefix);
    if (change->prefix && !is_prefix(change->prefix))
        fields_fail(fields, "prefix",
                    "must be at most 63 letters, digits, dots, underscores, hyphens");
    change->has_initial_commit = initial != NULL;
    fields_text(fields, "initialCommit", FIELD_NAME_MAX, &change->initial_commit);
    fields_integer(fields, "maxStacks", 0, STACK_NUMBER_MAX, &change->max_stacks);
    fields_integer(fields, "leaseSeconds", 1, LEASE_MAX_S, &change->lease_s);
    fields_integer(fields, "maxLeaseSeconds", 1, LEASE_MAX_S, &change->max_lease_s);
    fields_integer(fields, "waitSeconds", 0, WAIT_MAX_S, &change->wait_s);
    fields_integer(fields, "quarantineAfter", 0, HEALTH_FAILURES_MAX, &change->quarantine_after);
    fields_integer(fields, "settleSeconds", 0, LEASE_MAX_S, &change->settle_s);
    change->has_max_held = json_member(fields->object, "maxHeld") != NULL;
    fields_integer(fields, "maxHeld", 0, STACK_NUMBER_MAX, &change->max_held);
    change->has_main_branch = json_member(fields->object, "mainBranch") != NULL;
    fields_text(fields, "mainBranch", FIELD_NAME_MAX, &change->main_branch);
    if (change->main_branch && !*change->main_branch)
        fields_fail(fields, "mainBranch", "must not be empty");
    fields_text(fields, "reason", FIELD_REASON_MAX, &command->reason);
    read_pause(fields, command);
    fields_refuse_unknown(fields);
    if (changes_nothing(change))
        fields_lack(fields, "maxStacks", "or another setting is required");
}
