/* store_changes: see store_changes.h. Writer's thread. */
#include "store/store_changes.h"

#include <stdlib.h>

/* How many versions a program may lag behind: those of the watch's longest pause, and more. */
#define KEPT 1024
/* Older rows go once in so many versions. */
#define TRIM_EVERY 256

static void add_numbers(struct buf *sql, const struct numbers *numbers)
{
    const char *separator = ",'";

    for (size_t i = 0; i < numbers->count; i++) {
        buf_puts(sql, separator);
        buf_uint(sql, numbers->at[i]);
        separator = ",";
    }
    buf_puts(sql, numbers->count ? "'" : ",NULL");
}

static void add_row(struct buf *sql, const struct pool *pool, const char **separator)
{
    struct changes changes = {0};

    pool_find_changes(pool, &changes);
    if (changes_count(&changes) <= STORE_CHANGES_MAX) {
        buf_printf(sql, "%s(%u,%llu,%u,%.17g", *separator, pool->id,
                   (unsigned long long)pool->version, changes.parts, changes.mean_hold_s);
        add_numbers(sql, &changes.stacks);
        add_numbers(sql, &changes.leases);
        add_numbers(sql, &changes.manifests);
        buf_puts(sql, ")");
        *separator = ",";
    }
    changes_free(&changes);
}

void store_changes_write(struct buf *sql, struct pool *const pools[], size_t count)
{
    static const char start[] =
        "INSERT INTO batch (project_id,version,parts,mean_hold_s,stacks,leases,manifests) VALUES ";
    const char *separator = start;

    for (size_t i = 0; i < count; i++)
        add_row(sql, pools[i], &separator);
    if (separator != start)
        buf_puts(sql, ";");
    for (size_t i = 0; i < count; i++)
        if (pools[i]->version % TRIM_EVERY == 0 && pools[i]->version > KEPT)
            buf_printf(sql, "DELETE FROM batch WHERE project_id=%u AND version<%llu;", pools[i]->id,
                       (unsigned long long)(pools[i]->version - KEPT));
}

void store_changes_select(struct buf *sql, struct pool *const pools[], size_t count)
{
    const char *separator =
        ";SELECT project_id, parts, mean_hold_s, stacks, leases, manifests FROM batch WHERE ";

    for (size_t i = 0; i < count; i++) {
        if (!pools[i])
            continue;
        buf_printf(sql, "%s(project_id=%u AND version>%llu)", separator, pools[i]->id,
                   (unsigned long long)pools[i]->version);
        separator = " OR ";
    }
    if (*separator == ' ')
        buf_puts(sql, " ORDER BY project_id, version");
}

uint32_t store_changes_project(const struct database_row *row)
{
    return (uint32_t)database_row_uint(row, 0, 0);
}

static void take_numbers(struct numbers *numbers, const char *text)
{
    while (text && *text) {
        char *end;
        numbers_add(numbers, strtoull(text, &end, 10));
        text = *end == ',' ? end + 1 : NULL;
    }
}

void store_changes_take(struct changes *changes, const struct database_row *row)
{
    changes->batches++;
    changes->parts |= (unsigned)database_row_uint(row, 1, 0);
    changes->mean_hold_s = strtod(row->values[2], NULL);
    take_numbers(&changes->stacks, row->values[3]);
    take_numbers(&changes->leases, row->values[4]);
    take_numbers(&changes->manifests, row->values[5]);
}
