/* log: each line is written whole with one write(), so threads never mix theirs. */
#include "base/log.h"

#include "base/times.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static atomic_int threshold = LOG_INFO;
static bool with_time = true;

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const journal_priorities[] = {"<3>", "<4>", "<6>", "<7>"};

void log_open(void)
{
    with_time = getenv("JOURNAL_STREAM") == NULL;
}

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

static size_t line_start(enum log_level level, char *line, size_t size)
{
    char text[TIMES_TEXT_SIZE];
    struct timespec now;

    if (!with_time)
        return (size_t)snprintf(line, size, "%s", journal_priorities[level]);
    clock_gettime(CLOCK_REALTIME, &now);
    times_iso((int64_t)now.tv_sec * TIMES_SECOND + now.tv_nsec / 1000, text);
    return (size_t)snprintf(line, size, "%s %s ", text, level_names[level]);
}

void log_event(enum log_level level, const char *format, ...)
{
    char line[1024];
    size_t start;
    size_t len;
    va_list args;
    int added;

    if ((int)level > atomic_load(&threshold))
        return;
    start = line_start(level, line, sizeof line);
    va_start(args, format);
    added = vsnprintf(line + start, sizeof line - start - 1, format, args);
    va_end(args);
    len = start + (added < 0 ? 0 : (size_t)added);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    for (size_t i = start; i < len; i++) /* one event, one line */
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}
