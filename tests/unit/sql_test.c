/* sql: no value can end its literal, whatever the server's sql_mode. */
#include "unit.h"

#include "database/sql.h"

#include <string.h>

static void assert_sql(struct buf *sql, const char *expected)
{
    buf_append(sql, "", 1);
    assert_string_equal(sql->data, expected);
    buf_free(sql);
    *sql = (struct buf){0};
}

static void test_text(void **state)
{
    struct buf sql = {0};

    (void)state;
    sql_text(&sql, NULL);
    assert_sql(&sql, "NULL");
    sql_text(&sql, "");
    assert_sql(&sql, "''");
    sql_text(&sql, "feature/a-b;--#%_");
    assert_sql(&sql, "'feature/a-b;--#%_'");
    sql_text(&sql, "a'b");
    assert_sql(&sql, "_utf8mb4 x'612762'");
    sql_text(&sql, "\xc3\xa9");
    assert_sql(&sql, "_utf8mb4 x'c3a9'");
}

/* Every byte, in every place of a short text: quoted literals hold nothing that any mode takes for
 * an end or an escape, others only hexadecimal digits. */
static void test_nothing_ends_a_literal(void **state)
{
    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        for (size_t at = 0; at < 3; at++) {
            char text[] = "abc";
            struct buf sql = {0};
            const char *literal;

            text[at] = (char)byte;
            sql_text(&sql, text);
            literal = memchr(sql.data, '\'', sql.len);
            assert_non_null(literal);
            assert_ptr_equal(memchr(literal + 1, '\'', (size_t)(sql.data + sql.len - literal - 1)),
                             sql.data + sql.len - 1);
            assert_null(memchr(sql.data, '\\', sql.len));
            assert_null(memchr(sql.data, '"', sql.len));
            for (size_t i = 0; i < sql.len; i++)
                assert_in_range(sql.data[i], ' ', '~');
            buf_free(&sql);
        }
    }
}

static void test_bytes(void **state)
{
    struct buf sql = {0};

    (void)state;
    sql_bytes(&sql, "\x00\xff'", 3);
    assert_sql(&sql, "x'00ff27'");
    sql_bytes(&sql, NULL, 0);
    assert_sql(&sql, "x''");
}

static void test_time(void **state)
{
    struct buf sql = {0};

    (void)state;
    sql_time(&sql, 0);
    assert_sql(&sql, "NULL");
    sql_time(&sql, INT64_C(1767323045678901));
    assert_sql(&sql, "'2026-01-02 03:04:05.678901'");
}

UNIT_MAIN(cmocka_unit_test(test_text), cmocka_unit_test(test_nothing_ends_a_literal),
          cmocka_unit_test(test_bytes), cmocka_unit_test(test_time))
