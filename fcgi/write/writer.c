/*
 * writer: the batch loop.
 *
 *     wait for commands, hang-ups or the next deadline
 *     take what is remembered of the projects concerned; while other instances live, or if some
 *     of it isn't remembered: lock their rows, load what moved on
 *     clerk: commands, what is due, grants, ends of waits      (memory only)
 *     write it all, commit                      (fails if what was remembered is out of date)
 *     answer everyone; park those who wait
 *
 * A batch that the database refuses is thrown away, pools included, and run again from its
 * commands; nobody is answered before the commit is known to have happened. The thread owns the
 * pools, the parked clients and its connection; other threads only append to the inbox.
 */
#include "write/writer.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/times.h"
#include "write/batch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WATCH_ALONE_MS    500 /* also the heartbeat: others take 2 s of silence for death */
#define WATCH_TOGETHER_MS 100
#define RECONNECT_MS      200
#define PURGE_MS          10000
#define PURGE_MORE_MS     500
#define IMPROVE_MS        10000
#define IMPROVE_MOST_MS   3600000

struct writer {
    struct batch *batch;
    int history_days;
    pthread_t thread;
    int waker;

    pthread_mutex_t lock; /* guards these two; never held over I/O */
    struct command_list inbox;
    char refusal[WRITER_REFUSAL_SIZE];

    atomic_bool draining;
    atomic_bool stopping;
    atomic_bool ready;

    int64_t watch_at_ms;
    int64_t purge_at_ms;
    int64_t reconnect_at_ms;
    int64_t improve_at_ms;
    int64_t improve_pause_ms;
};

