/*
 * answers: tells the clients of a committed batch what came of it, and parks those who wait.
 * Writer's thread only. Nothing here blocks: an answer that nginx doesn't take at once counts as
 * not delivered.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "write/parking.h"
#include "write/project.h"
#include "write/reply.h"

/* A request whose client is gone: its grant goes back, its wait ends. */
struct undelivered {
    struct undelivered *next;
    struct project *project;
    uint64_t number;
    int64_t wait_until;
};

struct answers {
    struct gateway *gateway;
    struct parking *parking;
    bool draining; /* nobody is parked any more */
    struct undelivered *undelivered;
};

/* All clients that the project's committed batch concerns; its commands are freed. */
void answers_project(struct answers *answers, struct project *project);
/* The requests that reached nobody, one by one; the caller frees them. NULL: no more. */
struct undelivered *answers_next_undelivered(struct answers *answers);

/* One command's client, if it has one. `project` may be NULL where the result needs none. */
void answers_command(struct answers *answers, struct project *project, struct command *command,
                     enum result result);
/* All commands of a project that can't be run; they are freed. */
void answers_refuse(struct answers *answers, struct project *project, enum result result);
/* The project is gone: its commands and its parked clients. */
void answers_no_project(struct answers *answers, struct project *project);
void answers_no_parked(struct answers *answers, struct project *project); /* only the latter */

/* The client parked for that request, if there is one. */
void answers_parked(struct answers *answers, struct project *project, const struct lease *lease,
                    enum result result);
void answers_number(struct answers *answers, struct project *project, uint64_t number,
                    enum result result);

#endif
