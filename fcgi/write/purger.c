/* purger: see purger.h. It rests for half as long as it worked, so that calls have the database to
 * themselves at times. */
#include "write/purger.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/times.h"
#include "store/store_purge.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define PAUSE_MS 10000
#define RETRY_MS 1000 /* while the writer has no database, or ours failed */

struct purger {
    const struct writer *writer;
    struct store_purge *purge;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; never held over I/O */
    pthread_cond_t wake;
    bool stopping;
};

/* Returns how long to rest. */
static int64_t work(struct purger *purger)
{
    int64_t started_ms = times_monotonic_ms();
    bool more = false;

    if (!writer_is_ready(purger->writer) || store_purge_run(purger->purge, &more) != DATABASE_OK)
        return RETRY_MS;
    return more ? (times_monotonic_ms() - started_ms) / 2 + 1 : PAUSE_MS;
}

/* Returns whether to go on. */
static bool rest(struct purger *purger, int64_t rest_ms)
{
    int64_t until_ms = times_monotonic_ms() + rest_ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    int waited = 0;
    bool stopping;

    pthread_mutex_lock(&purger->lock);
    while (!purger->stopping && waited == 0)
        waited = pthread_cond_timedwait(&purger->wake, &purger->lock, &until);
    stopping = purger->stopping;
    pthread_mutex_unlock(&purger->lock);
    return !stopping;
}

static void *run(void *context)
{
    struct purger *purger = context;

    while (rest(purger, work(purger)))
        ;
    return NULL;
}

static void free_all(struct purger *purger)
{
    store_purge_free(purger->purge);
    pthread_cond_destroy(&purger->wake);
    pthread_mutex_destroy(&purger->lock);
    free(purger);
}

struct purger *purger_start(const struct config *config, const struct writer *writer)
{
    struct purger *purger = mem_zalloc(sizeof *purger);
    pthread_condattr_t monotonic;

    purger->writer = writer;
    purger->purge = store_purge_new(config);
    pthread_mutex_init(&purger->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&purger->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&purger->thread, NULL, run, purger) != 0) {
        log_error("cannot start the purger's thread");
        free_all(purger);
        return NULL;
    }
    return purger;
}

void purger_stop(struct purger *purger)
{
    pthread_mutex_lock(&purger->lock);
    purger->stopping = true;
    pthread_cond_signal(&purger->wake);
    pthread_mutex_unlock(&purger->lock);
    pthread_join(purger->thread, NULL);
    free_all(purger);
}
