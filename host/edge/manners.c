#include "edge/manners.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "edge/access_log.h"
#include "edge/compress.h"
#include "net/exchange_io.h"

#include <stdio.h>
#include <stdlib.h>

enum { REQUEST_ID_MAX = 128, EXTRAS_MAX = 5 };

/* --- what a loop keeps -------------------------------------------------------------------------- */

struct manners_loop {
    struct compressor *z; /* NULL: nobody has asked yet */
    struct access_log log;
};

static struct manners_loop *local_of(struct loop *l)
{
    struct manners_loop *mine = l->local[LOOP_MANNERS];

    if (mine)
        return mine;
    must(mine = calloc(1, sizeof *mine));
    access_log_init(&mine->log, l);
    return l->local[LOOP_MANNERS] = mine;
}

static struct compressor *compressor_of(struct loop *l)
{
    struct manners_loop *mine = local_of(l);

    if (!mine->z)
        mine->z = compressor_new();
    return mine->z;
}

void manners_loop_free(struct loop *l)
{
    struct manners_loop *mine = l->local[LOOP_MANNERS];

    if (!mine)
        return;
    compressor_free(mine->z);
    access_log_deinit(&mine->log);
    free(mine);
    l->local[LOOP_MANNERS] = NULL;
}

/* --- the request -------------------------------------------------------------------------------- */

static void log_request(void *arg)
{
    const struct manners *m = arg;
    struct exchange *x = m->x;
    bool is_switched = !x->status && x->is_ended;

    if (!m->is_logged || !x->loop->local[LOOP_MANNERS])
        return; /* it has moved, or the loop has ended */
    uint64_t now = clock_now_ns(), end = m->ended_ns ? m->ended_ns : now;
    const struct access_entry e = {
        .at_ms = clock_wall_ms() - (now - m->began_ns) / 1000000,
        .duration_ns = end - m->began_ns,
        .bytes = x->is_head ? 0 : m->bytes,
        .status = is_switched ? 101
                  : x->status ? x->status
                              : 499,
        .remote = m->remote,
        .method = x->method,
        .path = x->path,
        .route = m->route,
        .tenant = m->who ? m->who->tenant : S(""),
        .subject = m->who ? m->who->subject : S(""),
        .message_id = m->message_id,
        .request_id = m->request_id,
        .traceparent = exchange_header(x, S("traceparent")),
        .user_agent = exchange_header(x, S("user-agent")),
        .is_tls = m->is_tls,
    };
    access_log_add(&local_of(x->loop)->log, &e);
}

/* All Accept-Encoding lines are one list. */
static enum coding wanted_coding(const struct exchange *x)
{
    struct coding_wish wish = CODING_WISH_NONE;

    for (uint32_t i = 0; i < x->header_count; i++)
        if (str_eq(x->headers[i].name, S("accept-encoding")))
            coding_wish_add(&wish, x->headers[i].value);
    return coding_choose(&wish);
}

static void __attribute__((noinline))
read_header(struct manners *m, const struct manners_policy *p, str name, str value)
{
    if (str_eq(name, S("origin"))) {
        if (cors_allows(&p->cors, value))
            m->allow_origin = p->cors.is_any ? S("*") : value;
    } else if (str_eq(name, S("x-request-id"))) {
        if (str_is_visible(value, REQUEST_ID_MAX))
            m->request_id = value;
    } else if (str_eq(name, S("accept-encoding"))) {
        if (p->compress_min && !m->has_wish)
            m->coding = wanted_coding(m->x);
        m->has_wish = true;
    } else if (str_eq(name, S("content-encoding"))) {
        m->body_coding = m->body_coding.len ? S("several") : value;
    }
    m->is_plain &= m->coding == CODING_IDENTITY && !m->request_id.len;
}

