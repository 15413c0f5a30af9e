/*
 * key: which API keys have ended. nginx checks the keys themselves; but it decided who calls before
 * the body came in, and other hosts may not know of the end yet. A name's keys are numbered, each
 * new one higher than those before. Pure; writer's thread.
 */
#ifndef KEY_H
#define KEY_H

#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>

/* Notes, in a map by name, that the key of that number ends then; those of lower numbers have
 * ended. */
void key_add_end(struct map *ends, const char *name, uint32_t number, int64_t ends_at);
bool key_has_ended(const struct map *ends, const char *name, uint32_t number, int64_t now);
void key_free_ends(struct map *ends);

#endif
