/* clock.h: monotonic time for deadlines, wall time for records. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_now_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static inline uint64_t clock_wall_ms(void)
{
    return clock_read(CLOCK_REALTIME) / 1000000u;
}

/* A turn of a loop is short and many ask in it: they share the time of the first who did. On threads that
 * have no turns these are the functions above. */
struct clock_turn {
    bool is_on;
    uint64_t now_ns;    /* 0: nobody has asked                              */
    uint64_t wall_ns;   /* the wall clock less the monotonic one            */
    uint64_t looked_ns; /* when that was looked at; 0: never in this thread */
};
extern _Thread_local struct clock_turn clock_turn;

static inline uint64_t clock_turn_ns(void)
{
    uint64_t now = clock_turn.now_ns ? clock_turn.now_ns : clock_now_ns();
    clock_turn.now_ns = clock_turn.is_on ? now : 0;
    return now;
}

/* The wall clock of a monotonic time of now; each thread looks at the real one once a second. */
static inline uint64_t clock_wall_of(uint64_t now_ns)
{
    struct clock_turn *t = &clock_turn;

    if (!t->looked_ns || now_ns - t->looked_ns >= 1000000000u) {
        t->looked_ns = now_ns;
        t->wall_ns = clock_read(CLOCK_REALTIME) - now_ns;
    }
    return t->wall_ns + now_ns;
}

static inline uint64_t clock_turn_wall_ms(void)
{
    return clock_wall_of(clock_turn_ns()) / 1000000u;
}

/* Between two turns, and with false behind the last one. */
static inline void clock_turn_next(bool is_on)
{
    clock_turn.is_on = is_on;
    clock_turn.now_ns = 0;
}

enum { CLOCK_RFC3339 = 24, CLOCK_HTTP_DATE = 29 };
/* "2026-11-21T06:14:03.123Z": 24 bytes, no NUL. */
void clock_rfc3339(uint64_t wall_ms, char out[CLOCK_RFC3339]);
/* RFC 3339 5.6, date-time, from 1970 to 9999; what is finer than a millisecond is cut off. */
bool clock_parse_rfc3339(const char *text, size_t len, uint64_t *ret_wall_ms);
/* "Sat, 21 Nov 2026 06:14:03 GMT" (RFC 9110 5.6.7): 29 bytes, no NUL. */
void clock_http_date(uint64_t wall_ms, char out[CLOCK_HTTP_DATE]);
#endif
