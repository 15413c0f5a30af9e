/* command: commands and lists of them. */
#include "rules/command.h"

#include "base/buf.h"

#include <stdlib.h>

struct command *command_new(enum verb verb)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->verb = verb;
    command->wait_s = -1;
    command->lease_s = -1;
    command->fence = -1;
    command->change =
        (struct project_change){.max_stacks = -1, .lease_s = -1, .max_lease_s = -1, .wait_s = -1};
    return command;
}

void command_free(struct command *command)
{
    char *const texts[] = {
        command->trace,         command->project,
        command->key_name,      command->stack_name,
        command->branch,        command->commit,
        command->job_url,       command->job_name,
        command->job_user,      command->request_id,
        command->reason,        command->owner,
        command->change.prefix, command->change.initial_commit,
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(command->result.added);
    manifest_unref(command->units);
    free(command);
}

void command_list_push(struct command_list *list, struct command *command)
{
    command->next = NULL;
    if (list->last)
        list->last->next = command;
    else
        list->first = command;
    list->last = command;
}

void command_list_push_first(struct command_list *list, struct command *command)
{
    command->next = list->first;
    list->first = command;
    if (!list->last)
        list->last = command;
}

struct command *command_list_pop(struct command_list *list)
{
    struct command *command = list->first;

    if (!command)
        return NULL;
    list->first = command->next;
    if (!list->first)
        list->last = NULL;
    command->next = NULL;
    return command;
}

void command_list_put_back(struct command_list *list, struct command_list *from)
{
    if (!from->first)
        return;
    from->last->next = list->first;
    list->first = from->first;
    if (!list->last)
        list->last = from->last;
    *from = (struct command_list){0};
}
