/* load PORT CA_FILE KEY_FILE CLIENTS SECONDS pairs|PATH [STATUS BODY]
 *
 * Keep-alive clients in one thread. `pairs`: each borrows a stack and gives it back, again and
 * again; no stack may be lent to two of them at once. With several keys in the file (each of
 * another project) a client takes the next after every pair. Else each posts BODY (`-`: it GETs) to
 * PATH and must get STATUS. Prints one line of JSON: counts, and times in microseconds.
 *
 * What comes in together is read first, and answered then: so leases that are granted at the same
 * time are held at the same time here, too, and a stack in two of them shows. Its fence must rise.
 */
#include "https.h"
#include "samples.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define STACKS_MAX   10000 /* of one key */
#define WARM_UP_NS   INT64_C(300000000)
#define LEASE_ID_MAX 64
#define EVENTS       256

/* Of a stack. */
struct mark {
    uint32_t fence; /* the last that was seen */
    int is_lent;
};

struct client {
    struct https https;
    size_t key;
    int64_t sent_at;
    char stack_name[64];
    char lease_id[LEASE_ID_MAX];
    int is_holding;
};

static struct https_server server;
static int poll_fd;
static int client_count;
static const char *path; /* NULL: pairs */
static const char *body;
static int expected = 200;
static int64_t counted_from;
static int64_t until;
static struct mark *marks;
static struct samples samples;
static unsigned long pairs;
static unsigned long branch, other_branches; /* 1: each borrow names another */
static unsigned long doubly_lent;

static struct mark *find_mark(const struct client *client)
{
    const char *end = client->stack_name + strlen(client->stack_name);
    unsigned long number;

    while (end > client->stack_name && end[-1] >= '0' && end[-1] <= '9')
        end--;
    number = strtoul(end, NULL, 10);
    if (number > STACKS_MAX)
        tool_die("more than %d stacks: %s", STACKS_MAX, client->stack_name);
    return &marks[client->key * (STACKS_MAX + 1) + number];
}

static void ask(struct client *client)
{
    char text[256];

    client->https.key = client->key;
    client->sent_at = tool_now();
    if (path) {
        https_send(&client->https, &server, path, body);
    } else if (!client->is_holding) {
        snprintf(text, sizeof text, "{\"branch\":\"branch-%lu\"}", branch += other_branches);
        https_send(&client->https, &server, "/requestStack", text);
    } else {
        snprintf(text, sizeof text, "{\"stackName\":\"%s\",\"leaseId\":\"%s\"}", client->stack_name,
                 client->lease_id);
        find_mark(client)->is_lent = 0;
        https_send(&client->https, &server, "/releaseStack", text);
    }
}

static void note_lease(struct client *client)
{
    const char *fence_text = strstr(client->https.in, "\"fence\":");
    struct mark *mark;
    uint32_t fence;

    if (!fence_text ||
        !https_member(&client->https, "stackName", client->stack_name, sizeof client->stack_name) ||
        !https_member(&client->https, "leaseId", client->lease_id, sizeof client->lease_id))
        tool_die("not a lease: %s", client->https.in);
    fence = (uint32_t)strtoul(fence_text + strlen("\"fence\":"), NULL, 10);
    mark = find_mark(client);
    doubly_lent += mark->is_lent || fence <= mark->fence;
    *mark = (struct mark){.fence = fence, .is_lent = 1};
    client->is_holding = 1;
}

static void note_return(struct client *client, int64_t now)
{
    client->is_holding = 0;
    client->key = (client->key + (size_t)client_count) % server.key_count;
    pairs += now >= counted_from && now < until;
}

static void enter(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};

    https_open(&client->https, &server);
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, client->https.fd, &event) < 0)
        tool_die("epoll_ctl");
}

/* Returns 1 when an answer has come. */
static int receive(struct client *client)
{
    int status = 0;
    int64_t now;

    switch (https_receive(&client->https, &status)) {
    case HTTPS_NOT_YET:
        return 0;
    case HTTPS_ENDED:
        tool_die("the server ended a connection");
    case HTTPS_ANSWERED:
        break;
    }
    now = tool_now();
    if (status != expected)
        tool_die("status %d: %s", status, client->https.in);
    if (now >= counted_from && now < until)
        samples_add(&samples, client->sent_at, now);
    if (!path && client->is_holding)
        note_return(client, now);
    else if (!path)
        note_lease(client);
    return 1;
}

/* Returns 0 when this client is done. */
static int go_on(struct client *client)
{
    if (tool_now() >= until && !client->is_holding) {
        https_close(&client->https);
        return 0;
    }
    if (https_is_last(&client->https)) {
        https_close(&client->https);
        enter(client);
    }
    ask(client);
    return 1;
}

static void run(struct client *clients, int64_t length_ns)
{
    struct epoll_event events[EVENTS];
    int open = client_count;

    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < client_count; i++) {
        clients[i].key = (size_t)i % server.key_count;
        enter(&clients[i]);
    }
    counted_from = tool_now() + WARM_UP_NS;
    until = counted_from + length_ns;
    for (int i = 0; i < client_count; i++)
        ask(&clients[i]);
    while (open > 0) {
        struct client *answered[EVENTS];
        int count = 0;
        int ready = epoll_wait(poll_fd, events, EVENTS, 30000);
        if (ready == 0)
            tool_die("no answer for 30 s");
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (receive(client))
                answered[count++] = client;
        }
        for (int i = 0; i < count; i++)
            open -= !go_on(answered[i]);
    }
}

int main(int argc, char **argv)
{
    struct client *clients;
    double seconds;

    if (argc != 7 && argc != 9)
        tool_die(
            "usage: load PORT CA_FILE KEY_FILE CLIENTS SECONDS pairs|branches|PATH [STATUS BODY]");
    https_server_open(&server, (uint16_t)tool_number(argv[1], UINT16_MAX), argv[2], argv[3]);
    client_count = (int)tool_number(argv[4], 10000);
    seconds = tool_number(argv[5], 3600);
    other_branches = strcmp(argv[6], "branches") == 0;
    if (argc == 9) {
        path = argv[6];
        expected = (int)tool_number(argv[7], 599);
        body = strcmp(argv[8], "-") == 0 ? NULL : argv[8];
    }
    clients = calloc((size_t)client_count, sizeof *clients);
    marks = calloc(server.key_count * (STACKS_MAX + 1), sizeof *marks);
    if (!clients || !marks)
        tool_die("out of memory");
    run(clients, (int64_t)(seconds * 1e9));
    free(clients);
    free(marks);
    samples_sort(&samples);
    printf("{\"requests\":%zu,\"pairs\":%lu,\"seconds\":%.3f,\"p50\":%u,\"p99\":%u,\"doublyLent\":%"
           "lu}\n",
           samples.count, pairs, seconds, samples_quantile(&samples, 0.5),
           samples_quantile(&samples, 0.99), doubly_lent);
    samples_free(&samples);
    return doubly_lent != 0;
}
