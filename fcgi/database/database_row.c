/* database_row: see database_row.h. */
#include "database/database_row.h"

#include <stdlib.h>

uint64_t database_row_uint(const struct database_row *row, unsigned column, uint64_t otherwise)
{
    return row->values[column] ? strtoull(row->values[column], NULL, 10) : otherwise;
}

int64_t database_row_int(const struct database_row *row, unsigned column, int64_t otherwise)
{
    return row->values[column] ? strtoll(row->values[column], NULL, 10) : otherwise;
}
