/*
 * writer: the batch loop.
 *
 *     wait for commands, hang-ups or the next deadline
 *     take what is remembered of the projects concerned; while other instances live, or if some
 *     of it isn't remembered: lock their rows, load what moved on
 *     clerk: commands, what is due, grants, ends of waits      (memory only)
 *     write it all, commit                      (fails if what was remembered is out of date)
 *     send the responses; park those who wait
 *
 * A batch that the database refuses is thrown away, pools included, and run again from its
 * commands; no response is sent before the commit is known to have happened. The thread owns the
 * pools, the parked clients and its connection; other threads only append to the inbox.
 */
#include "write/writer.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/times.h"
#include "write/batch.h"
#include "write/contact.h"
#include "write/office.h"

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
#define FAIL_BACK_MS      10000
#define FAIL_BACK_MOST_MS 3600000

struct writer {
    struct office *office;
    pthread_t thread;
    int waker;

    pthread_mutex_t lock; /* guards these two; never held over I/O */
    struct command_list inbox;
    char refusal[WRITER_REFUSAL_SIZE];

    atomic_bool draining;
    atomic_bool stopping;
    atomic_bool ready;

    int64_t watch_at_ms;
    int64_t reconnect_at_ms;
    int64_t fail_back_at_ms;
    int64_t fail_back_pause_ms;
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
    if (office_has_work(writer->office))
        return 0;
    at_ms = soonest(at_ms, writer->fail_back_at_ms);
    at_ms = soonest(at_ms, office_deadline_ms(writer->office));
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

/* To avoid conflicts, not for safety, all instances should write to the same server: the
 * first of their list that is well. A silent server holds us up, so the longer the last look took,
 * and the more often a server was left again, the later the next one. */
static void fail_back(struct writer *writer)
{
    int64_t began_ms = times_monotonic_ms();
    int64_t ended_ms;

    if (contact_fail_back(writer->office) && writer->fail_back_pause_ms < FAIL_BACK_MOST_MS)
        writer->fail_back_pause_ms *= 2;
    ended_ms = times_monotonic_ms();
    writer->fail_back_at_ms = ended_ms + writer->fail_back_pause_ms + 100 * (ended_ms - began_ms);
}

/* What a healthy database allows. */
static enum contact_status work(struct writer *writer, int64_t now_ms)
{
    bool together = false;

    if (now_ms >= writer->watch_at_ms) {
        if (contact_watch(writer->office, &together) == CONTACT_LOST)
            return CONTACT_LOST;
        writer->watch_at_ms = now_ms + (together ? WATCH_TOGETHER_MS : WATCH_ALONE_MS);
    }
    if (batch_run(writer->office) == CONTACT_LOST)
        return CONTACT_LOST;
    if (now_ms >= writer->fail_back_at_ms)
        fail_back(writer);
    return CONTACT_OK;
}

static enum contact_status connect_and_work(struct writer *writer, int64_t now_ms)
{
    if (contact_connect(writer->office) == CONTACT_LOST)
        return CONTACT_LOST;
    return work(writer, now_ms);
}

static void keep_refusal(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    snprintf(writer->refusal, sizeof writer->refusal, "%s", store_refusal(writer->office->store));
    pthread_mutex_unlock(&writer->lock);
}

static void turn(struct writer *writer)
{
    int64_t now_ms = times_monotonic_ms();
    bool ready;

    office_wait(writer->office, next_wait_ms(writer, now_ms));
    office_add(writer->office, empty_inbox(writer));
    if (atomic_load(&writer->draining))
        office_drain(writer->office);
    now_ms = times_monotonic_ms();
    ready = atomic_load(&writer->ready);
    if (!ready && now_ms < writer->reconnect_at_ms && !atomic_load(&writer->stopping)) {
        office_refuse(writer->office);
        return;
    }
    ready = connect_and_work(writer, now_ms) == CONTACT_OK;
    if (!ready) /* a server that was restarted, or cut an idle connection, is there at once */
        ready = connect_and_work(writer, now_ms) == CONTACT_OK;
    atomic_store(&writer->ready, ready);
    if (!ready) {
        store_disconnect(writer->office->store);
        office_refuse(writer->office);
        writer->reconnect_at_ms = now_ms + RECONNECT_MS;
        writer->fail_back_at_ms = now_ms + writer->fail_back_pause_ms;
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
    return empty && (!atomic_load(&writer->ready) || !office_has_work(writer->office));
}

static void *run(void *context)
{
    struct writer *writer = context;

    while (!is_done(writer)) {
        turn(writer);
        notify_alive();
    }
    store_leave(writer->office->store);
    return NULL;
}

struct writer *writer_start(const struct config *config, struct gateway *gateway)
{
    struct writer *writer = mem_zalloc(sizeof *writer);

    writer->fail_back_pause_ms = FAIL_BACK_MS;
    pthread_mutex_init(&writer->lock, NULL);
    writer->waker = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    writer->office = writer->waker < 0 ? NULL : office_new(config, gateway, writer->waker);
    if (!writer->office || pthread_create(&writer->thread, NULL, run, writer) != 0) {
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
    office_free(writer->office);
    close(writer->waker);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
