/*
 * day: the days that tests/fuzz/corpus/api tells (see tests/fuzz/api.c), without clang's fuzzer: so
 * that every build runs them, and valgrind, gcc's sanitizers and the coverage see them, too.
 */
#include "unit.h"

#include "../fuzz/fuzz.h"

#include <dirent.h>

#define CORPUS "tests/fuzz/corpus/api/"

static void run_day(const char *name)
{
    static uint8_t text[4096];
    char path[300];
    FILE *file;
    size_t len;

    snprintf(path, sizeof path, CORPUS "%s", name);
    file = fopen(path, "re");
    if (!file) {
        fail_msg("%s", path);
        return;
    }
    len = fread(text, 1, sizeof text, file);
    assert_true(len < sizeof text && !ferror(file));
    fclose(file);
    assert_int_equal(LLVMFuzzerTestOneInput(text, len), 0);
}

static void test_days(void **state)
{
    DIR *corpus = opendir(CORPUS);
    const struct dirent *entry;
    size_t count = 0;

    (void)state;
    if (!corpus) {
        fail_msg(CORPUS);
        return;
    }
    LLVMFuzzerInitialize(NULL, NULL);
    while ((entry = readdir(corpus)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        run_day(entry->d_name);
        count++;
    }
    closedir(corpus);
    assert_true(count > 0);
}

UNIT_MAIN(cmocka_unit_test(test_days))
