#include "edge/access_log.h"
#include "base/check.h"
#include "base/clock.h"
#include "edge/access_writer.h"

enum { TEXT_MAX = 1024 }; /* bytes of one member */

/* --- a line ------------------------------------------------------------------------------------- */

static void add_name(struct buf *out, const char *name)
{
    buf_addz(out, ",\"");
    buf_addz(out, name);
    buf_addz(out, "\":");
}

/* As nearly every text is: nothing to escape. */
static bool is_plain(str s)
{
    return s.len <= TEXT_MAX && str_ascii_prefix_in(s.ptr, s.ptr, s.ptr + s.len) == s.len;
}

static void add_text(struct buf *out, const char *name, str value)
{
    char clean[TEXT_MAX];

    if (!value.len)
        return;
    add_name(out, name);
    if (is_plain(value)) {
        buf_addc(out, '"');
        buf_add(out, value);
        buf_addc(out, '"');
        return;
    }
    if (value.len > sizeof clean || !str_is_utf8(value)) {
        value.len = value.len < sizeof clean ? value.len : sizeof clean;
        for (size_t i = 0; i < value.len; i++)
            clean[i] = (unsigned char)value.ptr[i] < 0x80 ? value.ptr[i] : '?';
        value.ptr = clean;
    }
    buf_add_json(out, value);
}

static void add_number(struct buf *out, const char *name, uint64_t n)
{
    buf_addz(out, name);
    buf_addu(out, n);
}

/* version "-" trace-id "-" parent-id "-" flags; ptr NULL: it is not one. */
static str trace_id_of(str traceparent)
{
    str rest = traceparent, version = str_split(&rest, '-'), id = str_split(&rest, '-');
    bool is_zero = true;

    if (version.len != 2 || id.len != 32 || !rest.len)
        return (str){NULL, 0};
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return (str){NULL, 0};
        is_zero &= c == '0';
    }
    return is_zero ? (str){NULL, 0} : id;
}

void access_entry_print(const struct access_entry *e, struct buf *out)
{
    char ts[CLOCK_RFC3339];
    uint64_t us = e->duration_ns / 1000;

    clock_rfc3339(e->at_ms, ts);
    buf_addz(out, "{\"ts\":\"");
    buf_add(out, (str){ts, sizeof ts});
    buf_addc(out, '"');
    add_text(out, "remote", e->remote);
    add_text(out, "method", e->method);
    add_text(out, "path", e->path);
    add_text(out, "route", e->route);
    add_number(out, ",\"status\":", e->status);
    add_number(out, ",\"bytes\":", e->bytes);
    add_number(out, ",\"duration_ms\":", us / 1000);
    const char decimals[] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                             (char)('0' + us % 10)};
    buf_add(out, (str){decimals, sizeof decimals});
    add_text(out, "tenant", e->tenant);
    add_text(out, "subject", e->subject);
    add_text(out, "message_id", e->message_id);
    add_text(out, "request_id", e->request_id);
    add_text(out, "trace_id", trace_id_of(e->traceparent));
    add_text(out, "user_agent", e->user_agent);
    buf_addz(out, e->is_tls ? ",\"tls\":true}\n" : ",\"tls\":false}\n");
}

/* --- what a loop collects ----------------------------------------------------------------------- */

void access_log_init(struct access_log *log, struct loop *l)
{
    *log = (struct access_log){.loop = l};
    buf_init(&log->lines, ACCESS_LINES_MAX);
}

static void hand_over(struct access_log *log)
{
    access_writer_add(buf_str(&log->lines), log->count);
    buf_clear(&log->lines);
    log->count = 0;
}

static void due(struct timer *t)
{
    hand_over(container_of(t, struct access_log, flush));
}

/* A line that does not fit is taken back, to be written again where there is room. */
static bool append(struct access_log *log, const struct access_entry *e)
{
    size_t before = log->lines.len;

    access_entry_print(e, &log->lines);
    if (log->lines.has_failed) {
        log->lines.len = before;
        log->lines.has_failed = false;
        return false;
    }
    log->count++;
    return true;
}

void access_log_add(struct access_log *log, const struct access_entry *e)
{
    if (!append(log, e)) {
        hand_over(log);
        append(log, e); /* no line needs half of an empty buffer */
    }
    if (!timer_is_running(&log->flush))
        loop_timer(log->loop, &log->flush, ACCESS_FLUSH_MS, due);
}

void access_log_deinit(struct access_log *log)
{
    timer_stop(&log->loop->timers, &log->flush);
    if (log->count)
        hand_over(log);
    buf_deinit(&log->lines);
}
