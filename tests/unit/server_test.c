/* server: which errors mean what, and which servers are refused. */
#include "unit.h"

#include "database/database_status.h"
#include "database/server.h"

#include <string.h>

struct fact {
    const char *name;
    const char *value;
};

/* As a plain MariaDB, a Galera node and a primary of MySQL describe themselves. */
static const struct fact mariadb[] = {{"version", "10.11.6-MariaDB-0+deb12u1"},
                                      {"innodb_flush_log_at_trx_commit", "1"},
                                      {"log_bin", "OFF"},
                                      {"sync_binlog", "0"},
                                      {"binlog_format", "MIXED"},
                                      {"read_only", "OFF"},
                                      {"innodb_read_only", "OFF"},
                                      {"Slave_running", "OFF"},
                                      {"Slaves_running", "0"},
                                      {"wsrep_on", "OFF"},
                                      {"wsrep_cluster_status", "Disconnected"},
                                      {"wsrep_ready", "OFF"}};
static const struct fact galera[] = {{"wsrep_on", "ON"},
                                     {"wsrep_cluster_status", "Primary"},
                                     {"wsrep_ready", "ON"},
                                     {"wsrep_local_state_comment", "Synced"},
                                     {"binlog_format", "ROW"}};
static const struct fact mysql[] = {{"version", "8.4.3"},
                                    {"innodb_flush_log_at_trx_commit", "1"},
                                    {"log_bin", "ON"},
                                    {"sync_binlog", "1"},
                                    {"binlog_format", "ROW"},
                                    {"read_only", "OFF"},
                                    {"innodb_read_only", "OFF"},
                                    {"Innodb_redo_log_enabled", "ON"},
                                    {"group_replication_group_name", "7b2d"},
                                    {"group_replication_single_primary_mode", "ON"}};

static void note(struct server *server, const struct fact *facts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        server_note(server, facts[i].name, facts[i].value);
}

static struct server new_mariadb(void)
{
    struct server server = {0};

    note(&server, mariadb, COUNT(mariadb));
    return server;
}

static struct server new_galera(void)
{
    struct server server = new_mariadb();

    note(&server, galera, COUNT(galera));
    return server;
}

static struct server new_member(const char *state, const char *role, const char *majority)
{
    struct server server = {0};

    note(&server, mysql, COUNT(mysql));
    server_note_fact(&server, FACT_SOURCES, "0");
    server_note_fact(&server, FACT_GROUP_STATE, state);
    server_note_fact(&server, FACT_GROUP_ROLE, role);
    server_note_fact(&server, FACT_GROUP_MAJORITY, majority);
    return server;
}

static void is_good(struct server server)
{
    char why[200] = "";

    if (!server_is_fit(&server, why, sizeof why))
        fail_msg("refused: %s", why);
}

static void is_refused(struct server server, const char *fault)
{
    char why[200] = "";

    if (server_is_fit(&server, why, sizeof why))
        fail_msg("accepted, though %s", fault);
    if (strncmp(why, fault, strlen(fault)) != 0 || why[strlen(fault)] != ':')
        fail_msg("refused for %s, not for %s", why, fault);
}

static struct server with(struct server server, const char *name, const char *value)
{
    server_note(&server, name, value);
    return server;
}

static void test_good_servers(void **state)
{
    (void)state;
    is_good(new_mariadb());
    is_good(new_galera());
    is_good(new_member("ONLINE", "PRIMARY", "1"));
    is_good(with(new_mariadb(), "innodb_flush_log_at_trx_commit", "3"));
    is_good(with(new_mariadb(), "sync_binlog", "1000")); /* without a binary log */
    is_good(with(new_mariadb(), "binlog_format", "STATEMENT"));
}

static void test_kinds(void **state)
{
    struct server maria = new_mariadb();
    struct server node = new_galera();
    struct server member = new_member("ONLINE", "PRIMARY", "1");

    (void)state;
    assert_true(server_is_mariadb(&maria) && !server_is_galera(&maria));
    assert_true(server_is_mariadb(&node) && server_is_galera(&node));
    assert_true(server_is_group_member(&member) && !server_is_mariadb(&member));
    assert_false(server_is_group_member(&maria));
}

