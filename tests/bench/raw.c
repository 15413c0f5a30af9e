/* raw: a pool in MariaDB or MySQL, one transaction for a borrow and one for a return. The address
 * is a client option file. Ways:
 *
 *   skip       SELECT … FOR UPDATE SKIP LOCKED, UPDATE, COMMIT: what one writes by hand
 *   procedure  the same in a stored procedure: one round trip
 *   recorded   such procedures that also keep a row of each lease, and its history, as we do
 *   commit     no pool: each client changes a row of its own, in a durable commit */
#include "peer.h"
#include "tool.h"

#include <mysql.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLOCK     1213
#define LOCK_TIMEOUT 1205
#define CHANGED_ROW  1020

enum way { SKIP, PROCEDURE, RECORDED, COMMIT, WAYS };
static const char *const way_names[WAYS] = {"skip", "procedure", "recorded", "commit"};

#define PICK   "SELECT stack_no%s FROM stack WHERE state='available' LIMIT 1 FOR UPDATE SKIP LOCKED"
#define LEND   "UPDATE stack SET state='leased',fence=fence+1,lease_id=%s WHERE stack_no=%s"
#define RETURN "UPDATE stack SET state='available',lease_id=NULL WHERE stack_no=%s AND lease_id=%s"
#define RECORD                                                                                     \
    "INSERT INTO lease (stack_no,lease_id,branch,asked_at,granted_at,expires_at)"                  \
    " VALUES (n,id,'main',NOW(6),NOW(6),NOW(6)+INTERVAL 1 HOUR)"
#define ARCHIVE                                                                                    \
    "INSERT INTO history (lease_no,stack_no,lease_id,branch,asked_at,granted_at,ended_at)"         \
    " SELECT lease_no,stack_no,lease_id,branch,asked_at,granted_at,NOW(6) FROM lease"              \
    " WHERE stack_no=s"
#define COLUMNS                                                                                    \
    " stack_no INT NOT NULL, lease_id CHAR(16) NOT NULL, branch VARCHAR(255) NOT NULL,"            \
    " asked_at DATETIME(6) NOT NULL, granted_at DATETIME(6) NOT NULL, %s DATETIME(6) NOT NULL,"    \
    " KEY (stack_no)) ENGINE=InnoDB DEFAULT CHARSET=ascii"

struct peer {
    MYSQL *mysql;
    enum way way;
    int client;
    unsigned long leases;
    char lease_id[17];
};

static enum way find_way(const char *name)
{
    for (int way = 0; way < WAYS; way++)
        if (strcmp(name, way_names[way]) == 0)
            return (enum way)way;
    tool_die("unknown way: %s", name);
}

static MYSQL *connect_to(const char *option_file)
{
    MYSQL *mysql = mysql_init(NULL);

    if (!mysql)
        tool_die("out of memory");
    mysql_options(mysql, MYSQL_READ_DEFAULT_FILE, option_file);
    if (!mysql_real_connect(mysql, NULL, NULL, NULL, NULL, 0, NULL, 0))
        tool_die("database: %s", mysql_error(mysql));
    return mysql;
}

/* Returns 0 if others were faster: the transaction is rolled back then. */
static int try_text(MYSQL *mysql, const char *text)
{
    unsigned error;

    if (mysql_real_query(mysql, text, strlen(text)) == 0)
        return 1;
    error = mysql_errno(mysql);
    if (error != DEADLOCK && error != LOCK_TIMEOUT && error != CHANGED_ROW)
        tool_die("%s: %s", text, mysql_error(mysql));
    mysql_rollback(mysql);
    return 0;
}

static void query(MYSQL *mysql, const char *text)
{
    if (!try_text(mysql, text))
        tool_die("%s: %s", text, mysql_error(mysql));
}

#define QUERY_MAX 1024

__attribute__((format(printf, 2, 0))) static void write_query(char text[QUERY_MAX],
                                                              const char *format, va_list arguments)
{
    if (vsnprintf(text, QUERY_MAX, format, arguments) >= QUERY_MAX)
        tool_die("too long: %s", text);
}

__attribute__((format(printf, 2, 3))) static int try_query(MYSQL *mysql, const char *format, ...)
{
    char text[QUERY_MAX];
    va_list arguments;

    va_start(arguments, format);
    write_query(text, format, arguments);
    va_end(arguments);
    return try_text(mysql, text);
}

__attribute__((format(printf, 2, 3))) static void must_query(MYSQL *mysql, const char *format, ...)
{
    char text[QUERY_MAX];
    va_list arguments;

    va_start(arguments, format);
    write_query(text, format, arguments);
    va_end(arguments);
    query(mysql, text);
}

/* The number in the first column of the first row; PEER_AGAIN if there is none. */
static int read_number(MYSQL *mysql)
{
    MYSQL_RES *result = mysql_store_result(mysql);
    MYSQL_ROW row;
    int number = PEER_AGAIN;

    if (!result)
        tool_die("no result: %s", mysql_error(mysql));
    row = mysql_fetch_row(result);
    if (row && row[0])
        number = (int)tool_number(row[0], 1e9);
    mysql_free_result(result);
    while (mysql_more_results(mysql) && mysql_next_result(mysql) == 0)
        ; /* a procedure's own status */
    return number;
}

