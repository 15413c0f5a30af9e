/* office: see office.h. */
#include "write/office.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "base/times.h"

#include <stdlib.h>

struct office *office_new(const struct config *config, struct gateway *gateway, int waker)
{
    struct office *office = mem_zalloc(sizeof *office);
    size_t end_count;
    const char *const *ends = words_lease_ends(&end_count);

    metrics_name_ends(ends, end_count);
    office->store = store_new(config);
    office->clerk = (struct clerk){.instance = store_instance(office->store),
                                   .request_grace_us = config->request_grace_s * TIMES_SECOND,
                                   .startup_grace_us = config->startup_grace_s * TIMES_SECOND};
    office->waiting_per_project_max = (uint32_t)config->max_waiting_per_project;
    office->waiting_max = (uint32_t)config->max_waiting;
    office->delivery.gateway = gateway;
    office->delivery.parking = parking_new(waker);
    if (office->delivery.parking)
        return office;
    store_free(office->store);
    free(office);
    return NULL;
}

void office_free(struct office *office)
{
    struct command *command;

    command_list_put_back(&office->pending, &office->later);
    while ((command = command_list_pop(&office->pending)) != NULL)
        command_free(command);
    desks_free(&office->desks);
    parking_free(office->delivery.parking);
    store_free(office->store);
    free((void *)office->clerk.others);
    free(office);
}

void office_add(struct office *office, struct command_list commands)
{
    struct command *command;

    while ((command = command_list_pop(&commands)) != NULL)
        command_list_push(&office->pending, command);
}

void office_hang_up(struct office *office, const struct desk *desk, uint64_t number,
                    int64_t call_no, bool sent_away)
{
    struct command *command = command_new(VERB_HANG_UP);

    command->project = mem_strdup(desk->name);
    command->as.hang_up =
        (struct command_hang_up){.number = number, .call_no = call_no, .sent_away = sent_away};
    command_list_push_first(&office->pending, command);
}

void office_wait(struct office *office, int64_t timeout_ms)
{
    const struct parked *gone;

    parking_wait(office->delivery.parking, timeout_ms);
    while ((gone = parking_next_gone(office->delivery.parking)) != NULL) {
        struct desk *desk = gone->desk;
        struct parked parked;

        office_hang_up(office, desk, gone->number, gone->call_no, false);
        if (!parking_take(office->delivery.parking, &desk->lot, gone->number, &parked))
            continue;
        free(parked.ignored);
        gateway_drop(parked.client);
    }
}

bool office_has_work(const struct office *office)
{
    return office->pending.first || office->desks.due_count > 0;
}

bool office_find_work(struct office *office)
{
    int64_t now_ms = times_monotonic_ms();

    if (now_ms >= office->later_ms)
        command_list_put_back(&office->pending, &office->later);
    desks_find_due(&office->desks, now_ms);
    return office_has_work(office);
}

int64_t office_deadline_ms(const struct office *office)
{
    return office->desks.deadline_ms;
}

/* Tells a parked client an error, whatever an unknown COMMIT may have given it meanwhile. */
static void turn_away(struct office *office, struct desk *desk, uint64_t number,
                      enum result_code code)
{
    int64_t call_no = parking_get(&desk->lot, number)->call_no;

    delivery_number(&office->delivery, desk, number, code);
    office_hang_up(office, desk, number, call_no, true);
}

static void turn_away_parked(struct office *office, struct desk *desk, int64_t until_ms,
                             enum result_code code)
{
    size_t count;
    uint64_t *numbers = desk_parked_numbers(desk, until_ms, &count);

    for (size_t i = 0; i < count; i++)
        turn_away(office, desk, numbers[i], code);
    free(numbers);
}

void office_refuse(struct office *office)
{
    struct command_list own = {0}; /* must be done once the database is back */
    struct command *command;
    struct desk *desk;
    int64_t now_ms = times_monotonic_ms();

    while ((command = command_list_pop(&office->pending)) != NULL) {
        if (!command->has_client) {
            command_list_push(&own, command);
            continue;
        }
        delivery_command(&office->delivery, NULL, command, RESULT_NO_DATABASE);
        command_free(command);
    }
    office->pending = own;
    office->alone = 0;
    for (size_t at = 0; (desk = desks_next(&office->desks, &at)) != NULL;)
        turn_away_parked(office, desk, now_ms, RESULT_NO_DATABASE);
}

void office_drain(struct office *office)
{
    struct desk *desk;

    if (office->delivery.draining)
        return;
    office->delivery.draining = true;
    for (size_t at = 0; (desk = desks_next(&office->desks, &at)) != NULL;)
        turn_away_parked(office, desk, INT64_MAX, RESULT_SHUTTING_DOWN);
}
