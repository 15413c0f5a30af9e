/* load PORT CA_FILE KEY_FILE CLIENTS SECONDS pairs|PATH [STATUS BODY]
 *
 * Keep-alive clients in one thread. `pairs`: each borrows a stack and gives it back, again and
 * again; no stack may be lent to two of them at once. Else each posts BODY to PATH and must get
 * STATUS. Prints one line of JSON: counts, and times in microseconds. */
#include "https.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define STACKS_MAX   100000
#define SAMPLES_MAX  4000000
#define WARM_UP_NS   INT64_C(300000000)
#define LEASE_ID_MAX 64

struct client {
    struct https https;
    int64_t sent_at;
    char stack_name[64];
    char lease_id[LEASE_ID_MAX];
    int is_holding;
};

static struct https_server server;
static int poll_fd;
static const char *path; /* NULL: pairs */
static const char *body;
static int expected = 200;
static int64_t counted_from;
static int64_t until;
static unsigned char is_lent[STACKS_MAX];
static uint32_t *samples; /* µs, by order of answers */
static size_t sample_count;
static unsigned long pairs;
static unsigned long doubly_lent;

static unsigned stack_number(const struct client *client)
{
    const char *end = client->stack_name + strlen(client->stack_name);
    unsigned long number;

    while (end > client->stack_name && end[-1] >= '0' && end[-1] <= '9')
        end--;
    number = strtoul(end, NULL, 10);
    return number < STACKS_MAX ? (unsigned)number : 0;
}

static void ask(struct client *client)
{
    char text[256];

    client->sent_at = https_now();
    if (path) {
        https_send(&client->https, &server, path, body);
    } else if (!client->is_holding) {
        https_send(&client->https, &server, "/requestStack", "{\"branch\":\"main\"}");
    } else {
        snprintf(text, sizeof text, "{\"stackName\":\"%s\",\"leaseId\":\"%s\"}", client->stack_name,
                 client->lease_id);
        is_lent[stack_number(client)] = 0;
        https_send(&client->https, &server, "/releaseStack", text);
    }
}

static void note_pair(struct client *client, int64_t now)
{
    if (client->is_holding) {
        client->is_holding = 0;
        pairs += now >= counted_from && now < until;
        return;
    }
    if (!https_member(&client->https, "stackName", client->stack_name, sizeof client->stack_name) ||
        !https_member(&client->https, "leaseId", client->lease_id, sizeof client->lease_id))
        https_die("not a lease: %s", client->https.in);
    client->is_holding = 1;
    doubly_lent += is_lent[stack_number(client)];
    is_lent[stack_number(client)] = 1;
}

static void enter(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};

    https_open(&client->https, &server);
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, client->https.fd, &event) < 0)
        https_die("epoll_ctl");
}

/* Returns 0 when this client is done. */
static int go_on(struct client *client)
{
    int status = 0;
    int64_t now;

    switch (https_receive(&client->https, &status)) {
    case HTTPS_NOT_YET:
        return 1;
    case HTTPS_ENDED:
        https_die("the server ended a connection");
    case HTTPS_ANSWERED:
        break;
    }
    now = https_now();
    if (status != expected)
        https_die("status %d: %s", status, client->https.in);
    if (now >= counted_from && now < until && sample_count < SAMPLES_MAX)
        samples[sample_count++] = (uint32_t)((now - client->sent_at) / 1000);
    if (!path)
        note_pair(client, now);
    if (now >= until && !client->is_holding)
        return 0;
    if (https_is_last(&client->https)) {
        https_close(&client->https);
        enter(client);
    }
    ask(client);
    return 1;
}

static int compare(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return *a < *b ? -1 : *a > *b;
}

static uint32_t quantile(double part)
{
    return sample_count ? samples[(size_t)((double)(sample_count - 1) * part)] : 0;
}

static void run(struct client *clients, int count, int64_t length_ns)
{
    struct epoll_event events[256];
    int open = count;

    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++)
        enter(&clients[i]);
    counted_from = https_now() + WARM_UP_NS;
    until = counted_from + length_ns;
    for (int i = 0; i < count; i++)
        ask(&clients[i]);
    while (open > 0) {
        int ready = epoll_wait(poll_fd, events, 256, 30000);
        if (ready == 0)
            https_die("no answer for 30 s");
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (client->https.fd >= 0 && !go_on(client)) {
                https_close(&client->https);
                open--;
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct client *clients;
    double seconds;
    int count;

    if (argc != 7 && argc != 9)
        https_die("usage: load PORT CA_FILE KEY_FILE CLIENTS SECONDS pairs|PATH [STATUS BODY]");
    https_server_open(&server, (uint16_t)https_number(argv[1], UINT16_MAX), argv[2], argv[3]);
    count = (int)https_number(argv[4], 10000);
    seconds = https_number(argv[5], 3600);
    if (argc == 9) {
        path = argv[6];
        expected = (int)https_number(argv[7], 599);
        body = argv[8];
    }
    clients = calloc((size_t)count, sizeof *clients);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (!clients || !samples)
        https_die("out of memory");
    run(clients, count, (int64_t)(seconds * 1e9));
    free(clients);
    qsort(samples, sample_count, sizeof *samples, compare);
    printf("{\"requests\":%zu,\"pairs\":%lu,\"seconds\":%.3f,\"p50\":%u,\"p99\":%u,\"doublyLent\":%"
           "lu}\n",
           sample_count, pairs, seconds, quantile(0.5), quantile(0.99), doubly_lent);
    free(samples);
    return doubly_lent != 0;
}
