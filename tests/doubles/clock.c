/* clock: time and chance of the world, in place of the machine's (linked with --wrap). */
#include "base/times.h"
#include "world.h"

#include <poll.h>
#include <sys/random.h>

int64_t __wrap_times_monotonic_ms(void);
int64_t __wrap_times_monotonic_us(void);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);

int64_t __wrap_times_monotonic_us(void)
{
    return world.now_us;
}

int64_t __wrap_times_monotonic_ms(void)
{
    return world.now_us / 1000;
}

/* Nobody polls but to wait a little. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)fds;
    (void)count;
    world.now_us += timeout_ms > 0 ? (int64_t)timeout_ms * 1000 : 0;
    return 0;
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    unsigned char *at = bytes;

    (void)flags;
    for (size_t i = 0; i < size; i++) {
        world.chance = world.chance * 6364136223846793005u + 1442695040888963407u;
        at[i] = (unsigned char)(world.chance >> 56);
    }
    return (ssize_t)size;
}
