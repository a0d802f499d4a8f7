#include "edge/authn.h"
#include "base/check.h"

enum { ACTOR_MAX = 128 };

static bool is_printable(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7F)
            return false;
    return s.len <= ACTOR_MAX && str_is_utf8(s);
}

struct principal *authn_principal(struct exchange *x)
{
    struct principal *p = arena_zero(x->arena, sizeof *p);

    if (!p)
        return NULL;
    str tenant = exchange_header(x, S("x-tenant-id"));
    str actor = exchange_header(x, S("x-actor"));
    p->subject = S("anonymous");
    p->tenant = tenant.ptr ? str_trim(tenant) : S("");
    p->has_tenant_header = p->tenant.len > 0;
    p->actor = actor.len && is_printable(actor) ? actor : p->subject;
    return p;
}

static bool is_loopback(str remote)
{
    return str_starts(remote, S("127.")) || str_starts(remote, S("[::1]")) ||
           str_starts(remote, S("[::ffff:127."));
}

/* A page that somebody's browser shows may reach our port, but it cannot hide where it comes from. */
bool authn_same_origin(const struct exchange *x)
{
    str origin = exchange_header(x, S("origin"));
    str rest = origin;

    if (!origin.ptr)
        return true;
    str_split(&rest, '/'); /* scheme: */
    str_split(&rest, '/'); /* (empty) */
    return str_eq_nocase(rest, x->authority);
}

static bool is_named_loopback(str authority)
{
    str host = authority;

    if (host.len && host.ptr[0] == '[')
        return str_starts(host, S("[::1]"));
    host = str_split(&host, ':');
    for (size_t i = 0; str_starts(host, S("127.")) && i < host.len; i++)
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9'))
            return false; /* 127.0.0.1.example.org */
    return str_eq_nocase(host, S("localhost")) || str_starts(host, S("127."));
}

/* Without a key only this machine may operate the gateway, and only by a name of this machine: a
 * foreign name that resolves to loopback is DNS rebinding. */
mig_status authn_admin(const struct edge_policy *p, struct exchange *x, const char **ret_reason)
{
    if (p->admin_key.len) {
        str given = exchange_header(x, p->admin_header);
        *ret_reason = given.ptr ? "authentication_failed" : "authentication_required";
        return given.ptr && str_eq_secret(given, p->admin_key) ? MIG_OK : MIG_UNAUTHORIZED;
    }
    *ret_reason = "loopback_only";
    if (!is_loopback(exchange_remote(x)))
        return MIG_FORBIDDEN;
    *ret_reason = "origin";
    return !authn_same_origin(x) || !is_named_loopback(x->authority) ? MIG_FORBIDDEN : MIG_OK;
}
