/* database: see database.h. No automatic reconnect: it would commit half a transaction. */
#include "database/database.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/times.h"
#include "database/database_host.h"
#include "database/database_session.h"

#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that says nothing for so long is unwell. */
#define SILENT_MS (DATABASE_TIMEOUT_S * 1000 - 100)

/* How the server that is connected is given several statements. */
enum manner {
    TOGETHER,
    ONE_BY_ONE,  /* Galera rolls a transaction back when another node was first. Does that happen
                  * between two statements of one text, the server goes on with the rest outside of
                  * any transaction, and says nothing. */
    AS_COMPOUND, /* MariaDB: one answer to all, where each wakes both sides otherwise */
};

struct database {
    const struct config *config;
    struct database_hosts hosts;
    size_t at;      /* the host that is or was connected */
    size_t shunned; /* the one that failed in the middle of its work; hosts.count: none */
    MYSQL *mysql;   /* NULL: not connected */
    char refusal[200];
    bool is_trying; /* an error is no news */
    enum manner manner;
    struct buf compound;
};

bool database_library_start(void)
{
    return mysql_library_init(0, NULL, NULL) == 0;
}

void database_library_end(void)
{
    mysql_library_end();
}

struct database *database_new(const struct config *config)
{
    struct database *database = mem_zalloc(sizeof *database);

    database->config = config;
    database_hosts_init(&database->hosts, config->database_host);
    database->shunned = database->hosts.count;
    return database;
}

void database_free(struct database *database)
{
    database_disconnect(database);
    database_hosts_free(&database->hosts);
    buf_free(&database->compound);
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

const char *database_refusal(const struct database *database)
{
    return database->refusal;
}

static void complain(struct database *database, const char *what, const char *why)
{
    database_host_complain(&database->hosts.list[database->at], what, why);
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

/* With a CA the server must show a certificate of it for the name that we call it by. */
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
    const unsigned connect_s = DATABASE_CONNECT_TIMEOUT_S;
    const unsigned transfer_s = DATABASE_TIMEOUT_S;

    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &transfer_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &transfer_s);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
}

static bool dial(struct database *database, const char *password)
{
    const struct config *config = database->config;
    const struct database_host *to = &database->hosts.list[database->at];
    MYSQL *mysql = database->mysql;
    const char *ca = to->host ? config->database_tls_ca : "";
    /* Or `localhost` would be a unix socket. */
    const unsigned protocol = to->host ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;

    mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    set_tls(mysql, ca);
    if (!mysql_real_connect(mysql, to->host, config->database_user, password, config->database_name,
                            to->port, to->socket, CLIENT_MULTI_STATEMENTS)) {
        complain(database, "can't connect", mysql_error(mysql));
        return false;
    }
    if (*ca && !mysql_get_ssl_cipher(mysql)) {
        complain(database, "can't connect", "the connection is not encrypted");
        return false;
    }
    return true;
}

static enum database_status accept_server(struct database *database)
{
    struct server server = {0};
    enum database_status status = session_start(database, &server);

    if (status != DATABASE_OK)
        return status;
    if (!server_is_fit(&server, database->refusal, sizeof database->refusal)) {
        complain(database, "refused", database->refusal);
        return DATABASE_LOST;
    }
    database->manner = server_is_galera(&server)    ? ONE_BY_ONE
                       : server_is_mariadb(&server) ? AS_COMPOUND
                                                    : TOGETHER;
    return session_set_causality(database, &server);
}

static bool reach(struct database *database)
{
    const char *password_file = database->config->database_password_file;
    char password[256];
    bool reached = false;

    if (read_password(password_file, password, sizeof password))
        reached = dial(database, password);
    else
        complain(database, password_file, strerror(errno));
    explicit_bzero(password, sizeof password);
    return reached;
}

static enum database_status connect_to(struct database *database, size_t at)
{
    enum database_status status = DATABASE_LOST;

    database->at = at;
    database->manner = TOGETHER;
    database->mysql = mysql_init(NULL);
    set_options(database->mysql);
    if (reach(database))
        status = accept_server(database);
    if (status != DATABASE_OK)
        database_disconnect(database);
    else
        database_host_praise(&database->hosts.list[at]);
    return status;
}

