/* api_query: what the query of a GET call may hold. Used by `api` only. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "api/fields.h"
#include "read/reader.h"

#include <stdbool.h>
#include <stdint.h>

/* limit, before, stackName, branch, state, since, until. false: the fault is in `fields`. */
bool api_query_filter(const char *query, struct reader_filter *filter, struct fields *fields);
/* after and limit of /events. */
bool api_query_events(const char *query, uint64_t *after, uint64_t *limit, struct fields *fields);
/* limit, stacksAfter, stackName, state, find, fields of /status. */
bool api_query_view(const char *query, struct reader_view *view, struct fields *fields);
/* targetSeconds of /capacity: the p95 wait to aim at. */
#define API_TARGET_S 60
bool api_query_target(const char *query, uint64_t *target_s, struct fields *fields);

#endif
