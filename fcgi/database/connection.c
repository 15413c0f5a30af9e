/* connection: see connection.h. No automatic reconnect: it would commit half a transaction. */
#include "database/connection.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/times.h"

#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that is silent for this long is unwell. */
#define SILENT_MS (CONNECTION_TIMEOUT_S * 1000 - 100)

struct connection {
    MYSQL *mysql;
    struct database_host *host;
    enum connection_manner manner;
    bool is_trying; /* an error is expected */
    bool is_server_unwell;
    bool was_slow;
    struct buf compound;
};

bool connection_library_start(void)
{
    return mysql_library_init(0, NULL, NULL) == 0;
}

void connection_library_end(void)
{
    mysql_library_end();
}

/* Opening */

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

/* With a CA, the server must show a certificate from it for the name that we use. */
static void set_tls(MYSQL *mysql, const char *ca)
{
#ifdef MARIADB_PACKAGE_VERSION_ID
    const my_bool verify = *ca != '\0';

    if (*ca)
        mysql_options(mysql, MYSQL_OPT_SSL_CA, ca);
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &verify);
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
#else
    const unsigned mode = *ca ? SSL_MODE_VERIFY_IDENTITY : SSL_MODE_PREFERRED;

    if (*ca)
        mysql_options(mysql, MYSQL_OPT_SSL_CA, ca);
    mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
#endif
}

static void set_options(MYSQL *mysql)
{
    const unsigned open_s = CONNECTION_OPEN_TIMEOUT_S;
    const unsigned transfer_s = CONNECTION_TIMEOUT_S;

    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &open_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &transfer_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &transfer_s);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
}

static bool dial(struct connection *connection, const struct config *config, const char *password)
{
    struct database_host *to = connection->host;
    MYSQL *mysql = connection->mysql;
    const char *ca = to->host ? config->database_tls_ca : "";
    /* Otherwise `localhost` would mean a unix socket. */
    const unsigned protocol = to->host ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;

    mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    set_tls(mysql, ca);
    if (!mysql_real_connect(mysql, to->host, config->database_user, password, config->database_name,
                            to->port, to->socket, CLIENT_MULTI_STATEMENTS)) {
        database_host_complain(to, "can't connect", mysql_error(mysql));
        return false;
    }
    if (*ca && !mysql_get_ssl_cipher(mysql)) {
        database_host_complain(to, "can't connect", "the connection is not encrypted");
        return false;
    }
    return true;
}

static bool reach(struct connection *connection, const struct config *config)
{
    const char *password_file = config->database_password_file;
    char password[256];
    bool reached = false;

    if (read_password(password_file, password, sizeof password))
        reached = dial(connection, config, password);
    else
        database_host_complain(connection->host, password_file, strerror(errno));
    explicit_bzero(password, sizeof password);
    return reached;
}

struct connection *connection_open(const struct config *config, struct database_host *host)
{
    struct connection *connection = mem_zalloc(sizeof *connection);

    connection->host = host;
    connection->mysql = mysql_init(NULL);
    set_options(connection->mysql);
    if (!reach(connection, config)) {
        connection_close(connection);
        return NULL;
    }
    return connection;
}

void connection_close(struct connection *connection)
{
    if (!connection)
        return;
    mysql_close(connection->mysql);
    buf_free(&connection->compound);
    free(connection);
}

void connection_set_manner(struct connection *connection, enum connection_manner manner)
{
    connection->manner = manner;
}

bool connection_is_server_unwell(const struct connection *connection)
{
    return connection->is_server_unwell;
}

bool connection_was_slow(const struct connection *connection)
{
    return connection->was_slow;
}

/* Running */

static enum database_status fail(struct connection *connection, int64_t started_ms)
{
    unsigned error = mysql_errno(connection->mysql);
    const char *why = mysql_error(connection->mysql);
    enum database_status status = database_status_of(error);

    if (status == DATABASE_RETRY)
        log_info("database: %s", why);
    else if (status == DATABASE_LOST || !connection->is_trying)
        database_host_complain(connection->host, "statement", why);
    connection->was_slow = database_status_is_slow(error);
    connection->is_server_unwell =
        status == DATABASE_LOST &&
        (database_status_is_unwell(error) || times_monotonic_ms() - started_ms >= SILENT_MS);
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

/* `*set` counts the results of all texts. */
static enum database_status run_text(struct connection *connection, const char *sql, size_t len,
                                     unsigned *set, database_visit *visit, void *context)
{
    int64_t started_ms = times_monotonic_ms();
    int more = 0;

    if (mysql_real_query(connection->mysql, sql, len) != 0)
        return fail(connection, started_ms);
    for (; more == 0; (*set)++) {
        if (!take_result(connection->mysql, *set, visit, context))
            return fail(connection, started_ms);
        more = mysql_next_result(connection->mysql);
    }
    return more > 0 ? fail(connection, started_ms) : DATABASE_OK;
}

/* How long the first statement is. A literal has no quote in it (see sql.h). */
static size_t statement_len(const char *sql, size_t len)
{
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        if (sql[i] == '\'')
            quoted = !quoted;
        else if (sql[i] == ';' && !quoted)
            return i;
    }
    return len;
}

static enum database_status run_one_by_one(struct connection *connection, const struct buf *sql,
                                           database_visit *visit, void *context)
{
    enum database_status status = DATABASE_OK;
    unsigned set = 0;
    size_t len;

    for (size_t at = 0; at < sql->len && status == DATABASE_OK; at += len + 1) {
        len = statement_len(sql->data + at, sql->len - at);
        if (len > 0)
            status = run_text(connection, sql->data + at, len, &set, visit, context);
    }
    return status;
}

enum database_status connection_run(struct connection *connection, const struct buf *sql,
                                    database_visit *visit, void *context)
{
    unsigned set = 0;

    if (connection->manner == CONNECTION_ONE_BY_ONE)
        return run_one_by_one(connection, sql, visit, context);
    return run_text(connection, sql->data, sql->len, &set, visit, context);
}

enum database_status connection_try(struct connection *connection, const char *text,
                                    database_visit *visit, void *context)
{
    struct buf sql = {0};
    enum database_status status;

    buf_puts(&sql, text);
    connection->is_trying = true;
    status = connection_run(connection, &sql, visit, context);
    connection->is_trying = false;
    buf_free(&sql);
    return status;
}

enum database_status connection_write(struct connection *connection, const struct buf *sql)
{
    struct buf *compound = &connection->compound;

    if (connection->manner != CONNECTION_AS_COMPOUND)
        return connection_run(connection, sql, NULL, NULL);
    buf_clear(compound);
    buf_puts(compound, "BEGIN NOT ATOMIC ");
    buf_append(compound, sql->data, sql->len);
    buf_puts(compound, "END");
    return connection_run(connection, compound, NULL, NULL);
}
