/* tool: see tool.h. */
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void tool_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *tool_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size);

    if (!resized)
        tool_die("out of memory");
    return resized;
}

double tool_number(const char *text, double most)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end || !(number >= 0 && number <= most))
        tool_die("%s is not a number from 0 to %g", text, most);
    return number;
}

int64_t tool_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}
