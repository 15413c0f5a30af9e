/* park PORT CA_FILE KEY_FILE
 *
 * Callers that wait for the one stack of a project. Reads commands, one a line, and answers each
 * with one line of JSON; times are lists, in microseconds:
 *
 *   plain N    borrows the stack and gives it back N times, while nobody waits
 *   park N     takes the stack, and lets callers wait for it until there are N
 *   rounds N   N times gives the stack back, and takes the time until the first of them has it, who
 *              then joins the end of the queue again
 *   leave      all hang up */
#include "https.h"
#include "samples.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define PATIENCE    30000
#define IDLE_MAX_NS INT64_C(30000000000)

static struct https_server server;
static struct https holder; /* releases, and looks */
static struct https *parked;
static size_t parked_count;
static size_t parked_size;
static int poll_fd;
static char stack_name[64];
static char lease_id[64];
static int is_held;

static void print_times(const char *name, struct samples *times)
{
    printf("\"%s\":[", name);
    for (size_t i = 0; i < times->count; i++)
        printf("%s%u", i ? "," : "", times->us[i]);
    printf("]");
    samples_free(times);
}

static void watch(struct https *https)
{
    /* An index: the array may move. SIZE_MAX: the holder. */
    size_t index = https == &holder ? SIZE_MAX : (size_t)(https - parked);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index};

    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, https->fd, &event) < 0)
        tool_die("epoll_ctl: %s", strerror(errno));
}

static struct https *find(const struct epoll_event *event)
{
    return event->data.u64 == SIZE_MAX ? &holder : &parked[event->data.u64];
}

static void must_be_ok(const struct https *https, int status)
{
    if (status != 200)
        tool_die("status %d: %s", status, https->in);
}

static void take_lease(const struct https *https)
{
    if (!https_member(https, "stackName", stack_name, sizeof stack_name) ||
        !https_member(https, "leaseId", lease_id, sizeof lease_id))
        tool_die("not a lease: %s", https->in);
    if (is_held)
        tool_die("%s is lent twice", stack_name);
    is_held = 1;
}

/* Before a call of the holder's: the server closes a connection that is idle for 75 s. */
static void renew_holder(void)
{
    static int64_t used_at;
    int is_stale = used_at && tool_now() - used_at > IDLE_MAX_NS;

    used_at = tool_now();
    if (!is_stale && !https_is_last(&holder))
        return;
    https_close(&holder);
    https_open(&holder, &server);
    watch(&holder);
}

/* With the stack that is held. */
static void send_lease(const char *path)
{
    char body[256];

    snprintf(body, sizeof body, "{\"stackName\":\"%s\",\"leaseId\":\"%s\"}", stack_name, lease_id);
    renew_holder();
    https_send(&holder, &server, path, body);
}

static void send_release(void)
{
    is_held = 0;
    send_lease("/releaseStack");
}

/* Waits for the holder's answer, while nobody else expects one. */
static void await_holder(void)
{
    struct epoll_event event;
    int status = 0;

    for (;;) {
        switch (https_receive(&holder, &status)) {
        case HTTPS_ANSWERED:
            must_be_ok(&holder, status);
            return;
        case HTTPS_ENDED:
            tool_die("the server ended the connection");
        case HTTPS_NOT_YET:
            if (epoll_wait(poll_fd, &event, 1, PATIENCE) == 0)
                tool_die("no answer");
            if (event.data.u64 != SIZE_MAX && parked[event.data.u64].in == NULL)
                https_receive(&parked[event.data.u64], &status); /* a session ticket */
        }
    }
}

static void borrow(void)
{
    renew_holder();
    https_send(&holder, &server, "/requestStack", "{\"leaseSeconds\":86400}");
    await_holder();
    take_lease(&holder);
}

static void plain(size_t rounds)
{
    struct samples times = {0};

    if (is_held) {
        send_release();
        await_holder();
    }
    while (rounds--) {
        int64_t from;
        borrow();
        from = tool_now();
        send_release();
        await_holder();
        samples_add(&times, from, tool_now());
    }
    printf("{");
    print_times("release", &times);
    printf("}\n");
}

