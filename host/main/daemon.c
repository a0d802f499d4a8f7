#include "main/daemon.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_pipe = -1; /* to the waiting parent */
static int pid_fd = -1;

/* --- background --------------------------------------------------------------------------------- */

static _Noreturn void wait_for_child(int fd, pid_t child)
{
    char ok;
    int status = 1;

    if (read(fd, &ok, 1) == 1)
        _exit(0);
    waitpid(child, &status, 0);
    _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

void daemon_fork(const struct daemon_files *f)
{
    int fds[2];

    (void)f;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        perror("migd: pipe");
        exit(DAEMON_FAILED);
    }
    pid_t child = fork();
    if (child < 0) {
        perror("migd: fork");
        exit(DAEMON_FAILED);
    }
    if (child > 0) {
        close(fds[1]);
        wait_for_child(fds[0], child);
    }
    close(fds[0]);
    ready_pipe = fds[1];
    setsid();
    umask(027);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    setenv("MIGD_DAEMON", "1", 1);
}

/* sd_notify(3), without the library: a datagram to the socket that systemd names. */
static void notify_systemd(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (!path || strlen(path) >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (a.sun_path[0] == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a, len) < 0)
        log_warn("systemd.notify", F_Z("error", strerror(errno)));
    if (fd >= 0)
        close(fd);
}

/* Output goes to the log file once the parent has seen everything that a failed start prints. */
void daemon_ready(void)
{
    notify_systemd("READY=1");
    if (ready_pipe < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    if (write(ready_pipe, "1", 1) != 1)
        return; /* the parent is gone: nobody to tell */
    close(ready_pipe);
    ready_pipe = -1;
}

void daemon_stopping(void)
{
    notify_systemd("STOPPING=1");
}

/* --- PID file ----------------------------------------------------------------------------------- */

bool daemon_claim(const struct daemon_files *f)
{
    char text[32];

    if (!f->pid_file)
        return true;
    pid_fd = open(f->pid_file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (pid_fd < 0) {
        fprintf(stderr, "migd: cannot write %s: %s\n", f->pid_file, strerror(errno));
        return false;
    }
    if (flock(pid_fd, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "migd: already running (%s is locked)\n", f->pid_file);
        close(pid_fd);
        return false;
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    return ftruncate(pid_fd, 0) == 0 && write(pid_fd, text, (size_t)n) == n;
}

void daemon_release(const struct daemon_files *f)
{
    if (pid_fd < 0)
        return;
    unlink(f->pid_file);
    close(pid_fd);
}

/* The process that holds the lock, 0 when none does. *ret_since: when the file was written. */
static pid_t running(const struct daemon_files *f, time_t *ret_since)
{
    int fd = f->pid_file ? open(f->pid_file, O_RDONLY | O_CLOEXEC) : -1;
    char text[32] = "";
    struct stat st;
    pid_t pid = 0;

    if (fd < 0)
        return 0;
    bool is_locked = flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (is_locked && read(fd, text, sizeof text - 1) > 0)
        pid = (pid_t)strtol(text, NULL, 10);
    if (fstat(fd, &st) == 0)
        *ret_since = st.st_mtime;
    close(fd);
    return pid > 0 ? pid : 0;
}

static bool has_ended(const struct daemon_files *f, pid_t pid, unsigned wait_ms)
{
    uint64_t until = clock_now_ns() + (uint64_t)wait_ms * 1000000u;
    time_t since;

    while (running(f, &since) == pid && clock_now_ns() < until)
        usleep(20000);
    return running(f, &since) != pid;
}

int daemon_stop(const struct daemon_files *f, unsigned wait_ms)
{
    time_t since;
    pid_t pid = running(f, &since);

    if (!pid) {
        printf("migd is not running\n");
        return DAEMON_OK;
    }
    printf("stopping migd (pid %d)\n", (int)pid);
    if (kill(pid, SIGTERM) != 0) {
        fprintf(stderr, "migd: cannot signal %d: %s\n", (int)pid, strerror(errno));
        return DAEMON_FAILED;
    }
    if (!has_ended(f, pid, wait_ms)) {
        printf("it does not end: killing it\n");
        kill(pid, SIGKILL);
        has_ended(f, pid, 2000);
        unlink(f->pid_file);
    }
    printf("stopped\n");
    return DAEMON_OK;
}

int daemon_status(const struct daemon_files *f, bool is_json)
{
    time_t since = 0;
    pid_t pid = running(f, &since);
    const char *state = pid ? "running" : "stopped";
    long up = pid ? (long)(time(NULL) - since) : 0;
    const char *format = is_json ? "{\"status\":\"%s\",\"pid\":%d,\"uptime_seconds\":%ld,"
                                   "\"pid_file\":\"%s\"}\n"
                                 : "status:   %s\npid:      %d\nuptime:   %ld s\npid file: %s\n";

    printf(format, state, (int)pid, up, f->pid_file ? f->pid_file : "");
    return pid ? DAEMON_OK : DAEMON_NOT_RUNNING;
}

int daemon_signal(const struct daemon_files *f, int signum, const char *what)
{
    time_t since;
    pid_t pid = running(f, &since);

    if (!pid) {
        fprintf(stderr, "migd is not running\n");
        return DAEMON_NOT_RUNNING;
    }
    if (kill(pid, signum) != 0) {
        fprintf(stderr, "migd: cannot signal %d: %s\n", (int)pid, strerror(errno));
        return DAEMON_FAILED;
    }
    printf("%s: asked migd (pid %d)\n", what, (int)pid);
    return DAEMON_OK;
}