/* One look at the names of every request, so it is a cheap one: by length first. */
static inline void read_headers(struct manners *m, const struct manners_policy *p)
{
    enum { OURS = 1 << 6 | 1 << 12 | 1 << 15 | 1 << 16 };
    const mig_header *h = m->x->headers;

    for (const mig_header *end = h + m->x->header_count; h < end; h++)
        if (h->name.len <= 16 && OURS >> h->name.len & 1 &&
            (h->name.len != 12 || h->name.ptr[0] == 'x')) /* no content-type */
            read_header(m, p, h->name, h->value);
}

static void find_client(struct manners *m, const struct manners_policy *p)
{
    struct exchange *x = m->x;
    struct client c;

    client_find(&p->client, exchange_remote(x), x->is_tls, x->headers, x->header_count, x->arena,
                &c);
    m->remote = c.address;
    m->is_tls = c.is_tls;
}

static str new_request_id(struct arena *a)
{
    char *id = arena_alloc(a, ID_UUID);

    if (id)
        id_uuid7(id);
    return (str){id, id ? ID_UUID : 0};
}

/* Answers to reads may be kept by caches, which must know what they depend on; others are not, and say
 * so only when it matters. */
static inline bool is_read(const struct exchange *x)
{
    return x->is_head || (x->method.len == 3 && x->method.ptr[0] == 'G');
}

/* What was configured. */
static void __attribute__((noinline))
begin_more(struct manners *m, struct exchange *x, const struct manners_policy *p)
{
    if (p->makes_request_ids && !m->request_id.len)
        m->request_id = new_request_id(x->arena);
    if (p->client.trusted_count || p->is_logged)
        find_client(m, p);
    m->varies_origin = p->cors.origin_count && !p->cors.is_any;
    m->tells_timing = p->tells_timing;
    if (p->tells_timing || p->is_logged)
        m->began_ns = clock_now_ns();
    m->is_logged = p->is_logged && local_of(x->loop) && arena_defer(x->arena, log_request, m);
}

void manners_begin(struct manners *m, struct exchange *x, const struct manners_policy *p)
{
    m->x = x;
    m->compress_min = p->compress_min;
    m->is_plain = !p->has_wishes && !is_read(x);
    read_headers(m, p);
    if (p->has_wishes)
        begin_more(m, x, p);
}

/* --- moving ------------------------------------------------------------------------------------- */

enum { MOVED_TEXTS = 4, LOGGED_HEADERS = 2, SLACK = 64 }; /* SLACK: alignment, the deferred line */

static const str logged_headers[LOGGED_HEADERS] = {S("traceparent"), S("user-agent")};

static void moved_texts(struct manners *m, str *ret[MOVED_TEXTS])
{
    str *all[MOVED_TEXTS] = {&m->remote, &m->request_id, &m->route, &m->message_id};

    memcpy(ret, all, sizeof all);
}

size_t manners_move_bytes(const struct manners *m)
{
    struct manners copy = *m;
    str *texts[MOVED_TEXTS];
    size_t logged = m->is_logged ? LOGGED_HEADERS * sizeof(mig_header) + SLACK : 0;

    moved_texts(&copy, texts);
    for (size_t i = 0; m->is_logged && i < LOGGED_HEADERS; i++)
        logged += exchange_header(m->x, logged_headers[i]).len;
    return str_total(texts, MOVED_TEXTS) + logged;
}

/* What the line in the log will say of them. */
static void move_headers(struct exchange *to, const struct exchange *from)
{
    mig_header *kept = arena_alloc(to->arena, LOGGED_HEADERS * sizeof *kept);

    for (size_t i = 0; kept && i < LOGGED_HEADERS; i++)
        kept[i] = (mig_header){logged_headers[i],
                               arena_copy(to->arena, exchange_header(from, logged_headers[i]))};
    to->headers = kept;
    to->header_count = kept ? LOGGED_HEADERS : 0;
}

