#include "net/ws_handshake.h"
#include "base/check.h"
#include "base/digest.h"
#include "net/ws_deflate.h"

enum { KEY_SIZE = 24, VALUE_MAX = 8 };

static const mig_header version = {{"sec-websocket-version", 21}, {"13", 2}};

/* --- lists of tokens -------------------------------------------------------------------------------- */

/* The only header of that name; ptr NULL when there is none or more than one. */
static str the_header(const mig_header *headers, uint32_t count, str name)
{
    str value = {NULL, 0};
    unsigned seen = 0;

    for (uint32_t i = 0; i < count; i++)
        if (str_eq(headers[i].name, name) && ++seen == 1)
            value = str_trim(headers[i].value);
    return seen == 1 ? value : (str){NULL, 0};
}

static bool list_has(str list, str token, bool is_case_sensitive)
{
    while (list.ptr) {
        str item = str_trim(str_split(&list, ','));
        if (is_case_sensitive ? str_eq(item, token) : str_eq_nocase(item, token))
            return true;
    }
    return false;
}

static bool header_has(const mig_header *headers, uint32_t count, str name, str token)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(headers[i].name, name) &&
            list_has(headers[i].value, token, /*is_case_sensitive=*/false))
            return true;
    return false;
}

static str choose_protocol(const mig_header *headers, uint32_t count, const str *ours,
                           uint32_t our_count)
{
    for (uint32_t i = 0; i < count; i++) {
        str list = headers[i].value;
        while (str_eq(headers[i].name, S("sec-websocket-protocol")) && list.ptr) {
            str item = str_trim(str_split(&list, ','));
            for (uint32_t k = 0; k < our_count; k++)
                if (str_eq(item, ours[k]))
                    return ours[k];
        }
    }
    return (str){NULL, 0};
}

/* --- permessage-deflate ------------------------------------------------------------------------------ */

struct reader {
    const char *p, *end;
    bool is_bad; /* not what the grammar of RFC 6455 9.1 allows */
};

struct param {
    str name;
    char value[VALUE_MAX]; /* what is longer cannot be one that we know */
    size_t value_len;
    bool has_value;
};

struct offer {
    bool is_deflate, is_declined;
    unsigned seen;       /* bits: which parameters */
    uint8_t window_bits; /* of the server; 0: the client did not name it */
};

static bool is_token_char(char c)
{
    static const str separators = {"()<>@,;:\\\"/[]?={} \t", 19};

    return c > 0x20 && c < 0x7F && !memchr(separators.ptr, c, separators.len);
}

static bool take(struct reader *r, char c)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
        r->p++;
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static str take_token(struct reader *r)
{
    take(r, 0); // only the spaces before it
    const char *from = r->p;

    while (r->p < r->end && is_token_char(*r->p))
        r->p++;
    r->is_bad |= r->p == from;
    return (str){from, (size_t)(r->p - from)};
}

static void value_add(struct param *p, char c)
{
    if (p->value_len < sizeof p->value)
        p->value[p->value_len] = c;
    p->value_len++;
}

/* A quoted value must be a token once the quotes are off (RFC 6455 9.1). */
static void take_value(struct reader *r, struct param *p)
{
    p->has_value = true;
    if (!take(r, '"')) {
        str token = take_token(r);
        for (size_t i = 0; i < token.len; i++)
            value_add(p, token.ptr[i]);
        return;
    }
    for (; r->p < r->end && *r->p != '"'; r->p++) {
        if (*r->p == '\\' && r->p + 1 < r->end)
            r->p++;
        r->is_bad |= !is_token_char(*r->p);
        value_add(p, *r->p);
    }
    r->is_bad |= !take(r, '"') || !p->value_len;
}

/* 8 to 15, without a leading zero (RFC 7692 7.1.2); 0: something else. */
static uint8_t window_bits_of(const struct param *p)
{
    uint64_t n;

    if (p->value_len > 2 || p->value[0] == '0' || !str_to_u64((str){p->value, p->value_len}, &n))
        return 0;
    return n >= 8 && n <= WS_WINDOW_MAX ? (uint8_t)n : 0;
}

enum value_rule { VALUE_NONE, VALUE_MAY, VALUE_MUST };
enum { PARAM_SERVER_BITS = 2 };
static const struct {
    str name;
    enum value_rule rule;
} known[] = {
    {{"server_no_context_takeover", 26}, VALUE_NONE},
    {{"client_no_context_takeover", 26}, VALUE_NONE},
    [PARAM_SERVER_BITS] = {{"server_max_window_bits", 22}, VALUE_MUST},
    {{"client_max_window_bits", 22}, VALUE_MAY},
};

