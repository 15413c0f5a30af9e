/* config: files as people write them, and every fault told with file and line. */
#include "unit.h"

#include "base/config.h"

#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/config_test-XXXXXX";

static bool load(const char *text, size_t len, struct config *config, char *why, size_t why_size)
{
    FILE *file = fopen(path, "w");

    if (!file) {
        fail_msg("%s", path);
        return false;
    }
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    why[0] = '\0';
    return config_load(config, path, why, why_size);
}

static struct config load_good(const char *text)
{
    struct config config;
    char why[300];

    if (!load(text, strlen(text), &config, why, sizeof why))
        fail_msg("refused: %s", why);
    return config;
}

static void load_bad(const char *text, int line, const char *fault)
{
    struct config config;
    char why[300];
    char where[80];

    if (load(text, strlen(text), &config, why, sizeof why))
        fail_msg("accepted: %s", text);
    snprintf(where, sizeof where, "%s:%d: ", path, line);
    if (strncmp(why, where, strlen(where)) != 0 || !strstr(why, fault))
        fail_msg("expected %s…%s, not %s", where, fault, why);
    config_free(&config);
}

static int make_file(void **state)
{
    int file = mkstemp(path);

    (void)state;
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void test_standards(void **state)
{
    struct config config = load_good("");

    (void)state;
    assert_string_equal(config.socket, "/run/stack-orchestrator/fcgi.sock");
    assert_int_equal(config.workers, 4);
    assert_string_equal(config.database_host, "unix:/run/mysqld/mysqld.sock");
    assert_string_equal(config.database_name, "stack_orchestrator");
    assert_string_equal(config.database_user, "stack_orchestrator");
    assert_string_equal(config.database_password_file, "");
    assert_string_equal(config.database_tls_ca, "");
    assert_int_equal(config.max_waiting, 10000);
    assert_int_equal(config.max_waiting_per_project, 2000);
    assert_int_equal(config.request_grace_s, 60);
    assert_int_equal(config.startup_grace_s, 60);
    assert_int_equal(config.history_days, 90);
    assert_int_equal(config.history_rows, 1000000);
    assert_int_equal(config.log_level, 2);
    config_free(&config);
    assert_null(config.socket);
}

static void test_good_lines(void **state)
{
    struct config config = load_good("# a comment\n"
                                     "\n"
                                     "   \t \r\n"
                                     "socket=-\n"
                                     "  workers  =  64  \r\n"
                                     "\tdatabase_host = unix:/a b/c, db2:3307\n"
                                     "database_password_file =\n"
                                     "database_user = x = y # z\n"
                                     "database_tls_ca = /etc/ssl/ca.pem\n"
                                     "max_waiting = 0\n"
                                     "log_level = debug\n"
                                     "workers = 3\n" /* the later one counts */
                                     "migration_user = m\n"
                                     "migration_password_file = /x\n"
                                     "keys_file = /x\n"
                                     "nginx_pid_file = /x\n"
                                     "nginx_config = /x\n"
                                     "history_days = 36500"); /* no line end */

    (void)state;
    assert_string_equal(config.socket, "-");
    assert_int_equal(config.workers, 3);
    assert_string_equal(config.database_host, "unix:/a b/c, db2:3307");
    assert_string_equal(config.database_password_file, "");
    assert_string_equal(config.database_user, "x = y # z");
    assert_string_equal(config.database_tls_ca, "/etc/ssl/ca.pem");
    assert_int_equal(config.max_waiting, 0);
    assert_int_equal(config.log_level, 3);
    assert_int_equal(config.history_days, 36500);
    config_free(&config);
}

static void test_levels(void **state)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        char text[40];
        struct config config;
        snprintf(text, sizeof text, "log_level = %s", levels[i]);
        config = load_good(text);
        assert_int_equal(config.log_level, i);
        config_free(&config);
    }
    load_bad("log_level = Info", 1, "log_level");
    load_bad("log_level =", 1, "log_level");
}

static void test_bad_lines(void **state)
{
    (void)state;
    load_bad("nonsense\n", 1, "name = value");
    load_bad("\n# x\nworker = 4\n", 3, "\"worker\"");
    load_bad("Workers = 4", 1, "\"Workers\"");
    load_bad("= 4", 1, "no setting");
    load_bad("workers =", 1, "workers");
    load_bad("workers = 4 # four", 1, "workers");
    load_bad("workers = 4.0", 1, "workers");
    load_bad("workers = 0", 1, "1 to 64");
    load_bad("workers = 65", 1, "1 to 64");
    load_bad("workers = -1", 1, "workers");
    load_bad("workers = 99999999999999999999", 1, "workers");
    load_bad("workers = 4294967297", 1, "workers");
    load_bad("workers = 0x4", 1, "workers");
    load_bad("max_waiting = 1000001", 1, "max_waiting");
    load_bad("request_grace_seconds = 3601", 1, "request_grace_seconds");
    load_bad("startup_grace_seconds = -1", 1, "startup_grace_seconds");
    load_bad("history_days = 0", 1, "history_days");
}

static void test_no_file(void **state)
{
    struct config config;
    char why[200];

    (void)state;
    assert_false(config_load(&config, "/nonexistent/file", why, sizeof why));
    assert_string_equal(why, "/nonexistent/file: No such file or directory");
    config_free(&config);
}

static void test_directory(void **state)
{
    struct config config;
    char why[200];

    (void)state;
    assert_false(config_load(&config, "/", why, sizeof why));
    assert_string_equal(why, "/: Is a directory");
    config_free(&config);
}

/* Whatever becomes of it, its end is no line of its own. */
static void test_long_line(void **state)
{
    static char text[6000];
    struct config config;
    char why[300];

    (void)state;
    memset(text, '#', sizeof text);
    memcpy(text + 4095, "workers=9", 9);
    if (load(text, sizeof text, &config, why, sizeof why))
        assert_int_equal(config.workers, 4);
    else
        assert_non_null(strstr(why, "long"));
    config_free(&config);
}

UNIT_MAIN_WITH(make_file, remove_file, cmocka_unit_test(test_standards),
               cmocka_unit_test(test_good_lines), cmocka_unit_test(test_levels),
               cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_no_file),
               cmocka_unit_test(test_directory), cmocka_unit_test(test_long_line))
