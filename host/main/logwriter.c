#include "main/logwriter.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAITING_MAX = 1 << 20 };

/* One log per process, like standard error, whose place it takes. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t has_lines;
    pthread_t thread;
    struct buf waiting;
    char *path;
    int fd;
    bool is_running, is_stopping, wants_reopen;
    _Atomic uint64_t dropped;
    uint64_t told;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_lines = PTHREAD_COND_INITIALIZER, .fd = -1};

uint64_t logwriter_dropped(void)
{
    return atomic_load(&writer.dropped);
}

static void sink(str line)
{
    pthread_mutex_lock(&writer.lock);
    if (!buf_add(&writer.waiting, line)) {
        writer.waiting.has_failed = false;
        atomic_fetch_add(&writer.dropped, 1);
    }
    pthread_cond_signal(&writer.has_lines);
    pthread_mutex_unlock(&writer.lock);
}

static void write_all(int fd, str s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a full disk must not stop the gateway; the lines are lost */
        s = str_cut(s, (size_t)n);
    }
}

static int open_log(void)
{
    return open(writer.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static void reopen(void)
{
    int fd = writer.path ? open_log() : -1;

    if (fd < 0)
        return; /* better the old file than none */
    close(writer.fd);
    writer.fd = fd;
}

static void tell_dropped(void)
{
    uint64_t dropped = atomic_load(&writer.dropped);
    char line[96];

    if (dropped == writer.told)
        return;
    int n = snprintf(line, sizeof line,
                     "{\"level\":\"warn\",\"event\":\"log.dropped\",\"lines\":%llu}\n",
                     (unsigned long long)(dropped - writer.told));
    writer.told = dropped;
    write_all(writer.fd, (str){line, (size_t)n});
}

static void *run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&writer.lock);
    while (!writer.is_stopping || writer.waiting.len) {
        if (!writer.waiting.len && !writer.wants_reopen) {
            pthread_cond_wait(&writer.has_lines, &writer.lock);
            continue;
        }
        struct buf lines = writer.waiting;
        bool wants_reopen = writer.wants_reopen;
        buf_init(&writer.waiting, WAITING_MAX);
        writer.wants_reopen = false;
        pthread_mutex_unlock(&writer.lock);
        if (wants_reopen)
            reopen();
        write_all(writer.fd, buf_str(&lines));
        tell_dropped();
        buf_deinit(&lines);
        pthread_mutex_lock(&writer.lock);
    }
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

bool logwriter_start(const char *path)
{
    writer.path = path ? strdup(path) : NULL;
    writer.fd = path ? open_log() : STDERR_FILENO;
    if (writer.fd < 0)
        return false;
    buf_init(&writer.waiting, WAITING_MAX);
    must(pthread_create(&writer.thread, NULL, run, NULL) == 0);
    writer.is_running = true;
    log_set_sink(sink);
    return true;
}

void logwriter_reopen(void)
{
    pthread_mutex_lock(&writer.lock);
    writer.wants_reopen = true;
    pthread_cond_signal(&writer.has_lines);
    pthread_mutex_unlock(&writer.lock);
}

void logwriter_stop(void)
{
    if (!writer.is_running)
        return;
    log_set_sink(NULL);
    pthread_mutex_lock(&writer.lock);
    writer.is_stopping = true;
    pthread_cond_signal(&writer.has_lines);
    pthread_mutex_unlock(&writer.lock);
    pthread_join(writer.thread, NULL);
    writer.is_running = false;
    if (writer.path)
        close(writer.fd);
    free(writer.path);
}
