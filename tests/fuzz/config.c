/* config: any bytes as the file of settings. What is taken lies within its limits. */
#include "fuzz.h"

#include "base/config.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

static int file; /* in memory */
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    file = memfd_create("settings", MFD_CLOEXEC);
    check(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

static bool lies_within(int number, int least, int most)
{
    return number >= least && number <= most;
}

static void check_good(const struct config *config)
{
    check(config->socket && config->database_host && config->database_name);
    check(config->database_user && config->database_password_file);
    check(lies_within(config->workers, 1, 64));
    check(lies_within(config->max_waiting, 0, 1000000));
    check(lies_within(config->max_waiting_per_project, 0, 1000000));
    check(lies_within(config->request_grace_s, 0, 3600));
    check(lies_within(config->startup_grace_s, 0, 3600));
    check(lies_within(config->history_days, 1, 36500));
    check(lies_within(config->history_rows, 100, 1000000000));
    check(lies_within(config->log_level, 0, 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    char why[300] = "";

    check(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    if (config_load(&config, path, why, sizeof why))
        check_good(&config);
    else
        check(strncmp(why, path, strlen(path)) == 0 && why[strlen(path)] == ':');
    config_free(&config);
    return 0;
}
