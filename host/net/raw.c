#include "net/raw.h"
#include "base/check.h"
#include "net/raw_conn.h"

#include <stdlib.h>

enum { REST_MAX = 4 * CONN_STASH_MAX };

/* Owner: its connection, until that is disposed of; then, when closed() is still to be told, the task
 * that tells it. */
struct raw {
    struct conn *c;
    const struct raw_ops *ops; /* NULL: the owner has left */
    void *owner;
    struct task task; /* what must not be told from within a function of raw.h */
    struct buf rest;  /* came before anybody could take it                     */
    bool is_posted, is_ended, is_disposed;
    bool is_paused, wants_writable;
    enum net_end why;
    uint32_t every_ms;
    uint64_t tick_ms, heard_ms;
};

static void tell(struct task *t);

static void tell_soon(struct raw *r)
{
    if (r->is_posted)
        return;
    r->is_posted = true;
    r->task.run = tell;
    loop_defer(r->c->net->loop, &r->task);
}

static void raw_free(struct raw *r)
{
    buf_deinit(&r->rest);
    free(r);
}

static void tell_rest(struct raw *r)
{
    struct buf bytes = r->rest;

    buf_init(&r->rest, REST_MAX);
    r->ops->bytes(r->owner, buf_str(&bytes));
    buf_deinit(&bytes);
}

static void tell(struct task *t)
{
    struct raw *r = container_of(t, struct raw, task);

    r->is_posted = false;
    if (r->ops && r->rest.len && !r->is_paused && !r->is_ended)
        tell_rest(r);
    if (r->ops && r->is_ended) {
        const struct raw_ops *ops = TAKE(r->ops);
        ops->closed(r->owner, r->why);
    }
    if (r->is_disposed)
        raw_free(r);
}

/* --- the connection's side ---------------------------------------------------------------------- */

static void feed(struct conn *c, const char *data, size_t len)
{
    struct raw *r = c->state;

    r->heard_ms = loop_now_ms(c->net->loop);
    if (!r->ops)
        return;
    if (r->rest.len || r->is_paused) { /* not yet: order is kept */
        buf_add(&r->rest, (str){data, len});
        if (r->rest.has_failed)
            conn_close(c, NET_END_ERROR);
        return;
    }
    r->ops->bytes(r->owner, (str){data, len});
}

static void arm_tick(struct raw *r)
{
    uint64_t now = loop_now_ms(r->c->net->loop);

    if (!r->every_ms)
        conn_lasts(r->c, 0);
    else
        conn_lasts(r->c, r->tick_ms > now ? (uint32_t)(r->tick_ms - now) : 1);
}

static void written(struct conn *c)
{
    struct raw *r = c->state;

    arm_tick(r); /* the write's own time has moved it */
    if (r->wants_writable && r->ops) {
        r->wants_writable = false;
        r->ops->writable(r->owner);
    }
}

static void due(struct conn *c)
{
    struct raw *r = c->state;

    r->tick_ms = loop_now_ms(c->net->loop) + r->every_ms;
    arm_tick(r);
    if (r->ops)
        r->ops->tick(r->owner);
}

static void drain(struct conn *c)
{
    struct raw *r = c->state;

    if (r->ops)
        r->ops->drain(r->owner);
}

static void ended(struct conn *c, enum net_end why)
{
    struct raw *r = c->state;

    r->is_ended = true;
    r->why = why;
    if (r->ops)
        tell_soon(r);
}

static void dispose(struct conn *c)
{
    struct raw *r = c->state;

    r->is_disposed = true;
    if (!r->is_posted)
        raw_free(r);
}

static const struct conn_proto raw_proto = {feed, written, due, drain, ended, dispose};

struct raw *raw_new(struct conn *c, const struct raw_ops *ops, void *owner)
{
    struct raw *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->c = c;
    r->ops = ops;
    r->owner = owner;
    return r;
}

void raw_start(struct raw *r, struct buf *rest)
{
    r->c->proto = &raw_proto;
    r->c->state = r;
    r->rest = *rest;
    r->rest.limit = REST_MAX;
    r->heard_ms = loop_now_ms(r->c->net->loop);
    conn_lasts(r->c, 0);
    conn_read(r->c, true);
    if (r->rest.len)
        tell_soon(r);
}

/* --- the owner's side --------------------------------------------------------------------------- */

mig_status raw_write(struct raw *r, const uv_buf_t *bufs, unsigned count)
{
    if (r->c->is_closed || r->c->is_ending)
        return MIG_E_GONE;
    if (conn_queued(r->c) > CONN_HIGH_WATER) {
        r->wants_writable = true;
        return MIG_E_AGAIN;
    }
    conn_write(r->c, bufs, count);
    return r->c->is_closed ? MIG_E_GONE : MIG_OK;
}

void raw_close(struct raw *r, bool linger)
{
    r->ops = NULL;
    if (linger)
        conn_finish(r->c);
    else
        conn_close(r->c, NET_END_STOP);
}

void raw_tick(struct raw *r, uint32_t every_ms)
{
    r->every_ms = every_ms;
    r->tick_ms = loop_now_ms(r->c->net->loop) + every_ms;
    if (!r->c->is_closed)
        arm_tick(r);
}

uint64_t raw_quiet_ms(const struct raw *r)
{
    return loop_now_ms(r->c->net->loop) - r->heard_ms;
}

void raw_read(struct raw *r, bool is_wanted)
{
    r->is_paused = !is_wanted;
    conn_read(r->c, is_wanted);
    if (is_wanted && r->rest.len)
        tell_soon(r);
}

size_t raw_queued(const struct raw *r)
{
    return conn_queued(r->c);
}

struct loop *raw_loop(const struct raw *r)
{
    return r->c->net->loop;
}
