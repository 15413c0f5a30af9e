/* server: see server.h. */
#include "database/server.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Facts */

struct fact {
    const char *name;
    bool is_shown; /* by SHOW VARIABLES or SHOW STATUS */
};

static const struct fact names[FACT_COUNT] = {
    [FACT_VERSION] = {"version", true},
    [FACT_FLUSH_LOG] = {"innodb_flush_log_at_trx_commit", true},
    [FACT_LOG_BIN] = {"log_bin", true},
    [FACT_SYNC_BINLOG] = {"sync_binlog", true},
    [FACT_BINLOG_FORMAT] = {"binlog_format", true},
    [FACT_REDO_LOG] = {"innodb_redo_log_enabled", true},
    [FACT_READ_ONLY] = {"read_only", true},
    [FACT_INNODB_READ_ONLY] = {"innodb_read_only", true},
    [FACT_REPLICA_RUNS] = {"slave_running", true},
    [FACT_REPLICAS_RUN] = {"slaves_running", true},
    [FACT_SOURCES] = {"number of its sources", false},
    [FACT_WSREP_ON] = {"wsrep_on", true},
    [FACT_WSREP_CLUSTER] = {"wsrep_cluster_status", true},
    [FACT_WSREP_READY] = {"wsrep_ready", true},
    [FACT_WSREP_STATE] = {"wsrep_local_state_comment", true},
    [FACT_GROUP_NAME] = {"group_replication_group_name", true},
    [FACT_GROUP_SINGLE_PRIMARY] = {"group_replication_single_primary_mode", true},
    [FACT_GROUP_STATE] = {"MEMBER_STATE", false},
    [FACT_GROUP_ROLE] = {"MEMBER_ROLE", false},
    [FACT_GROUP_MAJORITY] = {"majority", false},
};

void server_put_names(struct buf *sql)
{
    const char *comma = "(";

    for (int fact = 0; fact < FACT_COUNT; fact++) {
        if (!names[fact].is_shown)
            continue;
        buf_printf(sql, "%s'%s'", comma, names[fact].name);
        comma = ",";
    }
    buf_puts(sql, ")");
}

void server_note_fact(struct server *server, enum server_fact fact, const char *value)
{
    snprintf(server->facts[fact], sizeof server->facts[fact], "%s", value ? value : "");
}

void server_note(struct server *server, const char *name, const char *value)
{
    for (int fact = 0; fact < FACT_COUNT; fact++)
        if (names[fact].is_shown && strcasecmp(names[fact].name, name) == 0)
            server_note_fact(server, (enum server_fact)fact, value);
}

/* Neither off nor unknown. */
static bool is_on(const struct server *server, enum server_fact fact)
{
    const char *value = server->facts[fact];

    return *value && strcmp(value, "0") != 0 && strcasecmp(value, "OFF") != 0;
}

bool server_is_mariadb(const struct server *server)
{
    return strstr(server->facts[FACT_VERSION], "MariaDB") != NULL;
}

bool server_is_galera(const struct server *server)
{
    return is_on(server, FACT_WSREP_ON);
}

bool server_is_group_member(const struct server *server)
{
    return is_on(server, FACT_GROUP_NAME);
}

/* Judging */

#define ALWAYS FACT_COUNT

static const struct rule {
    enum server_fact when; /* the rule counts if that is on */
    enum server_fact fact;
    const char *good; /* words; `-`: a server that doesn't know the fact */
    const char *why;
} rules[] = {
    {FACT_WSREP_ON, FACT_WSREP_CLUSTER, "Primary",
     "this part of the Galera cluster has no majority"},
    {FACT_WSREP_ON, FACT_WSREP_STATE, "Synced", "the Galera node lacks what the others have"},
    {FACT_WSREP_ON, FACT_WSREP_READY, "ON 1", "the Galera node takes no statements"},
    {FACT_GROUP_NAME, FACT_GROUP_SINGLE_PRIMARY, "ON 1",
     "a replication group must have a single primary"},
    {FACT_GROUP_NAME, FACT_GROUP_STATE, "ONLINE",
     "it is no working member of its replication group"},
    {FACT_GROUP_NAME, FACT_GROUP_ROLE, "PRIMARY", "its replication group writes elsewhere"},
    {FACT_GROUP_NAME, FACT_GROUP_MAJORITY, "ON 1",
     "this part of the replication group has no majority"},
    {ALWAYS, FACT_READ_ONLY, "OFF 0", "the server takes no writes"},
    {ALWAYS, FACT_INNODB_READ_ONLY, "OFF 0 -", "the server takes no writes"},
    /* What it applies may undo our changes, and others don't see ours. */
    {ALWAYS, FACT_REPLICA_RUNS, "OFF 0 -", "it is a replica; its source must be used"},
    {ALWAYS, FACT_REPLICAS_RUN, "0 -", "it is a replica; its source must be used"},
    {ALWAYS, FACT_SOURCES, "0 -", "it is a replica; its source must be used"},
    /* MariaDB's 3 flushes even more. */
    {ALWAYS, FACT_FLUSH_LOG, "1 3", "it must be 1, or a power cut undoes commits"},
    {ALWAYS, FACT_REDO_LOG, "ON 1 -", "a crash would undo commits"},
    {FACT_LOG_BIN, FACT_SYNC_BINLOG, "1",
     "with a binary log it must be 1, or a power cut undoes commits"},
    {FACT_LOG_BIN, FACT_BINLOG_FORMAT, "ROW MIXED -",
     "it must be ROW or MIXED for READ COMMITTED transactions"},
};

static bool is_word_of(const char *words, const char *value)
{
    size_t len = strlen(value);

    for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == len && strncasecmp(at, value, len) == 0)
            return true;
    return false;
}

bool server_is_fit(const struct server *server, char *why, size_t why_size)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *rule = &rules[i];
        const char *value = server->facts[rule->fact];

        if (rule->when != ALWAYS && !is_on(server, rule->when))
            continue;
        if (is_word_of(rule->good, *value ? value : "-"))
            continue;
        snprintf(why, why_size, "%s is %s: %s", names[rule->fact].name, *value ? value : "unknown",
                 rule->why);
        return false;
    }
    return true;
}