void manners_move(struct manners *to, struct manners *from, struct exchange *x,
                  const struct principal *who)
{
    str *texts[MOVED_TEXTS];

    to->x = x;
    to->who = who;
    to->held = NULL;
    to->allow_origin = to->body_coding = (str){NULL, 0};
    moved_texts(to, texts);
    if (!arena_own(x->arena, texts, MOVED_TEXTS))
        to->remote = to->request_id = to->route = to->message_id = S("");
    if (!from->is_logged)
        return;
    move_headers(x, from->x);
    from->is_logged = false;
    to->is_logged = arena_defer(x->arena, log_request, to);
}

void manners_policy_seal(struct manners_policy *p)
{
    p->has_wishes = p->cors.origin_count || p->client.trusted_count || p->makes_request_ids ||
                    p->tells_timing || p->is_logged;
}

str manners_remote(struct manners *m)
{
    return m->remote.len ? m->remote : exchange_remote(m->x);
}

/* --- coded requests ----------------------------------------------------------------------------- */

static void free_body(void *ptr)
{
    free(ptr);
}

/* The body is another now. */
static bool drop_coding_headers(struct exchange *x)
{
    mig_header *kept = arena_alloc(x->arena, (x->header_count + 1) * sizeof *kept);
    uint32_t n = 0;

    for (uint32_t i = 0; kept && i < x->header_count; i++)
        if (!str_eq(x->headers[i].name, S("content-encoding")) &&
            !str_eq(x->headers[i].name, S("content-length")))
            kept[n++] = x->headers[i];
    if (!kept)
        return false;
    x->headers = kept;
    x->header_count = n;
    return true;
}

static enum decoded decode(struct exchange *x, enum coding c)
{
    struct compressor *z = compressor_of(x->loop);
    struct buf out;

    if (!z)
        return DECODED_NO_MEMORY;
    buf_init(&out, x->max_body);
    enum decoded d = decompress_body(z, c, x->body, &out);
    if (d == DECODED && (!arena_defer(x->arena, free_body, out.ptr) || !drop_coding_headers(x)))
        d = DECODED_NO_MEMORY;
    else if (d == DECODED)
        x->body = buf_str(&out);
    if (d != DECODED)
        buf_deinit(&out);
    return d;
}

mig_status manners_unpack(struct manners *m, unsigned *ret_http, const char **ret_reason)
{
    enum coding c = coding_of(m->body_coding);

    if (c == CODING_IDENTITY)
        return MIG_OK;
    enum decoded d = c == CODING_UNKNOWN ? DECODED_MALFORMED : decode(m->x, c);
    if (d == DECODED)
        return MIG_OK;
    *ret_http = d == DECODED_TOO_LARGE ? 413 : d == DECODED_MALFORMED ? 400 : 503;
    *ret_reason = d == DECODED_TOO_LARGE   ? "body_too_large"
                  : d == DECODED_MALFORMED ? "content_encoding"
                                           : "memory";
    return d == DECODED_NO_MEMORY ? MIG_BACKPRESSURE : MIG_INVALID_REQUEST;
}

/* --- heads -------------------------------------------------------------------------------------- */

static str find(const mig_header *h, uint32_t count, str name)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq_nocase(h[i].name, name))
            return h[i].value;
    return (str){NULL, 0};
}

static bool may_be_coded(const struct manners *m, unsigned status, const mig_header *h,
                         uint32_t count)
{
    return m->compress_min && status != 204 && status != 206 && status != 304 &&
           coding_is_compressible(find(h, count, S("Content-Type"))) &&
           !find(h, count, S("Content-Encoding")).ptr &&
           !str_contains_nocase(find(h, count, S("Cache-Control")), S("no-transform"));
}

static str timing(const struct manners *m)
{
    uint64_t now = clock_now_ns();
    double total = (double)(now - m->began_ns) / 1e6;
    double handler = m->opened_ns ? (double)(now - m->opened_ns) / 1e6 : 0;
    char text[80];

    snprintf(text, sizeof text, "total;dur=%.3f, handler;dur=%.3f", total, handler);
    return arena_copy(m->x->arena, str_of(text));
}

