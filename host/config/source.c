#include "config/source.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

const char *source_env(const char *const *env, str name)
{
    const char *const *e = env ? env : (const char *const *)environ;

    for (; e && *e; e++)
        if (strncmp(*e, name.ptr, name.len) == 0 && (*e)[name.len] == '=')
            return *e + name.len + 1;
    return NULL;
}

/* Files --------------------------------------------------------------------------------------- */

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static bool read_all(int fd, char *to, size_t room, size_t *ret_len)
{
    size_t len = 0;
    ssize_t n;

    while (len < room && (n = read(fd, to + len, room - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        len += (size_t)n;
    }
    *ret_len = len;
    return true;
}

char *source_read(const char *path, const char *id, struct diag *d, size_t *ret_len)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct diag_at at = {.file = path};
    struct stat st;
    size_t len = 0;

    if (fd < 0 || fstat(fd, &st)) {
        diag_error(d, at, id, "cannot be read: %s", strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        diag_error(d, at, id, "is no regular file");
        return NULL;
    }
    size_t max =
        st.st_size && st.st_size < SOURCE_BYTES_MAX ? (size_t)st.st_size : SOURCE_BYTES_MAX;
    char *text = malloc(max + 2); // one byte more shows that there is more
    if (!text || !read_all(fd, text, max + 1, &len)) {
        diag_error(d, at, id, "cannot be read: %s", strerror(text ? errno : ENOMEM));
        free(text);
        return NULL;
    }
    if (len > max) {
        if (max == SOURCE_BYTES_MAX)
            diag_error(d, at, id, "is larger than %d bytes", SOURCE_BYTES_MAX);
        else
            diag_error(d, at, id, "grows while it is read");
        free(text);
        return NULL;
    }
    text[len] = 0;
    *ret_len = len;
    return text;
}

char *source_beside(const char *file, str path)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    char *joined = NULL;

    if (!slash || (path.len && path.ptr[0] == '/'))
        return str_dup(path);
    if (asprintf(&joined, "%.*s/%.*s", (int)(slash - file), file, STR_ARG(path)) < 0)
        return NULL;
    return joined;
}

/* ${VAR} -------------------------------------------------------------------------------------- */

struct variable {
    str name, fallback;
    bool has_fallback;
    size_t len; // of the whole ${...}
};

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

static bool read_variable(str s, struct variable *ret)
{
    if (!str_starts(s, S("${")))
        return false;
    enum { LONGEST = 4096 }; // or a text of "${${${" would be searched to its end each time
    const char *end = memchr(s.ptr, '}', s.len < LONGEST ? s.len : LONGEST);
    if (!end)
        return false;
    str inside = {s.ptr + 2, (size_t)(end - s.ptr) - 2};
    size_t n = 0;
    while (n < inside.len && is_name_char(inside.ptr[n], n == 0))
        n++;
    bool has_fallback = n < inside.len && inside.ptr[n] == ':';
    if (n == 0 || (n < inside.len && !has_fallback))
        return false;
    *ret = (struct variable){
        .name = {inside.ptr, n},
        .fallback = has_fallback ? str_cut(inside, n + 1) : S(""),
        .has_fallback = has_fallback,
        .len = inside.len + 3,
    };
    return true;
}

static void add_variable(const struct variable *v, const char *const *env, struct diag_at at,
                         struct diag *d, struct buf *out)
{
    const char *value = source_env(env, v->name);

    if (!value && !v->has_fallback)
        diag_warn(d, at, "setting.env_unset", "${%.*s} is not set and has no default: empty",
                  STR_ARG(v->name));
    buf_add(out, value ? str_of(value) : v->fallback);
}

size_t source_expand(str s, const char *const *env, struct diag_at at, struct diag *d,
                     struct buf *out)
{
    struct variable v;
    size_t count = 0;

    while (s.len) {
        const char *dollar = memchr(s.ptr, '$', s.len);
        size_t plain = dollar ? (size_t)(dollar - s.ptr) : s.len;
        buf_add(out, (str){s.ptr, plain});
        s = str_cut(s, plain);
        if (!s.len)
            break;
        if (read_variable(s, &v)) {
            add_variable(&v, env, at, d, out);
            s = str_cut(s, v.len);
            count++;
        } else {
            buf_addc(out, '$');
            s = str_cut(s, 1);
        }
    }
    return count;
}

/* Suggestions --------------------------------------------------------------------------------- */

struct suggestion source_suggest(str word, const char *const *words)
{
    struct suggestion ret = {""};
    unsigned best = 1 + (word.len > 8 ? 3 : word.len > 3 ? 2 : 1);
    const char *nearest = NULL;

    for (; *words; words++) {
        unsigned distance = str_distance(word, str_of(*words), best);
        /* "timeout" for "timeout_ms": forgotten units and prefixes are common */
        if (distance >= best && word.len >= 4 && best > 1 &&
            (str_starts(str_of(*words), word) || str_ends(str_of(*words), word)))
            distance = best - 1;
        if (distance < best) {
            best = distance;
            nearest = *words;
        }
    }
    if (nearest)
        snprintf(ret.text, sizeof ret.text, " (did you mean \"%s\"?)", nearest);
    return ret;
}
