/* database_host: the servers that the setting `database_host` names, in its order. */
#ifndef DATABASE_HOST_H
#define DATABASE_HOST_H

#include <stddef.h>

struct database_host {
    char *name;          /* as the setting has it */
    char *text;          /* holds `host` and `socket` */
    const char *host;    /* NULL: on this machine, at `socket` */
    const char *socket;  /* NULL: over TCP */
    unsigned port;       /* 0: the client library's own */
    char complaint[256]; /* the latest that was logged */
};

struct database_hosts {
    struct database_host *list;
    size_t count;
};

/* Of `unix:/path`, `host`, `host:port` and `[address]:port`, separated by commas. */
void database_hosts_init(struct database_hosts *hosts, const char *setting);
void database_hosts_free(struct database_hosts *hosts);

/* Logs what is wrong with that host, once for as long as it is the same. */
void database_host_complain(struct database_host *host, const char *what, const char *why);
/* It works: forgets the complaint, so that the next one is logged even if it is the same. */
void database_host_forget_complaint(struct database_host *host);

#endif
