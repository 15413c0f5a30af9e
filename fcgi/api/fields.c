/* fields: see fields.h. No state of its own; any thread. */
#include "api/fields.h"

#include "base/hex.h"
#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fields_fail(struct fields *fields, const char *name, const char *format, ...)
{
    va_list args;

    if (fields->field[0])
        return; /* the first fault counts */
    snprintf(fields->field, sizeof fields->field, "%s%s", fields->inside, name);
    va_start(args, format);
    vsnprintf(fields->fault, sizeof fields->fault, format, args);
    va_end(args);
}

bool fields_are_good(const struct fields *fields)
{
    return !fields->field[0];
}

static bool is_known(const struct fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->known_count; i++)
        if (strcmp(fields->known[i], name) == 0)
            return true;
    return false;
}

static const struct json_value *find(struct fields *fields, const char *name)
{
    const struct json_value *value = json_member(fields->object, name);

    if (value && !is_known(fields, name)) {
        assert(fields->known_count < FIELD_COUNT_MAX);
        fields->known[fields->known_count++] = name;
    }
    return value && value->type != JSON_NULL ? value : NULL;
}

static const struct json_value *find_string(struct fields *fields, const char *name, size_t most)
{
    const struct json_value *value = find(fields, name);

    if (!value)
        return NULL;
    if (value->type != JSON_STRING) {
        fields_fail(fields, name, "must be a string");
        return NULL;
    }
    if (value->length > most) {
        fields_fail(fields, name, "is too long (%zu bytes at most)", most);
        return NULL;
    }
    return value;
}

void fields_text(struct fields *fields, const char *name, size_t most, char **text)
{
    const struct json_value *value = find_string(fields, name, most);

    if (value)
        mem_replace(text, value->string);
}

void fields_integer(struct fields *fields, const char *name, int64_t least, int64_t most,
                    int64_t *number)
{
    const struct json_value *value = find(fields, name);

    if (!value)
        return;
    if (value->type != JSON_INTEGER || value->integer < least || value->integer > most)
        fields_fail(fields, name, "must be a whole number from %lld to %lld", (long long)least,
                    (long long)most);
    else
        *number = value->integer;
}

void fields_bool(struct fields *fields, const char *name, bool *truth)
{
    const struct json_value *value = find(fields, name);

    if (!value)
        return;
    if (value->type != JSON_BOOL)
        fields_fail(fields, name, "must be true or false");
    else
        *truth = value->truth;
}

void fields_word(struct fields *fields, const char *name, int (*find_word)(const char *name),
                 int *word)
{
    const struct json_value *value = find_string(fields, name, FIELD_NAME_MAX);
    int found;

    if (!value)
        return;
    found = find_word(value->string);
    if (found < 0)
        fields_fail(fields, name, "is not one of the known words");
    else
        *word = found;
}

void fields_url(struct fields *fields, const char *name, char **url)
{
    const struct json_value *value = find_string(fields, name, FIELD_URL_MAX);

    if (!value)
        return;
    if (strncmp(value->string, "https://", 8) != 0 && strncmp(value->string, "http://", 7) != 0)
        fields_fail(fields, name, "must be an http or https URL");
    for (size_t i = 0; i < value->length; i++)
        if (value->string[i] <= ' ' || value->string[i] > '~' ||
            strchr("\"<>\\^`{|}", value->string[i]))
            fields_fail(fields, name, "holds a character that no URL has (RFC 3986)");
    mem_replace(url, value->string);
}

static bool is_name(struct fields *fields, const char *name, const char *unit)
{
    if (unit[0] && strlen(unit) <= FIELD_NAME_MAX)
        return true;
    fields_fail(fields, name, "has a unit whose name is empty or too long (255 bytes at most)");
    return false;
}

/* `may_lack`: null stands for a unit without a fingerprint. */
static bool is_unit(struct fields *fields, const char *name, const struct json_value *unit,
                    bool may_lack)
{
    if (!is_name(fields, name, unit->key))
        return false;
    if (may_lack && unit->type == JSON_NULL)
        return true;
    if (unit->type == JSON_STRING && unit->length > 0 && unit->length <= FIELD_NAME_MAX)
        return true;
    fields_fail(fields, name, "must give \"%.*s\" a fingerprint of 1 to 255 bytes%s",
                text_fit(unit->key, 60), unit->key, may_lack ? ", or null" : "");
    return false;
}

static void read_units(struct fields *fields, const char *name, bool may_lack,
                       struct manifest **units)
{
    const struct json_value *object = find(fields, name);
    struct unit *list;
    size_t count = 0;
    bool good = true;

    if (!object)
        return;
    if (object->type != JSON_OBJECT || object->length > FIELD_UNITS_MAX) {
        fields_fail(fields, name, "must be an object with %d units at most", FIELD_UNITS_MAX);
        return;
    }
    list = mem_alloc((object->length + 1) * sizeof *list);
    for (const struct json_value *at = object->first; at && good; at = at->next) {
        good = is_unit(fields, name, at, may_lack);
        list[count++] =
            (struct unit){.name = at->key, .fingerprint = at->type == JSON_NULL ? "" : at->string};
    }
    if (good)
        *units = manifest_new(list, count);
    free(list);
}

