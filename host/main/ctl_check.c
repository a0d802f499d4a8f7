/* check: starts the child for each module, listens, and ends it when it stands still. */
#include "ctl_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct watch {
    const char *path;
    pid_t pid;
    int fd;
    char stage[512];
    struct buf pending; /* bytes of a line that has not come whole */
    struct buf json;    /* with --json: failures and notes so far */
    size_t failures, notes;
    char ok[2048];
    bool is_json;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void tell(struct watch *w, char kind, str text)
{
    bool is_failure = kind == 'F';

    w->failures += is_failure;
    w->notes += !is_failure;
    if (w->is_json) {
        buf_addf(&w->json, "%s{\"level\":\"%s\",\"message\":", w->json.len ? "," : "",
                 is_failure    ? "error"
                 : kind == 'I' ? "info"
                               : "warning");
        buf_add_json(&w->json, text);
        buf_addc(&w->json, '}');
    } else {
        printf("%s  %s: %.*s\n",
               is_failure    ? "FAIL"
               : kind == 'I' ? "info"
                             : "note",
               w->path, STR_ARG(text));
    }
}

static void take_line(struct watch *w, str line)
{
    str text = str_cut(line, 2);

    if (line.len < 2)
        return;
    switch (line.ptr[0]) {
    case 'S': snprintf(w->stage, sizeof w->stage, "%.*s", STR_ARG(text)); break;
    case 'O': snprintf(w->ok, sizeof w->ok, "%.*s", STR_ARG(text)); break;
    case 'F':
    case 'N':
    case 'I': tell(w, line.ptr[0], text); break;
    default: break;
    }
}

/* false: the child has closed its end. */
static bool take_bytes(struct watch *w)
{
    char *at = buf_reserve(&w->pending, 4096), *end;
    ssize_t n = at ? read(w->fd, at, 4096) : 0;

    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    w->pending.len += (size_t)n;
    while ((end = memchr(w->pending.ptr, '\n', w->pending.len)) != NULL) {
        size_t len = (size_t)(end - w->pending.ptr);
        take_line(w, (str){w->pending.ptr, len});
        buf_drop(&w->pending, len + 1);
    }
    return true;
}

static bool spawn(struct watch *w, bool is_no_run)
{
    char *argv[] = {(char[]){"migctl"}, (char[]){"--check-child"}, (char *)(uintptr_t)w->path,
                    is_no_run ? (char[]){"--no-run"} : NULL, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    int ends[2], bad;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], CHECK_FD);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
    bad = posix_spawn(&w->pid, "/proc/self/exe", &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    w->fd = ends[0];
    return bad == 0;
}

/* Listens until the child has ended or the time is over; then the group is no more. */
static int listen_to(struct watch *w, int64_t timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    bool is_open = true;
    int status = 0;

    while (is_open && now_ms() < end) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        if (poll(&p, 1, 200) > 0)
            is_open = take_bytes(w);
    }
    kill(is_open ? -w->pid : w->pid, is_open ? SIGKILL : 0);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    kill(-w->pid, SIGKILL); /* processes that the plugin left behind */
    return is_open ? -1 : status;
}

static void tell_end(struct watch *w, int status, int64_t timeout_ms)
{
    char text[800] = "";

    if (status == -1)
        snprintf(text, sizeof text, "no end within %lld s, in: %s", (long long)(timeout_ms / 1000),
                 w->stage);
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "crashed (%s) in: %s", strsignal(WTERMSIG(status)), w->stage);
    else if (!w->failures && (WEXITSTATUS(status) || !w->ok[0]))
        snprintf(text, sizeof text, "left the process with status %d in: %s", WEXITSTATUS(status),
                 w->stage);
    if (text[0])
        tell(w, 'F', str_of(text));
}

static bool check_file(const struct ctl *c, const char *path, struct buf *all)
{
    int64_t timeout = c->timeout_ms ? c->timeout_ms : 60000;
    struct watch w = {.path = path, .is_json = c->is_json};

    buf_init(&w.pending, 1 << 20);
    buf_init(&w.json, 1 << 20);
    fflush(stdout);
    if (!spawn(&w, c->is_no_run))
        tell(&w, 'F', S("the child process cannot be started"));
    else
        tell_end(&w, listen_to(&w, timeout), timeout);
    close(w.fd);
    bool is_good = w.failures == 0;
    if (w.is_json) {
        buf_addz(all, all->len ? ",{\"file\":" : "{\"file\":");
        buf_add_json(all, str_of(path));
        buf_addf(all, ",\"ok\":%s,\"summary\":", is_good ? "true" : "false");
        buf_add_json(all, str_of(w.ok));
        buf_addf(all, ",\"findings\":[%.*s]}", (int)w.json.len, w.json.len ? w.json.ptr : "");
    } else if (is_good) {
        printf("ok  %s\n", w.ok);
    }
    buf_deinit(&w.pending);
    buf_deinit(&w.json);
    return is_good;
}

int ctl_check(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf all;
    size_t bad = 0;

    buf_init(&all, BUF_MAX);
    for (size_t i = 0; i < c->word_count; i++)
        bad += !check_file(c, c->words[i], &all);
    if (c->is_json)
        printf("[%.*s]\n", (int)all.len, all.len ? all.ptr : "");
    return bad ? CTL_FAILED : CTL_OK;
}
