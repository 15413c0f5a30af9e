/* parking: a double without descriptors. Nobody hangs up but whom world_hang_up() names. */
#include "write/parking.h"

#include "base/mem.h"

#include "world.h"

#include <stdlib.h>

#define PLACES 64

struct place {
    struct parked *parked;
    const struct parking *parking;
    bool is_gone;
};

struct parking {
    size_t count;
};

static struct place places[PLACES];

struct parking *parking_new(int waker)
{
    (void)waker;
    return mem_zalloc(sizeof(struct parking));
}

/* Clients that are still parked belonged to an instance that was killed. */
void parking_free(struct parking *parking)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (places[i].parking != parking)
            continue;
        free(places[i].parked->ignored);
        free(places[i].parked);
        places[i] = (struct place){0};
    }
    free(parking);
}

size_t parking_count(const struct parking *parking)
{
    return parking->count;
}

bool parking_put(struct parking *parking, const struct parked *client)
{
    struct place *place = places;

    while (place < places + PLACES && place->parked)
        place++;
    if (place == places + PLACES)
        return false;
    *place = (struct place){.parked = mem_alloc(sizeof *place->parked), .parking = parking};
    *place->parked = *client;
    map_put(client->lot, client->number, place->parked);
    parking->count++;
    return true;
}

const struct parked *parking_get(const struct map *lot, uint64_t number)
{
    return map_get(lot, number);
}

bool parking_take(struct parking *parking, struct map *lot, uint64_t number, struct parked *taken)
{
    struct parked *parked = map_remove(lot, number);

    if (!parked)
        return false;
    *taken = *parked;
    for (size_t i = 0; i < PLACES; i++)
        if (places[i].parked == parked)
            places[i] = (struct place){0};
    free(parked);
    parking->count--;
    return true;
}

void parking_wait(struct parking *parking, int64_t timeout_ms)
{
    (void)parking;
    (void)timeout_ms;
}

const struct parked *parking_next_gone(struct parking *parking)
{
    for (size_t i = 0; i < PLACES; i++)
        if (places[i].is_gone && places[i].parking == parking)
            return places[i].parked;
    return NULL;
}

bool world_hang_up(int client)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (!places[i].parked || places[i].parked->client.fd != client)
            continue;
        places[i].is_gone = true;
        return true;
    }
    return false;
}
