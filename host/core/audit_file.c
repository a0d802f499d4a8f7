/* The audit's file: JSON lines, appended in blocks; rotated, chained, and kept whole when a write fails. */
#include "base/check.h"
#include "base/log.h"
#include "core/audit_own.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 65536, LAST_LINE_MAX = 65536 };

static const char no_line[] = "0000000000000000000000000000000000000000000000000000000000000000";
static_assert(sizeof no_line == DIGEST_HEX + 1, "a hash of zeros stands before the first line");

static void hash(str line, char out[DIGEST_HEX + 1])
{
    struct digest *d = digest_new();

    digest_add(d, line);
    digest_take(d, out);
}

static size_t count_lines(const struct audit_file *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->lines.len; i++)
        n += f->lines.ptr[i] == '\n';
    return n;
}

/* --- open --------------------------------------------------------------------------------------- */

static bool open_now(struct audit_file *f)
{
    struct stat st;
    int fd = open(f->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd < 0)
        return false;
    f->fd = fd;
    f->size = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return true;
}

/* A line that a crash has cut off would take the next one with it. */
static void end_torn_line(struct audit_file *f, char last)
{
    if (last != '\n' && write(f->fd, "\n", 1) == 1)
        f->size++;
}

/* The chain goes on behind what is there. */
static void read_last(struct audit_file *f)
{
    size_t want = f->size < LAST_LINE_MAX ? (size_t)f->size : LAST_LINE_MAX;
    char *text = want ? malloc(want) : NULL;
    ssize_t n = text ? pread(f->fd, text, want, (off_t)(f->size - want)) : 0;

    memcpy(f->last, no_line, sizeof f->last);
    if (n > 0) {
        end_torn_line(f, text[n - 1]);
        size_t end = (size_t)n - (text[n - 1] == '\n');
        const char *before = end ? memrchr(text, '\n', end) : NULL;
        size_t from = before ? (size_t)(before - text) + 1 : 0;
        if (f->is_chained)
            hash((str){text + from, end - from}, f->last);
    }
    memcpy(f->written, f->last, sizeof f->last);
    free(text);
}

bool audit_file_open(struct audit_file *f, const char *path)
{
    must(f->path = strdup(path));
    f->fd = -1;
    buf_init(&f->lines, 4 * BLOCK);
    buf_init(&f->line, BLOCK);
    if (!open_now(f))
        return false;
    read_last(f);
    return true;
}

void audit_file_close(struct audit_file *f)
{
    if (!f->path)
        return;
    if (f->lines.len)
        log_error("audit.lost", F_Z("path", f->path), F_U64("records", count_lines(f)));
    if (f->fd >= 0)
        close(f->fd);
    buf_deinit(&f->lines);
    buf_deinit(&f->line);
    free(f->path);
    f->path = NULL;
}

void audit_file_reopen(struct audit_file *f)
{
    int before = f->fd;

    audit_file_flush(f);
    if (!open_now(f)) {
        log_error("audit.open", F_Z("path", f->path), F_Z("error", strerror(errno)),
                  F_Z("hint", "the file that was open before is written on"));
        return;
    }
    if (before >= 0)
        close(before);
}

/* --- rotation ----------------------------------------------------------------------------------- */

static void name(const struct audit_file *f, unsigned n, char **ret)
{
    must(asprintf(ret, n ? "%s.%u" : "%s", f->path, n) >= 0);
}

/* path -> path.1 -> ... -> path.keep -> gone */
static void rotate(struct audit_file *f)
{
    char *from, *to;

    for (unsigned n = f->keep; n > 0; n--) {
        name(f, n, &to);
        name(f, n - 1, &from);
        if (rename(from, to) < 0 && errno != ENOENT)
            log_error("audit.rotate", F_Z("path", from), F_Z("error", strerror(errno)));
        free(from);
        free(to);
    }
    if (!f->keep)
        unlink(f->path);
    int before = f->fd;
    if (open_now(f))
        close(before);
}

/* --- writing ------------------------------------------------------------------------------------ */

/* Takes the lines that were written off the front; the rest of a line that was not written whole is
 * taken back, so that the file holds whole lines only. */
static void settle(struct audit_file *f, size_t written)
{
    const char *end = written ? memrchr(f->lines.ptr, '\n', written) : NULL;
    size_t whole = end ? (size_t)(end - f->lines.ptr) + 1 : 0;

    if (whole && f->is_chained) {
        const char *before = whole > 1 ? memrchr(f->lines.ptr, '\n', whole - 1) : NULL;
        size_t from = before ? (size_t)(before - f->lines.ptr) + 1 : 0;
        hash((str){f->lines.ptr + from, whole - 1 - from}, f->written);
    }
    f->size += whole;
    if (written > whole && ftruncate(f->fd, (off_t)f->size) < 0)
        f->size += written - whole;
    buf_drop(&f->lines, whole);
}

static void fail(struct audit_file *f, int error)
{
    atomic_fetch_add(&f->errors, 1);
    log_error("audit.write", F_Z("path", f->path), F_Z("error", strerror(error)),
              F_Z("hint", f->is_required ? "calls are refused until it can be written"
                                         : "the records are lost"));
    if (f->is_required) {
        atomic_store(&f->is_stuck, true);
        return;
    }
    atomic_fetch_add(&f->dropped, count_lines(f));
    buf_clear(&f->lines);
    memcpy(f->last, f->written, sizeof f->last);
}

void audit_file_flush(struct audit_file *f)
{
    size_t done = 0;
    int error = 0;

    while (done < f->lines.len && !error) {
        ssize_t n = f->fd < 0 ? -1 : write(f->fd, f->lines.ptr + done, f->lines.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            error = n ? errno : EIO;
    }
    settle(f, done);
    if (error)
        fail(f, error);
    else
        atomic_store(&f->is_stuck, false);
}

static void make_line(struct audit_file *f, const struct record *r)
{
    buf_clear(&f->line);
    record_json(r, f->is_chained ? str_of(f->last) : (str){NULL, 0}, &f->line);
    buf_addc(&f->line, '\n');
}

static bool is_over(const struct audit_file *f)
{
    uint64_t size = f->size + f->lines.len;
    return f->max_bytes && size && size + f->line.len > f->max_bytes;
}

void audit_file_add(struct audit_file *f, const struct record *r)
{
    if (f->lines.len >= BLOCK)
        audit_file_flush(f);
    make_line(f, r);
    if (is_over(f)) {
        audit_file_flush(f);
        if (!f->lines.len)
            rotate(f);
        make_line(f, r); // when the write failed, other lines come before it
    }
    if (f->is_chained)
        hash((str){f->line.ptr, f->line.len - 1}, f->last);
    if (!buf_add(&f->lines, buf_str(&f->line)) || f->line.has_failed) {
        atomic_fetch_add(&f->dropped, 1);
        f->lines.has_failed = f->line.has_failed = false;
    }
}
