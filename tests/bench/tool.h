/* tool: what the load generators share: a clock, numbers from the command line, a sudden end. */
#ifndef TOOL_H
#define TOOL_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
int64_t tool_now(void);

/* A number from the command line, from 0 to `most`. */
double tool_number(const char *text, double most);

/* The same memory with another size, or the end. */
void *tool_resize(void *memory, size_t size);

/* Says why, and exits. */
_Noreturn void tool_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
