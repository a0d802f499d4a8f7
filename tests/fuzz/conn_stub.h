/* conn_stub.h: instead of conn.c, which is not linked then: a connection whose socket takes everything and
 * forgets it. */
#ifndef FUZZ_CONN_STUB_H
#define FUZZ_CONN_STUB_H
#include "base/check.h"
#include "net/conn.h"

static size_t written;

void conn_write(struct conn *c, const uv_buf_t *bufs, unsigned count)
{
    must(!c->is_closed);
    for (unsigned i = 0; i < count; i++)
        written += bufs[i].len;
}

void conn_send(struct conn *c, const uv_buf_t *bufs, unsigned count)
{
    conn_write(c, bufs, count);
}

void conn_uncork(struct conn *c)
{
    c->is_corked = false;
}

size_t conn_queued(const struct conn *c)
{
    (void)c;
    return 0;
}

void conn_lasts(struct conn *c, uint32_t ms)
{
    (void)ms;
    must(!c->is_closed);
}

void conn_read(struct conn *c, bool is_wanted)
{
    (void)is_wanted;
    must(!c->is_closed);
}

void conn_close(struct conn *c, enum net_end why)
{
    if (c->is_closed)
        return;
    c->is_closed = true;
    c->proto->ended(c, why);
}

void conn_finish(struct conn *c)
{
    c->is_ending = true;
}

const char *conn_remote(struct conn *c)
{
    (void)c;
    return "?";
}

str net_date(struct net_loop *n)
{
    (void)n;
    return S("Sat, 21 Nov 2026 06:14:03 GMT");
}
#endif
