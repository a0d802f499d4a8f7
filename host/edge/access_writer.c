#include "edge/access_writer.h"
#include "base/buf.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock; /* of waiting and the flags */
    pthread_cond_t has_work;
    pthread_t thread;
    struct buf waiting, writing; /* they change places; writing is the thread's */
    char *path;                  /* NULL: standard output                       */
    int fd;
    bool is_running, is_stopping, wants_reopen;
    _Atomic uint64_t dropped;
    uint64_t told;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_work = PTHREAD_COND_INITIALIZER, .fd = -1};

uint64_t access_writer_dropped(void)
{
    return atomic_load(&writer.dropped);
}

void access_writer_add(str lines, size_t count)
{
    pthread_mutex_lock(&writer.lock);
    if (writer.is_running && !buf_add(&writer.waiting, lines)) {
        writer.waiting.has_failed = false;
        atomic_fetch_add(&writer.dropped, count);
    }
    pthread_cond_signal(&writer.has_work);
    pthread_mutex_unlock(&writer.lock);
}

/* --- the thread --------------------------------------------------------------------------------- */

static void write_all(str s)
{
    while (s.len) {
        ssize_t n = write(writer.fd, s.ptr, s.len);
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
    char line[64];

    if (dropped == writer.told)
        return;
    int n = snprintf(line, sizeof line, "{\"dropped\":%llu}\n",
                     (unsigned long long)(dropped - writer.told));
    writer.told = dropped;
    write_all((str){line, (size_t)n});
}

/* Under the lock, which is given back while it writes. */
static void work(void)
{
    struct buf lines = writer.waiting;
    bool wants_reopen = writer.wants_reopen;

    writer.waiting = writer.writing;
    buf_clear(&writer.waiting);
    writer.wants_reopen = false;
    pthread_mutex_unlock(&writer.lock);
    if (wants_reopen)
        reopen();
    write_all(buf_str(&lines));
    tell_dropped();
    pthread_mutex_lock(&writer.lock);
    writer.writing = lines;
}

static void *run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&writer.lock);
    while (!writer.is_stopping || writer.waiting.len) {
        if (writer.waiting.len || writer.wants_reopen)
            work();
        else
            pthread_cond_wait(&writer.has_work, &writer.lock);
    }
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

bool access_writer_open(const char *path)
{
    bool is_stdout = !strcmp(path, "-");

    writer.path = is_stdout ? NULL : strdup(path);
    writer.fd = is_stdout ? STDOUT_FILENO : open_log();
    if (writer.fd < 0) {
        free(writer.path);
        writer.path = NULL;
        return false;
    }
    buf_init(&writer.waiting, ACCESS_WAITING_MAX);
    buf_init(&writer.writing, ACCESS_WAITING_MAX);
    writer.is_stopping = false;
    writer.is_running = true;
    must(pthread_create(&writer.thread, NULL, run, NULL) == 0);
    return true;
}

void access_writer_reopen(void)
{
    pthread_mutex_lock(&writer.lock);
    writer.wants_reopen = writer.is_running;
    pthread_cond_signal(&writer.has_work);
    pthread_mutex_unlock(&writer.lock);
}

void access_writer_close(void)
{
    if (!writer.is_running)
        return;
    pthread_mutex_lock(&writer.lock);
    writer.is_stopping = true;
    pthread_cond_signal(&writer.has_work);
    pthread_mutex_unlock(&writer.lock);
    pthread_join(writer.thread, NULL);
    writer.is_running = false;
    if (writer.path)
        close(writer.fd);
    free(writer.path);
    writer.path = NULL;
    buf_deinit(&writer.waiting);
    buf_deinit(&writer.writing);
}