static void ask(struct https *https)
{
    https_send(https, &server, "/requestStack", "{\"waitSeconds\":3600,\"leaseSeconds\":86400}");
}

static void park(size_t count)
{
    int64_t from = tool_now();

    if (!is_held)
        borrow();
    if (count > parked_size) {
        parked = tool_resize(parked, count * sizeof *parked);
        parked_size = count;
    }
    while (parked_count < count) {
        struct https *https = &parked[parked_count++];
        https_open(https, &server);
        ask(https);
        watch(https);
    }
    printf("{\"parked\":%zu,\"seconds\":%.1f}\n", parked_count, (double)(tool_now() - from) / 1e9);
}

/* With one waiter, it must stand in the queue before the stack is given back. */
static void await_queue(void)
{
    do {
        renew_holder();
        https_send(&holder, &server, "/status", NULL);
        await_holder();
    } while (!strstr(holder.in, "\"position\":1"));
}

/* A request can be seen before its commit is on the disk. A commit after it: then nothing is left
 * for a release to wait for, as with a plain one. */
static void await_commits(void)
{
    send_lease("/extendLease");
    await_holder();
}

/* One release; returns who got the stack. */
static struct https *run_round(struct samples *released, struct samples *granted)
{
    struct https *winner = NULL;
    int64_t from = tool_now();
    int is_released = 0;

    send_release();
    while (!winner || !is_released) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll_fd, events, 64, PATIENCE);
        if (ready == 0)
            tool_die("no answer");
        for (int i = 0; i < ready; i++) {
            struct https *https = find(&events[i]);
            int status = 0;
            switch (https_receive(https, &status)) {
            case HTTPS_NOT_YET:
                continue;
            case HTTPS_ENDED:
                tool_die("the server ended a connection");
            case HTTPS_ANSWERED:
                must_be_ok(https, status);
            }
            samples_add(https == &holder ? released : granted, from, tool_now());
            if (https == &holder) {
                is_released = 1;
            } else {
                take_lease(https);
                winner = https;
            }
        }
    }
    return winner;
}

/* Reads the session tickets of fresh connections, so that no round has to. */
static void drain(void)
{
    struct epoll_event events[64];
    int status = 0;
    int ready;

    renew_holder();
    while ((ready = epoll_wait(poll_fd, events, 64, 0)) > 0)
        for (int i = 0; i < ready; i++)
            if (https_receive(find(&events[i]), &status) != HTTPS_NOT_YET)
                tool_die("an answer came while the stack was lent, or a connection ended");
}

static void run_rounds(size_t rounds)
{
    struct samples released = {0};
    struct samples granted = {0};

    drain();
    while (rounds--) {
        if (parked_count == 1)
            await_queue();
        await_commits();
        ask(run_round(&released, &granted));
    }
    printf("{");
    print_times("release", &released);
    printf(",");
    print_times("grant", &granted);
    printf("}\n");
}

static void leave(void)
{
    for (size_t i = 0; i < parked_count; i++)
        https_close(&parked[i]);
    printf("{\"left\":%zu}\n", parked_count);
    parked_count = 0;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    char line[64];

    if (argc != 4)
        tool_die("usage: park PORT CA_FILE KEY_FILE");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    https_server_open(&server, (uint16_t)tool_number(argv[1], UINT16_MAX), argv[2], argv[3]);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    https_open(&holder, &server);
    watch(&holder);
    while (fgets(line, sizeof line, stdin)) {
        char *count_text = line + strcspn(line, " \n");
        size_t count = 0;
        if (*count_text == ' ')
            count = strtoul(count_text + 1, NULL, 10);
        *count_text = 0;
        if (strcmp(line, "plain") == 0)
            plain(count);
        else if (strcmp(line, "park") == 0)
            park(count);
        else if (strcmp(line, "rounds") == 0)
            run_rounds(count);
        else if (strcmp(line, "leave") == 0)
            leave();
        else
            tool_die("unknown command: %s", line);
        fflush(stdout);
    }
    return 0;
}
