/*
 * json_document: values as a tree, and what yajl doesn't check: depth, number of values, duplicate
 * names, NUL and malformed UTF-8 (it lets overlong forms, surrogates and code points above 10FFFF
 * pass).
 */
#include "base/json_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json_allocation {
    struct json_allocation *next;
    max_align_t bytes[];
};

static void *allocate(struct json_document *document, size_t size)
{
    struct json_allocation *allocation = mem_zalloc(sizeof *allocation + size);
    allocation->next = document->allocations;
    document->allocations = allocation;
    return allocation->bytes;
}

void json_document_fail(struct json_document *document, const char *why)
{
    snprintf(document->failure, sizeof document->failure, "%s", why);
}

const char *json_document_copy(struct json_document *document, const unsigned char *text,
                               size_t len)
{
    char *copy;

    if (memchr(text, 0, len)) {
        json_document_fail(document, "a string holds a NUL character");
        return NULL;
    }
    if (!text_is_utf8((const char *)text, len)) {
        json_document_fail(document, "a string is not valid UTF-8");
        return NULL;
    }
    copy = allocate(document, len + 1);
    memcpy(copy, text, len);
    return copy;
}

struct json_value *json_document_add(struct json_document *document, enum json_type type)
{
    struct json_value *value;
    struct json_level *level;

    if (++document->values > JSON_VALUES_MAX) {
        json_document_fail(document, "it holds more than 10000 values");
        return NULL;
    }
    value = allocate(document, sizeof *value);
    value->type = type;
    if (document->depth == 0) {
        document->root = value;
        return value;
    }
    level = &document->levels[document->depth - 1];
    value->key = level->name;
    level->name = NULL;
    if (level->last)
        level->last->next = value;
    else
        level->container->first = value;
    level->last = value;
    level->container->length++;
    return value;
}

bool json_document_name(struct json_document *document, const unsigned char *text, size_t len)
{
    struct json_level *level = &document->levels[document->depth - 1];

    level->name = json_document_copy(document, text, len);
    return level->name != NULL;
}

bool json_document_open(struct json_document *document, enum json_type type)
{
    struct json_value *value;

    if (document->depth == JSON_DEPTH_MAX) {
        json_document_fail(document, "it is nested too deep (16 levels at most)");
        return false;
    }
    value = json_document_add(document, type);
    if (!value)
        return false;
    document->levels[document->depth++] = (struct json_level){.container = value};
    return true;
}

static int compare_keys(const void *left, const void *right)
{
    const struct json_value *const *a = left;
    const struct json_value *const *b = right;
    return strcmp((*a)->key, (*b)->key);
}

static bool has_duplicate_key(struct json_document *document, const struct json_value *object)
{
    const struct json_value **members;
    size_t count = 0;
    bool found = false;

    if (object->length < 2)
        return false;
    members = mem_alloc(object->length * sizeof(const struct json_value *));
    for (const struct json_value *at = object->first; at; at = at->next)
        members[count++] = at;
    qsort(members, count, sizeof(const struct json_value *), compare_keys);
    for (size_t i = 1; i < count && !found; i++) {
        found = strcmp(members[i - 1]->key, members[i]->key) == 0;
        if (found)
            snprintf(document->failure, sizeof document->failure,
                     "the name \"%.*s\" stands twice in one object", text_fit(members[i]->key, 80),
                     members[i]->key);
    }
    free(members);
    return found;
}

bool json_document_close(struct json_document *document)
{
    const struct json_value *container = document->levels[--document->depth].container;

    return container->type != JSON_OBJECT || !has_duplicate_key(document, container);
}

void json_free(struct json_document *document)
{
    if (!document)
        return;
    while (document->allocations) {
        struct json_allocation *allocation = document->allocations;
        document->allocations = allocation->next;
        free(allocation);
    }
    free(document);
}

const struct json_value *json_root(const struct json_document *document)
{
    return document->root;
}

const struct json_value *json_member(const struct json_value *object, const char *name)
{
    for (const struct json_value *at = object->first; at; at = at->next)
        if (strcmp(at->key, name) == 0)
            return at;
    return NULL;
}
