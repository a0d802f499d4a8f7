#include "edge/authn.h"
#include "base/check.h"
#include "core/names.h"
#include "edge/client.h"

enum { ACTOR_MAX = 128 };

static bool is_printable(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7F)
            return false;
    return s.len <= ACTOR_MAX && str_is_utf8(s);
}

static mig_status deny(struct refusal *ret, mig_status status, const char *reason,
                       const char *message)
{
    *ret = (struct refusal){status, reason, message};
    return status;
}

static bool refuse(struct authn *a, mig_status status, const char *reason, const char *message)
{
    deny(&a->refusal, status, reason, message);
    return true;
}

/* --- nobody proves anything --------------------------------------------------------------------- */

struct principal *authn_anonymous(struct exchange *x, struct refusal *ret)
{
    struct principal *p = arena_zero(x->arena, sizeof *p);
    str tenant = exchange_header(x, S("x-tenant-id"));
    str actor = x->has_certificate ? x->tls_subject_cn : exchange_header(x, S("x-actor"));

    if (!p) {
        *ret = (struct refusal){MIG_BACKPRESSURE, "memory", "the request needs too much memory"};
        return NULL;
    }
    p->subject = S("anonymous");
    p->tenant = str_trim(tenant);
    p->remote = exchange_remote(x);
    p->has_tenant_header = p->tenant.len > 0;
    p->actor = actor.len && is_printable(actor) ? actor : p->subject;
    return p;
}

mig_status authn_certified_tenant(struct principal *p, const struct exchange *x,
                                  struct refusal *ret)
{
    str tenant = x->tls_subject_o;

    if (!tenant.ptr)
        return MIG_OK;
    if (!name_is_tenant(tenant))
        return deny(ret, MIG_FORBIDDEN, "tenant_certificate",
                    "the organization of the client certificate is no tenant id");
    if (p->tenant.len && !str_eq(p->tenant, tenant))
        return deny(ret, MIG_FORBIDDEN, "tenant_mismatch",
                    "tenant header does not match the tenant of the client certificate");
    p->tenant = tenant;
    return MIG_OK;
}

/* --- tokens ------------------------------------------------------------------------------------- */

static bool bearer(struct exchange *x, str *ret)
{
    str value = exchange_header(x, S("authorization"));

    if (value.len < 7 || !str_eq_nocase((str){value.ptr, 7}, S("Bearer ")))
        return false;
    *ret = str_trim(str_cut(value, 7));
    return true;
}

void authn_decide(struct authn *a)
{
    const struct jwt_claims *c = &a->ask.claims;
    str sent = str_trim(exchange_header(a->x, S("x-tenant-id")));

    if (a->ask.status == MIG_BACKPRESSURE) {
        refuse(a, MIG_BACKPRESSURE, "authentication_busy", "too many tokens wait to be verified");
        return;
    }
    if (a->ask.status != MIG_OK) {
        refuse(a, MIG_UNAUTHORIZED, "invalid_token", "invalid bearer token");
        return;
    }
    if (!c->tenant.len) {
        refuse(a, MIG_FORBIDDEN, "tenant_claim", "token is missing tenant claim");
        return;
    }
    if (a->policy->require_tenant_header && !sent.len) {
        refuse(a, MIG_FORBIDDEN, "tenant_header_required", "tenant header is required");
        return;
    }
    if (sent.len && !str_eq(sent, c->tenant)) {
        refuse(a, MIG_FORBIDDEN, "tenant_mismatch", "tenant header does not match token tenant");
        return;
    }
    struct principal *p = arena_zero(a->x->arena, sizeof *p);
    if (!p) {
        refuse(a, MIG_BACKPRESSURE, "memory", "the request needs too much memory");
        return;
    }
    *p = (struct principal){
        .subject = c->subject,
        .tenant = c->tenant,
        .actor = c->subject,
        .scopes = c->scopes,
        .scope_count = c->scope_count,
        .is_authenticated = true,
        .has_tenant_header = sent.len > 0,
    };
    a->principal = p;
}

bool authn_begin(struct authn *a, const struct edge_policy *p, struct exchange *x)
{
    a->policy = p;
    a->x = x;
    if (!bearer(x, &a->ask.token))
        return refuse(a, MIG_UNAUTHORIZED, "missing_token", "missing bearer token");
    a->ask.home = x->loop;
    a->ask.arena = x->arena;
    a->ask.rules = p->rules;
    a->ask.rules_version = p->rules_version;
    if (!identity_verify(&a->ask))
        return false;
    authn_decide(a);
    return true;
}

/* --- operators ---------------------------------------------------------------------------------- */

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
static mig_status check_place(struct exchange *x, str remote, struct refusal *ret)
{
    static const char message[] = "operators' routes are for this machine unless an admin key is "
                                  "configured";

    if (!client_is_local(remote))
        return deny(ret, MIG_FORBIDDEN, "loopback_only", message);
    if (!authn_same_origin(x) || !is_named_loopback(x->authority))
        return deny(ret, MIG_FORBIDDEN, "origin", message);
    return MIG_OK;
}

mig_status authn_operator(const struct edge_policy *p, struct exchange *x, str remote,
                          bool *ret_is_full, struct refusal *ret)
{
    static const char message[] = "the admin key is missing or wrong";
    str given = p->admin_key.len ? exchange_header(x, p->admin_header) : (str){NULL, 0};

    *ret_is_full = true;
    if (given.ptr)
        return str_eq_secret(given, p->admin_key)
                   ? MIG_OK
                   : deny(ret, MIG_UNAUTHORIZED, "authentication_failed", message);
    if (p->is_jwt) {
        *ret_is_full = false; /* the token decides */
        return MIG_OK;
    }
    if (p->admin_key.len)
        return deny(ret, MIG_UNAUTHORIZED, "authentication_required", message);
    return check_place(x, remote, ret);
}

mig_status authn_scoped_operator(const struct principal *who, bool is_read, bool *ret_is_restricted,
                                 struct refusal *ret)
{
    *ret_is_restricted = false;
    if (principal_has_scope(who, S("mig:admin")) ||
        (is_read && principal_has_scope(who, S("mig:viewer"))))
        return MIG_OK;
    if (!is_read)
        return deny(ret, MIG_FORBIDDEN, "admin_scope_required",
                    "changing the gateway needs the scope mig:admin");
    *ret_is_restricted = true;
    return MIG_OK;
}
