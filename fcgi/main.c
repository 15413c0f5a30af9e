/*
 * main: options, socket, threads, signals, drain.
 *
 *     nginx ──FastCGI──▶ gateway ─▶ workers ─▶ api ─┬─▶ reader ─▶ database
 *                           ▲                       └─▶ writer ─▶ batch ─▶ clerk, match
 *                           └──────── responses ◀──────────────────┴─▶ store ─▶ database
 */
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/notify.h"
#include "database/connection.h"
#include "http/gateway.h"
#include "worker.h"
#include "write/purger.h"
#include "write/writer.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_CONFIG  "/etc/stack-orchestrator/stack-orchestrator.conf"
#define LINGER_MS       200  /* for the calls that nginx had sent when the drain began */
#define OWN_DESCRIPTORS 1024 /* beside the parked clients */
#define SPARE_MEMORY    (4 * 1024 * 1024) /* of each of malloc's arenas */

static const char usage[] =
    "Usage: stack-orchestrator [-c FILE] [-t] [-V] [-h]\n"
    "Hands out test stacks over FastCGI, behind nginx.\n"
    "\n"
    "  -c FILE  settings (" DEFAULT_CONFIG ")\n"
    "  -t       check the settings and exit (0: good, 2: not)\n"
    "  -V       print the version and exit\n"
    "  -h       print this and exit\n"
    "\n"
    "SIGTERM and SIGINT drain: the program accepts nothing new, finishes what was begun,\n"
    "and answers waiting requests with 503. Exit status: 0 after a drain, 1 if it could\n"
    "not start, 2 for wrong options or settings.\n";

/* Each parked client takes a descriptor. Some stay free, so that releases can always come in. */
static void fit_descriptors(struct config *config)
{
    const rlim_t wanted = (rlim_t)config->max_waiting + OWN_DESCRIPTORS;
    struct rlimit limit;
    rlim_t own;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return;
    own = limit.rlim_cur < 4 * OWN_DESCRIPTORS ? limit.rlim_cur / 4 : OWN_DESCRIPTORS;
    log_warning("max_waiting is lowered from %d to %ld: the limit on open files is %ld",
                config->max_waiting, (long)(limit.rlim_cur - own), (long)limit.rlim_cur);
    config->max_waiting = (int)(limit.rlim_cur - own);
}

/* The memory of a large response stays for the next one: fetching its pages anew takes as long as
 * writing it. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, SPARE_MEMORY);
    mallopt(M_TRIM_THRESHOLD, SPARE_MEMORY);
}

/* Only sigwait() in the main thread takes signals; all threads inherit the mask. */
static void block_signals(sigset_t *waited)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigemptyset(waited);
    sigaddset(waited, SIGTERM);
    sigaddset(waited, SIGINT);
}

static int serve(struct config *config)
{
    sigset_t waited;
    struct gateway *gateway;
    struct writer *writer;
    struct purger *purger;
    struct workers *workers;
    int number = 0;

    keep_memory();
    block_signals(&waited);
    notify_open();
    fit_descriptors(config);
    gateway = gateway_open(config->socket);
    if (!gateway)
        return EXIT_FAILURE;
    writer = writer_start(config, gateway);
    purger = writer ? purger_start(config, writer) : NULL;
    workers = purger ? workers_start(config, gateway, writer) : NULL;
    if (!workers)
        return EXIT_FAILURE;
    log_info("ready, version %s, socket %s", VERSION, config->socket);
    notify_ready();
    sigwait(&waited, &number);
    log_info("draining after signal %d", number);
    notify_stopping();
    gateway_drain(gateway);
    writer_drain(writer);
    poll(NULL, 0, LINGER_MS);
    gateway_stop(gateway);
    workers_join(workers);
    purger_stop(purger);
    writer_stop(writer);
    gateway_close(gateway);
    log_info("stopped");
    return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
    const char *path = DEFAULT_CONFIG;
    struct config config;
    char why[4400];
    bool check = false;
    int option;
    int status = EXIT_SUCCESS;

    while ((option = getopt(argc, argv, "c:tVh")) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 't':
            check = true;
            break;
        case 'V':
            puts("stack-orchestrator " VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    log_open();
    metrics_start();
    if (!config_load(&config, path, why, sizeof why)) {
        log_error("%s", why);
        status = 2;
    } else if (!check) {
        log_set_level((enum log_level)config.log_level);
        status = connection_library_start() ? serve(&config) : EXIT_FAILURE;
        connection_library_end();
    }
    config_free(&config);
    return status;
}
