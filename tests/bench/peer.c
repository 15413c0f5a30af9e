/* STORE ADDRESS WAY CLIENTS SECONDS STACKS
 *
 * Each client borrows a stack and gives it back, again and again; one thread and one connection
 * each. Prints one line of JSON, as load does: counts, and times of one borrow or return in
 * microseconds. */
#include "peer.h"
#include "samples.h"
#include "tool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define STACKS_MAX 10000
#define WARM_UP_NS INT64_C(300000000)

struct client {
    pthread_t thread;
    struct peer *peer;
    struct samples samples;
    unsigned long pairs;
    unsigned long races;
};

static atomic_uchar is_lent[STACKS_MAX];
static atomic_ulong doubly_lent;
static int64_t counted_from;
static int64_t until;

static int is_counted(int64_t now)
{
    return now >= counted_from && now < until;
}

static int borrow(struct client *client)
{
    for (;;) {
        int stack = peer_borrow(client->peer);
        if (stack == PEER_AGAIN) {
            client->races++;
            continue;
        }
        if (stack < 0 || stack >= STACKS_MAX)
            tool_die("there is no stack %d", stack);
        if (atomic_exchange(&is_lent[stack], 1))
            atomic_fetch_add(&doubly_lent, 1);
        return stack;
    }
}

static void *run(void *argument)
{
    struct client *client = argument;
    int64_t from = tool_now();

    while (from < until) {
        int stack = borrow(client);
        int64_t now = tool_now();
        if (is_counted(now))
            samples_add(&client->samples, from, now);
        /* Else a lease would last for no time, and nobody could be seen to have the stack, too. */
        sched_yield();
        atomic_store(&is_lent[stack], 0);
        from = tool_now();
        peer_return(client->peer, stack);
        now = tool_now();
        if (is_counted(now)) {
            samples_add(&client->samples, from, now);
            client->pairs++;
        }
        from = now;
    }
    return NULL;
}

static void print(struct client *clients, int count, double seconds)
{
    struct samples all = {0};
    unsigned long pairs = 0;
    unsigned long races = 0;

    for (int i = 0; i < count; i++) {
        samples_join(&all, &clients[i].samples);
        pairs += clients[i].pairs;
        races += clients[i].races;
    }
    samples_sort(&all);
    printf("{\"requests\":%zu,\"pairs\":%lu,\"seconds\":%.3f,\"p50\":%u,\"p99\":%u,"
           "\"doublyLent\":%lu,\"races\":%lu}\n",
           all.count, pairs, seconds, samples_quantile(&all, 0.5), samples_quantile(&all, 0.99),
           doubly_lent, races);
    samples_free(&all);
}

int main(int argc, char **argv)
{
    struct client *clients;
    double seconds;
    int count;

    if (argc != 6)
        tool_die("usage: %s ADDRESS WAY CLIENTS SECONDS STACKS", argv[0]);
    count = (int)tool_number(argv[3], 1000);
    seconds = tool_number(argv[4], 3600);
    clients = calloc((size_t)count, sizeof *clients);
    if (!clients)
        tool_die("out of memory");
    peer_fill(argv[1], argv[2], (int)tool_number(argv[5], STACKS_MAX));
    for (int i = 0; i < count; i++)
        clients[i].peer = peer_open(argv[1], argv[2], i);
    counted_from = tool_now() + WARM_UP_NS;
    until = counted_from + (int64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++)
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0)
            tool_die("no thread");
    for (int i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        peer_close(clients[i].peer);
    }
    print(clients, count, seconds);
    free(clients);
    return doubly_lent != 0;
}
