/*
 * fuzz: what the targets share. A target is LLVMFuzzerTestOneInput(): it gives any bytes to one
 * part of the program and checks what must hold whatever they are. ASan and UBSan watch.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Like assert(), but always there: libFuzzer keeps the input of a process that aborts. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input as text, up to its first NUL; the caller frees it. Just as large as it must be, so
 * that reading beyond it shows. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    return mem_strndup((const char *)data, strnlen((const char *)data, size));
}

#endif
