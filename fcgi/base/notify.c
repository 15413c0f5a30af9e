/* notify: one datagram per message. Only the writer feeds the watchdog: a program whose writer is
 * stuck is useless, however well the rest works. */
#include "base/notify.h"

#include "base/log.h"
#include "base/times.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_size;
static int fd = -1;
static int64_t feed_every_us; /* 0: no watchdog */
static int64_t fed_at_us;     /* writer's thread only */

static void say(const char *state)
{
    if (fd >= 0 && sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (struct sockaddr *)&address, address_size) < 0)
        log_warning("cannot tell systemd \"%s\": %s", state, strerror(errno));
}

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const char *watchdog = getenv("WATCHDOG_USEC");
    size_t len = path ? strlen(path) : 0;

    if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, len + 1);
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (path[0] == '@') /* an abstract name */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    feed_every_us = watchdog ? strtoll(watchdog, NULL, 10) / 3 : 0;
}

void notify_ready(void)
{
    say("READY=1");
}

void notify_stopping(void)
{
    say("STOPPING=1");
}

void notify_alive(void)
{
    int64_t now_us = feed_every_us > 0 ? times_monotonic_us() : 0;

    if (feed_every_us <= 0 || now_us - fed_at_us < feed_every_us)
        return;
    fed_at_us = now_us;
    say("WATCHDOG=1");
}
