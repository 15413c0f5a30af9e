/* database_host: see database_host.h. */
#include "database/database_host.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char unix_prefix[] = "unix:";

/* Cuts host->text up. */
static void read_tcp(struct database_host *host)
{
    char *bracket = *host->text == '[' ? strchr(host->text, ']') : NULL;
    char *colon = bracket ? bracket + 1 : strrchr(host->text, ':');

    host->host = bracket ? host->text + 1 : host->text;
    if (colon && *colon == ':') {
        *colon = '\0';
        host->port = (unsigned)strtoul(colon + 1, NULL, 10);
    }
    if (bracket)
        *bracket = '\0';
}

static struct database_host new_host(const char *name, size_t len)
{
    struct database_host host = {.name = mem_strndup(name, len), .text = mem_strndup(name, len)};

    if (strncmp(name, unix_prefix, strlen(unix_prefix)) == 0)
        host.socket = host.text + strlen(unix_prefix);
    else
        read_tcp(&host);
    return host;
}

static void add_host(struct database_hosts *hosts, const char *name, size_t len)
{
    hosts->list = mem_realloc(hosts->list, (hosts->count + 1) * sizeof *hosts->list);
    hosts->list[hosts->count++] = new_host(name, len);
}

void database_hosts_init(struct database_hosts *hosts, const char *setting)
{
    *hosts = (struct database_hosts){0};
    for (const char *at = setting; *at;) {
        size_t len;

        at += strspn(at, ", \t");
        len = strcspn(at, ",");
        while (len > 0 && strchr(" \t", at[len - 1]))
            len--;
        if (len > 0)
            add_host(hosts, at, len);
        at += strcspn(at, ",");
    }
}

void database_hosts_free(struct database_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++) {
        free(hosts->list[i].name);
        free(hosts->list[i].text);
    }
    free(hosts->list);
}

void database_host_complain(struct database_host *host, const char *what, const char *why)
{
    char complaint[sizeof host->complaint];

    snprintf(complaint, sizeof complaint, "%s: %s", what, why);
    if (strcmp(complaint, host->complaint) != 0)
        log_error("database %s: %s", host->name, complaint);
    memcpy(host->complaint, complaint, sizeof complaint);
}

void database_host_forget_complaint(struct database_host *host)
{
    host->complaint[0] = '\0';
}
