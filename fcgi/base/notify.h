/*
 * notify: tells systemd the program's state (sd_notify's protocol, without its library). Without
 * $NOTIFY_SOCKET no call does anything.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

/* Main thread, before others start: reads $NOTIFY_SOCKET and $WATCHDOG_USEC. */
void notify_open(void);

/* Main thread: from now on, calls are taken. */
void notify_ready(void);

/* Main thread: a drain has begun. */
void notify_stopping(void);

/* Writer's thread, after each turn: feeds the watchdog, but no more often than it needs. Doesn't
 * block. */
void notify_alive(void);

#endif
