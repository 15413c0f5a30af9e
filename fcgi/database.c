/* database: see database.h. No automatic reconnect: it would commit half a transaction. */
#include "database.h"

#include "fault.h"
#include "log.h"
#include "times.h"

#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct database {
    char *hosts;
    char *name;
    char *user;
    char *password_file;
    MYSQL *mysql;        /* NULL: not connected */
    char complaint[256]; /* what was logged last, so that an outage is logged once */
};

bool database_library_start(void)
{
    return mysql_library_init(0, NULL, NULL) == 0;
}

void database_library_end(void)
{
    mysql_library_end();
}

struct database *database_new(const char *hosts, const char *name, const char *user,
                              const char *password_file)
{
    struct database *database = mem_zalloc(sizeof *database);

    database->hosts = mem_strdup(hosts);
    database->name = mem_strdup(name);
    database->user = mem_strdup(user);
    database->password_file = mem_strdup(password_file);
    return database;
}

void database_free(struct database *database)
{
    database_disconnect(database);
    free(database->hosts);
    free(database->name);
    free(database->user);
    free(database->password_file);
    free(database);
}

void database_disconnect(struct database *database)
{
    if (database->mysql)
        mysql_close(database->mysql);
    database->mysql = NULL;
}

bool database_is_connected(const struct database *database)
{
    return database->mysql != NULL;
}

static void complain(struct database *database, const char *where, const char *what)
{
    char complaint[sizeof database->complaint];

    snprintf(complaint, sizeof complaint, "%s: %s", where, what);
    if (strcmp(complaint, database->complaint) != 0)
        log_error("database %s", complaint);
    memcpy(database->complaint, complaint, sizeof complaint);
}

static enum database_status classify(unsigned error)
{
    switch (error) {
    case 1205: /* lock wait timeout, and NOWAIT on MariaDB */
    case 1213: /* deadlock */
    case 1020: /* record changed since last read */
    case 3572: /* NOWAIT on MySQL */
        return DATABASE_RETRY;
    case 1040: /* too many connections */
    case 1047: /* Galera: not ready */
    case 1180: /* error during COMMIT: its fate is unknown */
    case 1053: /* shutdown in progress */
    case 1290: /* --read-only */
    case 1792: /* read-only transaction */
    case 1836: /* read-only mode */
    case 1927: /* connection was killed */
    case 3100: /* group replication: hook error */
    case 3101: /* group replication: rolled back */
    case 3169: /* session was killed */
    case 4031: /* idle connection was closed */
        return DATABASE_LOST;
    default:
        return error >= 2000 && error < 3000 ? DATABASE_LOST : DATABASE_ERROR;
    }
}

/* Connecting */

static bool read_password(const char *path, char *password, size_t size)
{
    FILE *file;
    bool got;

    password[0] = '\0';
    if (!*path)
        return true;
    file = fopen(path, "re");
    if (!file)
        return false;
    got = fgets(password, (int)size, file) != NULL;
    password[strcspn(password, "\r\n")] = '\0';
    fclose(file);
    return got;
}

static void set_options(MYSQL *mysql)
{
    const unsigned connect_s = DATABASE_CONNECT_TIMEOUT_S;
    const unsigned transfer_s = DATABASE_TIMEOUT_S;

    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &transfer_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &transfer_s);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
}

/* `host` is unix:/path, host or host:port; it is cut up in place. */
static bool dial(MYSQL *mysql, const struct database *database, char *host, const char *password)
{
    const char *socket = NULL;
    unsigned port = 0;
    char *colon;

    if (strncmp(host, "unix:", 5) == 0) {
        socket = host + 5;
        host = NULL;
    } else if ((colon = strrchr(host, ':')) != NULL) {
        *colon = '\0';
        port = (unsigned)strtoul(colon + 1, NULL, 10);
    }
    return mysql_real_connect(mysql, host, database->user, password, database->name, port, socket,
                              CLIENT_MULTI_STATEMENTS) != NULL;
}

static void first_value(void *context, const struct database_row *row)
{
    char *value = context;
    snprintf(value, 8, "%s", row->values[0] ? row->values[0] : "");
}

static enum database_status set_session(struct database *database)
{
    static const char text[] =
        "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00',"
        " autocommit=1, innodb_lock_wait_timeout=5;"
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
        "SELECT @@global.read_only";
    struct buf sql = {0};
    char read_only[8] = "";
    enum database_status status;

    buf_puts(&sql, text);
    status = database_run(database, &sql, first_value, read_only);
    buf_free(&sql);
    if (status == DATABASE_OK && strcmp(read_only, "0") != 0 && strcmp(read_only, "OFF") != 0) {
        complain(database, "connect", "the server is read-only");
        status = DATABASE_LOST;
    }
    return status;
}

