/*
 * unit: what every unit test includes: cmocka, and chance that can be repeated.
 *
 * UNIT_SEED=N starts the random tests elsewhere, UNIT_STEPS=N multiplies their length.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

#define UNIT_MAIN(...) UNIT_MAIN_WITH(NULL, NULL, __VA_ARGS__)
#define UNIT_MAIN_WITH(setup, teardown, ...)                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return cmocka_run_group_tests(tests, setup, teardown);                                     \
    }

struct chance {
    uint64_t state;
};

static inline uint64_t unit_setting(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : standard;
}

static inline struct chance chance_new(uint64_t salt)
{
    return (struct chance){(unit_setting("UNIT_SEED", 1) + salt) * 0x9e3779b97f4a7c15u};
}

/* splitmix64 */
static inline uint64_t chance_bits(struct chance *chance)
{
    uint64_t bits = chance->state += 0x9e3779b97f4a7c15u;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

/* 0 … bound - 1 */
static inline unsigned chance_below(struct chance *chance, unsigned bound)
{
    return (unsigned)(chance_bits(chance) % bound);
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
    return chance_below(chance, 100) < percent;
}

#endif
