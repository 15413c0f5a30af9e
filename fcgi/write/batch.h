/*
 * batch: commands of several projects as one transaction, and the answers to it. Used by `writer`
 * only, on its thread.
 */
#ifndef BATCH_H
#define BATCH_H

#include "base/config.h"
#include "http/gateway.h"
#include "rules/command.h"

#include <stdbool.h>
#include <stdint.h>

struct batch;

struct batch *batch_new(const struct config *config, struct gateway *gateway, int waker);
void batch_free(struct batch *batch);

/* Waits for the waker, for hang-ups (which become commands) or for the time. */
void batch_wait(struct batch *batch, int64_t timeout_ms);
void batch_add(struct batch *batch, struct command_list commands);
bool batch_has_work(const struct batch *batch);
/* When a project is due by itself, monotonic. */
int64_t batch_deadline_ms(const struct batch *batch);

/* false: the database is away. */
bool batch_connect(struct batch *batch);
/* Of a server that gets nothing done: batch_connect() then judges anew whether it may be used. */
void batch_disconnect(struct batch *batch);
/* Goes back to a database server that is better, if there is one. Whether it did. */
bool batch_improve(struct batch *batch);
/* Why, if a server answered and was refused; else empty. */
const char *batch_refusal(const struct batch *batch);
/* Runs and answers all that is there. false: the database was lost, and everyone was told. */
bool batch_run(struct batch *batch);
/* Looks which projects changed elsewhere. `together`: other instances are alive, and clients are
 * parked here, so the next look should come soon. */
bool batch_watch(struct batch *batch, bool *together);
bool batch_purge(struct batch *batch, int history_days, bool *more);

/* With the database away: answers commands and parked clients whose wait is over with 503. What
 * must be put right once it is back is remembered. */
void batch_refuse(struct batch *batch);
/* Answers all parked clients with 503; from now on nobody is parked. */
void batch_drain(struct batch *batch);
void batch_leave(struct batch *batch);

#endif
