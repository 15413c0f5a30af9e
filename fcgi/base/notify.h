/*
 * notify: tells systemd how the program is (sd_notify's protocol, without its library). Without
 * $NOTIFY_SOCKET every call does nothing.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

/* Main thread, before others start: reads $NOTIFY_SOCKET and $WATCHDOG_USEC. */
void notify_open(void);

/* Main thread: requests are taken from now on. */
void notify_ready(void);

/* Main thread: a drain has begun. */
void notify_stopping(void);

/* Writer's thread, whenever it has got through a turn: feeds the watchdog, at most as often as it
 * wants it. Doesn't block. */
void notify_alive(void);

#endif
