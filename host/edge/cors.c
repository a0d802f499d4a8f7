#include "edge/cors.h"
#include "edge/authn.h"

enum { ASKED_MAX = 1024 }; /* bytes of Access-Control-Request-Headers that are repeated */

static const str max_age = S("600"); /* seconds that a page's browser need not ask again */

bool cors_allows(const struct cors_policy *p, str origin)
{
    for (size_t i = 0; origin.len && i < p->origin_count; i++)
        if (p->is_any || str_eq_nocase(origin, p->origins[i]))
            return true;
    return false;
}

bool cors_allows_socket(const struct cors_policy *p, const struct exchange *x)
{
    return authn_same_origin(x) || cors_allows(p, exchange_header(x, S("origin")));
}

bool cors_is_preflight(const struct exchange *x)
{
    return str_eq(x->method, S("OPTIONS")) && exchange_header(x, S("origin")).len &&
           exchange_header(x, S("access-control-request-method")).len;
}

/* A list of header names, and nothing else: it goes back to where it came from. */
static bool is_name_list(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
            c != ',' && c != ' ')
            return false;
    }
    return s.len > 0 && s.len <= ASKED_MAX;
}

uint32_t cors_preflight(const struct exchange *x, str methods,
                        mig_header ret[CORS_PREFLIGHT_HEADERS])
{
    str asked = exchange_header(x, S("access-control-request-headers"));
    uint32_t n = 0;

    ret[n++] = (mig_header){S("Access-Control-Allow-Methods"), methods};
    if (is_name_list(asked))
        ret[n++] = (mig_header){S("Access-Control-Allow-Headers"), asked};
    ret[n++] = (mig_header){S("Access-Control-Max-Age"), max_age};
    return n;
}

/* --- our names ---------------------------------------------------------------------------------- */

/* Without the port and the dot that ends a whole name. */
static str host_of(str authority)
{
    const char *colon = authority.len ? memrchr(authority.ptr, ':', authority.len) : NULL;
    bool is_v6 = authority.len && authority.ptr[0] == '[';

    if (colon && (!is_v6 || colon[-1] == ']'))
        authority.len = (size_t)(colon - authority.ptr);
    if (str_ends(authority, S(".")))
        authority.len--;
    return authority;
}

static bool fits(str host, str pattern)
{
    if (!str_starts(pattern, S("*.")))
        return str_eq_nocase(host, pattern);
    str tail = str_cut(pattern, 1); /* ".example.org" */
    return host.len > tail.len && str_eq_nocase(str_cut(host, host.len - tail.len), tail);
}

bool cors_is_our_host(const struct cors_policy *p, str authority)
{
    if (!p->host_count)
        return true;
    str host = host_of(authority);
    for (size_t i = 0; i < p->host_count; i++)
        if (fits(host, p->hosts[i]))
            return true;
    return false;
}
