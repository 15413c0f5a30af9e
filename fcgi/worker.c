/* worker: see worker.h. Each thread has a reader of its own; nothing is shared. */
#include "worker.h"

#include "api.h"
#include "buf.h"
#include "fault.h"
#include "log.h"
#include "metrics.h"
#include "reader.h"
#include "response.h"
#include "times.h"

#include <pthread.h>
#include <stdlib.h>

struct worker {
    pthread_t thread;
    struct gateway *gateway;
    struct writer *writer;
    struct reader *reader;
};

struct workers {
    int count;
    struct worker list[];
};

static void handle(struct worker *worker, struct request *request)
{
    char refusal[WRITER_REFUSAL_SIZE] = "";
    const struct api api = {
        .reader = worker->reader, .is_ready = writer_is_ready(worker->writer), .refusal = refusal};
    struct response response = {0};
    int64_t started_us = times_monotonic_us();
    struct command *command;

    if (!api.is_ready)
        writer_copy_refusal(worker->writer, refusal);
    command = api_handle(&api, request, &response);
    if (command) {
        command->client = request->client;
        command->has_client = true;
        writer_submit(worker->writer, command);
    } else {
        gateway_reply(worker->gateway, request->client, &response.headers, &response.body, true);
        metrics_count_answer(response.status, times_monotonic_us() - started_us);
    }
    response_free(&response);
}

static void *run(void *context)
{
    struct worker *worker = context;
    struct request *request;

    while ((request = gateway_next(worker->gateway)) != NULL) {
        handle(worker, request);
        gateway_free(request);
    }
    return NULL;
}

struct workers *workers_start(const struct config *config, struct gateway *gateway,
                              struct writer *writer)
{
    struct workers *workers =
        mem_zalloc(sizeof *workers + (size_t)config->workers * sizeof(struct worker));

    for (; workers->count < config->workers; workers->count++) {
        struct worker *worker = &workers->list[workers->count];

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
    free(workers);
    return NULL;
}

void workers_join(struct workers *workers)
{
    for (int i = 0; i < workers->count; i++) {
        pthread_join(workers->list[i].thread, NULL);
        reader_free(workers->list[i].reader);
    }
    free(workers);
}