static void wake(struct writer *writer)
{
    uint64_t one = 1;
    while (write(writer->waker, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void writer_submit(struct writer *writer, struct command *command)
{
    bool first;

    command->arrived_us = times_monotonic_us();
    pthread_mutex_lock(&writer->lock);
    first = writer->inbox.first == NULL;
    command_list_push(&writer->inbox, command);
    pthread_mutex_unlock(&writer->lock);
    if (first) /* otherwise it is awake, or about to be */
        wake(writer);
}

static struct command_list empty_inbox(struct writer *writer)
{
    struct command_list commands;
    uint64_t count;

    if (read(writer->waker, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("eventfd: cannot be read");
    pthread_mutex_lock(&writer->lock);
    commands = writer->inbox;
    writer->inbox = (struct command_list){0};
    pthread_mutex_unlock(&writer->lock);
    return commands;
}

static int64_t soonest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_wait_ms(const struct writer *writer, int64_t now_ms)
{
    int64_t at_ms = writer->watch_at_ms;

    if (!atomic_load(&writer->ready)) /* nothing else can be done until then */
        return writer->reconnect_at_ms > now_ms ? writer->reconnect_at_ms - now_ms : 0;
    if (batch_has_work(writer->batch))
        return 0;
    at_ms = soonest(at_ms, writer->purge_at_ms);
    at_ms = soonest(at_ms, writer->improve_at_ms);
    at_ms = soonest(at_ms, batch_deadline_ms(writer->batch));
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

/* Hosts of one cluster should write to the same server, the first of their list that is well: not
 * for safety, but or they meet in conflicts. A silent one holds us up, so we look for it the more
 * rarely; and the more often it was left again. */
static void improve(struct writer *writer)
{
    int64_t began_ms = times_monotonic_ms();
    int64_t ended_ms;

    if (batch_improve(writer->batch) && writer->improve_pause_ms < IMPROVE_MOST_MS)
        writer->improve_pause_ms *= 2;
    ended_ms = times_monotonic_ms();
    writer->improve_at_ms = ended_ms + writer->improve_pause_ms + 100 * (ended_ms - began_ms);
}

/* What a healthy database allows. false: it was lost. */
static bool work(struct writer *writer, int64_t now_ms)
{
    bool together = false;

    if (now_ms >= writer->watch_at_ms) {
        if (!batch_watch(writer->batch, &together))
            return false;
        writer->watch_at_ms = now_ms + (together ? WATCH_TOGETHER_MS : WATCH_ALONE_MS);
    }
    if (!batch_run(writer->batch))
        return false;
    if (now_ms >= writer->purge_at_ms) {
        bool more = false;
        if (!batch_purge(writer->batch, writer->history_days, &more))
            return false;
        writer->purge_at_ms = now_ms + (more ? PURGE_MORE_MS : PURGE_MS);
    }
    if (now_ms >= writer->improve_at_ms)
        improve(writer);
    return true;
}

static void keep_refusal(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    snprintf(writer->refusal, sizeof writer->refusal, "%s", batch_refusal(writer->batch));
    pthread_mutex_unlock(&writer->lock);
}

static void turn(struct writer *writer)
{
    int64_t now_ms = times_monotonic_ms();
    bool ready;

    batch_wait(writer->batch, next_wait_ms(writer, now_ms));
    batch_add(writer->batch, empty_inbox(writer));
    if (atomic_load(&writer->draining))
        batch_drain(writer->batch);
    now_ms = times_monotonic_ms();
    ready = atomic_load(&writer->ready);
    if (!ready && now_ms < writer->reconnect_at_ms && !atomic_load(&writer->stopping)) {
        batch_refuse(writer->batch);
        return;
    }
    ready = batch_connect(writer->batch) && work(writer, now_ms);
    if (!ready) /* a server that was restarted, or cut an idle connection, is there at once */
        ready = batch_connect(writer->batch) && work(writer, now_ms);
    atomic_store(&writer->ready, ready);
    if (!ready) {
        batch_disconnect(writer->batch);
        batch_refuse(writer->batch);
        writer->reconnect_at_ms = now_ms + RECONNECT_MS;
        writer->improve_at_ms = now_ms + writer->improve_pause_ms;
        keep_refusal(writer);
    }
}

static bool is_done(struct writer *writer)
{
    bool empty;

    if (!atomic_load(&writer->stopping))
        return false;
    pthread_mutex_lock(&writer->lock);
    empty = writer->inbox.first == NULL;
    pthread_mutex_unlock(&writer->lock);
    return empty && (!atomic_load(&writer->ready) || !batch_has_work(writer->batch));
}

static void *run(void *context)
{
    struct writer *writer = context;

    while (!is_done(writer)) {
        turn(writer);
        notify_alive();
    }
    batch_leave(writer->batch);
    return NULL;
}

struct writer *writer_start(const struct config *config, struct gateway *gateway)
{
    struct writer *writer = mem_zalloc(sizeof *writer);

    writer->history_days = config->history_days;
    writer->improve_pause_ms = IMPROVE_MS;
    pthread_mutex_init(&writer->lock, NULL);
    writer->waker = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    writer->batch = writer->waker < 0 ? NULL : batch_new(config, gateway, writer->waker);
    if (!writer->batch || pthread_create(&writer->thread, NULL, run, writer) != 0) {
        log_error("cannot start the writer's thread");
        return NULL;
    }
    return writer;
}

bool writer_is_ready(const struct writer *writer)
{
    return atomic_load(&writer->ready);
}

void writer_copy_refusal(struct writer *writer, char why[WRITER_REFUSAL_SIZE])
{
    pthread_mutex_lock(&writer->lock);
    memcpy(why, writer->refusal, WRITER_REFUSAL_SIZE);
    pthread_mutex_unlock(&writer->lock);
}

void writer_drain(struct writer *writer)
{
    atomic_store(&writer->draining, true);
    wake(writer);
}

void writer_stop(struct writer *writer)
{
    atomic_store(&writer->stopping, true);
    wake(writer);
    pthread_join(writer->thread, NULL);
    batch_free(writer->batch);
    close(writer->waker);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
