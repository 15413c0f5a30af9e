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

/* A server that says nothing for so long is unwell. */
#define SILENT_MS (DATABASE_TIMEOUT_S * 1000 - 100)

/* A host of the ordered list. */
struct host {
    char *name;          /* unix:/path, host or host:port */
    char complaint[256]; /* what was logged of it last, so that an outage is logged once */
};

struct database {
    const struct config *config;
    struct host *hosts;
    size_t host_count;
    size_t at;      /* the host that is or was connected */
    size_t shunned; /* the one that failed in the middle of its work; host_count: none */
    MYSQL *mysql;   /* NULL: not connected */
    char refusal[200];
    bool is_guessing; /* an error is no news */
    bool is_galera;   /* the server that is connected */
};

bool database_library_start(void)
{
    return mysql_library_init(0, NULL, NULL) == 0;
}

void database_library_end(void)
{
    mysql_library_end();
}

static void add_host(struct database *database, const char *name)
{
    database->hosts =
        mem_realloc(database->hosts, (database->host_count + 1) * sizeof *database->hosts);
    database->hosts[database->host_count++] = (struct host){.name = mem_strdup(name)};
    database->shunned = database->host_count;
}

struct database *database_new(const struct config *config)
{
    struct database *database = mem_zalloc(sizeof *database);
    char *hosts = mem_strdup(config->database_host);
    char *rest = hosts;
    const char *host;

    database->config = config;
    while ((host = strsep(&rest, ", ")) != NULL)
        if (*host)
            add_host(database, host);
    free(hosts);
    return database;
}

