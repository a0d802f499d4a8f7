#include "base/log.h"
#include "base/clock.h"

#include <unistd.h>

enum { LINE_MAX_BYTES = 64 * 1024, SITE_LINES = 20, SITE_WINDOW_MS = 10000 };

_Atomic enum log_level log_threshold = LOG_INFO;
bool log_is_console;

static void to_stderr(str line)
{
    if (write(STDERR_FILENO, line.ptr, line.len) < 0)
        return; /* nowhere left to say so */
}

static void (*log_sink)(str line) = to_stderr;

void log_set_sink(void (*sink)(str line))
{
    log_sink = sink ? sink : to_stderr;
}

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

bool log_level_parse(str name, enum log_level *ret)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (str_eq_nocase(name, str_of(levels[i].name))) {
            *ret = levels[i].level;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (levels[i].level >= level)
            return levels[i].name;
    return "debug";
}

/* false: this site has had its share. Counters race harmlessly: they only ration lines. */
static bool site_allows(struct log_site *s, uint64_t now_ms, unsigned *ret_missed)
{
    uint64_t window = now_ms / SITE_WINDOW_MS;

    *ret_missed = 0;
    if (__atomic_exchange_n(&s->window, window, __ATOMIC_RELAXED) != window) {
        __atomic_store_n(&s->count, 0, __ATOMIC_RELAXED);
        *ret_missed = __atomic_exchange_n(&s->missed, 0, __ATOMIC_RELAXED);
    }
    if (__atomic_add_fetch(&s->count, 1, __ATOMIC_RELAXED) <= SITE_LINES)
        return true;
    __atomic_add_fetch(&s->missed, 1, __ATOMIC_RELAXED);
    return false;
}

static _Thread_local const struct log_context *context;

const struct log_context *log_enter(const struct log_context *c)
{
    const struct log_context *before = context;

    context = c;
    return before;
}

/* The fields of the context, behind those of the line. */
static size_t context_fields(struct log_field out[3])
{
    size_t n = 0;

    if (context && context->trace_id.len)
        out[n++] = F_STR("trace_id", context->trace_id);
    if (context && context->tenant.len)
        out[n++] = F_STR("tenant", context->tenant);
    if (context && context->message_id.len)
        out[n++] = F_STR("message_id", context->message_id);
    return n;
}

static void add_value(struct buf *b, const struct log_field *f)
{
    switch (f->kind) {
    case LOG_TEXT: buf_add_json(b, f->text); break;
    case LOG_NUMBER: buf_addu(b, f->number); break;
    case LOG_FLOAT: buf_addf(b, "%.3f", f->real); break;
    case LOG_JSON: buf_add(b, f->text.len ? f->text : S("null")); break;
    }
}

static void begin_json(struct buf *b, enum log_level level, const char *event, uint64_t now_ms)
{
    char time[CLOCK_RFC3339];

    clock_rfc3339(now_ms, time);
    buf_addf(b, "{\"ts\":\"%.*s\",\"level\":\"%s\",\"event\":\"%s\"", CLOCK_RFC3339, time,
             log_level_name(level), event);
}

static void begin_console(struct buf *b, enum log_level level, const char *event, uint64_t now_ms)
{
    char time[CLOCK_RFC3339];

    clock_rfc3339(now_ms, time);
    buf_addf(b, "%.8s %-5s %-24s", time + 11, log_level_name(level), event);
}

static void add_fields(struct buf *b, const struct log_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_addf(b, log_is_console ? " %s=" : ",\"%s\":", fields[i].name);
        add_value(b, &fields[i]);
    }
}

void log_write(struct log_site *site, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    uint64_t now_ms = clock_wall_ms();
    struct log_field whose[3];
    unsigned missed;
    struct buf b;

    if (!site_allows(site, now_ms, &missed))
        return;
    buf_init(&b, LINE_MAX_BYTES);
    (log_is_console ? begin_console : begin_json)(&b, level, event, now_ms);
    add_fields(&b, fields, count);
    add_fields(&b, whose, context_fields(whose));
    buf_addz(&b, log_is_console ? "" : "}");
    if (missed)
        buf_addf(&b, log_is_console ? " (%u like this left out)" : "", missed);
    buf_addc(&b, '\n');
    if (!b.has_failed)
        log_sink(buf_str(&b));
    buf_deinit(&b);
}
