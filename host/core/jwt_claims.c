#include "core/jwt_claims.h"

#include <stdlib.h>

const char jwt_out_of_memory[] = "memory";

/* Principals end up in logs, headers and C strings. */
static bool is_clean(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7F)
            return false;
    return true;
}

/* A text, or nothing (absent, null, empty). false: something else. */
static bool read_text(const json_value *claims, str name, str *ret)
{
    const json_value *v = json_have(claims, name);

    *ret = v ? json_string(v) : (str){0};
    return !v || (json_is_string(v) && is_clean(*ret));
}

/* --- time (RFC 7519 4.1.4, 4.1.5) ------------------------------------------------------------- */

/* Seconds since 1970, maybe with a fraction (RFC 7519 2, NumericDate). false: something else. */
static bool read_date(const json_value *claims, str name, bool *ret_is_given, double *ret)
{
    const json_value *v =
        json_get(claims, name); // null is "something else": it must not mean "for ever"

    *ret_is_given = v != NULL;
    return !v || json_number(v, ret);
}

static uint64_t whole_seconds(double t)
{
    const double far = 1e18; // further than any clock; a double above 2^64 has no integer

    return t <= 0 ? 0 : t >= far ? (uint64_t)far : (uint64_t)t;
}

static const char *check_time(const json_value *claims, const struct jwt_rules *rules,
                              uint64_t now_s, struct jwt_claims *ret)
{
    double exp = 0, nbf = 0, now = (double)now_s, leeway = (double)rules->leeway_s;
    bool has_exp, has_nbf;

    if (!read_date(claims, S("exp"), &has_exp, &exp) ||
        !read_date(claims, S("nbf"), &has_nbf, &nbf))
        return "claims";
    if (!has_exp && rules->require_exp)
        return "exp_required";
    if (has_exp && exp + leeway <= now)
        return "expired";
    if (has_nbf && nbf - leeway > now)
        return "not_yet_valid";
    ret->expires_s = has_exp ? whole_seconds(exp) : JWT_NEVER;
    return NULL;
}

/* --- for whom and by whom --------------------------------------------------------------------- */

static bool is_for(const json_value *aud, str audience)
{
    if (json_is_string(aud))
        return str_eq(json_string(aud), audience);
    if (!json_is_array(aud))
        return false;
    for (struct json_iter i = json_iter(aud); json_next(&i);)
        if (json_is_string(i.value) && str_eq(json_string(i.value), audience))
            return true;
    return false;
}

static const char *check_parties(const json_value *claims, const struct jwt_rules *rules)
{
    const json_value *iss = json_get(claims, S("iss"));

    if (rules->issuer.len && !(json_is_string(iss) && str_eq(json_string(iss), rules->issuer)))
        return "issuer";
    if (rules->audience.len && !is_for(json_get(claims, S("aud")), rules->audience))
        return "audience";
    return NULL;
}

/* --- scopes ----------------------------------------------------------------------------------- */

/* `scope` is one text of words (RFC 6749 3.3), `scopes` a list of texts. */
struct scopes {
    str *list;
    size_t count;
};

static bool scopes_add(struct scopes *s, struct arena *a, str scope)
{
    if ((s->count & (s->count - 1)) == 0) { // full at each power of two
        size_t cap = s->count ? 2 * s->count : 1;
        str *list = arena_grow(a, s->list, s->count * sizeof *list, cap * sizeof *list);
        if (!list)
            return false;
        s->list = list;
    }
    s->list[s->count++] = scope;
    return true;
}

static const char *scopes_of_text(struct scopes *s, struct arena *a, const json_value *claims)
{
    str rest;

    if (!read_text(claims, S("scope"), &rest))
        return "claims";
    while (rest.len) {
        str word = str_split(&rest, ' ');
        if (word.len && !scopes_add(s, a, word))
            return jwt_out_of_memory;
    }
    return NULL;
}

static const char *scopes_of_list(struct scopes *s, struct arena *a, const json_value *claims)
{
    const json_value *v = json_have(claims, S("scopes"));

    if (v && !json_is_array(v))
        return "claims";
    for (struct json_iter i = json_iter(v); json_next(&i);) {
        str word = json_string(i.value);
        if (!json_is_string(i.value) || !is_clean(word))
            return "claims";
        if (word.len && !scopes_add(s, a, word))
            return jwt_out_of_memory;
    }
    return NULL;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

static void sort_unique(struct scopes *s)
{
    size_t n = 0;

    if (s->count)
        qsort(s->list, s->count, sizeof *s->list, by_bytes);
    for (size_t i = 0; i < s->count; i++)
        if (i == 0 || !str_eq(s->list[i], s->list[n - 1]))
            s->list[n++] = s->list[i];
    s->count = n;
}

static const char *read_scopes(const json_value *claims, struct arena *work, struct jwt_claims *ret)
{
    struct scopes s = {0};
    const char *reason = scopes_of_text(&s, work, claims);

    if (!reason)
        reason = scopes_of_list(&s, work, claims);
    if (reason)
        return reason;
    sort_unique(&s);
    ret->scopes = s.list;
    ret->scope_count = s.count;
    return s.count > JWT_SCOPES_MAX ? "claims" : NULL;
}

/* --- all of them ------------------------------------------------------------------------------ */

const char *jwt_read_claims(const json_value *claims, const struct jwt_rules *rules, uint64_t now_s,
                            struct arena *work, struct jwt_claims *ret)
{
    str tenant;
    const char *reason = check_time(claims, rules, now_s, ret);

    if (!reason)
        reason = check_parties(claims, rules);
    if (reason)
        return reason;
    if (!read_text(claims, S("sub"), &ret->subject) ||
        !read_text(claims, S("tenant_id"), &ret->tenant) ||
        !read_text(claims, S("tenant"), &tenant))
        return "claims";
    if (!ret->subject.len)
        ret->subject = S("unknown");
    if (!ret->tenant.len)
        ret->tenant = tenant;
    return read_scopes(claims, work, ret);
}

bool jwt_copy_claims(struct arena *a, const struct jwt_claims *from, struct jwt_claims *ret)
{
    struct jwt_claims c = *from;
    str *scopes = c.scope_count ? arena_alloc(a, c.scope_count * sizeof *scopes) : NULL;

    c.subject = arena_copy(a, from->subject);
    c.tenant = arena_copy(a, from->tenant);
    if (!c.subject.ptr || !c.tenant.ptr || (c.scope_count && !scopes))
        return false;
    for (size_t i = 0; i < c.scope_count; i++)
        if (!(scopes[i] = arena_copy(a, from->scopes[i])).ptr)
            return false;
    c.scopes = scopes;
    *ret = c;
    return true;
}
