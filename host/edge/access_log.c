#include "edge/access_log.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/traceparent.h"
#include "edge/access_writer.h"

enum { TEXT_MAX = 1024 }; /* bytes of one member */

/* --- a line ------------------------------------------------------------------------------------- */

static void add_name(struct buf *out, const char *name)
{
    buf_addz(out, ",\"");
    buf_addz(out, name);
    buf_addz(out, "\":");
}

static void add_text(struct buf *out, const char *name, str value)
{
    if (!value.len)
        return;
    add_name(out, name);
    buf_add_json(out, (str){value.ptr, value.len < TEXT_MAX ? value.len : TEXT_MAX});
}

static void add_number(struct buf *out, const char *name, uint64_t n)
{
    buf_addz(out, name);
    buf_addu(out, n);
}

static void add_trace_id(struct buf *out, str traceparent)
{
    struct traceparent t;
    char id[2 * TRACE_ID];

    if (!traceparent_parse(traceparent, &t))
        return;
    hex_write(id, t.trace_id, TRACE_ID);
    add_text(out, "trace_id", (str){id, sizeof id});
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
    add_trace_id(out, e->traceparent);
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
