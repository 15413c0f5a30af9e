/* api_query: see api_query.h. Any thread. */
#include "api/api_query.h"

#include "base/hex.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/times.h"
#include "rules/words.h"

#include <stdlib.h>
#include <string.h>

#define TARGET_MAX_S 3600

/* Undoes percent-encoding and `+` in place. false: broken, or a NUL. */
static bool decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (*from == '+') {
            *to++ = ' ';
        } else if (*from == '%') {
            uint8_t byte;
            if (!hex_read(from + 1, &byte, 1) || byte == 0)
                return false;
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

static bool set_number(const char *value, uint64_t least, uint64_t most, uint64_t *number)
{
    char *end;

    if (*value < '0' || *value > '9' || strlen(value) > 18)
        return false;
    *number = strtoull(value, &end, 10);
    return *end == '\0' && *number >= least && *number <= most;
}

enum filter_name {
    BY_LIMIT,
    BY_BEFORE,
    BY_SINCE,
    BY_UNTIL,
    BY_STATE,
    BY_STACK,
    BY_BRANCH,
    BY_NONE
};

static const char *const filter_names[] = {"limit", "before",    "since", "until",
                                           "state", "stackName", "branch"};

static enum filter_name find_filter(const char *name)
{
    enum filter_name found = BY_LIMIT;

    while (found < BY_NONE && strcmp(filter_names[found], name) != 0)
        found++;
    return found;
}

static bool set_text(char **field, const char *value)
{
    if (strlen(value) > FIELD_NAME_MAX || !text_is_utf8(value, strlen(value)))
        return false;
    mem_replace(field, value);
    return true;
}

static bool set_filter(struct reader_filter *filter, enum filter_name name, const char *value)
{
    switch (name) {
    case BY_LIMIT:
        return set_number(value, 1, READER_LIMIT_MAX, &filter->limit);
    case BY_BEFORE:
        return set_number(value, 1, UINT64_MAX, &filter->before);
    case BY_SINCE:
        return times_parse(value, &filter->since);
    case BY_UNTIL:
        return times_parse(value, &filter->until);
    case BY_STATE:
        filter->state = words_find_lease_state(value);
        return filter->state > LEASE_ACTIVE;
    case BY_STACK:
        return set_text(&filter->stack_name, value);
    case BY_BRANCH:
        return set_text(&filter->branch, value);
    case BY_NONE:
        break;
    }
    return false;
}

/* Calls `set` for each pair of the query that it may know by name; false ends it. */
typedef bool set_pair(void *context, const char *name, char *value);

static bool each_pair(const char *query, set_pair *set, void *context)
{
    char *copy = mem_strdup(query);
    char *rest = copy;
    char *pair;
    bool good = true;

    while (good && (pair = strsep(&rest, "&")) != NULL) {
        char *value = strchr(pair, '=');

        if (!value)
            continue;
        *value++ = '\0';
        good = set(context, pair, value);
    }
    free(copy);
    return good;
}

struct filtering {
    struct reader_filter *filter;
    struct fields *fields;
};

/* A filter that is misspelt must not be taken for one that is kept. */
static bool refuse_unknown(struct fields *fields, const char *name)
{
    size_t len = strlen(name);
    bool is_shown = len > 0 && len < IGNORED_NAME_SIZE && text_is_utf8(name, len);

    fields_fail(fields, is_shown ? name : "query", "is not a parameter of this call");
    return false;
}

static bool set_filter_pair(void *context, const char *name, char *value)
{
    struct filtering *filtering = context;
    enum filter_name found = find_filter(name);

    if (found == BY_NONE)
        return refuse_unknown(filtering->fields, name);
    if (decode(value) && set_filter(filtering->filter, found, value))
        return true;
    fields_fail(filtering->fields, filter_names[found], "in the query is not valid");
    return false;
}

bool api_query_filter(const char *query, struct reader_filter *filter, struct fields *fields)
{
    struct filtering filtering = {.filter = filter, .fields = fields};

    *filter = (struct reader_filter){.limit = READER_LIMIT_MAX, .state = -1};
    return each_pair(query, set_filter_pair, &filtering);
}

struct following {
    uint64_t *after;
    uint64_t *limit;
    struct fields *fields;
};

static bool set_event_pair(void *context, const char *name, char *value)
{
    struct following *following = context;
    bool is_limit = strcmp(name, "limit") == 0;

    if (!is_limit && strcmp(name, "after") != 0)
        return refuse_unknown(following->fields, name);
    if (is_limit ? set_number(value, 1, READER_LIMIT_MAX, following->limit)
                 : set_number(value, 0, UINT64_MAX, following->after))
        return true;
    fields_fail(following->fields, name, "in the query is not valid");
    return false;
}

bool api_query_events(const char *query, uint64_t *after, uint64_t *limit, struct fields *fields)
{
    struct following following = {after, limit, fields};

    return each_pair(query, set_event_pair, &following);
}

/* Which parts a list like `stacks,queue` names. */
static bool set_parts(unsigned *set, char *value)
{
    static const char *const names[] = {"counts", "stacks", "queue", "deployTimes", "last24Hours"};
    char *name;

    while ((name = strsep(&value, ",")) != NULL) {
        unsigned i = 0;

        while (i < sizeof names / sizeof names[0] && strcmp(names[i], name) != 0)
            i++;
        if (i == sizeof names / sizeof names[0])
            return false;
        *set |= 1U << i;
    }
    return true;
}

static bool set_stack_state(char **field, const char *value)
{
    int state = words_find_stack_state(value);

    if (strcmp(value, READER_STATE_ASIDE) != 0 && (state < 0 || state == STACK_DELETED))
        return false;
    mem_replace(field, value);
    return true;
}

enum view_name {
    VIEW_LIMIT,
    VIEW_AFTER,
    VIEW_STACK,
    VIEW_STATE,
    VIEW_FIND,
    VIEW_FIELDS,
    VIEW_NONE
};

static const char *const view_names[] = {"limit", "stacksAfter", "stackName",
                                         "state", "find",        "fields"};

static bool set_view(struct reader_view *view, enum view_name name, char *value)
{
    switch (name) {
    case VIEW_LIMIT:
        return set_number(value, 1, READER_VIEW_MAX, &view->limit);
    case VIEW_AFTER:
        return set_text(&view->stacks_after, value);
    case VIEW_STACK:
        return set_text(&view->stack_name, value);
    case VIEW_STATE:
        return set_stack_state(&view->state, value);
    case VIEW_FIND:
        return set_text(&view->find, value);
    case VIEW_FIELDS:
        return set_parts(&view->parts, value);
    case VIEW_NONE:
        break;
    }
    return false;
}

struct viewing {
    struct reader_view *view;
    struct fields *fields;
};

static bool set_view_pair(void *context, const char *name, char *value)
{
    struct viewing *viewing = context;
    enum view_name found = VIEW_LIMIT;

    while (found < VIEW_NONE && strcmp(view_names[found], name) != 0)
        found++;
    if (found == VIEW_NONE)
        return refuse_unknown(viewing->fields, name);
    if (decode(value) && set_view(viewing->view, found, value))
        return true;
    fields_fail(viewing->fields, view_names[found], "in the query is not valid");
    return false;
}

bool api_query_view(const char *query, struct reader_view *view, struct fields *fields)
{
    struct viewing viewing = {view, fields};

    *view = (struct reader_view){0};
    return each_pair(query, set_view_pair, &viewing);
}

struct aiming {
    uint64_t *target_s;
    struct fields *fields;
};

static bool set_target_pair(void *context, const char *name, char *value)
{
    struct aiming *aiming = context;

    if (strcmp(name, "targetSeconds") != 0)
        return refuse_unknown(aiming->fields, name);
    if (set_number(value, 0, TARGET_MAX_S, aiming->target_s))
        return true;
    fields_fail(aiming->fields, name, "in the query must be a whole number from 0 to %d",
                TARGET_MAX_S);
    return false;
}

bool api_query_target(const char *query, uint64_t *target_s, struct fields *fields)
{
    struct aiming aiming = {target_s, fields};

    return each_pair(query, set_target_pair, &aiming);
}
