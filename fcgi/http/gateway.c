/*
 * gateway: an epoll loop of our own hands libfcgi a connection only when it is readable, so that
 * nginx's kept connections pin no thread.
 *
 * Threads: any number in gateway_next(). A connection is armed with EPOLLONESHOT: from its event
 * until it is armed again it belongs to whoever holds its `struct client`.
 */
#include "http/gateway.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG         4096 /* 16 or 128 end in storms of 502 */
#define READ_TIMEOUT_S  10
#define WRITE_TIMEOUT_S 10

struct gateway {
    int epoll;
    int listener;
    int stopper; /* eventfd; readable once stopped */
    char *path;  /* to remove at the end; NULL: not ours */
    atomic_bool draining;
    pthread_mutex_t drain; /* held while gateway_drain() has idle connections in its hands */
    atomic_bool *idle;     /* by descriptor: waits for its next call */
    size_t idle_size;
};

/* Opening and closing */

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        log_error("socket path too long (107 bytes at most): %s", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        log_error("another program listens on %s", path);
        close(fd);
        return -1;
    }
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0660) < 0 ||
        listen(fd, BACKLOG) < 0) {
        log_error("cannot listen on %s: %s", path, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* The socket that systemd hands over. */
static bool take_over(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening) {
        log_error(
            "socket = -: descriptor %d is not a listening socket; systemd has to hand it over", fd);
        return false;
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* From then on, the descriptor belongs to the worker that gets its event. */
static bool watch(struct gateway *gateway, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(gateway->epoll, operation, fd, &event) == 0;
}

struct gateway *gateway_open(const char *path)
{
    struct gateway *gateway = mem_zalloc(sizeof *gateway);
    bool inherited = strcmp(path, "-") == 0;
    long most = sysconf(_SC_OPEN_MAX);

    pthread_mutex_init(&gateway->drain, NULL);
    gateway->idle_size = most > 0 ? (size_t)most : 1024;
    gateway->idle = mem_zalloc(gateway->idle_size * sizeof *gateway->idle);
    gateway->epoll = epoll_create1(EPOLL_CLOEXEC);
    gateway->stopper = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    gateway->listener = inherited ? STDIN_FILENO : listen_at(path);
    gateway->path = inherited ? NULL : mem_strdup(path);
    if (inherited && !take_over(STDIN_FILENO))
        gateway->listener = -1;
    if (!call_library_start() || gateway->listener < 0 ||
        !watch(gateway, EPOLL_CTL_ADD, gateway->listener, EPOLLIN) ||
        !watch(gateway, EPOLL_CTL_ADD, gateway->stopper, EPOLLIN)) {
        log_error("cannot open the FastCGI socket %s", path);
        gateway_close(gateway);
        return NULL;
    }
    return gateway;
}

void gateway_close(struct gateway *gateway)
{
    if (gateway->path && gateway->listener >= 0)
        unlink(gateway->path);
    if (gateway->listener > STDIN_FILENO)
        close(gateway->listener);
    close(gateway->stopper);
    close(gateway->epoll);
    free(gateway->path);
    free(gateway->idle);
    pthread_mutex_destroy(&gateway->drain);
    free(gateway);
}

/* nginx can write no more, and sends its call again (again.conf). What it wrote before can still
 * be read; closing the connection would lose that. */
static void refuse_more(int fd)
{
    shutdown(fd, SHUT_RD);
}

/* A call that nginx has begun to write still comes in: its response is the last one. */
static void refuse_next(int fd)
{
    int begun = 0;

    if (ioctl(fd, FIONREAD, &begun) < 0 || begun == 0)
        refuse_more(fd);
}

void gateway_drain(struct gateway *gateway)
{
    atomic_store(&gateway->draining, true);
    epoll_ctl(gateway->epoll, EPOLL_CTL_DEL, gateway->listener, NULL);
    pthread_mutex_lock(&gateway->drain);
    for (size_t fd = 0; fd < gateway->idle_size; fd++)
        if (atomic_load(&gateway->idle[fd]))
            refuse_next((int)fd); /* wakes a worker, which finds the end and closes it */
    pthread_mutex_unlock(&gateway->drain);
}

void gateway_stop(struct gateway *gateway)
{
    uint64_t one = 1;
    if (write(gateway->stopper, &one, sizeof one) < 0)
        log_error("cannot stop the workers: %s", strerror(errno));
}

/* Connections */

static void set_idle(struct gateway *gateway, int fd, bool idle)
{
    if ((size_t)fd < gateway->idle_size)
        atomic_store(&gateway->idle[fd], idle);
}

/* Takes an idle connection, which the caller may then close. Waits for gateway_drain(), which may
 * just have seen it as idle. */
static void claim(struct gateway *gateway, int fd)
{
    set_idle(gateway, fd, false);
    if (!atomic_load(&gateway->draining))
        return;
    pthread_mutex_lock(&gateway->drain);
    pthread_mutex_unlock(&gateway->drain);
}

static void arm(struct gateway *gateway, int fd, int operation)
{
    set_idle(gateway, fd, true);
    if (atomic_load(&gateway->draining)) /* which may have passed it while it was busy */
        refuse_next(fd);
    if (!watch(gateway, operation, fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)) {
        claim(gateway, fd);
        close(fd);
    }
}

static void accept_all(struct gateway *gateway)
{
    static const struct timeval read_timeout = {.tv_sec = READ_TIMEOUT_S};
    static const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};

    while (!atomic_load(&gateway->draining)) { /* the next instance takes those left in the queue */
        int fd = accept4(gateway->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            /* No descriptor is left. Some will come back; don't spin until then. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                poll(NULL, 0, 10);
            return;
        }
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &read_timeout, sizeof read_timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &write_timeout, sizeof write_timeout);
        arm(gateway, fd, EPOLL_CTL_ADD);
    }
}

struct call *gateway_next(struct gateway *gateway)
{
    for (;;) {
        struct epoll_event event;
        struct call *call;
        int count = epoll_wait(gateway->epoll, &event, 1, -1);

        if (count < 0 && errno != EINTR) {
            log_error("epoll_wait: %s", strerror(errno));
            return NULL;
        }
        if (count <= 0)
            continue;
        if (event.data.fd == gateway->stopper)
            return NULL;
        if (event.data.fd == gateway->listener) {
            accept_all(gateway);
            continue;
        }
        claim(gateway, event.data.fd);
        call = call_read(event.data.fd);
        if (call)
            return call;
    }
}

bool gateway_send(struct gateway *gateway, struct client client, const struct buf *headers,
                  const struct buf *body, bool may_block)
{
    bool is_last = !client.keep || atomic_load(&gateway->draining);
    bool sent;

    if (is_last)
        refuse_more(client.fd); /* or nginx might send the next one before we close */
    sent = call_respond(client, headers, body, may_block);
    if (sent && !is_last)
        arm(gateway, client.fd, EPOLL_CTL_MOD);
    else
        close(client.fd);
    return sent;
}

void gateway_drop(struct client client)
{
    close(client.fd);
}
