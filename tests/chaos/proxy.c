/* proxy LISTEN TARGET
 *
 * Hands bytes on between two stream sockets, each the path of a unix socket or a port on loopback,
 * and disturbs that as told on standard input, a word or two a line:
 *
 *     pass        everything goes through again, and what was held back too
 *     hold up     nothing more goes to the target; `hold down`: nothing comes back
 *     delay MS    each piece comes so much later
 *     cut         all connections are cut, at both ends
 *     vanish      they end for the target, and the other side isn't told: half-open
 *     forget      they end for the client, and the target isn't told
 *     refuse      new connections are cut at once
 *
 * Each line is answered with the number of connections there were. It ends with its input. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PIECE_MAX 65536

enum side { CLIENT, TARGET };

/* What came from one side and has not gone to the other yet. */
struct flow {
    char *bytes;
    size_t len;
    int64_t due_ms;
    int has_ended;
};

struct end {
    struct pair *pair;
    enum side side;
    int fd; /* -1: gone, though the other side may not know */
    uint32_t events;
};

struct pair {
    struct pair *next;
    struct pair *previous;
    struct end ends[2];
    struct flow from[2]; /* by the side that it came from */
};

static int poll_fd;
static int listener;
static const char *target;
static struct pair *pairs;
static struct pair *dead; /* freed once the events at hand are done */
static int is_held[2];    /* by the side that it comes from */
static int is_refusing;
static int delay_ms;
static int is_any_delayed;

static _Noreturn void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(errno));
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Returns the address's size. */
static socklen_t parse(const char *text, struct sockaddr_storage *address)
{
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
    struct sockaddr_in inet_address = {.sin_family = AF_INET};

    if (*text == '/') {
        snprintf(unix_address.sun_path, sizeof unix_address.sun_path, "%s", text);
        memcpy(address, &unix_address, sizeof unix_address);
        return sizeof unix_address;
    }
    inet_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_address.sin_port = htons((uint16_t)strtoul(text, NULL, 10));
    memcpy(address, &inet_address, sizeof inet_address);
    return sizeof inet_address;
}

