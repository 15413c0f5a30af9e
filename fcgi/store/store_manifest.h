/* store_manifest: a pool's manifests as rows, their units as JSON. Used by the files of `store`. */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "base/buf.h"
#include "rules/pool.h"

#include <stddef.h>
#include <stdint.h>

/* The statement that makes the table have it, or no longer have it; none if it is as it should be.
 */
void store_manifest_write(struct buf *sql, const struct pool *pool,
                          const struct manifest *manifest);
/* Units as the table has them. NULL: broken. */
struct manifest *store_manifest_read(const char *json, size_t len, uint64_t number);

#endif
