/* fields: reads the members of a JSON body, with their limits; keeps the first fault. */
#ifndef FIELDS_H
#define FIELDS_H

#include "base/json.h"
#include "http/response.h"
#include "rules/command.h"
#include "rules/manifest.h"

#include <stdbool.h>
#include <stdint.h>

#define FIELD_NAME_MAX   255
#define FIELD_REASON_MAX 1000
#define FIELD_URL_MAX    2048
#define FIELD_UNITS_MAX  2000
#define FIELD_COUNT_MAX  24 /* that a body may have */

struct fields {
    const struct json_value *object;
    const char *inside; /* "job." for members of job; else "" */
    bool missing;       /* the fault is a missing field */
    char field[80];     /* the first faulty field; empty: none yet */
    char fault[160];
    const char *known[FIELD_COUNT_MAX]; /* names that were asked for */
    size_t known_count;
    struct ignored_fields unknown; /* of the objects inside */
};

/* A member that is absent or null leaves the target as it is. Texts are copies for the caller. */
void fields_text(struct fields *fields, const char *name, size_t most, char **text);
void fields_integer(struct fields *fields, const char *name, int64_t least, int64_t most,
                    int64_t *number);
void fields_bool(struct fields *fields, const char *name, bool *truth);
/* One of the words that `find` knows. */
void fields_word(struct fields *fields, const char *name, int (*find)(const char *name), int *word);
void fields_url(struct fields *fields, const char *name, char **url);
/* {name: fingerprint, …} */
void fields_units(struct fields *fields, const char *name, struct manifest **units);
/* The same, but null is allowed, too: no fingerprint, "". */
void fields_marks(struct fields *fields, const char *name, struct manifest **units);
/* [name, …], no name twice; as units without fingerprints. */
void fields_names(struct fields *fields, const char *name, struct manifest **units);
/* {name: seconds, …}, from 0 to `most`. */
void fields_times(struct fields *fields, const char *name, int64_t most, struct unit_time **times,
                  size_t *count);
/* 32 hexadecimal digits; anything else is a leaseId that nobody has (all zero). */
void fields_lease_id(struct fields *fields, const char *name, bool *given, uint8_t *lease_id,
                     size_t size);
/* The members of an object, as fields of their own. false: there is none. */
bool fields_object(struct fields *fields, const char *name, struct fields *members);
/* Takes over a fault that was found among the members, and those of them that nobody knows. */
void fields_adopt(struct fields *fields, struct fields *members);

void fields_require(struct fields *fields, const char *name);
/* One of several is missing. */
void fields_lack(struct fields *fields, const char *name, const char *text);
void fields_fail(struct fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The members that no function above was asked for, and those of objects inside; kept in `unknown`.
 * Once all that may be there was read. */
void fields_find_unknown(struct fields *fields);
/* A fault if there is one. */
void fields_refuse_unknown(struct fields *fields);

bool fields_are_good(const struct fields *fields);
/* 400 with the first fault. */
void fields_reply(const struct fields *fields, struct response *response);

#endif