/* Anything unknown, twice or out of range declines the offer (RFC 7692 7.1). */
static void apply(struct offer *o, const struct param *p)
{
    unsigned i = 0;

    while (i < countof(known) && !str_eq_nocase(p->name, known[i].name))
        i++;
    uint8_t bits = p->has_value ? window_bits_of(p) : 0;
    bool is_fine =
        i < countof(known) && !(o->seen & 1u << i) &&
        (p->has_value ? known[i].rule != VALUE_NONE && bits : known[i].rule != VALUE_MUST);
    if (!is_fine) {
        o->is_declined = true;
        return;
    }
    o->seen |= 1u << i;
    if (i == PARAM_SERVER_BITS) {
        o->window_bits = bits;
        o->is_declined |= bits < WS_WINDOW_MIN; // zlib cannot
    }
}

static struct offer take_offer(struct reader *r)
{
    struct offer o = {.is_deflate = str_eq_nocase(take_token(r), S("permessage-deflate"))};

    while (!r->is_bad && take(r, ';')) {
        struct param p = {.name = take_token(r)};
        if (take(r, '='))
            take_value(r, &p);
        apply(&o, &p);
    }
    return o;
}

/* The first offer of the list that we can serve goes to *best. false: the header is malformed. */
static bool read_offers(str list, struct offer *best)
{
    struct reader r = {list.ptr, list.ptr + list.len, false};

    while (!r.is_bad) {
        while (take(&r, ','))
            continue;
        if (r.p == r.end)
            return true;
        struct offer o = take_offer(&r);
        if (o.is_deflate && !o.is_declined && !best->is_deflate && !r.is_bad)
            *best = o;
        if (!take(&r, ',') && r.p < r.end)
            return false;
    }
    return false;
}

static bool choose_deflate(const mig_header *headers, uint32_t count, struct offer *best)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(headers[i].name, S("sec-websocket-extensions")) && headers[i].value.len &&
            !read_offers(headers[i].value, best))
            return false;
    return true;
}

/* --- the answer -------------------------------------------------------------------------------------- */

static void add_base64(struct arena_text *t, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63]};
        if (i + 2 >= n)
            out[3] = '=';
        if (i + 1 >= n)
            out[2] = '=';
        text_add(t, (str){out, sizeof out});
    }
}

/* 16 bytes in base64. */
static bool is_key(str s)
{
    if (s.len != KEY_SIZE || !str_ends(s, S("==")))
        return false;
    for (size_t i = 0; i < KEY_SIZE - 2; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return true;
}

static void add_accept(struct arena_text *t, str key)
{
    static const str guid = {"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36};
    char both[KEY_SIZE + 36];
    unsigned char sum[DIGEST_SHA1];

    memcpy(both, key.ptr, KEY_SIZE);
    memcpy(both + KEY_SIZE, guid.ptr, guid.len);
    digest_sha1((str){both, sizeof both}, sum);
    add_base64(t, sum, sizeof sum);
}

static void add_deflate(struct arena_text *t, const struct offer *o)
{
    text_add(t, S("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                  "client_no_context_takeover"));
    if (o->window_bits) {
        text_add(t, S("; server_max_window_bits="));
        text_addu(t, o->window_bits);
    }
    text_add(t, S("\r\n"));
}

static bool write_head(struct arena *a, str key, const struct offer *o, struct ws_agreement *ret)
{
    struct arena_text t;

    text_init(&t, a, 384);
    text_add(&t, S("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: "));
    add_accept(&t, key);
    text_add(&t, S("\r\n"));
    if (ret->protocol.len) {
        text_add(&t, S("Sec-WebSocket-Protocol: "));
        text_add(&t, ret->protocol);
        text_add(&t, S("\r\n"));
    }
    if (o->is_deflate)
        add_deflate(&t, o);
    text_add(&t, S("\r\n"));
    ret->head = text_str(&t);
    return !t.has_failed;
}

static bool refuse(struct ws_agreement *ret, unsigned status, const char *reason)
{
    *ret = (struct ws_agreement){.status = status, .reason = reason};
    if (status == 426) {
        ret->headers = &version;
        ret->header_count = 1;
    }
    return false;
}

bool ws_accept(const mig_header *headers, uint32_t count, const str *protocols,
               uint32_t protocol_count, bool allow_deflate, struct arena *a,
               struct ws_agreement *ret)
{
    struct offer best = {0};
    str key = the_header(headers, count, S("sec-websocket-key"));

    if (!header_has(headers, count, S("upgrade"), S("websocket")))
        return refuse(ret, 426, "no_upgrade");
    if (!header_has(headers, count, S("connection"), S("upgrade")))
        return refuse(ret, 400, "no_connection_upgrade");
    if (!str_eq(the_header(headers, count, S("sec-websocket-version")), S("13")))
        return refuse(ret, 426, "version");
    if (!is_key(key))
        return refuse(ret, 400, "key");
    if (!choose_deflate(headers, count, &best))
        return refuse(ret, 400, "extensions");
    if (!allow_deflate)
        best = (struct offer){0};
    *ret = (struct ws_agreement){.status = 101};
    ret->protocol = choose_protocol(headers, count, protocols, protocol_count);
    if (best.is_deflate)
        ret->window_bits = best.window_bits ? best.window_bits : WS_WINDOW_MAX;
    return write_head(a, key, &best, ret) || refuse(ret, 503, "no_memory");
}
