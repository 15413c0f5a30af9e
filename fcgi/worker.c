/* worker: see worker.h. Each thread has a reader of its own. At most half of the threads, and at
 * most as many as half of the processors, read from the database at a time, so that large reads
 * don't keep jobs from giving stacks back. Further reads wait in a list, under the only lock of
 * this file. */
#include "worker.h"

#include "api/api.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/times.h"
#include "http/call.h"
#include "http/response.h"
#include "read/reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct waiting_read {
    struct waiting_read *next;
    struct call *call;
};

struct reads {
    pthread_mutex_t lock;
    int threads; /* that read now */
    int threads_max;
    struct waiting_read *first; /* none while a thread is free for them */
    struct waiting_read **end;
};

struct worker {
    pthread_t thread;
    struct reads *reads;
    struct gateway *gateway;
    struct writer *writer;
    struct reader *reader;
};

struct workers {
    struct reads reads;
    int count;
    struct worker list[];
};

static void handle(struct worker *worker, struct call *call)
{
    char refusal[WRITER_REFUSAL_SIZE] = "";
    const struct api api = {
        .reader = worker->reader, .is_ready = writer_is_ready(worker->writer), .refusal = refusal};
    struct response response = {0};
    int64_t started_us = times_monotonic_us();
    struct command *command;

    if (!api.is_ready)
        writer_copy_refusal(worker->writer, refusal);
    command = api_handle(&api, call, &response);
    if (command) {
        command->client = call->client;
        command->has_client = true;
        writer_submit(worker->writer, command);
    } else {
        gateway_send(worker->gateway, call->client, &response.headers, &response.body, true);
        metrics_count_response(response.status, times_monotonic_us() - started_us);
    }
    response_free(&response);
}

/* Whether this thread may read now. If not, the call waits for one that does. */
static bool begin_read(struct reads *reads, struct call *call)
{
    struct waiting_read *waiting;
    bool may_read;

    pthread_mutex_lock(&reads->lock);
    may_read = reads->threads < reads->threads_max;
    if (may_read) {
        reads->threads++;
    } else {
        waiting = mem_zalloc(sizeof *waiting);
        waiting->call = call;
        *reads->end = waiting;
        reads->end = &waiting->next;
    }
    pthread_mutex_unlock(&reads->lock);
    return may_read;
}

/* Next queued read for this thread; NULL: none, and the thread gives up its read slot. */
static struct call *next_read(struct reads *reads)
{
    struct call *call = NULL;
    struct waiting_read *waiting;

    pthread_mutex_lock(&reads->lock);
    waiting = reads->first;
    if (waiting) {
        call = waiting->call;
        reads->first = waiting->next;
        if (!reads->first)
            reads->end = &reads->first;
    } else {
        reads->threads--;
    }
    pthread_mutex_unlock(&reads->lock);
    free(waiting);
    return call;
}

static void *run(void *context)
{
    struct worker *worker = context;
    struct call *call;

    while ((call = gateway_next(worker->gateway)) != NULL) {
        bool is_read = api_reads(call);

        if (is_read && !begin_read(worker->reads, call))
            continue;
        do {
            handle(worker, call);
            call_free(call);
            call = is_read ? next_read(worker->reads) : NULL;
        } while (call);
    }
    return NULL;
}

static int most_reading(int threads)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (processors < 2)
        processors = 2;
    return (int)(processors < threads ? processors / 2 : (threads + 1) / 2);
}

struct workers *workers_start(const struct config *config, struct gateway *gateway,
                              struct writer *writer)
{
    struct workers *workers =
        mem_zalloc(sizeof *workers + (size_t)config->workers * sizeof(struct worker));

    pthread_mutex_init(&workers->reads.lock, NULL);
    workers->reads.threads_max = most_reading(config->workers);
    workers->reads.end = &workers->reads.first;
    for (; workers->count < config->workers; workers->count++) {
        struct worker *worker = &workers->list[workers->count];

        worker->reads = &workers->reads;
        worker->gateway = gateway;
        worker->writer = writer;
        worker->reader = reader_new(config);
        if (fault_point("startThread") != FAULT_NONE ||
            pthread_create(&worker->thread, NULL, run, worker) != 0) {
            log_error("cannot start worker thread %d", workers->count + 1);
            reader_free(worker->reader);
            break;
        }
    }
    if (workers->count > 0)
        return workers;
    pthread_mutex_destroy(&workers->reads.lock);
    free(workers);
    return NULL;
}

void workers_join(struct workers *workers)
{
    for (int i = 0; i < workers->count; i++) {
        pthread_join(workers->list[i].thread, NULL);
        reader_free(workers->list[i].reader);
    }
    pthread_mutex_destroy(&workers->reads.lock);
    free(workers);
}
