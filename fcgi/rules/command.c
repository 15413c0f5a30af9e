/* command: commands and lists of them. */
#include "rules/command.h"

#include "base/mem.h"

#include <stdlib.h>

/* Fields that a caller left out. */
static void set_defaults(struct command *command)
{
    switch (command->verb) {
    case VERB_REQUEST:
        command->as.request.wait_s = -1;
        command->as.request.lease_s = -1;
        command->as.request.grace_s = -1;
        break;
    case VERB_RELEASE:
        command->as.release.hold_s = -1;
        break;
    case VERB_EXTEND:
        command->as.extend.lease_s = -1;
        break;
    case VERB_HOLD:
    case VERB_QUARANTINE:
        command->as.set_aside.hold_s = -1;
        break;
    case VERB_REVOKE:
        command->as.revoke.fence = -1;
        break;
    case VERB_UPDATE_PROJECT:
        command->as.update_project = (struct command_update_project){.max_stacks = -1,
                                                                     .lease_s = -1,
                                                                     .max_lease_s = -1,
                                                                     .wait_s = -1,
                                                                     .quarantine_after = -1,
                                                                     .settle_s = -1,
                                                                     .max_held = -1};
        break;
    case VERB_MARK:
    case VERB_MARK_UNITS:
    case VERB_CANCEL:
    case VERB_DELETE_LAST:
    case VERB_REINSTATE:
    case VERB_ADD_STACKS:
    case VERB_DELETE_STACK:
    case VERB_PRIORITIZE:
    case VERB_HANG_UP:
        break;
    }
}

struct command *command_new(enum verb verb)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->verb = verb;
    set_defaults(command);
    return command;
}

static void free_request(struct command_request *request)
{
    free(request->branch);
    free(request->commit);
    manifest_unref(request->units);
    free(request->job_url);
    free(request->job_name);
    free(request->job_user);
    free(request->request_id);
}

static void free_times(struct command_mark_units *marks)
{
    for (size_t i = 0; i < marks->time_count; i++)
        free(marks->times[i].name);
    free(marks->times);
}

static void free_said(struct command *command)
{
    switch (command->verb) {
    case VERB_REQUEST:
        free_request(&command->as.request);
        break;
    case VERB_MARK:
        free(command->as.mark.commit);
        break;
    case VERB_MARK_UNITS:
        manifest_unref(command->as.mark_units.units);
        manifest_unref(command->as.mark_units.removed);
        free_times(&command->as.mark_units);
        break;
    case VERB_CANCEL:
        free(command->as.cancel.request_id);
        break;
    case VERB_HOLD:
    case VERB_QUARANTINE:
        free(command->as.set_aside.owner);
        break;
    case VERB_UPDATE_PROJECT:
        free(command->as.update_project.prefix);
        free(command->as.update_project.initial_commit);
        free(command->as.update_project.main_branch);
        break;
    case VERB_RELEASE:
    case VERB_EXTEND:
    case VERB_DELETE_LAST:
    case VERB_REINSTATE:
    case VERB_REVOKE:
    case VERB_ADD_STACKS:
    case VERB_DELETE_STACK:
    case VERB_PRIORITIZE:
    case VERB_HANG_UP:
        break;
    }
}

void command_free(struct command *command)
{
    free_said(command);
    free(command->trace);
    free(command->project);
    free(command->key_name);
    free(command->stack_name);
    free(command->reason);
    free(command->ignored);
    free(command->result.added);
    free(command);
}

const char *command_verb_name(enum verb verb)
{
    switch (verb) {
    case VERB_REQUEST:
        return "requestStack";
    case VERB_MARK:
        return "setLastDeployedCommit";
    case VERB_MARK_UNITS:
        return "markUnits";
    case VERB_RELEASE:
        return "releaseStack";
    case VERB_EXTEND:
        return "extendLease";
    case VERB_CANCEL:
        return "cancelRequest";
    case VERB_DELETE_LAST:
        return "deleteLastStack";
    case VERB_HOLD:
        return "holdStack";
    case VERB_QUARANTINE:
        return "quarantineStack";
    case VERB_REINSTATE:
        return "reinstateStack";
    case VERB_REVOKE:
        return "revokeLease";
    case VERB_ADD_STACKS:
        return "addStacks";
    case VERB_DELETE_STACK:
        return "deleteStack";
    case VERB_UPDATE_PROJECT:
        return "updateProject";
    case VERB_PRIORITIZE:
        return "prioritizeRequest";
    case VERB_HANG_UP:
        break;
    }
    return NULL;
}

const char *command_request_id(const struct command *command)
{
    if (command->verb == VERB_REQUEST)
        return command->as.request.request_id;
    return command->verb == VERB_CANCEL ? command->as.cancel.request_id : NULL;
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