static uint32_t add_extras(const struct manners *m, bool varies, mig_header *h)
{
    uint32_t n = 0;

    if (m->allow_origin.len) {
        h[n++] = (mig_header){S("Access-Control-Allow-Origin"), m->allow_origin};
        h[n++] = (mig_header){S("Access-Control-Expose-Headers"),
                              S("MIG-Message-ID, Retry-After, X-Request-ID, Server-Timing")};
    }
    if (varies || m->varies_origin)
        h[n++] = (mig_header){S("Vary"), varies && m->varies_origin ? S("Accept-Encoding, Origin")
                                         : varies                   ? S("Accept-Encoding")
                                                                    : S("Origin")};
    if (m->request_id.len)
        h[n++] = (mig_header){S("X-Request-ID"), m->request_id};
    if (m->tells_timing)
        h[n++] = (mig_header){S("Server-Timing"), timing(m)};
    return n;
}

static mig_status go_nowhere(struct exchange *x, const mig_header *h, uint32_t count)
{
    (void)x;
    (void)h;
    (void)count;
    return MIG_OK;
}

/* What exchange_head() would say, without saying it to the client. */
static mig_status judge(unsigned status, const mig_header *h, uint32_t count)
{
    static const struct exchange_io nowhere = {.head = go_nowhere};
    struct exchange x = {.io = &nowhere};

    return exchange_head(&x, status, h, count);
}

static mig_status hold(struct manners *m, unsigned status, mig_header *h, uint32_t count)
{
    struct arena *a = m->x->arena;
    mig_status answer = judge(status, h, count);

    if (answer != MIG_OK)
        return answer;
    for (uint32_t i = 0; i < count; i++) {
        h[i] = (mig_header){arena_copy(a, h[i].name), arena_copy(a, h[i].value)};
        if (!h[i].name.ptr || !h[i].value.ptr)
            return MIG_E_NOMEM;
    }
    m->held_status = status;
    m->held = h;
    m->held_count = count;
    m->is_held = true;
    return MIG_OK;
}

mig_status manners_give_head(struct manners *m, unsigned status, const mig_header *h,
                             uint32_t count)
{
    struct exchange *x = m->x;
    bool is_codable = may_be_coded(m, status, h, count);
    bool varies = is_codable && (m->coding != CODING_IDENTITY || is_read(x));
    mig_header *all = arena_alloc(x->arena, (count + EXTRAS_MAX + 1) * sizeof *all);

    if (m->is_held)
        return MIG_E_ARG;
    if (!all)
        return MIG_E_NOMEM;
    if (count)
        memcpy(all, h, count * sizeof *all);
    count += add_extras(m, varies, all + count);
    return is_codable && m->coding != CODING_IDENTITY && !x->has_answer
               ? hold(m, status, all, count)
               : exchange_head(x, status, all, count);
}

/* --- bodies ------------------------------------------------------------------------------------- */

static void release(struct manners *m)
{
    m->is_held = false;
    exchange_head(m->x, m->held_status, m->held, m->held_count);
}

mig_status manners_write(struct manners *m, str bytes)
{
    if (m->is_held)
        release(m);
    mig_status status = exchange_write(m->x, bytes);
    if (status == MIG_OK)
        m->bytes += bytes.len;
    return status;
}

static str coded(struct manners *m, str body)
{
    struct compressor *z = body.len >= m->compress_min ? compressor_of(m->x->loop) : NULL;
    str shorter = z ? compress_body(z, m->coding, body) : (str){NULL, 0};

    if (!shorter.ptr)
        return body;
    m->held[m->held_count++] = (mig_header){S("Content-Encoding"), coding_name(m->coding)};
    return shorter;
}

void manners_give_end(struct manners *m, str bytes)
{
    if (m->is_held) {
        bytes = coded(m, bytes);
        release(m);
    }
    m->bytes += bytes.len;
    if (m->is_logged)
        m->ended_ns = clock_now_ns();
    exchange_end(m->x, bytes);
}