enum database_status database_connect(struct database *database)
{
    enum database_status status = DATABASE_LOST;
    size_t shunned = database->shunned;

    if (database->mysql)
        return DATABASE_OK;
    database->refusal[0] = '\0';
    for (size_t i = 0; i < database->hosts.count && status != DATABASE_OK; i++)
        if (i != shunned)
            status = connect_to(database, i);
    if (status != DATABASE_OK && shunned < database->hosts.count)
        status = connect_to(database, shunned);
    database->shunned = database->hosts.count;
    return status;
}

bool database_improve(struct database *database)
{
    MYSQL *present = database->mysql;
    enum manner manner = database->manner;
    size_t present_at = database->at;

    if (!present)
        return false;
    for (size_t i = 0; i < present_at; i++) {
        if (connect_to(database, i) == DATABASE_OK) {
            mysql_close(present);
            return true;
        }
    }
    database->mysql = present;
    database->manner = manner;
    database->at = present_at;
    return false;
}

/* Running */

static enum database_status fail(struct database *database, int64_t started_ms)
{
    unsigned error = mysql_errno(database->mysql);
    enum database_status status = database_classify(error);

    if (status == DATABASE_RETRY)
        log_info("database: %s", mysql_error(database->mysql));
    else if (status == DATABASE_LOST || !database->is_trying)
        complain(database, "statement", mysql_error(database->mysql));
    if (status != DATABASE_LOST)
        return status;
    /* One that says so, or says nothing any more, would only do it again; a cut connection tells
     * nothing about its server. */
    if (database_is_server_unwell(error) || times_monotonic_ms() - started_ms >= SILENT_MS)
        database->shunned = database->at;
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

/* `*set` counts the results on. */
static enum database_status run_part(struct database *database, const char *sql, size_t len,
                                     unsigned *set, database_visit *visit, void *context)
{
    int64_t started_ms = times_monotonic_ms();
    int more = 0;

    if (mysql_real_query(database->mysql, sql, len) != 0)
        return fail(database, started_ms);
    for (; more == 0; (*set)++) {
        if (!take_result(database->mysql, *set, visit, context))
            return fail(database, started_ms);
        more = mysql_next_result(database->mysql);
    }
    return more > 0 ? fail(database, started_ms) : DATABASE_OK;
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

static enum database_status run_one_by_one(struct database *database, const struct buf *sql,
                                           database_visit *visit, void *context)
{
    enum database_status status = DATABASE_OK;
    unsigned set = 0;
    size_t len;

    for (size_t at = 0; at < sql->len && status == DATABASE_OK; at += len + 1) {
        len = statement_len(sql->data + at, sql->len - at);
        if (len > 0)
            status = run_part(database, sql->data + at, len, &set, visit, context);
    }
    return status;
}

enum database_status database_run(struct database *database, const struct buf *sql,
                                  database_visit *visit, void *context)
{
    unsigned set = 0;

    if (!database->mysql)
        return DATABASE_LOST;
    if (database->manner == ONE_BY_ONE)
        return run_one_by_one(database, sql, visit, context);
    return run_part(database, sql->data, sql->len, &set, visit, context);
}

enum database_status database_try(struct database *database, const char *text,
                                  database_visit *visit, void *context)
{
    struct buf sql = {0};
    enum database_status status;

    buf_puts(&sql, text);
    database->is_trying = true;
    status = database_run(database, &sql, visit, context);
    database->is_trying = false;
    buf_free(&sql);
    return status;
}

enum database_status database_write(struct database *database, const struct buf *sql)
{
    struct buf *compound = &database->compound;

    if (database->manner != AS_COMPOUND)
        return database_run(database, sql, NULL, NULL);
    buf_clear(compound);
    buf_puts(compound, "BEGIN NOT ATOMIC ");
    buf_append(compound, sql->data, sql->len);
    buf_puts(compound, "END");
    return database_run(database, compound, NULL, NULL);
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