static int open_socket(const struct sockaddr_storage *address)
{
    return socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Pairs */

static void close_end(struct end *end)
{
    if (end->fd >= 0)
        close(end->fd);
    end->fd = -1;
}

static void end_pair(struct pair *pair)
{
    close_end(&pair->ends[CLIENT]);
    close_end(&pair->ends[TARGET]);
    if (pair->previous)
        pair->previous->next = pair->next;
    else
        pairs = pair->next;
    if (pair->next)
        pair->next->previous = pair->previous;
    pair->next = dead;
    dead = pair;
}

static void bury(void)
{
    while (dead) {
        struct pair *pair = dead;
        dead = pair->next;
        free(pair->from[CLIENT].bytes);
        free(pair->from[TARGET].bytes);
        free(pair);
    }
}

/* What this end is waited for. */
static void watch(struct end *end)
{
    struct pair *pair = end->pair;
    const struct flow *in = &pair->from[end->side];
    const struct flow *out = &pair->from[!end->side];
    struct epoll_event event = {.data.ptr = end};

    if (end->fd < 0)
        return;
    if (!in->has_ended && in->len == 0 && !is_held[end->side])
        event.events |= EPOLLIN;
    if (out->len > 0 && out->due_ms <= now_ms() && pair->ends[!end->side].fd >= 0)
        event.events |= EPOLLOUT;
    if (event.events != end->events && epoll_ctl(poll_fd, EPOLL_CTL_MOD, end->fd, &event) < 0)
        die("epoll_ctl");
    end->events = event.events;
}

static void watch_both(struct pair *pair)
{
    watch(&pair->ends[CLIENT]);
    watch(&pair->ends[TARGET]);
}

/* Hands on what came from that side. Returns 0 if the pair has ended. */
static int push(struct pair *pair, enum side from)
{
    struct flow *flow = &pair->from[from];
    struct end *to = &pair->ends[!from];
    ssize_t sent;

    if (to->fd < 0) { /* nobody there: swallowed */
        flow->len = 0;
        return 1;
    }
    if (flow->len > 0 && flow->due_ms <= now_ms() && !is_held[from]) {
        sent = send(to->fd, flow->bytes, flow->len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            end_pair(pair);
            return 0;
        }
        if (sent > 0) {
            flow->len -= (size_t)sent;
            memmove(flow->bytes, flow->bytes + sent, flow->len);
        }
    }
    if (flow->len == 0 && flow->has_ended) {
        end_pair(pair); /* none of our parts half-closes */
        return 0;
    }
    return 1;
}

static void read_end(struct end *end)
{
    struct pair *pair = end->pair;
    struct flow *flow = &pair->from[end->side];
    ssize_t got;

    if (flow->len > 0 || flow->has_ended || is_held[end->side])
        return;
    if (!flow->bytes && !(flow->bytes = malloc(PIECE_MAX)))
        die("memory");
    got = recv(end->fd, flow->bytes, PIECE_MAX, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        flow->has_ended = 1;
    else
        flow->len = (size_t)got;
    flow->due_ms = delay_ms ? now_ms() + delay_ms : 0;
    is_any_delayed |= delay_ms;
    if (got <= 0 && pair->ends[!end->side].fd < 0)
        end_pair(pair);
    else if (push(pair, end->side))
        watch_both(pair);
}

static void handle(struct end *end, uint32_t events)
{
    struct pair *pair = end->pair;

    if (end->fd < 0)
        return;
    if ((events & EPOLLOUT) && !push(pair, !end->side))
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (events & EPOLLERR || (events & EPOLLHUP && !(end->events & EPOLLIN))) {
            /* Held or full: an end that has gone would be told again and again. */
            if (is_held[end->side] || pair->from[end->side].len > 0) {
                epoll_ctl(poll_fd, EPOLL_CTL_DEL, end->fd, NULL);
                pair->from[end->side].has_ended = 1;
                return;
            }
        }
        read_end(end);
        return;
    }
    watch_both(pair);
}

static void add(struct pair *pair, enum side side, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &pair->ends[side]};
    const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* nothing on a unix socket */
    pair->ends[side] = (struct end){.pair = pair, .side = side, .fd = fd, .events = EPOLLIN};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void enter(int client)
{
    struct sockaddr_storage address = {0};
    socklen_t size = parse(target, &address);
    int fd = open_socket(&address);
    struct pair *pair;

    if (is_refusing || fd < 0 ||
        (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)) {
        close(client);
        if (fd >= 0)
            close(fd);
        return;
    }
    pair = calloc(1, sizeof *pair);
    if (!pair)
        die("memory");
    pair->next = pairs;
    if (pairs)
        pairs->previous = pair;
    pairs = pair;
    add(pair, CLIENT, client);
    add(pair, TARGET, fd);
    watch_both(pair);
}

/* Orders */

static void obey(const char *order)
{
    int count = 0;
    struct pair *next;

    if (strcmp(order, "pass") == 0)
        is_held[CLIENT] = is_held[TARGET] = is_refusing = delay_ms = 0;
    else if (strcmp(order, "hold up") == 0)
        is_held[CLIENT] = 1;
    else if (strcmp(order, "hold down") == 0)
        is_held[TARGET] = 1;
    else if (strcmp(order, "refuse") == 0)
        is_refusing = 1;
    else if (strncmp(order, "delay ", 6) == 0)
        delay_ms = (int)strtol(order + 6, NULL, 10);
    for (struct pair *pair = pairs; pair; pair = next) {
        next = pair->next;
        count++;
        if (strcmp(order, "cut") == 0) {
            end_pair(pair);
            continue;
        }
        if (strcmp(order, "vanish") == 0)
            close_end(&pair->ends[TARGET]);
        else if (strcmp(order, "forget") == 0)
            close_end(&pair->ends[CLIENT]);
        if (push(pair, CLIENT) && push(pair, TARGET))
            watch_both(pair);
    }
    printf("%d\n", count);
    fflush(stdout);
}

/* Returns 0 at the end of the input. */
static int read_orders(void)
{
    static char line[256];
    static size_t len;
    ssize_t got = read(STDIN_FILENO, line + len, sizeof line - 1 - len);
    char *end;

    if (got <= 0)
        return 0;
    len += (size_t)got;
    line[len] = '\0';
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        obey(line);
        len -= (size_t)(end + 1 - line);
        memmove(line, end + 1, len + 1);
    }
    return 1;
}

/* How long until something held back is due, and hands on what is. */
static int push_due(void)
{
    int64_t now = now_ms();
    int64_t soonest = now + 1000;
    struct pair *next;

    if (!is_any_delayed)
        return 1000;
    is_any_delayed = delay_ms;
    for (struct pair *pair = pairs; pair; pair = next) {
        next = pair->next;
        for (int side = CLIENT; side <= TARGET; side++) {
            const struct flow *flow = &pair->from[side];
            if ((flow->len == 0 && !flow->has_ended) || flow->due_ms == 0 || is_held[side])
                continue;
            if (flow->due_ms > now) {
                soonest = flow->due_ms < soonest ? flow->due_ms : soonest;
                is_any_delayed = 1;
            } else if (!push(pair, (enum side)side)) {
                break;
            } else {
                watch_both(pair);
            }
        }
    }
    return (int)(soonest - now);
}

static void serve(void)
{
    struct epoll_event events[256];
    int client;

    for (;;) {
        int count = epoll_wait(poll_fd, events, 256, push_due());
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &listener) {
                while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                    enter(client);
            } else if (events[i].data.ptr == &poll_fd) {
                if (!read_orders())
                    return;
            } else {
                handle(events[i].data.ptr, events[i].events);
            }
        }
        bury();
    }
}

int main(int argc, char **argv)
{
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event order = {.events = EPOLLIN, .data.ptr = &poll_fd};
    struct sockaddr_storage address = {0};
    socklen_t size;

    if (argc != 3) {
        fputs("usage: proxy LISTEN TARGET\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    target = argv[2];
    size = parse(argv[1], &address);
    listener = open_socket(&address);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 4096) < 0)
        die("%s", argv[1]);
    size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &listening) < 0 ||
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &order) < 0)
        die("epoll");
    printf("%d\n", *argv[1] == '/' ? 0 : ntohs(((struct sockaddr_in *)&address)->sin_port));
    fflush(stdout);
    serve();
    return 0;
}
