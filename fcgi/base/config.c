/* config: a table of settings, and the reader that checks a file against it. Main thread only. */
#include "base/config.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER, LEVEL, TOOL /* read by orchestratorctl, not by the program */ };

struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *standard;
    int least;
    int most;
};

#define AT(field) offsetof(struct config, field)

static const struct setting settings[] = {
    {"socket", TEXT, AT(socket), "/run/stack-orchestrator/fcgi.sock", 0, 0},
    {"workers", NUMBER, AT(workers), "4", 1, 64},
    {"database_host", TEXT, AT(database_host), "unix:/run/mysqld/mysqld.sock", 0, 0},
    {"database_name", TEXT, AT(database_name), "stack_orchestrator", 0, 0},
    {"database_user", TEXT, AT(database_user), "stack_orchestrator", 0, 0},
    {"database_password_file", TEXT, AT(database_password_file), "", 0, 0},
    {"database_tls_ca", TEXT, AT(database_tls_ca), "", 0, 0},
    {"max_waiting", NUMBER, AT(max_waiting), "10000", 0, 1000000},
    {"max_waiting_per_project", NUMBER, AT(max_waiting_per_project), "2000", 0, 1000000},
    {"request_grace_seconds", NUMBER, AT(request_grace_s), "60", 0, 3600},
    {"startup_grace_seconds", NUMBER, AT(startup_grace_s), "60", 0, 3600},
    {"history_days", NUMBER, AT(history_days), "90", 1, 36500},
    {"history_rows", NUMBER, AT(history_rows), "1000000", 100, 1000000000},
    {"log_level", LEVEL, AT(log_level), "info", 0, 0},
    {"migration_user", TOOL, 0, NULL, 0, 0},
    {"migration_password_file", TOOL, 0, NULL, 0, 0},
    {"keys_file", TOOL, 0, NULL, 0, 0},
    {"nginx_pid_file", TOOL, 0, NULL, 0, 0},
    {"nginx_config", TOOL, 0, NULL, 0, 0},
};

static const char *const levels[] = {"error", "warning", "info", "debug"};

static bool set_number(const struct setting *setting, int *field, const char *value, char *why,
                       size_t why_size)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(value, &end, 10);
    if (!*value || *end || errno || number < setting->least || number > setting->most) {
        snprintf(why, why_size, "%s must be a whole number from %d to %d, not \"%.40s\"",
                 setting->name, setting->least, setting->most, value);
        return false;
    }
    *field = (int)number;
    return true;
}

static bool set_level(const struct setting *setting, int *field, const char *value, char *why,
                      size_t why_size)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(levels[i], value) == 0) {
            *field = i;
            return true;
        }
    }
    snprintf(why, why_size, "%s must be error, warning, info or debug, not \"%.40s\"",
             setting->name, value);
    return false;
}

static bool set(struct config *config, const struct setting *setting, const char *value, char *why,
                size_t why_size)
{
    void *field = (char *)config + setting->offset;

    switch (setting->kind) {
    case TEXT:
        mem_replace(field, value);
        return true;
    case NUMBER:
        return set_number(setting, field, value, why, why_size);
    case LEVEL:
        return set_level(setting, field, value, why, why_size);
    case TOOL:
        break;
    }
    return true;
}

static char *trim(char *text)
{
    char *end;

    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

static bool read_line(struct config *config, char *line, char *why, size_t why_size)
{
    char *name = trim(line);
    char *equals;

    if (*name == '\0' || *name == '#')
        return true;
    equals = strchr(name, '=');
    if (!equals) {
        snprintf(why, why_size, "expected \"name = value\"");
        return false;
    }
    *equals = '\0';
    name = trim(name);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (strcmp(settings[i].name, name) == 0)
            return set(config, &settings[i], trim(equals + 1), why, why_size);
    snprintf(why, why_size, "there is no setting \"%.60s\"", name);
    return false;
}

static void set_standards(struct config *config)
{
    char why[256];

    *config = (struct config){0};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (settings[i].standard)
            set(config, &settings[i], settings[i].standard, why, sizeof why);
}

bool config_load(struct config *config, const char *path, char *why, size_t why_size)
{
    FILE *file;
    char line[4096];
    char fault[256];
    bool good = true;

    set_standards(config);
    file = fopen(path, "re");
    if (!file) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return false;
    }
    for (int number = 1; good && fgets(line, sizeof line, file); number++) {
        if (strlen(line) == sizeof line - 1) {
            snprintf(fault, sizeof fault, "the line is too long (%zu bytes at most)",
                     sizeof line - 2);
            good = false;
        } else {
            good = read_line(config, line, fault, sizeof fault);
        }
        if (!good)
            snprintf(why, why_size, "%s:%d: %s", path, number, fault);
    }
    if (good && ferror(file)) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        good = false;
    }
    fclose(file);
    return good;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        void *field = (char *)config + settings[i].offset;

        if (settings[i].kind == TEXT)
            mem_replace(field, NULL);
    }
    *config = (struct config){0};
}