static void make_tables(MYSQL *mysql)
{
    query(mysql, "DROP DATABASE IF EXISTS stack_orchestrator_raw");
    query(mysql, "CREATE DATABASE stack_orchestrator_raw");
    query(mysql, "USE stack_orchestrator_raw");
    query(mysql, "CREATE TABLE stack (stack_no INT PRIMARY KEY, fence BIGINT UNSIGNED NOT NULL,"
                 " state ENUM('available','leased') NOT NULL, lease_id CHAR(16) NULL)"
                 " ENGINE=InnoDB DEFAULT CHARSET=ascii");
    must_query(mysql, "CREATE TABLE lease (lease_no BIGINT AUTO_INCREMENT PRIMARY KEY," COLUMNS,
               "expires_at");
    must_query(mysql, "CREATE TABLE history (lease_no BIGINT PRIMARY KEY," COLUMNS, "ended_at");
}

static void make_procedures(MYSQL *mysql)
{
    must_query(mysql,
               "CREATE PROCEDURE borrow(id CHAR(16)) BEGIN DECLARE n INT; START TRANSACTION; " PICK
               "; " LEND "; COMMIT; SELECT n; END",
               " INTO n", "id", "n");
    must_query(mysql,
               "CREATE PROCEDURE borrow_recorded(id CHAR(16)) BEGIN DECLARE n INT; START "
               "TRANSACTION; " PICK "; IF n IS NOT NULL THEN " LEND "; " RECORD
               "; END IF; COMMIT; SELECT n; END",
               " INTO n", "id", "n");
    must_query(mysql,
               "CREATE PROCEDURE give_back(s INT, id CHAR(16)) BEGIN START TRANSACTION; " RETURN
               "; " ARCHIVE "; DELETE FROM lease WHERE stack_no=s; COMMIT; SELECT s; END",
               "s", "id");
}

void peer_fill(const char *address, const char *way, int stacks)
{
    MYSQL *mysql = connect_to(address);

    (void)find_way(way);
    make_tables(mysql);
    make_procedures(mysql);
    for (int i = 0; i < stacks; i++)
        must_query(mysql, "INSERT INTO stack VALUES (%d,0,'available',NULL)", i);
    mysql_close(mysql);
}

struct peer *peer_open(const char *address, const char *way, int client)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer)
        tool_die("out of memory");
    peer->way = find_way(way);
    peer->mysql = connect_to(address);
    peer->client = client;
    query(peer->mysql, "USE stack_orchestrator_raw");
    /* Else a search locks every row that it passes by. */
    query(peer->mysql, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    return peer;
}

void peer_close(struct peer *peer)
{
    mysql_close(peer->mysql);
    free(peer);
}

static int borrow_by_hand(struct peer *peer)
{
    char number[16];
    char id[20];
    int stack;

    if (!try_text(peer->mysql, "START TRANSACTION") || !try_query(peer->mysql, PICK, ""))
        return PEER_AGAIN;
    stack = read_number(peer->mysql);
    snprintf(number, sizeof number, "%d", stack);
    snprintf(id, sizeof id, "'%s'", peer->lease_id);
    if (stack != PEER_AGAIN && !try_query(peer->mysql, LEND, id, number))
        return PEER_AGAIN;
    return try_text(peer->mysql, "COMMIT") ? stack : PEER_AGAIN;
}

static void commit_alone(struct peer *peer)
{
    must_query(peer->mysql, "UPDATE stack SET fence=fence+1 WHERE stack_no=%d", peer->client);
}

int peer_borrow(struct peer *peer)
{
    const char *procedure = peer->way == RECORDED ? "borrow_recorded" : "borrow";

    snprintf(peer->lease_id, sizeof peer->lease_id, "%04x%012lx", (unsigned)peer->client & 0xffffU,
             peer->leases++ & 0xffffffffffffUL);
    if (peer->way == SKIP)
        return borrow_by_hand(peer);
    if (peer->way == COMMIT) {
        commit_alone(peer);
        return peer->client;
    }
    if (!try_query(peer->mysql, "CALL %s('%s')", procedure, peer->lease_id))
        return PEER_AGAIN;
    return read_number(peer->mysql);
}

void peer_return(struct peer *peer, int stack)
{
    char number[16];
    char id[20];

    if (peer->way == COMMIT) {
        commit_alone(peer);
        return;
    }
    if (peer->way == RECORDED) {
        while (!try_query(peer->mysql, "CALL give_back(%d,'%s')", stack, peer->lease_id))
            ;
        (void)read_number(peer->mysql);
        return;
    }
    snprintf(number, sizeof number, "%d", stack);
    snprintf(id, sizeof id, "'%s'", peer->lease_id);
    /* A transaction of one statement commits by itself. */
    while (!try_query(peer->mysql, RETURN, number, id))
        ;
    if (mysql_affected_rows(peer->mysql) != 1)
        tool_die("stack %d was another's", stack);
}
