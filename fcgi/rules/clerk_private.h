/* clerk_private: one function per verb, for clerk_run(). Each sets command->result. */
#ifndef CLERK_PRIVATE_H
#define CLERK_PRIVATE_H

#include "rules/clerk.h"

typedef void clerk_verb(const struct clerk *clerk, struct pool *pool, struct command *command);

/* clerk_request: what CI jobs ask for a stack */
clerk_verb clerk_request;
clerk_verb clerk_cancel;
clerk_verb clerk_hang_up;

/* clerk_lease: what CI jobs say of the stack they have */
clerk_verb clerk_mark;
clerk_verb clerk_mark_units;
clerk_verb clerk_extend;
clerk_verb clerk_release;

/* clerk_admin: what administrators ask for */
clerk_verb clerk_delete_last;
clerk_verb clerk_hold;
clerk_verb clerk_quarantine;
clerk_verb clerk_reinstate;
clerk_verb clerk_revoke;
clerk_verb clerk_add_stacks;
clerk_verb clerk_delete_stack;
clerk_verb clerk_update_project;
clerk_verb clerk_prioritize;

/* Whether the command's leaseId is that which ended in the stack's latest hold. */
bool clerk_is_hold_of(const struct stack *stack, const struct command *command);

#define CLERK_HOLD_S 7200 /* how long a hold lasts that names no end */

/* A lease for that request at the end of the queue. */
struct lease *clerk_request_enqueue(const struct clerk *clerk, struct pool *pool,
                                    struct command *command);
/* Ends the older waiting requests of its branch. */
void clerk_request_supersede_older(struct pool *pool, const struct lease *newer);

enum departure {
    DEPARTURE_HUNG_UP,
    DEPARTURE_TIMED_OUT, /* its wait was over */
    DEPARTURE_SENT_AWAY, /* not its own doing: the instance that held it stops, or is gone */
};

/* Nobody is connected any more: the request keeps its place for its grace time, or ends. Who was
 * sent away has the program's at least. */
void clerk_request_disconnect(const struct clerk *clerk, struct pool *pool, struct lease *lease,
                              enum departure departure);

#endif