static enum database_status connect_to(struct database *database, char *host)
{
    char password[256];
    char where[128];
    enum database_status status = DATABASE_LOST;
    bool connected = false;

    snprintf(where, sizeof where, "%s", host);
    database->mysql = mysql_init(NULL);
    set_options(database->mysql);
    if (!read_password(database->password_file, password, sizeof password))
        complain(database, database->password_file, strerror(errno));
    else if (!dial(database->mysql, database, host, password))
        complain(database, where, mysql_error(database->mysql));
    else
        connected = true;
    explicit_bzero(password, sizeof password);
    if (connected)
        status = set_session(database);
    if (status != DATABASE_OK) {
        database_disconnect(database);
        return status;
    }
    log_info("database connected at %s", where);
    database->complaint[0] = '\0';
    return DATABASE_OK;
}

enum database_status database_connect(struct database *database)
{
    enum database_status status = database->mysql ? DATABASE_OK : DATABASE_LOST;
    char *hosts = mem_strdup(database->hosts);
    char *rest = hosts;
    char *host;

    while (status != DATABASE_OK && (host = strsep(&rest, ", ")) != NULL)
        if (*host)
            status = connect_to(database, host);
    free(hosts);
    return status;
}

/* Running */

static enum database_status fail(struct database *database)
{
    enum database_status status = classify(mysql_errno(database->mysql));

    if (status == DATABASE_RETRY)
        log_info("database: %s", mysql_error(database->mysql));
    else
        complain(database, "statement", mysql_error(database->mysql));
    if (status == DATABASE_LOST)
        database_disconnect(database);
    return status;
}

static bool take_result(MYSQL *mysql, unsigned set, database_visit *visit, void *context)
{
    MYSQL_RES *result = mysql_store_result(mysql);
    struct database_row row = {.set = set};

    if (!result)
        return mysql_errno(mysql) == 0;
    row.count = mysql_num_fields(result);
    while (visit && (row.values = mysql_fetch_row(result)) != NULL) {
        row.lengths = mysql_fetch_lengths(result);
        visit(context, &row);
    }
    mysql_free_result(result);
    return true;
}

enum database_status database_run(struct database *database, const struct buf *sql,
                                  database_visit *visit, void *context)
{
    int more = 0;

    if (!database->mysql)
        return DATABASE_LOST;
    if (mysql_real_query(database->mysql, sql->data, sql->len) != 0)
        return fail(database);
    for (unsigned set = 0; more == 0; set++) {
        if (!take_result(database->mysql, set, visit, context))
            return fail(database);
        more = mysql_next_result(database->mysql);
    }
    return more > 0 ? fail(database) : DATABASE_OK;
}

#ifdef FAULTS
enum database_status database_fault(struct database *database, const char *point,
                                    enum database_status status)
{
    switch (fault_point(point)) {
    case FAULT_CUT:
        database_disconnect(database);
        return DATABASE_LOST;
    case FAULT_ERROR:
        return DATABASE_ERROR;
    case FAULT_NONE:
        break;
    }
    return status;
}
#endif

uint64_t database_uint(const struct database_row *row, unsigned column, uint64_t otherwise)
{
    return row->values[column] ? strtoull(row->values[column], NULL, 10) : otherwise;
}

int64_t database_int(const struct database_row *row, unsigned column, int64_t otherwise)
{
    return row->values[column] ? strtoll(row->values[column], NULL, 10) : otherwise;
}

/* Building */

static void add_hex(struct buf *sql, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    char pair[2];

    for (size_t i = 0; i < len; i++) {
        pair[0] = digits[at[i] >> 4];
        pair[1] = digits[at[i] & 15];
        buf_append(sql, pair, 2);
    }
}

/* Letters, digits and signs that mean nothing within quotes, whatever the server's settings. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '\'' || text[i] == '"' ||
            text[i] == '\\')
            return false;
    return true;
}

/* Plain text as it is, which costs the server least; any other in hexadecimal. */
void sql_text(struct buf *sql, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (!text) {
        buf_puts(sql, "NULL");
    } else if (is_plain(text, len)) {
        buf_puts(sql, "'");
        buf_append(sql, text, len);
        buf_puts(sql, "'");
    } else {
        buf_puts(sql, "_utf8mb4 x'");
        add_hex(sql, text, len);
        buf_puts(sql, "'");
    }
}

void sql_bytes(struct buf *sql, const void *bytes, size_t len)
{
    buf_puts(sql, "x'");
    add_hex(sql, bytes, len);
    buf_puts(sql, "'");
}

void sql_time(struct buf *sql, int64_t time_us)
{
    char text[TIMES_TEXT_SIZE];

    if (!time_us) {
        buf_puts(sql, "NULL");
        return;
    }
    times_sql(time_us, text);
    buf_puts(sql, "'");
    buf_puts(sql, text);
    buf_puts(sql, "'");
}
