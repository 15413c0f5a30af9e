/* command: memory of commands. */
#include "command.h"

#include "buf.h"

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
    free(command->answer.added);
    manifest_unref(command->units);
    free(command);
}
