/* Verbs on connections (MIG v0.1 14.1). What the loops have is copied to the control thread, then
 * filtered, counted and listed. */
#include "base/check.h"
#include "base/clock.h"
#include "base/hex.h"
#include "core/connections.h"
#include "main/control_lists.h"
#include "main/verbs.h"

#include <stdlib.h>

enum { LISTED_MAX = 10000 };

/* A connection as its loop told. Texts lie behind it. */
struct row {
    struct connection c;
    uint64_t started_ms; /* wall clock */
    char text[];
};

struct gather {
    struct node *node;
    struct filter {
        str tenant, kind, protocol; /* ptr NULL: any */
        str own;                    /* the tenant of a restricted caller */
    } filter;
    pthread_mutex_t lock;
    uv_sem_t done;
    struct row **rows;
    size_t count, cap;
    uint64_t loop_ms; /* under the lock: of the loop that adds now */
};

static bool passes(const struct filter *f, const struct connection *c)
{
    return (!f->tenant.ptr || str_eq(f->tenant, c->tenant)) &&
           (!f->own.ptr || str_eq(f->own, c->tenant)) &&
           (!f->kind.ptr || str_eq(f->kind, str_of(c->kind))) &&
           (!f->protocol.ptr || str_eq(f->protocol, str_of(c->protocol)));
}

static struct row *copy(const struct connection *c)
{
    size_t len =
        c->tenant.len + c->actor.len + c->remote.len + c->topic.len + c->cursor.len + c->path.len;
    struct row *r = malloc(sizeof *r + len);

