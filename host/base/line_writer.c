#include "base/line_writer.h"
#include "base/buf.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct line_writer {
    pthread_mutex_t lock; /* of waiting and the flags */
    pthread_cond_t has_work;
    pthread_t thread;
    struct buf waiting, writing; /* they change places; writing is the thread's */
    char *path;                  /* NULL: fd is not ours                        */
    int fd;
    const char *about_dropped;
    bool is_stopping, wants_reopen;
    _Atomic uint64_t dropped;
    uint64_t told;
};

uint64_t line_writer_dropped(const struct line_writer *w)
{
    return atomic_load(&w->dropped);
}

void line_writer_add(struct line_writer *w, str lines, size_t count)
{
    pthread_mutex_lock(&w->lock);
    if (!buf_add(&w->waiting, lines)) {
        w->waiting.has_failed = false;
        atomic_fetch_add(&w->dropped, count);
    }
    pthread_cond_signal(&w->has_work);
    pthread_mutex_unlock(&w->lock);
}

/* --- the thread --------------------------------------------------------------------------------- */

static void write_all(struct line_writer *w, str s)
{
    while (s.len) {
        ssize_t n = write(w->fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a full disk must not stop the gateway; the lines are lost */
        s = str_cut(s, (size_t)n);
    }
}

static int open_file(const struct line_writer *w)
{
    return open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static void reopen(struct line_writer *w)
{
    int fd = w->path ? open_file(w) : -1;

    if (fd < 0)
        return; /* better the old file than none */
    close(w->fd);
    w->fd = fd;
}

static void tell_dropped(struct line_writer *w)
{
    uint64_t dropped = line_writer_dropped(w);
    char line[128];

    if (dropped == w->told)
        return;
    int n = snprintf(line, sizeof line, "%s%llu}\n", w->about_dropped,
                     (unsigned long long)(dropped - w->told));
    w->told = dropped;
    write_all(w, (str){line, (size_t)n});
}

/* Under the lock, which is given back while it writes. */
static void work(struct line_writer *w)
{
    struct buf lines = w->waiting;
    bool wants_reopen = w->wants_reopen;

    w->waiting = w->writing;
    buf_clear(&w->waiting);
    w->wants_reopen = false;
    pthread_mutex_unlock(&w->lock);
    if (wants_reopen)
        reopen(w);
    write_all(w, buf_str(&lines));
    tell_dropped(w);
    pthread_mutex_lock(&w->lock);
    w->writing = lines;
}

static void *run(void *arg)
{
    struct line_writer *w = arg;

    pthread_mutex_lock(&w->lock);
    while (!w->is_stopping || w->waiting.len) {
        if (w->waiting.len || w->wants_reopen)
            work(w);
        else
            pthread_cond_wait(&w->has_work, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------- */

static void dispose(struct line_writer *w)
{
    if (w->path && w->fd >= 0)
        close(w->fd);
    free(w->path);
    buf_deinit(&w->waiting);
    buf_deinit(&w->writing);
    pthread_cond_destroy(&w->has_work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

struct line_writer *line_writer_open(const struct line_writer_config *c)
{
    struct line_writer *w = calloc(1, sizeof *w);

    must(w && pthread_mutex_init(&w->lock, NULL) == 0 &&
         pthread_cond_init(&w->has_work, NULL) == 0);
    must(!c->path || (w->path = strdup(c->path)));
    buf_init(&w->waiting, c->waiting_max);
    buf_init(&w->writing, c->waiting_max);
    w->about_dropped = c->dropped;
    w->fd = c->path ? open_file(w) : c->fd;
    if (w->fd < 0) {
        int why = errno;
        dispose(w);
        errno = why;
        return NULL;
    }
    must(pthread_create(&w->thread, NULL, run, w) == 0);
    return w;
}

void line_writer_reopen(struct line_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->wants_reopen = true;
    pthread_cond_signal(&w->has_work);
    pthread_mutex_unlock(&w->lock);
}

void line_writer_close(struct line_writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    pthread_cond_signal(&w->has_work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    dispose(w);
}
