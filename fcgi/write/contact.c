/* contact: see contact.h. */
#include "write/contact.h"

#include "base/times.h"

#include <stdlib.h>

/* How long after an outage of the database silent instances are not taken for dead. */
#define OUTAGE_ECHO_MS 5000

#define LOADS_A_WATCH 16 /* projects that are looked at for the first time, per watch */

#define UNUSED_MS 3600000 /* after which a pool is let go */

enum contact_status contact_connect(struct office *office)
{
    struct database_time reconnected = {0};

    if (store_connect(office->store, &reconnected) != DATABASE_OK)
        return CONTACT_LOST;
    if (reconnected.said) {
        database_clock_forget(&office->clock);
        database_clock_take(&office->clock, &reconnected);
        clerk_due_note_up(&office->clerk, reconnected.said,
                          (office->seen_ms - office->connected_ms) * 1000 >
                              office->clerk.startup_grace_us);
        office->connected_ms = times_monotonic_ms();
    }
    return CONTACT_OK;
}

bool contact_fail_back(struct office *office)
{
    if (!store_fail_back(office->store))
        return false;
    database_clock_forget(&office->clock);
    return true;
}

/* What is remembered of the project no longer holds: its next batch reads what changed, or finds
 * that the database has it no more, and says so to those who are parked. */
static void doubt(struct office *office, struct desk *desk)
{
    desk->is_doubtful = true;
    desk->deadline_ms = 0;
    desks_note(&office->desks, desk);
}

static void find_deleted(struct office *office)
{
    struct desk *desk;

    for (size_t at = 0; (desk = desks_next(&office->desks, &at)) != NULL;)
        if (desk->watched != office->watches && (desk->pool || desk->lot.count > 0))
            doubt(office, desk);
}

static void compare_versions(struct office *office, const struct store_watch *watch)
{
    size_t loads = 0;

    for (size_t i = 0; i < watch->count; i++) {
        const struct store_row *row = &watch->rows[i];
        struct desk *desk = desks_get(&office->desks, row->name);

        desk->watched = office->watches;
        if (!desk_knows(desk, row->id, row->version) && (desk->pool || loads++ < LOADS_A_WATCH))
            doubt(office, desk);
    }
}

enum database_status contact_find_others(struct office *office)
{
    bool was_away = times_monotonic_ms() - office->connected_ms < OUTAGE_ECHO_MS;
    struct store_others others;
    enum database_status status = store_find_others(office->store, was_away, &others);

    if (status == DATABASE_OK) {
        free((void *)office->clerk.others);
        office->clerk.others = others.instances;
        office->clerk.other_count = others.count;
    } else {
        free(others.instances);
    }
    return status;
}

enum contact_status contact_watch(struct office *office, bool *together)
{
    struct store_watch watch;
    enum database_status status = store_watch(office->store, &watch);

    office->watches++;
    database_clock_take(&office->clock, &watch.now);
    compare_versions(office, &watch);
    free(watch.rows);
    if (status == DATABASE_OK) {
        office->seen_ms = times_monotonic_ms();
        find_deleted(office);
    }
    desks_let_go(&office->desks, times_monotonic_ms() - UNUSED_MS);
    if (status == DATABASE_OK)
        status = contact_find_others(office);
    *together = office->clerk.other_count > 0 && parking_count(office->delivery.parking) > 0;
    return status == DATABASE_OK ? CONTACT_OK : CONTACT_LOST;
}
