#include "core/cap_policy.h"
#include "base/check.h"

static bool is_from(const json_value *v, int64_t min, int64_t max)
{
    int64_t n;
    return json_is_integer(v, &n) && n >= min && n <= max;
}

static bool is_word(str s, const char *more, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(more, c)))
            return false;
    }
    return s.len && s.len <= max && !memchr(s.ptr, 0, s.len);
}

static const char *flag_fault(const json_value *v)
{
    bool is;
    return json_is_bool(v, &is) ? NULL : "policy: a flag must be true or false";
}

static const char *retry_fault(const json_value *v)
{
    if (!json_is_object(v))
        return "policy.retry must be an object";
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!(str_eq(i.key, S("max_attempts")) && is_from(i.value, 1, CAP_POLICY_ATTEMPTS)) &&
            !(str_eq(i.key, S("backoff_ms")) && is_from(i.value, 0, CAP_POLICY_BACKOFF_MS)))
            return "policy.retry has max_attempts from 1 to 10 and backoff_ms from 0 to 60000";
    return NULL;
}

static const char *concurrency_fault(const json_value *v)
{
    return is_from(v, 1, CAP_POLICY_CONCURRENCY)
               ? NULL
               : "policy.max_concurrency must be a number from 1 to 10000";
}

static const char *rate_fault(const json_value *v)
{
    if (!json_get(v, S("rps")))
        return "policy.rate_limit needs rps";
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!(str_eq(i.key, S("rps")) || str_eq(i.key, S("burst"))) ||
            !is_from(i.value, 1, CAP_POLICY_RATE))
            return "policy.rate_limit has rps and burst, whole numbers from 1 to 1000000";
    return NULL;
}

static const char *tags_fault(const json_value *v)
{
    static const char why[] = "policy.tags must be a list of up to 32 words of a-z 0-9 _ . -";

    if (!json_is_array(v) || json_size(v) > CAP_POLICY_TAGS)
        return why;
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!is_word(json_string(i.value), "_.-", 64))
            return why;
    return NULL;
}

static const char *tier_fault(const json_value *v)
{
    return is_word(json_string(v), "_-", 32) ? NULL
                                             : "policy.billing_tier must be 1 to 32 of a-z 0-9 _ -";
}

const char *cap_policy_fault(const json_value *v)
{
    static const struct {
        str name;
        const char *(*fault)(const json_value *v);
    } members[] = {
        {S("require_idempotency_key"), flag_fault},
        {S("idempotent"), flag_fault},
        {S("retry"), retry_fault},
        {S("max_concurrency"), concurrency_fault},
        {S("rate_limit"), rate_fault},
        {S("tags"), tags_fault},
        {S("billing_tier"), tier_fault},
    };

    if (!json_is_object(v))
        return "policy must be an object";
    for (struct json_iter i = json_iter(v); json_next(&i);) {
        size_t m = 0;
        while (m < countof(members) && !str_eq(members[m].name, i.key))
            m++;
        if (m == countof(members))
            return "policy has require_idempotency_key, idempotent, retry, max_concurrency, "
                   "rate_limit, tags and billing_tier, and nothing else";
        const char *fault = json_is_null(i.value) ? NULL : members[m].fault(i.value);
        if (fault)
            return fault;
    }
    return NULL;
}

static uint32_t number(const json_value *v, str name, uint32_t standard)
{
    int64_t n = standard;

    json_is_integer(json_have(v, name), &n);
    return (uint32_t)n;
}

static bool flag(const json_value *v, str name)
{
    bool is = false;
    return json_is_bool(json_have(v, name), &is) && is;
}

struct cap_policy *cap_policy_read(struct arena *a, const json_value *v)
{
    const json_value *retry = json_have(v, S("retry")), *rate = json_have(v, S("rate_limit"));
    str tags[CAP_POLICY_TAGS];
    struct cap_policy p = {
        .require_key = flag(v, S("require_idempotency_key")),
        .is_idempotent = flag(v, S("idempotent")),
        .max_attempts = number(retry, S("max_attempts"), 1),
        .backoff_ms = number(retry, S("backoff_ms"), 0),
        .max_concurrency = number(v, S("max_concurrency"), 0),
        .rps = number(rate, S("rps"), 0),
        .burst = number(rate, S("burst"), 0),
        .billing_tier = json_string(json_have(v, S("billing_tier"))),
        .tags = tags,
    };

    for (struct json_iter i = json_iter(json_have(v, S("tags"))); json_next(&i);)
        tags[p.tag_count++] = json_string(i.value);
    return cap_policy_keep(a, &p);
}

/* --- as JSON: only what is not standard --------------------------------------------------------- */

static void add_name(struct arena_text *t, const char *name)
{
    text_add(t, t->len > 1 ? S(",\"") : S("\""));
    text_add(t, str_of(name));
    text_add(t, S("\":"));
}

static void add_number(struct arena_text *t, const char *name, uint32_t n)
{
    if (!n)
        return;
    add_name(t, name);
    text_addu(t, n);
}

static void add_pair(struct arena_text *t, const char *name, const char *first, uint32_t a,
                     const char *second, uint32_t b)
{
    add_name(t, name);
    text_add(t, S("{\""));
    text_add(t, str_of(first));
    text_add(t, S("\":"));
    text_addu(t, a);
    if (b)
        add_number(t, second, b);
    text_add(t, S("}"));
}

static void add_tags(struct arena_text *t, const struct cap_policy *p)
{
    add_name(t, "tags");
    text_add(t, S("["));
    for (size_t i = 0; i < p->tag_count; i++) {
        text_add(t, i ? S(",") : S(""));
        text_add_json(t, p->tags[i]);
    }
    text_add(t, S("]"));
}

static str json_of(struct arena *a, const struct cap_policy *p)
{
    struct arena_text t;

    text_init(&t, a, 256);
    text_add(&t, S("{"));
    if (p->require_key) {
        add_name(&t, "require_idempotency_key");
        text_add(&t, S("true"));
    }
    if (p->is_idempotent) {
        add_name(&t, "idempotent");
        text_add(&t, S("true"));
    }
    if (p->max_attempts > 1)
        add_pair(&t, "retry", "max_attempts", p->max_attempts, "backoff_ms", p->backoff_ms);
    add_number(&t, "max_concurrency", p->max_concurrency);
    if (p->rps)
        add_pair(&t, "rate_limit", "rps", p->rps, "burst", p->burst);
    if (p->tag_count)
        add_tags(&t, p);
    if (p->billing_tier.len) {
        add_name(&t, "billing_tier");
        text_add_json(&t, p->billing_tier);
    }
    text_add(&t, S("}"));
    return t.has_failed ? (str){NULL, 0} : text_str(&t);
}

struct cap_policy *cap_policy_keep(struct arena *a, const struct cap_policy *from)
{
    struct cap_policy *p = arena_zero(a, sizeof *p);
    str *tags = arena_zero(a, (from->tag_count + 1) * sizeof *tags);

    if (!p || !tags)
        return NULL;
    *p = *from;
    for (size_t i = 0; i < p->tag_count; i++)
        tags[i] = arena_copy(a, from->tags[i]);
    p->tags = tags;
    p->billing_tier = arena_copy(a, from->billing_tier);
    p->rate = rate_of(p->rps, p->burst);
    p->json = json_of(a, p);
    return p->json.ptr ? p : NULL;
}
