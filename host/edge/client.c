#include "edge/client.h"

/* What one element of the list says; both may be missing. */
struct hop {
    str address, proto;
};

static bool is_trusted(const struct client_policy *p, const struct ip *ip)
{
    for (size_t i = 0; i < p->trusted_count; i++)
        if (cidr_has(&p->trusted[i], ip))
            return true;
    return false;
}

/* A quote that ends or begins a quoted-string, and none inside one (RFC 9110 5.6.4). */
static bool is_quote(str s, size_t at)
{
    size_t slashes = 0;

    if (s.ptr[at] != '"')
        return false;
    while (slashes < at && s.ptr[at - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 0;
}

/* The last element of a list; *rest loses it. From the right, because only what stands there is
 * written by somebody we know: a quote that the client left open must not swallow it. */
static str last_element(str *rest)
{
    bool is_quoted = false;
    size_t i = rest->len;

    while (i > 0) {
        if (rest->ptr[i - 1] == ',' && !is_quoted)
            break;
        is_quoted ^= is_quote(*rest, i - 1);
        i--;
    }
    str element = str_trim(str_cut(*rest, i));
    *rest = i ? (str){rest->ptr, i - 1} : (str){NULL, 0};
    return element;
}

/* The value of a parameter: a token, or a quoted-string. An escape makes no address: refused. */
static bool unquote(str value, str *ret)
{
    *ret = value;
    if (!value.len || value.ptr[0] != '"')
        return !memchr(value.len ? value.ptr : "", '"', value.len);
    if (value.len < 2 || value.ptr[value.len - 1] != '"')
        return false;
    *ret = (str){value.ptr + 1, value.len - 2};
    return !memchr(ret->ptr, '\\', ret->len) && !memchr(ret->ptr, '"', ret->len);
}

/* RFC 7239 4. No value that we look for has a semicolon in quotes. */
static bool parse_forwarded(str element, struct hop *ret)
{
    struct hop h = {{NULL, 0}, {NULL, 0}};

    while (element.len) {
        str value = str_trim(str_split(&element, ';'));
        str name = str_trim(str_split(&value, '='));
        str *to = str_eq_nocase(name, S("for"))     ? &h.address
                  : str_eq_nocase(name, S("proto")) ? &h.proto
                                                    : NULL;
        if (to && (to->ptr || !unquote(str_trim(value), to)))
            return false;
    }
    *ret = h;
    return true;
}

/* Walks the hops from the nearest to the farthest, over all lines of the header. */
struct walk {
    const mig_header *headers;
    uint32_t left; /* lines not begun */
    str name, rest;
};

static bool next_element(struct walk *w, str *ret)
{
    while (!w->rest.ptr) {
        if (!w->left)
            return false;
        const mig_header *h = &w->headers[--w->left];
        if (str_eq(h->name, w->name) && h->value.len)
            w->rest = h->value;
    }
    *ret = last_element(&w->rest);
    return true;
}

static bool next_hop(struct walk *w, bool is_rfc7239, struct hop *ret)
{
    str element;

    if (!next_element(w, &element))
        return false;
    if (is_rfc7239)
        return parse_forwarded(element, ret);
    *ret = (struct hop){element, {NULL, 0}};
    return true;
}

static str last_proto(const mig_header *headers, uint32_t count)
{
    struct walk w = {headers, count, S("x-forwarded-proto"), {NULL, 0}};
    str proto;

    return next_element(&w, &proto) ? proto : (str){NULL, 0};
}

static void note_proto(struct client *c, str proto)
{
    if (str_eq_nocase(proto, S("https")))
        c->is_tls = true;
    else if (str_eq_nocase(proto, S("http")))
        c->is_tls = false;
}

void client_find(const struct client_policy *p, str peer, bool is_tls, const mig_header *headers,
                 uint32_t count, struct arena *a, struct client *ret)
{
    str name = p->is_rfc7239 ? S("forwarded") : S("x-forwarded-for");
    struct walk w = {headers, count, name, {NULL, 0}};
    char text[IP_TEXT];
    struct hop hop;
    struct ip ip;

    *ret = (struct client){.address = peer, .is_tls = is_tls};
    if (!p->trusted_count || !ip_parse_host(peer, &ip) || !is_trusted(p, &ip))
        return;
    if (!p->is_rfc7239)
        note_proto(ret, last_proto(headers, count));
    do { /* what is no address ends the way: "unknown", "_hidden", nonsense */
        if (!next_hop(&w, p->is_rfc7239, &hop) || !ip_parse_host(hop.address, &ip))
            break;
        ret->is_forwarded = true;
        note_proto(ret, hop.proto);
        ip_print(&ip, text);
    } while (is_trusted(p, &ip));
    str address = ret->is_forwarded ? arena_copy(a, str_of(text)) : peer;
    if (address.ptr)
        ret->address = address;
    else
        ret->is_forwarded = false;
}

bool client_is_local(str address)
{
    struct ip ip;

    return ip_parse_host(address, &ip) && ip_is_loopback(&ip);
}