void database_free(struct database *database)
{
    database_disconnect(database);
    for (size_t i = 0; i < database->host_count; i++)
        free(database->hosts[i].name);
    free(database->hosts);
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
    struct host *host = &database->hosts[database->at];
    char complaint[sizeof host->complaint];

    snprintf(complaint, sizeof complaint, "%s: %s", what, why);
    if (strcmp(complaint, host->complaint) != 0)
        log_error("database %s: %s", host->name, complaint);
    memcpy(host->complaint, complaint, sizeof complaint);
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

/* `name` is unix:/path, host, host:port or [address]:port; it is cut up in place. */
static bool dial(struct database *database, char *name, const char *password)
{
    const struct config *config = database->config;
    MYSQL *mysql = database->mysql;
    const char *ca = config->database_tls_ca;
    const unsigned tcp = MYSQL_PROTOCOL_TCP;
    const unsigned local = MYSQL_PROTOCOL_SOCKET;
    const char *socket = NULL;
    const char *host = name;
    unsigned port = 0;
    char *colon = strrchr(name, ':');

    if (strncmp(name, "unix:", 5) == 0) {
        socket = name + 5;
        host = NULL;
        ca = "";
    } else if (*name == '[' && strchr(name, ']')) {
        host = name + 1;
        colon = strchr(name, ']');
        *colon++ = '\0';
    }
    if (host && colon && *colon == ':') {
        *colon = '\0';
        port = (unsigned)strtoul(colon + 1, NULL, 10);
    }
    /* Or `localhost` would be a unix socket. */
    mysql_options(mysql, MYSQL_OPT_PROTOCOL, host ? &tcp : &local);
    set_tls(mysql, ca);
    if (!mysql_real_connect(mysql, host, config->database_user, password, config->database_name,
                            port, socket, CLIENT_MULTI_STATEMENTS)) {
        complain(database, "can't connect", mysql_error(mysql));
        return false;
    }
    if (*ca && !mysql_get_ssl_cipher(mysql)) {
        complain(database, "can't connect", "the connection is not encrypted");
        return false;
    }
    return true;
}

/* What may differ from server to server is said here, whatever a transaction relies on. */
#define SESSION_SQL                                                                                \
    "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00',"         \
    " autocommit=1, completion_type=0, sql_safe_updates=0, innodb_lock_wait_timeout=5;"            \
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;"

static void take_fact(void *context, const struct database_row *row)
{
    server_note(context, row->values[0], row->values[1]);
}

/* UNREACHABLE members are those that a partition has cut off, or that died a moment ago. */
#define GROUP_SQL                                                                                  \
    "SELECT m.member_state, m.member_role, (SELECT 2 * SUM(o.member_state <> 'UNREACHABLE')"       \
    " > COUNT(*) FROM performance_schema.replication_group_members o)"                             \
    " FROM performance_schema.replication_group_members m WHERE m.member_id = @@server_uuid"

static void take_member(void *context, const struct database_row *row)
{
    for (unsigned i = 0; i < row->count; i++)
        server_note_fact(context, FACT_GROUP_STATE + i, row->values[i]);
}

/* Of MySQL 8; group replication has channels of its own. */
#define SOURCES_SQL                                                                                \
    "SELECT COUNT(*) FROM performance_schema.replication_connection_status"                        \
    " WHERE service_state <> 'OFF' AND channel_name NOT LIKE 'group\\_replication\\_%'"

static void take_sources(void *context, const struct database_row *row)
{
    server_note_fact(context, FACT_SOURCES, row->values[0]);
}

static enum database_status run_text(struct database *database, const char *text,
                                     database_visit *visit, void *context)
{
    struct buf sql = {0};
    enum database_status status;

    buf_puts(&sql, text);
    status = database_run(database, &sql, visit, context);
    buf_free(&sql);
    return status;
}

static enum database_status show_facts(struct database *database, struct server *server)
{
    struct buf sql = {0};
    enum database_status status;

    buf_puts(&sql, SESSION_SQL "SHOW GLOBAL VARIABLES WHERE Variable_name IN ");
    server_put_names(&sql);
    buf_puts(&sql, ";SHOW GLOBAL STATUS WHERE Variable_name IN ");
    server_put_names(&sql);
    status = database_run(database, &sql, take_fact, server);
    buf_free(&sql);
    return status;
}

static enum database_status find_facts(struct database *database, struct server *server)
{
    enum database_status status = show_facts(database, server);

    if (status != DATABASE_OK || strstr(mysql_get_server_info(database->mysql), "MariaDB"))
        return status;
    database->is_guessing = true; /* without the right to look the facts stay unknown */
    if (server_is_group_member(server))
        status = run_text(database, GROUP_SQL, take_member, server);
    if (status != DATABASE_LOST)
        status = run_text(database, SOURCES_SQL, take_sources, server);
    database->is_guessing = false;
    return status == DATABASE_ERROR ? DATABASE_OK : status;
}

/* On a cluster, a transaction begins with all that was committed on any node before. */
static enum database_status set_causality(struct database *database, const struct server *server)
{
    database->is_galera = server_is_galera(server);
    if (database->is_galera)
        return run_text(database, "SET SESSION wsrep_sync_wait=1", NULL, NULL);
    if (server_is_group_member(server))
        return run_text(database,
                        "SET SESSION group_replication_consistency='BEFORE_ON_PRIMARY_FAILOVER'",
                        NULL, NULL);
    return DATABASE_OK;
}

static enum database_status set_session(struct database *database)
{
    struct server server = {0};
    enum database_status status = find_facts(database, &server);

    if (status != DATABASE_OK)
        return status;
    if (!server_is_fit(&server, database->refusal, sizeof database->refusal)) {
        complain(database, "refused", database->refusal);
        return DATABASE_LOST;
    }
    return set_causality(database, &server);
}

static enum database_status connect_to(struct database *database, size_t at)
{
    const char *password_file = database->config->database_password_file;
    char password[256];
    char *name = mem_strdup(database->hosts[at].name);
    enum database_status status = DATABASE_LOST;
    bool connected = false;

    database->at = at;
    database->is_galera = false;
    database->mysql = mysql_init(NULL);
    set_options(database->mysql);
    if (read_password(password_file, password, sizeof password))
        connected = dial(database, name, password);
    else
        complain(database, password_file, strerror(errno));
    explicit_bzero(password, sizeof password);
    free(name);
    if (connected)
        status = set_session(database);
    if (status != DATABASE_OK) {
        database_disconnect(database);
        return status;
    }
    log_info("database connected at %s", database->hosts[at].name);
    database->hosts[at].complaint[0] = '\0';
    return DATABASE_OK;
}

enum database_status database_connect(struct database *database)
{
    enum database_status status = DATABASE_LOST;
    size_t shunned = database->shunned;

    if (database->mysql)
        return DATABASE_OK;
    database->refusal[0] = '\0';
    for (size_t i = 0; i < database->host_count && status != DATABASE_OK; i++)
        if (i != shunned)
            status = connect_to(database, i);
    if (status != DATABASE_OK && shunned < database->host_count)
        status = connect_to(database, shunned);
    database->shunned = database->host_count;
    return status;
}

bool database_improve(struct database *database)
{
    MYSQL *present = database->mysql;
    bool is_galera = database->is_galera;
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
    database->is_galera = is_galera;
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
    else if (status == DATABASE_LOST || !database->is_guessing)
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

/* How long the first statement is. A literal has no quote in it (see sql_text). */
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

/* Galera rolls a transaction back when another node was first. Does that happen between two
 * statements of one text, the server goes on with the rest outside of any transaction, and says
 * nothing. Sent one by one, the next statement fails, as it should. */
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
    if (database->is_galera)
        return run_one_by_one(database, sql, visit, context);
    return run_part(database, sql->data, sql->len, &set, visit, context);
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
        if (text[i] < ' ' || text[i] > '~' || text[i] == '\'' || text[i] == '"' || text[i] == '\\')
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
