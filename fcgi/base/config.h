/* config: the settings of the program, from one file of `name = value` lines. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>

struct config {
    char *socket; /* path; "-": file descriptor 0 */
    int workers;
    char *database_host; /* ordered: unix:/path or host[:port], comma-separated */
    char *database_name;
    char *database_user;
    char *database_password_file; /* empty: none */
    char *database_tls_ca;        /* empty: no TLS */
    int max_waiting;
    int max_waiting_per_project;
    int request_grace_s;
    int startup_grace_s;
    int history_days;
    int history_rows; /* of a project */
    int log_level;
};

/* Reads the file over the defaults. false: `why` names the file, the line and the fault. */
bool config_load(struct config *config, const char *path, char *why, size_t why_size);
void config_free(struct config *config);

#endif
