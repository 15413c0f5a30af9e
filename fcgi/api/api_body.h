/* api_body: what each route's body may hold. Used by `api` only. */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/fields.h"
#include "http/gateway.h"
#include "rules/command.h"

/* Fills the command from the body; faults stay in `fields`. */
typedef void api_body(struct fields *fields, const struct call *call, struct command *command);

api_body api_body_none;
api_body api_body_request;
api_body api_body_mark;
api_body api_body_mark_units;
api_body api_body_release;
api_body api_body_extend;
api_body api_body_cancel;
api_body api_body_stack;
api_body api_body_reinstate;
api_body api_body_hold;
api_body api_body_quarantine;
api_body api_body_revoke;
api_body api_body_add_stacks;
api_body api_body_update_project;
api_body api_body_prioritize;

#endif
