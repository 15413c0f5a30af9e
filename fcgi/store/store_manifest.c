/* store_manifest: see store_manifest.h. */
#include "store/store_manifest.h"

#include "base/json.h"
#include "base/mem.h"
#include "database/sql.h"

#include <stdlib.h>

static void add_units(struct buf *sql, const struct manifest *manifest)
{
    struct json_writer *json = json_writer_new();
    struct buf text = {0};

    json_open_object(json, NULL);
    for (size_t i = 0; i < manifest->count; i++)
        json_put_string(json, manifest->units[i].name, manifest->units[i].fingerprint);
    json_close_object(json);
    json_writer_take(json, &text);
    sql_text(sql, text.data);
    buf_free(&text);
    json_writer_free(json);
}

void store_manifest_write(struct buf *sql, const struct pool *pool, const struct manifest *manifest)
{
    if (manifest->uses > 0 && !manifest->stored) {
        buf_printf(sql, "INSERT INTO manifest (project_id, manifest_no, units) VALUES (%u",
                   pool->id);
        sql_next_number(sql, manifest->number);
        buf_puts(sql, ",");
        add_units(sql, manifest);
        buf_puts(sql, ");");
    } else if (manifest->uses == 0 && manifest->stored) {
        buf_printf(sql, "DELETE FROM manifest WHERE project_id = %u AND manifest_no = %llu;",
                   pool->id, (unsigned long long)manifest->number);
    }
}

struct manifest *store_manifest_read(const char *json, size_t len, uint64_t number)
{
    char why[200];
    struct json_document *document = json_parse(json, len, why, sizeof why);
    const struct json_value *root = document ? json_root(document) : NULL;
    struct manifest *manifest = NULL;
    struct unit *units;
    size_t count = 0;

    if (root && root->type == JSON_OBJECT) {
        units = mem_alloc((root->length + 1) * sizeof *units);
        for (const struct json_value *at = root->first; at; at = at->next)
            units[count++] = (struct unit){
                .name = at->key, .fingerprint = at->type == JSON_STRING ? at->string : ""};
        manifest = manifest_new(units, count);
        manifest->number = number;
        manifest->stored = true;
        free(units);
    }
    json_free(document);
    return manifest;
}
