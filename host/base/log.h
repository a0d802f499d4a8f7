/* log.h: structured log lines for the person at 3 a.m.: an event name, then fields. Any thread. The
 * sink decides where lines go (main/ sets it); until then they go to standard error.
 *
 *   log_warn("instance.abandoned", F_STR("plugin", id), F_U64("debt", n));
 *
 * Each call site may write 20 lines in 10 seconds; the next line after a gap says how many were
 * left out. No secrets and no payloads; text of users only as a field. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "base/buf.h"

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

struct log_field {
    const char *name;
    enum { LOG_TEXT, LOG_NUMBER, LOG_FLOAT, LOG_JSON } kind;
    str text;
    uint64_t number;
    double real;
};
#define F_STR(name, value) ((struct log_field){name, LOG_TEXT, value, 0, 0})
#define F_Z(name, value) ((struct log_field){name, LOG_TEXT, str_of(value), 0, 0})
#define F_U64(name, value) ((struct log_field){name, LOG_NUMBER, {0}, value, 0})
#define F_MS(name, value) ((struct log_field){name, LOG_FLOAT, {0}, 0, value})
#define F_JSON(name, value) ((struct log_field){name, LOG_JSON, value, 0, 0})

struct log_site {
    uint64_t window;        /* which ten seconds            */
    unsigned count, missed; /* lines in it, lines left out  */
};

/* Whose work a thread does: every line it writes meanwhile says so. Empty texts are left out. */
struct log_context {
    str trace_id, tenant, message_id;
};
/* Of this thread; NULL: nobody's. Returns what to put back. */
const struct log_context *log_enter(const struct log_context *c);

extern _Atomic enum log_level log_threshold; /* any thread */
/* Console form: "12:00:01 warn  event  field=value"; JSON form: one object per line. */
extern bool log_is_console;

/* Writes whole lines. [any] */
void log_set_sink(void (*sink)(str line));
bool log_level_parse(str name, enum log_level *ret);
const char *log_level_name(enum log_level level);
void log_write(struct log_site *site, enum log_level level, const char *event,
               const struct log_field *fields, size_t count);

#define log_at(level, event, ...)                                                                  \
    do {                                                                                           \
        if ((level) <= log_threshold) {                                                            \
            static struct log_site site_;                                                          \
            const struct log_field fields_[] = {(struct log_field){0}, ##__VA_ARGS__};             \
            log_write(&site_, level, event, fields_ + 1, sizeof fields_ / sizeof fields_[0] - 1);  \
        }                                                                                          \
    } while (0)
#define log_error(event, ...) log_at(LOG_ERROR, event, ##__VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_WARN, event, ##__VA_ARGS__)
#define log_info(event, ...) log_at(LOG_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, ##__VA_ARGS__)
#endif