static void test_durability(void **state)
{
    struct server logging = with(with(new_mariadb(), "log_bin", "ON"), "sync_binlog", "1");

    (void)state;
    is_refused((struct server){0}, "read_only is unknown");
    is_refused(with(new_mariadb(), "innodb_flush_log_at_trx_commit", "2"),
               "innodb_flush_log_at_trx_commit is 2");
    is_refused(with(new_galera(), "innodb_flush_log_at_trx_commit", "0"),
               "innodb_flush_log_at_trx_commit is 0");
    is_refused(with(new_mariadb(), "innodb_flush_log_at_trx_commit", ""),
               "innodb_flush_log_at_trx_commit is unknown");
    is_refused(with(new_member("ONLINE", "PRIMARY", "1"), "innodb_redo_log_enabled", "OFF"),
               "innodb_redo_log_enabled is OFF");
    is_good(logging);
    is_refused(with(logging, "sync_binlog", "0"), "sync_binlog is 0");
    is_refused(with(logging, "sync_binlog", "10"), "sync_binlog is 10");
    is_refused(with(logging, "binlog_format", "STATEMENT"), "binlog_format is STATEMENT");
}

static void test_writing(void **state)
{
    struct server copying = new_member("ONLINE", "PRIMARY", "1");

    (void)state;
    is_refused(with(new_mariadb(), "read_only", "ON"), "read_only is ON");
    is_refused(with(new_mariadb(), "read_only", "NO_LOCK"), "read_only is NO_LOCK");
    is_refused(with(new_mariadb(), "innodb_read_only", "ON"), "innodb_read_only is ON");
    is_refused(with(new_mariadb(), "Slave_running", "ON"), "slave_running is ON");
    is_refused(with(new_mariadb(), "Slaves_running", "1"), "slaves_running is 1");
    server_note_fact(&copying, FACT_SOURCES, "1");
    is_refused(copying, "number of its sources is 1");
}

static void test_clusters(void **state)
{
    (void)state;
    is_refused(with(new_galera(), "wsrep_cluster_status", "non-Primary"),
               "wsrep_cluster_status is non-Primary");
    is_refused(with(new_galera(), "wsrep_local_state_comment", "Donor/Desynced"),
               "wsrep_local_state_comment is Donor/Desynced");
    is_refused(with(new_galera(), "wsrep_ready", "OFF"), "wsrep_ready is OFF");
    is_refused(new_member("", "", ""), "MEMBER_STATE is unknown");
    is_refused(new_member("OFFLINE", "", "1"), "MEMBER_STATE is OFFLINE");
    is_refused(new_member("ERROR", "SECONDARY", "1"), "MEMBER_STATE is ERROR");
    is_refused(new_member("ONLINE", "SECONDARY", "1"), "MEMBER_ROLE is SECONDARY");
    is_refused(new_member("ONLINE", "PRIMARY", "0"), "majority is 0");
    is_refused(
        with(new_member("ONLINE", "PRIMARY", "1"), "group_replication_single_primary_mode", "OFF"),
        "group_replication_single_primary_mode is OFF");
}

static void test_errors(void **state)
{
    static const unsigned again[] = {1020, 1205, 1213, 1317, 3101, 3572};
    /* Elsewhere it may go. */
    static const unsigned unwell[] = {1040, 1047, 1053, 1180, 1290, 1792, 1836,
                                      3032, 3100, 3796, 3797, 3798, 3799};
    static const unsigned cut[] = {1927, 2002, 2003, 2006, 2013, 3169, 4031};
    static const unsigned faults[] = {1054, 1062, 1064, 1114, 1142, 1146, 1292, 1406, 3000};

    (void)state;
    for (size_t i = 0; i < COUNT(again); i++) {
        assert_int_equal(database_status_of(again[i]), DATABASE_RETRY);
        assert_false(database_status_is_unwell(again[i]));
    }
    for (size_t i = 0; i < COUNT(unwell); i++) {
        assert_int_equal(database_status_of(unwell[i]), DATABASE_LOST);
        assert_true(database_status_is_unwell(unwell[i]));
    }
    for (size_t i = 0; i < COUNT(cut); i++) {
        assert_int_equal(database_status_of(cut[i]), DATABASE_LOST);
        assert_false(database_status_is_unwell(cut[i]));
    }
    for (size_t i = 0; i < COUNT(faults); i++)
        assert_int_equal(database_status_of(faults[i]), DATABASE_ERROR);
}

UNIT_MAIN(cmocka_unit_test(test_good_servers), cmocka_unit_test(test_kinds),
          cmocka_unit_test(test_durability), cmocka_unit_test(test_writing),
          cmocka_unit_test(test_clusters), cmocka_unit_test(test_errors))
