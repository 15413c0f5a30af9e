/*
 * batch: commands of several projects, and what is due there, as one transaction. It lives from
 * its first statement to its last response; what lasts longer is the office's. Called by `writer`,
 * on its thread. A batch takes four steps, each a file:
 *
 *     batch          gathers commands and desks; tries; connects anew
 *     batch_prepare  locks the projects' rows, and brings their pools up to date
 *     batch_decide   lets the clerk run the commands and grant stacks (memory only)
 *     batch_settle   after the COMMIT, or without it: what the clients hear, what is tried again
 */
#ifndef BATCH_H
#define BATCH_H

#include "write/contact.h"
#include "write/office.h"

/* Runs what there is to do, up to the size of one batch, and sends the responses. CONTACT_LOST: the
 * responses that were due at once are sent; the rest waits. */
CONTACT_CHECKED enum contact_status batch_run(struct office *office);

#endif
