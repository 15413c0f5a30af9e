/* project: see project.h. */
#include "write/project.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

static struct project *project_new(const char *name)
{
    struct project *project = mem_zalloc(sizeof *project);

    project->name = mem_strdup(name);
    project->deadline_ms = INT64_MAX;
    return project;
}

struct project *projects_get(struct projects *projects, const char *name)
{
    uint64_t hash = mem_hash(name, strlen(name));
    struct project *first = map_get(&projects->by_name, hash);
    struct project *project = first;

    while (project && strcmp(project->name, name) != 0)
        project = project->next_same;
    if (!project) {
        project = project_new(name);
        project->next_same = first;
        map_put(&projects->by_name, hash, project);
    }
    return project;
}

struct project *projects_next(const struct projects *projects, size_t *at)
{
    /* Names whose 64-bit hashes agree are found by name; here only the latest of them. */
    return map_next(&projects->by_name, at);
}

void projects_note(struct projects *projects, const struct project *project)
{
    if (project->deadline_ms < projects->deadline_ms)
        projects->deadline_ms = project->deadline_ms;
}

void projects_find_due(struct projects *projects, int64_t now_ms)
{
    struct project *project;

    if (projects->due_count > 0 || projects->deadline_ms > now_ms)
        return;
    projects->deadline_ms = INT64_MAX;
    projects->due =
        mem_realloc(projects->due, (projects->by_name.count + 1) * sizeof(struct project *));
    for (size_t at = 0; (project = projects_next(projects, &at)) != NULL;) {
        if (project->deadline_ms <= now_ms)
            projects->due[projects->due_count++] = project;
        else
            projects_note(projects, project);
    }
}

struct project *projects_next_due(struct projects *projects)
{
    if (projects->due_count == 0)
        return NULL;
    return projects->due[--projects->due_count];
}

struct parked *projects_next_over(const struct projects *projects, int64_t now_ms)
{
    struct project *project;

    for (size_t at = 0; (project = projects_next(projects, &at)) != NULL;) {
        struct parked *parked;
        for (size_t slot = 0; (parked = map_next(&project->lot, &slot)) != NULL;)
            if (parked->deadline_ms <= now_ms)
                return parked;
    }
    return NULL;
}

void projects_free(struct projects *projects)
{
    struct project *project;

    for (size_t at = 0; (project = projects_next(projects, &at)) != NULL;) {
        while (project) {
            struct project *next = project->next_same;
            pool_free(project->pool);
            map_free(&project->lot);
            free(project->name);
            free(project);
            project = next;
        }
    }
    map_free(&projects->by_name);
    free(projects->due);
}

void project_forget(struct project *project)
{
    pool_free(project->pool);
    project->pool = NULL;
}

uint64_t *project_parked_numbers(const struct project *project, size_t *count)
{
    uint64_t *numbers = mem_alloc((project->lot.count + 1) * sizeof *numbers);
    const struct parked *parked;

    *count = 0;
    for (size_t at = 0; (parked = map_next(&project->lot, &at)) != NULL;)
        numbers[(*count)++] = parked->number;
    return numbers;
}
