#include "main/watch.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"
#include "main/node.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { SETTLE_MS = 200, WATCHED_MAX = 64 };

/* A handle outlives watch_free() until libuv has closed it. */
struct watch {
    struct node *node;
    struct timer settle;
    struct watched {
        uv_fs_event_t event;
        struct watch *watch;
        char *file; /* the one of its folder that matters; NULL: all do */
    } list[WATCHED_MAX];
    char *asked; /* the paths that it was made for, a line each; some may not exist */
    size_t count, open;
};

static void reload_now(struct timer *t)
{
    struct watch *w = container_of(t, struct watch, settle);
    reload_ask(w->node->reloader, &(struct reload_ask){0}, reload_unheard, NULL);
}

static void on_change(uv_fs_event_t *h, const char *file, int events, int status)
{
    struct watched *d = h->data;
    struct watch *w = d->watch;
    str name = str_of(file);

    (void)events;
    if (status < 0 || (name.len && name.ptr[0] == '.'))
        return; /* editors' temporary files */
    if (d->file && name.len && !str_eq(name, str_of(d->file)))
        return; /* the daemon may write beside its settings itself */
    loop_timer(w->node->control, &w->settle, SETTLE_MS, reload_now);
}

static char *folder_of(const char *path, const char *slash)
{
    if (!slash)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* A file that is replaced by rename is seen by its folder only. */
static void add(struct watch *w, const char *path)
{
    struct stat st;

    if (w->count == WATCHED_MAX || stat(path, &st) != 0)
        return;
    struct watched *d = &w->list[w->count++];
    const char *slash = strrchr(path, '/');
    bool is_file = !S_ISDIR(st.st_mode);
    char *dir = is_file ? folder_of(path, slash) : strdup(path);
    must(dir && (!is_file || (d->file = strdup(slash ? slash + 1 : path))));
    d->watch = w;
    uv_fs_event_init(&w->node->control->uv, &d->event);
    w->open++;
    d->event.data = d;
    int failed = uv_fs_event_start(&d->event, on_change, dir, 0);
    if (failed)
        log_warn("watch.failed", F_Z("path", path), F_Z("error", uv_strerror(failed)));
    free(dir);
}

static char *lines_of(const struct str_list *paths)
{
    struct buf b;

    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < paths->count; i++)
        buf_addf(&b, "%s\n", paths->items[i]);
    return buf_take_z(&b);
}

static struct watch *watch_new(struct node *n, const struct str_list *paths)
{
    struct watch *w = calloc(1, sizeof *w);

    must(w && (w->asked = lines_of(paths)));
    w->node = n;
    for (size_t i = 0; i < paths->count; i++)
        add(w, paths->items[i]);
    return w;
}

static bool is_for(const struct watch *w, const struct str_list *paths)
{
    char *asked = lines_of(paths);
    bool is_same = asked && strcmp(w->asked, asked) == 0;

    free(asked);
    return is_same;
}

void watch_adapt(struct watch **w, struct node *n, bool is_wanted)
{
    const struct str_list *paths = reload_watched(n->reloader);
    struct watch *old = *w;

    if (old && is_wanted && is_for(old, paths))
        return; /* its events of the time since the files were read are still to come */
    *w = is_wanted ? watch_new(n, paths) : NULL;
    watch_free(old);
    if (*w && n->is_ready)
        loop_timer(n->control, &(*w)->settle, SETTLE_MS, reload_now);
}

static void dispose(struct watch *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->list[i].file);
    free(w->asked);
    free(w);
}

static void on_closed(uv_handle_t *h)
{
    struct watch *w = ((struct watched *)h->data)->watch;

    if (--w->open == 0)
        dispose(w);
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    timer_stop(&w->node->control->timers, &w->settle);
    for (size_t i = 0; i < w->count; i++)
        uv_close((uv_handle_t *)&w->list[i].event, on_closed);
    if (!w->count)
        dispose(w);
}