    must(r);
    r->c = *c;
    str *texts[] = {&r->c.tenant, &r->c.actor, &r->c.remote, &r->c.topic, &r->c.cursor, &r->c.path};
    char *at = r->text;
    for (size_t i = 0; i < countof(texts); i++) {
        if (texts[i]->len)
            memcpy(at, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
    return r;
}

static void add(void *arg, const struct connection *c)
{
    struct gather *g = arg;

    if (!passes(&g->filter, c))
        return;
    if (g->count == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 64;
        g->rows = realloc(g->rows, g->cap * sizeof(struct row *));
        must(g->rows);
    }
    struct row *r = g->rows[g->count++] = copy(c);
    r->started_ms = clock_wall_ms() - (g->loop_ms - c->opened_ms);
}

static void look(struct loop *l, uint64_t v)
{
    struct gather *g = (struct gather *)(uintptr_t)v;

    pthread_mutex_lock(&g->lock);
    g->loop_ms = loop_now_ms(l);
    connections_each(g->node->core, l, add, g);
    pthread_mutex_unlock(&g->lock);
    uv_sem_post(&g->done);
}

/* Newest first. */
static int by_age(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;

    if (x->started_ms != y->started_ms)
        return x->started_ms < y->started_ms ? 1 : -1;
    return x->c.id < y->c.id ? 1 : x->c.id > y->c.id ? -1 : 0;
}

static str kind_of(const struct row *r)
{
    return str_of(r->c.kind);
}

static str protocol_of(const struct row *r)
{
    return str_of(r->c.protocol);
}

static str tenant_of(const struct row *r)
{
    return r->c.tenant;
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

/* ,"by_kind":{"sse_subscribe":3,...} */
static void count_by(const struct gather *g, struct buf *out, const char *name,
                     str (*value)(const struct row *r))
{
    str *all = malloc((g->count + 1) * sizeof *all);

    must(all);
    for (size_t i = 0; i < g->count; i++)
        all[i] = value(g->rows[i]);
    qsort(all, g->count, sizeof *all, by_text);
    buf_addf(out, ",\"%s\":{", name);
    for (size_t i = 0, same; i < g->count; i += same) {
        for (same = 1; i + same < g->count && str_eq(all[i], all[i + same]);)
            same++;
        buf_addz(out, i ? "," : "");
        buf_add_json(out, all[i]);
        buf_addf(out, ":%zu", same);
    }
    buf_addc(out, '}');
    free(all);
}

static void add_member(struct buf *out, const char *name, str value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value);
}

static void add_row(struct buf *out, const struct row *r)
{
    char started[CLOCK_RFC3339];

    clock_rfc3339(r->started_ms, started);
    buf_addf(out, "{\"id\":\"conn-%012llx\",\"protocol\":\"%s\",\"kind\":\"%s\"",
             (unsigned long long)r->c.id, r->c.protocol, r->c.kind);
    add_member(out, "tenant_id", r->c.tenant);
    if (r->c.actor.len)
        add_member(out, "actor", r->c.actor);
    if (r->c.remote.len)
        add_member(out, "remote_addr", r->c.remote);
    buf_addf(out, ",\"started_at\":\"%.*s\",\"meta\":{", CLOCK_RFC3339, started);
    if (r->c.topic.len) {
        buf_addz(out, "\"topic\":");
        buf_add_json(out, r->c.topic);
        add_member(out, "resume_cursor", r->c.cursor);
    } else if (r->c.path.len) {
        buf_addz(out, "\"path\":");
        buf_add_json(out, r->c.path);
    }
    buf_addz(out, "}}");
}

static void write_all(const struct gather *g, struct buf *out)
{
    char now[CLOCK_RFC3339];

    clock_rfc3339(clock_wall_ms(), now);
    buf_addf(out, "{\"generated_at\":\"%.*s\",\"summary\":{\"total\":%zu", CLOCK_RFC3339, now,
             g->count);
    count_by(g, out, "by_protocol", protocol_of);
    count_by(g, out, "by_kind", kind_of);
    count_by(g, out, "by_tenant", tenant_of);
    buf_addz(out, ",\"nats_binding_active\":false},\"connections\":[");
    for (size_t i = 0; i < g->count && i < LISTED_MAX; i++) {
        buf_addz(out, i ? "," : "");
        add_row(out, g->rows[i]);
    }
    buf_addc(out, ']');
    if (g->filter.tenant.ptr)
        add_member(out, "filter_tenant", g->filter.tenant);
    if (g->filter.kind.ptr)
        add_member(out, "filter_kind", g->filter.kind);
    if (g->filter.protocol.ptr)
        add_member(out, "filter_protocol", g->filter.protocol);
    buf_addc(out, '}');
}

/* ptr NULL: not given. */
static str wish(const struct verb_call *v, str name)
{
    str text = verb_text(v, name);
    return text.len ? text : (str){NULL, 0};
}

void verb_connections(const struct verb_call *v)
{
    struct gather g = {.node = v->node,
                       .filter = {wish(v, S("tenant_id")), wish(v, S("kind")),
                                  wish(v, S("protocol")), verb_tenant(v)}};
    struct buf out;

    must(pthread_mutex_init(&g.lock, NULL) == 0 && uv_sem_init(&g.done, 0) == 0);
    lists_ask_loops(v->node, look, &g, &g.done);
    uv_sem_destroy(&g.done);
    pthread_mutex_destroy(&g.lock);
    if (g.count)
        qsort(g.rows, g.count, sizeof(struct row *), by_age);
    buf_init(&out, BUF_MAX);
    write_all(&g, &out);
    for (size_t i = 0; i < g.count; i++)
        free(g.rows[i]);
    free(g.rows);
    verb_say(v, &out);
}

/* --- closing ------------------------------------------------------------------------------------ */

struct closing {
    struct node *node;
    uint64_t id;
    _Atomic bool is_found;
    uv_sem_t done;
};

static void close_here(struct loop *l, uint64_t v)
{
    struct closing *c = (struct closing *)(uintptr_t)v;

    if (connection_close(c->node->core, l, c->id))
        atomic_store(&c->is_found, true);
    uv_sem_post(&c->done);
}

static bool parse_id(str text, uint64_t *ret)
{
    enum { DIGITS = 12 };

    if (!str_starts(text, S("conn-")) || text.len != 5 + DIGITS)
        return false;
    *ret = 0;
    for (size_t i = 5; i < text.len; i++) {
        int digit = hex_lower_value(text.ptr[i]);
        if (digit < 0)
            return false;
        *ret = *ret << 4 | (uint64_t)digit;
    }
    return true;
}

void verb_connection_close(const struct verb_call *v)
{
    struct closing c = {.node = v->node};
    str id = verb_text(v, S("id"));
    struct buf out;

    must(uv_sem_init(&c.done, 0) == 0);
    if (parse_id(id, &c.id))
        lists_ask_loops(v->node, close_here, &c, &c.done);
    uv_sem_destroy(&c.done);
    if (!atomic_load(&c.is_found)) {
        verb_refuse(v, MIG_NOT_FOUND, "connection_not_found", "connection not found");
        return;
    }
    buf_init(&out, 256);
    buf_addz(&out, "{\"id\":");
    buf_add_json(&out, id);
    buf_addz(&out, ",\"status\":\"closing\"}");
    verb_say(v, &out);
}
