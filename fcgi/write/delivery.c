/* delivery: see delivery.h. */
#include "write/delivery.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/times.h"

#include <stdlib.h>
#include <string.h>

/* Instead of a duration: the client waited for a stack. */
#define WAITED (-1)

static bool send_response(struct delivery *delivery, struct client client,
                          struct response *response, int64_t duration_us)
{
    bool waited = duration_us == WAITED;
    bool sent = false;

    if (fault_point(waited ? "beforeParkedAnswer" : "beforeAnswer") == FAULT_NONE)
        sent = gateway_send(delivery->gateway, client, &response->headers, &response->body, false);
    else
        gateway_drop(client);
    fault_point(waited ? "afterParkedAnswer" : "afterAnswer");
    metrics_count_response(response->status, duration_us);
    response_free(response);
    return sent;
}

/* Nobody waits for the request any more. */
static void note_left(struct delivery *delivery, struct desk *desk, uint64_t number,
                      int64_t call_no, bool sent_away)
{
    struct undelivered *undelivered = mem_alloc(sizeof *undelivered);

    *undelivered = (struct undelivered){.next = delivery->undelivered,
                                        .desk = desk,
                                        .number = number,
                                        .call_no = call_no,
                                        .sent_away = sent_away};
    delivery->undelivered = undelivered;
}

static void note_undelivered(struct delivery *delivery, struct desk *desk, uint64_t number,
                             int64_t call_no)
{
    log_info("request number %llu reached nobody and is taken back", (unsigned long long)number);
    note_left(delivery, desk, number, call_no, false);
}

struct undelivered *delivery_next_undelivered(struct delivery *delivery)
{
    struct undelivered *first = delivery->undelivered;

    if (first)
        delivery->undelivered = first->next;
    return first;
}

static void log_response(const struct command *command, int status)
{
    log_event(status >= 500 && command->result.code != RESULT_WAIT_OVER ? LOG_WARNING : LOG_DEBUG,
              "request=%s project=%s key=%s answered %d", command->trace, command->project,
              command->key_name, status);
}

void delivery_command(struct delivery *delivery, struct desk *desk, struct command *command,
                      enum result_code code)
{
    struct response response = {0};
    bool sent;

    if (!command->has_client)
        return;
    command->result.code = code;
    render_command(desk ? desk->pool : NULL, command, &response);
    log_response(command, response.status);
    sent = send_response(delivery, command->client, &response,
                         times_monotonic_us() - command->arrived_us);
    /* A repeated request that finds its lease active has the grant from before. */
    if (!sent && code == RESULT_GRANTED && command->result.lease->asker == command)
        note_undelivered(delivery, desk, command->result.lease->number,
                         command->as.request.call_no);
}

void delivery_parked(struct delivery *delivery, struct desk *desk, const struct lease *lease,
                     enum result_code code)
{
    struct response response = {0};
    struct parked parked;

    if (!parking_take(delivery->parking, &desk->lot, lease->number, &parked))
        return;
    render_request(desk->pool, lease, code, parked.ignored, &response);
    free(parked.ignored);
    if (!send_response(delivery, parked.client, &response, WAITED) && code == RESULT_GRANTED)
        note_undelivered(delivery, desk, lease->number, lease->call_no);
}

void delivery_number(struct delivery *delivery, struct desk *desk, uint64_t number,
                     enum result_code code)
{
    struct response response = {0};
    struct parked parked;

    if (!parking_take(delivery->parking, &desk->lot, number, &parked))
        return;
    render_request(desk->pool, NULL, code, parked.ignored, &response);
    free(parked.ignored);
    send_response(delivery, parked.client, &response, WAITED);
}

void delivery_refuse(struct delivery *delivery, struct desk *desk, enum result_code code)
{
    struct command *command;

    while ((command = command_list_pop(&desk->commands)) != NULL) {
        delivery_command(delivery, NULL, command, code);
        command_free(command);
    }
}

void delivery_no_parked(struct delivery *delivery, struct desk *desk)
{
    size_t count;
    uint64_t *numbers = desk_parked_numbers(desk, INT64_MAX, &count);

    for (size_t i = 0; i < count; i++)
        delivery_number(delivery, desk, numbers[i], RESULT_NO_PROJECT);
    free(numbers);
}

void delivery_no_project(struct delivery *delivery, struct desk *desk)
{
    delivery_refuse(delivery, desk, RESULT_NO_PROJECT);
    delivery_no_parked(delivery, desk);
}

static void park(struct delivery *delivery, struct desk *desk, struct command *command)
{
    const struct lease *lease = command->result.lease;
    int64_t left_ms = (lease->wait_until - desk->pool->now) / 1000;
    const struct parked parked = {.client = command->client,
                                  .lot = &desk->lot,
                                  .number = lease->number,
                                  .call_no = command->as.request.call_no,
                                  .deadline_ms = times_monotonic_ms() + left_ms,
                                  .desk = desk,
                                  .ignored = command->ignored};

    if (parking_put(delivery->parking, &parked)) {
        command->ignored = NULL; /* its memory goes with the client */
        return;
    }
    gateway_drop(command->client);
    note_undelivered(delivery, desk, lease->number, command->as.request.call_no);
}

/* A request that made or repeated a lease: what that lease is after the batch. */
static void deliver_request(struct delivery *delivery, struct desk *desk, struct command *command)
{
    const struct lease *lease = command->result.lease;
    enum result_code code = render_result_of(lease);

    if (lease->asker != command) { /* a later one of this batch has taken over */
        delivery_command(delivery, desk, command, RESULT_REPLACED);
        return;
    }
    delivery_number(delivery, desk, lease->number, RESULT_REPLACED);
    if (code != RESULT_WAITING) {
        delivery_command(delivery, desk, command, code);
    } else if (delivery->draining) {
        delivery_command(delivery, desk, command, RESULT_SHUTTING_DOWN);
        note_left(delivery, desk, lease->number, command->as.request.call_no, true);
    } else {
        park(delivery, desk, command);
    }
}

static void deliver_command(struct delivery *delivery, struct desk *desk, struct command *command)
{
    if (command->result.code == RESULT_WAITING)
        deliver_request(delivery, desk, command);
    else if (command->result.code == RESULT_GRANTED && !command->result.lease->stack)
        delivery_command(delivery, desk, command, RESULT_IN_DOUBT); /* taken back meanwhile */
    else
        delivery_command(delivery, desk, command, command->result.code);
}

/* A lease that changed without its caller's doing. */
static void deliver_parked(struct delivery *delivery, struct desk *desk, const struct lease *lease)
{
    enum result_code code = render_result_of(lease);

    if (lease->asker || code == RESULT_WAITING)
        return;
    if (parking_get(&desk->lot, lease->number))
        delivery_parked(delivery, desk, lease, code);
    else if (lease->just_granted)
        note_undelivered(delivery, desk, lease->number, lease->call_no);
}

void delivery_desk(struct delivery *delivery, struct desk *desk)
{
    const struct pool *pool = desk->pool;
    struct command *command;

    for (const struct lease *at = pool->dirty_leases; at; at = at->next_dirty)
        deliver_parked(delivery, desk, at);
    for (const struct lease *at = pool->ended_leases; at; at = at->next_dirty)
        deliver_parked(delivery, desk, at);
    while ((command = command_list_pop(&desk->commands)) != NULL) {
        deliver_command(delivery, desk, command);
        command_free(command);
    }
}
