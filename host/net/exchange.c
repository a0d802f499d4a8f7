/* What all protocols share: what a head may be, who may say what when. */
#include "net/exchange.h"
#include "net/exchange_io.h"

/* RFC 9110 5.6.2 */
static bool is_token(str s)
{
    static const unsigned char is_tchar[256] = {
        ['!'] = 1,         ['#' ... '\''] = 1, ['*' ... '+'] = 1,
        ['-' ... '.'] = 1, ['0' ... '9'] = 1,  ['A' ... 'Z'] = 1,
        ['^' ... 'z'] = 1, ['|'] = 1,          ['~'] = 1};
    unsigned all = s.len > 0;

    for (size_t i = 0; i < s.len; i++)
        all &= is_tchar[(unsigned char)s.ptr[i]];
    return all;
}

/* RFC 9110 5.5: no control characters but the tab. */
static bool is_field_value(str s)
{
    if (s.len && memchr(s.ptr, 0x7F, s.len))
        return false;
    while (s.len) {
        size_t plain =
            str_plain_prefix(s); /* stops at quotes and backslashes too: those may pass */
        if (plain == s.len)
            break;
        unsigned char ch = (unsigned char)s.ptr[plain];
        if (ch < 0x20 && ch != '\t')
            return false;
        s = str_cut(s, plain + 1);
    }
    return true;
}

static bool is_own(str name)
{
    switch (name.len) {
    case 4: return str_eq_nocase(name, S("date"));
    case 7: return str_eq_nocase(name, S("upgrade"));
    case 10: return str_eq_nocase(name, S("connection")) || str_eq_nocase(name, S("keep-alive"));
    case 14: return str_eq_nocase(name, S("content-length"));
    case 17: return str_eq_nocase(name, S("transfer-encoding"));
    default: return false;
    }
}

mig_status exchange_head(struct exchange *x, unsigned status, const mig_header *headers,
                         uint32_t count)
{
    if (x->has_answer || status < 200 || status > 599)
        return MIG_E_ARG;
    for (uint32_t i = 0; i < count; i++)
        if (!is_token(headers[i].name) || !is_field_value(headers[i].value) ||
            is_own(headers[i].name))
            return MIG_E_ARG;
    x->has_answer = true;
    x->status = status;
    return x->io->head(x, headers, count);
}

mig_status exchange_write(struct exchange *x, str bytes)
{
    if (!x->carrier)
        return MIG_E_GONE;
    if (!x->has_answer || x->is_ended)
        return MIG_E_ARG;
    return x->io->write(x, bytes);
}

void exchange_end(struct exchange *x, str bytes)
{
    if (!x->carrier || x->is_ended)
        return;
    if (!x->has_answer)
        exchange_head(x, 204, NULL, 0);
    x->is_ended = true;
    x->io->end(x, bytes);
}

void exchange_break(struct exchange *x)
{
    if (x->carrier)
        x->io->cut(x);
}

struct raw *exchange_switch(struct exchange *x, str head, const struct raw_ops *ops, void *owner)
{
    if (!x->carrier || !x->upgrade.len || x->has_answer)
        return NULL;
    return x->io->switch_over(x, head, ops, owner);
}

void exchange_refuse(struct exchange *x, unsigned status, const char *reason)
{
    const struct net_loop *n = x->loop->local[LOOP_NET];
    struct arena *a = x->arena;
    str id = {NULL, 0};
    str body = n->ops->error_body(a, status, str_of(reason), &id);
    mig_header h[] = {{S("Content-Type"), S("application/json")}, {S("MIG-Message-ID"), id}};

    x->must_close = true;
    x->is_refused = true;
    exchange_head(x, status, h, id.len ? 2 : 1);
    x->io->refuse(x);
    exchange_end(x, body);
    arena_unref(a);
}

enum { LASTING_TEXTS = 3 };

static void lasting_texts(struct exchange *x, str *ret[LASTING_TEXTS])
{
    str *all[LASTING_TEXTS] = {&x->method, &x->path, &x->remote};

    memcpy(ret, all, sizeof all);
}

size_t exchange_move_bytes(const struct exchange *x)
{
    struct exchange copy = *x;
    str *texts[LASTING_TEXTS];

    lasting_texts(&copy, texts);
    return x->io->size + str_total(texts, LASTING_TEXTS);
}

struct exchange *exchange_move(struct exchange *x, struct arena *a)
{
    struct exchange lasting = {.method = x->method, .path = x->path, .remote = x->remote};
    bool may = x->carrier && x->is_head_sent && !x->is_ended;
    str *texts[LASTING_TEXTS];

    lasting_texts(&lasting, texts);
    struct exchange *to = may && arena_own(a, texts, LASTING_TEXTS) ? x->io->move(x, a) : NULL;
    if (!to)
        return NULL;
    to->arena = a;
    to->method = lasting.method;
    to->path = lasting.path;
    to->remote = lasting.remote;
    to->target = to->query = to->authority = to->body = to->upgrade = (str){NULL, 0};
    to->tls_subject_cn = to->tls_subject_o = (str){NULL, 0};
    to->headers = NULL;
    to->header_count = 0;
    to->answer = (struct arena_text){0};
    return to;
}

str exchange_header(const struct exchange *x, str name)
{
    for (uint32_t i = 0; i < x->header_count; i++)
        if (str_eq(x->headers[i].name, name))
            return x->headers[i].value.ptr ? x->headers[i].value : S("");
    return (str){NULL, 0};
}

str exchange_remote(struct exchange *x)
{
    if (!x->remote.ptr && x->carrier)
        x->remote = arena_copy(x->arena, str_of(conn_remote(x->io->conn(x))));
    return x->remote.ptr ? x->remote : S("");
}

void exchange_split_target(struct exchange *x)
{
    str rest = x->target;

    if (rest.len && rest.ptr[0] != '/') { /* absolute-form (RFC 9112 3.2.2) */
        for (size_t i = 0, slashes = 0; i < rest.len && slashes < 3; i++)
            if (rest.ptr[i] == '/' && ++slashes == 3)
                rest = str_cut(rest, i);
        if (rest.ptr == x->target.ptr)
            rest = S("/");
    }
    x->path = str_split(&rest, '?');
    x->query = rest;
}
