/* parking: see parking.h. */
#include "write/parking.h"

#include "base/mem.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 512

struct parking {
    int epoll;
    size_t count;
    struct epoll_event events[EVENTS];
    int event_count;
    int event_at;
};

struct parking *parking_new(int waker)
{
    struct parking *parking = mem_zalloc(sizeof *parking);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    parking->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (parking->epoll < 0 || epoll_ctl(parking->epoll, EPOLL_CTL_ADD, waker, &event) < 0) {
        free(parking);
        return NULL;
    }
    return parking;
}

void parking_free(struct parking *parking)
{
    close(parking->epoll);
    free(parking);
}

size_t parking_count(const struct parking *parking)
{
    return parking->count;
}

bool parking_put(struct parking *parking, const struct parked *client)
{
    struct parked *parked = mem_alloc(sizeof *parked);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = parked};

    *parked = *client;
    if (epoll_ctl(parking->epoll, EPOLL_CTL_ADD, parked->client.fd, &event) < 0) {
        free(parked);
        return false;
    }
    map_put(parked->lot, parked->number, parked);
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
    epoll_ctl(parking->epoll, EPOLL_CTL_DEL, parked->client.fd, NULL);
    for (int i = parking->event_at; i < parking->event_count; i++)
        if (parking->events[i].data.ptr == parked)
            parking->events[i].data.ptr = NULL; /* its hang-up was just about to be told */
    free(parked);
    parking->count--;
    return true;
}

void parking_wait(struct parking *parking, int64_t timeout_ms)
{
    parking->event_at = 0;
    parking->event_count = epoll_wait(parking->epoll, parking->events, EVENTS, (int)timeout_ms);
}

const struct parked *parking_next_gone(struct parking *parking)
{
    for (;;) {
        while (parking->event_at < parking->event_count) {
            const struct parked *parked = parking->events[parking->event_at++].data.ptr;
            if (parked)
                return parked;
        }
        if (parking->event_count < EVENTS)
            return NULL;
        parking_wait(parking, 0); /* a full set of events: there may be more */
    }
}
