/* pool_manifests: the units that stacks run and jobs need, each set kept once. The pool's map holds
 * one reference to it, every stack or lease another. Writer's thread. */
#include "rules/pool_private.h"

#include "base/mem.h"

/* Whether its row must be written or deleted is looked at once the batch is written. */
static void touch(struct pool *pool, struct manifest *manifest)
{
    if (manifest->touched)
        return;
    if (pool->touched_count == pool->touched_size) {
        pool->touched_size = pool->touched_size ? pool->touched_size * 2 : 16;
        pool->touched = mem_realloc(pool->touched, pool->touched_size * sizeof(struct manifest *));
    }
    manifest->touched = true;
    pool->touched[pool->touched_count++] = manifest_ref(manifest);
}

void pool_add_manifest(struct pool *pool, struct manifest *manifest)
{
    struct manifest *other = map_get(&pool->manifests, manifest->hash);

    if (other) { /* two of one hash: the older one is no longer found, but stays in use */
        map_remove(&pool->manifests, manifest->hash);
        manifest_unref(other);
    }
    map_put(&pool->manifests, manifest->hash, manifest);
    if (manifest->uses == 0) /* another instance ended its last lease */
        touch(pool, manifest);
}

void pool_begin_use(struct pool *pool, struct manifest *manifest)
{
    if (manifest && manifest->uses++ == 0)
        touch(pool, manifest);
}

struct manifest *pool_use_manifest(struct pool *pool, struct manifest *manifest)
{
    pool_begin_use(pool, manifest);
    return manifest_ref(manifest);
}

void pool_end_use(struct pool *pool, struct manifest *manifest)
{
    if (manifest && --manifest->uses == 0)
        touch(pool, manifest);
}

void pool_drop_manifest(struct pool *pool, struct manifest *manifest)
{
    pool_end_use(pool, manifest);
    manifest_unref(manifest);
}

struct manifest *pool_intern_manifest(struct pool *pool, struct manifest *units, uint64_t number)
{
    struct manifest *known;

    if (!units)
        return NULL;
    known = map_get(&pool->manifests, units->hash);
    if (known && manifest_equal(known, units))
        return known;
    units->number = number;
    units->uses = 0;
    units->stored = false;
    units->touched = false;
    pool_add_manifest(pool, manifest_ref(units));
    return units;
}

void pool_settle_manifests(struct pool *pool)
{
    for (size_t i = 0; i < pool->touched_count; i++) {
        struct manifest *manifest = pool->touched[i];
        manifest->touched = false;
        manifest->stored = manifest->uses > 0;
        if (!manifest->stored && map_get(&pool->manifests, manifest->hash) == manifest) {
            map_remove(&pool->manifests, manifest->hash);
            manifest_unref(manifest);
        }
        manifest_unref(manifest);
    }
    pool->touched_count = 0;
}
