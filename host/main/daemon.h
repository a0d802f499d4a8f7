/* daemon.h: the daemon as a service of its own: background, PID file, --stop, --restart, --status,
 * --reload, --log-rotate. */
#ifndef MAIN_DAEMON_H
#define MAIN_DAEMON_H
#include <stdbool.h>

struct daemon_files {
    const char *pid_file, *log_file;
};

enum daemon_exit { DAEMON_OK = 0, DAEMON_FAILED = 1, DAEMON_USAGE = 2, DAEMON_NOT_RUNNING = 3 };

/* Fork into the background. In the parent it does not return: it exits 0 when daemon_ready() was
 * called in the child, 1 when the child ended before. */
void daemon_fork(const struct daemon_files *f);
/* In the child, or in a foreground process: it serves now; it stops now. Whoever waits is told, the parent
 * and systemd. */
void daemon_ready(void);
void daemon_stopping(void);
/* Writes and locks the PID file. false: another one runs (a message was printed). */
bool daemon_claim(const struct daemon_files *f);
void daemon_release(const struct daemon_files *f);

/* Commands to a running daemon, by its PID file. Each prints what it did and returns an exit code. */
int daemon_stop(const struct daemon_files *f, unsigned wait_ms);
int daemon_status(const struct daemon_files *f, bool is_json);
int daemon_signal(const struct daemon_files *f, int signum, const char *what);
#endif