void fields_units(struct fields *fields, const char *name, struct manifest **units)
{
    read_units(fields, name, false, units);
}

void fields_marks(struct fields *fields, const char *name, struct manifest **units)
{
    read_units(fields, name, true, units);
}

static bool names_one_twice(const struct manifest *names)
{
    for (size_t i = 1; i < names->count; i++)
        if (strcmp(names->units[i - 1].name, names->units[i].name) == 0)
            return true;
    return false;
}

void fields_names(struct fields *fields, const char *name, struct manifest **units)
{
    const struct json_value *array = find(fields, name);
    struct unit *list;
    size_t count = 0;
    bool good = true;

    if (!array)
        return;
    if (array->type != JSON_ARRAY || array->length > FIELD_UNITS_MAX) {
        fields_fail(fields, name, "must be an array of %d names at most", FIELD_UNITS_MAX);
        return;
    }
    list = mem_alloc((array->length + 1) * sizeof *list);
    for (const struct json_value *at = array->first; at && good; at = at->next) {
        good = at->type == JSON_STRING && is_name(fields, name, at->string);
        list[count++] = (struct unit){.name = at->string, .fingerprint = ""};
    }
    if (good) {
        *units = manifest_new(list, count);
        good = !names_one_twice(*units);
    }
    if (!good)
        fields_fail(fields, name, "must be an array of names, each once");
    free(list);
}

static bool is_number(const struct json_value *value)
{
    return value->type == JSON_NUMBER || value->type == JSON_INTEGER;
}

void fields_times(struct fields *fields, const char *name, int64_t most, struct unit_time **times,
                  size_t *count)
{
    const struct json_value *object = find(fields, name);

    if (!object)
        return;
    if (object->type != JSON_OBJECT || object->length > FIELD_UNITS_MAX) {
        fields_fail(fields, name, "must be an object with %d units at most", FIELD_UNITS_MAX);
        return;
    }
    *times = mem_alloc((object->length + 1) * sizeof **times);
    for (const struct json_value *at = object->first; at; at = at->next) {
        if (!is_number(at) || at->number < 0 || at->number > (double)most) {
            fields_fail(fields, name, "must give each unit 0 to %lld seconds", (long long)most);
            return;
        }
        (*times)[(*count)++] =
            (struct unit_time){mem_strdup(at->key), (uint32_t)(at->number * 1000 + .5)};
    }
}

void fields_lease_id(struct fields *fields, const char *name, bool *given, uint8_t *lease_id,
                     size_t size)
{
    const struct json_value *value = find_string(fields, name, FIELD_NAME_MAX);

    if (!value)
        return;
    *given = true;
    if (value->length != 2 * size || !hex_read(value->string, lease_id, size))
        memset(lease_id, 0, size);
}

bool fields_object(struct fields *fields, const char *name, struct fields *members)
{
    const struct json_value *value = find(fields, name);

    if (!value)
        return false;
    if (value->type != JSON_OBJECT) {
        fields_fail(fields, name, "must be an object");
        return false;
    }
    *members = (struct fields){.object = value, .inside = "job."};
    return true;
}

static void note_unknown(struct ignored_fields *unknown, const char *inside, const char *name)
{
    char whole[IGNORED_NAME_SIZE + 16];
    int len = text_fit(name, IGNORED_NAME_SIZE - 1);

    if (unknown->count == IGNORED_FIELDS_MAX)
        return;
    snprintf(whole, sizeof whole, "%s%.*s", inside, len, name);
    snprintf(unknown->names[unknown->count++], IGNORED_NAME_SIZE, "%.*s",
             text_fit(whole, IGNORED_NAME_SIZE - 1), whole);
}

void fields_find_unknown(struct fields *fields)
{
    for (const struct json_value *at = fields->object->first; at; at = at->next)
        if (!is_known(fields, at->key))
            note_unknown(&fields->unknown, fields->inside, at->key);
}

void fields_refuse_unknown(struct fields *fields)
{
    if (!fields_are_good(fields))
        return; /* the first fault counts */
    fields_find_unknown(fields);
    if (fields->unknown.count > 0)
        fields_fail(fields, fields->unknown.names[0], "is not a field of this call");
}

void fields_adopt(struct fields *fields, struct fields *members)
{
    fields_find_unknown(members);
    for (unsigned i = 0; i < members->unknown.count; i++)
        note_unknown(&fields->unknown, "", members->unknown.names[i]);
    if (!fields->field[0] && members->field[0]) {
        memcpy(fields->field, members->field, sizeof fields->field);
        memcpy(fields->fault, members->fault, sizeof fields->fault);
    }
}

void fields_require(struct fields *fields, const char *name)
{
    if (!find(fields, name))
        fields_lack(fields, name, "is required");
}

void fields_lack(struct fields *fields, const char *name, const char *text)
{
    if (fields->field[0])
        return;
    fields_fail(fields, name, "%s", text);
    fields->missing = true;
}

void fields_reply(const struct fields *fields, struct response *response)
{
    char message[300];
    struct json_writer *json;

    snprintf(message, sizeof message, "Field \"%s\" %s", fields->field, fields->fault);
    json = response_open_error(fields->missing ? "missingField" : "invalidField", message);
    json_put_string(json, "field", fields->field);
    response_close_error(response, 400, json);
}
