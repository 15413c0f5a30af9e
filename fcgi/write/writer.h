/*
 * writer: the one thread that changes anything. It takes all the commands that wait, runs them as
 * one transaction, and sends the responses once it is committed: see writer.c.
 */
#ifndef WRITER_H
#define WRITER_H

#include "base/config.h"
#include "http/gateway.h"
#include "rules/command.h"

#include <stdbool.h>

struct writer;

/* Starts the thread. NULL: said why in the log. */
struct writer *writer_start(const struct config *config, struct gateway *gateway);

/* Hands a command over; the writer sends its client the response and frees it. Any thread. */
void writer_submit(struct writer *writer, struct command *command);

/* Whether the latest attempt to reach the database went well. Any thread. */
bool writer_is_ready(const struct writer *writer);
/* Why not, if a server was reached and refused; else empty. */
#define WRITER_REFUSAL_SIZE 200
void writer_copy_refusal(struct writer *writer, char why[WRITER_REFUSAL_SIZE]);

/* Sends 503 to parked requests and lets no more wait. Then writer_stop() ends the thread when all
 * that was submitted has its response; it frees the writer. */
void writer_drain(struct writer *writer);
void writer_stop(struct writer *writer);

#endif
