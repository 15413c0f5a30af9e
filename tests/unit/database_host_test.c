/* database_host: the list of servers as the setting has it. */
#include "unit.h"

#include "database/database_host.h"

static void assert_tcp(const char *setting, const char *host, unsigned port)
{
    struct database_hosts hosts;

    database_hosts_init(&hosts, setting);
    assert_int_equal(hosts.count, 1);
    assert_string_equal(hosts.list[0].name, setting);
    assert_string_equal(hosts.list[0].host, host);
    assert_null(hosts.list[0].socket);
    assert_int_equal(hosts.list[0].port, port);
    database_hosts_free(&hosts);
}

static void test_tcp(void **state)
{
    (void)state;
    assert_tcp("db.example.org", "db.example.org", 0);
    assert_tcp("db.example.org:3307", "db.example.org", 3307);
    assert_tcp("192.0.2.1:3307", "192.0.2.1", 3307);
    assert_tcp("[2001:db8::1]:3307", "2001:db8::1", 3307);
    assert_tcp("[2001:db8::1]", "2001:db8::1", 0);
}

static void test_local_socket(void **state)
{
    struct database_hosts hosts;

    (void)state;
    database_hosts_init(&hosts, "unix:/run/my sql/a:b.sock");
    assert_int_equal(hosts.count, 1);
    assert_null(hosts.list[0].host);
    assert_string_equal(hosts.list[0].socket, "/run/my sql/a:b.sock");
    database_hosts_free(&hosts);
}

static void test_order_is_kept(void **state)
{
    struct database_hosts hosts;

    (void)state;
    database_hosts_init(&hosts, " db1 ,\tunix:/s,, db2:1 ,");
    assert_int_equal(hosts.count, 3);
    assert_string_equal(hosts.list[0].name, "db1");
    assert_string_equal(hosts.list[1].name, "unix:/s");
    assert_string_equal(hosts.list[2].name, "db2:1");
    database_hosts_free(&hosts);
}

static void test_no_host(void **state)
{
    struct database_hosts hosts;

    (void)state;
    database_hosts_init(&hosts, " , ");
    assert_int_equal(hosts.count, 0);
    database_hosts_free(&hosts);
}

UNIT_MAIN(cmocka_unit_test(test_tcp), cmocka_unit_test(test_local_socket),
          cmocka_unit_test(test_order_is_kept), cmocka_unit_test(test_no_host))
