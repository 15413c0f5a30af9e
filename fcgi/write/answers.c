/* answers: see answers.h. */
#include "write/answers.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/times.h"

#include <stdlib.h>
#include <string.h>

/* Instead of a duration: the client waited for a stack. */
#define WAITED (-1)

static bool send_reply(struct answers *answers, struct client client, struct response *response,
                       int64_t duration_us)
{
    bool waited = duration_us == WAITED;
    bool sent = false;

    if (fault_point(waited ? "beforeParkedAnswer" : "beforeAnswer") == FAULT_NONE)
        sent = gateway_reply(answers->gateway, client, &response->headers, &response->body, false);
    else
        gateway_drop(client);
    fault_point(waited ? "afterParkedAnswer" : "afterAnswer");
    metrics_count_answer(response->status, duration_us);
    response_free(response);
    return sent;
}

/* Nobody waits for the request any more. */
static void note_left(struct answers *answers, struct project *project, uint64_t number,
                      int64_t wait_until)
{
    struct undelivered *undelivered = mem_alloc(sizeof *undelivered);

    *undelivered = (struct undelivered){.next = answers->undelivered,
                                        .project = project,
                                        .number = number,
                                        .wait_until = wait_until};
    answers->undelivered = undelivered;
}

static void note_undelivered(struct answers *answers, struct project *project, uint64_t number,
                             int64_t wait_until)
{
    log_info("request number %llu reached nobody and is taken back", (unsigned long long)number);
    note_left(answers, project, number, wait_until);
}

struct undelivered *answers_next_undelivered(struct answers *answers)
{
    struct undelivered *first = answers->undelivered;

    if (first)
        answers->undelivered = first->next;
    return first;
}

static void log_answer(const struct command *command, int status)
{
    log_event(status >= 500 && command->answer.result != RESULT_WAIT_OVER ? LOG_WARNING : LOG_DEBUG,
              "request=%s project=%s key=%s answered %d", command->trace, command->project,
              command->key_name, status);
}

void answers_command(struct answers *answers, struct project *project, struct command *command,
                     enum result result)
{
    struct response response = {0};
    bool sent;

    if (!command->has_client)
        return;
    command->answer.result = result;
    reply_command(project ? project->pool : NULL, command, &response);
    log_answer(command, response.status);
    sent =
        send_reply(answers, command->client, &response, times_monotonic_us() - command->arrived_us);
    /* A repeated request that finds its lease active has the grant from before. */
    if (!sent && result == RESULT_GRANTED && command->answer.lease->asker == command)
        note_undelivered(answers, project, command->answer.lease->number, command->wait_until);
}

void answers_parked(struct answers *answers, struct project *project, const struct lease *lease,
                    enum result result)
{
    struct response response = {0};
    struct client client;

    if (!parking_take(answers->parking, &project->lot, lease->number, &client))
        return;
    reply_request(project->pool, lease, result, &response);
    if (!send_reply(answers, client, &response, WAITED) && result == RESULT_GRANTED)
        note_undelivered(answers, project, lease->number, lease->wait_until);
}

void answers_number(struct answers *answers, struct project *project, uint64_t number,
                    enum result result)
{
    struct response response = {0};
    struct client client;

    if (!parking_take(answers->parking, &project->lot, number, &client))
        return;
    reply_request(project->pool, NULL, result, &response);
    send_reply(answers, client, &response, WAITED);
}

void answers_refuse(struct answers *answers, struct project *project, enum result result)
{
    struct command *command;

    while ((command = command_list_pop(&project->commands)) != NULL) {
        answers_command(answers, NULL, command, result);
        command_free(command);
    }
}

void answers_no_parked(struct answers *answers, struct project *project)
{
    size_t count;
    uint64_t *numbers = project_parked_numbers(project, &count);

    for (size_t i = 0; i < count; i++)
        answers_number(answers, project, numbers[i], RESULT_NO_PROJECT);
    free(numbers);
}

void answers_no_project(struct answers *answers, struct project *project)
{
    answers_refuse(answers, project, RESULT_NO_PROJECT);
    answers_no_parked(answers, project);
}

static void park(struct answers *answers, struct project *project, struct command *command)
{
    const struct lease *lease = command->answer.lease;
    int64_t left_ms = (lease->wait_until - project->pool->now) / 1000;
    const struct parked parked = {.client = command->client,
                                  .lot = &project->lot,
                                  .number = lease->number,
                                  .wait_until = command->wait_until,
                                  .deadline_ms = times_monotonic_ms() + left_ms,
                                  .owner = project};

    if (parking_put(answers->parking, &parked))
        return;
    gateway_drop(command->client);
    note_undelivered(answers, project, lease->number, command->wait_until);
}

/* A request that made or repeated a lease: what that lease is after the batch. */
static void answer_request(struct answers *answers, struct project *project,
                           struct command *command)
{
    const struct lease *lease = command->answer.lease;
    enum result result = reply_result_of(lease);

    if (lease->asker != command) { /* a later one of this batch has taken over */
        answers_command(answers, project, command, RESULT_REPLACED);
        return;
    }
    answers_number(answers, project, lease->number, RESULT_REPLACED);
    if (result != RESULT_WAITING) {
        answers_command(answers, project, command, result);
    } else if (answers->draining) {
        answers_command(answers, project, command, RESULT_SHUTTING_DOWN);
        note_left(answers, project, lease->number, command->wait_until);
    } else {
        park(answers, project, command);
    }
}

static void answer_command(struct answers *answers, struct project *project,
                           struct command *command)
{
    if (command->answer.result == RESULT_WAITING)
        answer_request(answers, project, command);
    else if (command->answer.result == RESULT_GRANTED && !command->answer.lease->stack)
        answers_command(answers, project, command, RESULT_IN_DOUBT); /* taken back meanwhile */
    else
        answers_command(answers, project, command, command->answer.result);
}

/* Leases that changed without their own callers' doing. */
static void answer_parked(struct answers *answers, struct project *project,
                          const struct lease *lease)
{
    enum result result = reply_result_of(lease);

    if (lease->asker || result == RESULT_WAITING)
        return;
    if (parking_get(&project->lot, lease->number))
        answers_parked(answers, project, lease, result);
    else if (lease->just_granted)
        note_undelivered(answers, project, lease->number, lease->wait_until);
}

void answers_project(struct answers *answers, struct project *project)
{
    const struct pool *pool = project->pool;
    struct command *command;

    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        answer_parked(answers, project, at);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        answer_parked(answers, project, at);
    while ((command = command_list_pop(&project->commands)) != NULL) {
        answer_command(answers, project, command);
        command_free(command);
    }
}
