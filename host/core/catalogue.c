#include "core/catalogue.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/json.h"
#include "base/jsonschema.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/metrics.h"
#include "core/names.h"
#include "core/usage.h"

#include <stdlib.h>

enum { ARENA_LIMIT = 64 << 20, LIST_MAX = 10000 };

/* What describe() is filling. */
struct draft {
    mig_registrar registrar;
    struct catalogue *catalogue;
    struct diag *diag;
    size_t caps[4]; /* capacity of the four lists */
    bool is_closed; /* describe() has returned */
};

static void bad(struct draft *d, const char *id, const char *what, const char *why)
{
    diag_error(d->diag, (struct diag_at){0}, id, "%s: %s: %s", d->catalogue->instance->name,
               what ? what : "?", why);
}

/* A copy of a struct of the plugin: what it lacks is zero, what we do not know must be zero. */
static mig_status copy_struct(void *to, size_t our_size, const void *from)
{
    uint32_t size;

    memcpy(&size, from, sizeof size);
    if (size < sizeof size)
        return MIG_E_ARG;
    memset(to, 0, our_size);
    memcpy(to, from, size < our_size ? size : our_size);
    for (size_t i = our_size; i < size; i++)
        if (((const char *)from)[i])
            return MIG_E_NOSYS;
    return MIG_OK;
}

static void *list_add(struct draft *d, int which, void **list, size_t *count, size_t item)
{
    struct arena *a = d->catalogue->arena;

    if (*count >= LIST_MAX)
        return NULL;
    if (*count == d->caps[which]) {
        size_t cap = d->caps[which] ? d->caps[which] * 2 : 8;
        void *bigger = arena_zero(a, cap * item);
        if (!bigger)
            return NULL;
        if (*count)
            memcpy(bigger, *list, *count * item);
        *list = bigger;
        d->caps[which] = cap;
    }
    return (char *)*list + item * (*count)++;
}

static const char *keep(struct draft *d, const char *z)
{
    return z ? arena_copy(d->catalogue->arena, str_of(z)).ptr : NULL;
}

/* --- checks of capabilities --------------------------------------------------------------------- */

/* "1.2.3", "1.2.3-rc.1", "1.2.3+build" (semver.org 2.0.0). */
static bool is_version(str v, unsigned parts[3])
{
    size_t core = 0;

    while (core < v.len && v.ptr[core] != '-' && v.ptr[core] != '+')
        core++;
    str rest = {v.ptr, core};
    for (int i = 0; i < 3; i++) {
        uint64_t n;
        str part = str_split(&rest, '.');
        if (!str_to_u64(part, &n) || n > 999999 || (part.len > 1 && part.ptr[0] == '0'))
            return false;
        parts[i] = (unsigned)n;
    }
    return rest.ptr == NULL;
}

static str derived_uri(struct arena *a, const struct capability *c, const char *way)
{
    struct arena_text t;

    text_init(&t, a, 64);
    text_add(&t, S("schema://"));
    size_t from = t.len;
    text_add(&t, str_of(c->id));
    for (size_t i = from; i < t.len; i++)
        if (t.ptr[i] == '.')
            t.ptr[i] = '/';
    text_add(&t, S("-"));
    text_add(&t, str_of(way));
    text_add(&t, S("/v"));
    text_addu(&t, c->major);
    return text_str(&t);
}

static str *string_list(struct arena *a, const json_value *list, size_t *ret_count)
{
    size_t n = json_size(list);
    str *out = arena_zero(a, (n + 1) * sizeof *out);

    must(out);
    *ret_count = 0;
    for (struct json_iter i = json_iter(list); json_next(&i);)
        out[(*ret_count)++] = arena_copy(a, json_string(i.value));
    return out;
}

static bool take_policy(struct draft *d, struct capability *c, const json_value *v)
{
    const char *fault = v ? cap_policy_fault(v) : NULL;

    if (fault)
        bad(d, "capability.policy", c->id, fault);
    else if (v)
        must(c->policy = cap_policy_read(d->catalogue->arena, v));
    return !fault;
}

/* The members of `meta` that the MIG descriptor knows; the rest stays with those who read it. */
static bool take_meta(struct draft *d, struct capability *c, const char *meta,
                      const json_value **ret_qos)
{
    struct arena *a = d->catalogue->arena;
    struct json doc;
    struct json_fault fault;

    *ret_qos = NULL;
    if (!meta)
        return true;
    if (!json_parse(&doc, a, arena_copy(a, str_of(meta)), &fault) || !json_is_object(doc.root)) {
        bad(d, "capability.meta", c->id, "meta is not a JSON object");
        return false;
    }
    str in = json_string(json_have(doc.root, S("input_schema_uri")));
    str out = json_string(json_have(doc.root, S("output_schema_uri")));
    c->input_schema_uri = in.len ? arena_copy(a, in) : c->input_schema_uri;
    c->output_schema_uri = out.len ? arena_copy(a, out) : c->output_schema_uri;
    c->event_topics = string_list(a, json_have(doc.root, S("event_topics")), &c->topic_count);
    *ret_qos = json_have(doc.root, S("qos"));
    int64_t max;
    if (json_is_integer(json_have(*ret_qos, S("max_payload_bytes")), &max) && max > 0)
        c->max_payload_bytes = (uint64_t)max;
    return take_policy(d, c, json_have(doc.root, S("policy")));
}

static void add_strings(struct arena_text *t, const char *name, const str *list, size_t count)
{
    text_add(t, S(",\""));
    text_add(t, str_of(name));
    text_add(t, S("\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            text_add(t, S(","));
        text_add_json(t, list[i]);
    }
    text_add(t, S("]"));
}

static str descriptor(struct arena *a, const struct capability *c, const json_value *qos,
                      bool with_refs, bool with_qos)
{
    static const struct {
        uint32_t bit;
        str name;
    } modes[] = {{MIG_MODE_UNARY, S("unary")},
                 {MIG_MODE_SERVER_STREAM, S("server_stream")},
                 {MIG_MODE_CLIENT_STREAM, S("client_stream")},
                 {MIG_MODE_BIDI, S("bidi_stream")}};
    struct arena_text t;
    str names[4];
    size_t n = 0;

    for (size_t i = 0; i < countof(modes); i++)
        if (c->modes & modes[i].bit)
            names[n++] = modes[i].name;
    text_init(&t, a, 512);
    text_add(&t, S("{\"id\":"));
    text_add(&t, c->id_json);
    text_add(&t, S(",\"version\":"));
    text_add_json(&t, str_of(c->version));
    add_strings(&t, "modes", names, n);
    text_add(&t, S(",\"input_schema_uri\":"));
    text_add_json(&t, with_refs ? c->input_schema_uri : S(""));
    text_add(&t, S(",\"output_schema_uri\":"));
    text_add_json(&t, with_refs ? c->output_schema_uri : S(""));
    add_strings(&t, "event_topics", c->event_topics, c->topic_count);
    add_strings(&t, "auth_scopes", c->auth_scopes, c->scope_count);
    text_add(&t, S(",\"qos\":"));
    if (qos && with_qos)
        json_write(qos, &t);
    else
        text_add(&t, S("{}"));
    text_add(&t, S("}"));
    must(!t.has_failed);
    return text_str(&t);
}

static str as_json_token(struct arena *a, const char *z)
{
    struct arena_text t;

    text_init(&t, a, 64);
    text_add_json(&t, str_of(z));
    return text_str(&t);
}

static bool is_schema(struct arena *a, const char *text)
{
    struct json doc;

    return !text || (json_parse(&doc, a, str_of(text), NULL) && json_is_object(doc.root));
}

static str result_tail(struct arena *a, str uri)
{
    struct arena_text t;

    text_init(&t, a, 64);
    text_add(&t, S(",\"result_schema_uri\":"));
    text_add_json(&t, uri);
    text_add(&t, S("}"));
    return text_str(&t);
}

static const char *fault_of(const mig_capability *m, unsigned version[3])
{
    const uint32_t modes =
        MIG_MODE_UNARY | MIG_MODE_SERVER_STREAM | MIG_MODE_CLIENT_STREAM | MIG_MODE_BIDI;

    if (!name_is_capability(str_of(m->id)))
        return "the id is not of the form domain.action";
    if (!is_version(str_of(m->version), version))
        return "the version is not a semantic version";
    if (!m->modes || m->modes & ~modes)
        return "modes is empty or has unknown bits";
    if (m->exec > MIG_EXEC_LOOP || m->flags & ~(uint32_t)MIG_CAP_MANUAL_GRANT)
        return "exec or flags has a value that this host does not know";
    if (!m->invoke)
        return "invoke is missing";
    return NULL;
}

static bool find_schema(void *ctx, str uri, str *ret_text)
{
    struct core *core = ctx;
    return core->schema_text && core->schema_text(core, uri, ret_text);
}

/* The capability's own text; without one, what the registry has under the URI. */
static bool compile_schema(struct draft *d, const struct capability *c, const char *own, str uri,
                           struct jschema **ret, str *ret_text)
{
    struct core *core = d->catalogue->instance->core;
    const struct jschema_options options = {.find = find_schema, .ctx = core};
    struct jschema_fault fault;
    str text = str_of(own);

    if (!own && !find_schema(core, uri, &text))
        return true;
    *ret_text = own ? text : arena_copy(d->catalogue->arena, text);
    if (jschema_compile(ret, text, uri, &options, &fault))
        return true;
    diag_error(d->diag, (struct diag_at){0}, "capability.schema", "%s: %.*s%s%s: %s", c->id,
               STR_ARG(uri), fault.pointer[0] ? "#" : "", fault.pointer, fault.text);
    return false;
}

static mig_status on_capability(const mig_registrar *reg, const mig_capability *from)
{
    struct draft *d = reg->ctx;
    struct catalogue *cat = d->catalogue;
    struct arena *a = cat->arena;
    mig_capability m;
    unsigned version[3];

    mig_status status = d->is_closed ? MIG_E_ARG : copy_struct(&m, sizeof m, from);
    if (status != MIG_OK)
        return status;
    const char *fault = fault_of(&m, version);
    if (!fault && !(is_schema(a, m.input_schema) && is_schema(a, m.output_schema)))
        fault = "input_schema or output_schema is not a JSON object";
    if (fault) {
        bad(d, "capability.invalid", m.id, fault);
        return MIG_E_ARG;
    }
    struct capability *c =
        list_add(d, 0, (void **)&cat->capabilities, &cat->capability_count, sizeof *c);
    struct call_handler *h = arena_zero(a, sizeof *h);
    if (!c || !h)
        return MIG_E_NOMEM;
    *h = (struct call_handler){m.exec,        m.flags,      m.data,         m.on_cancel,
                               m.on_writable, m.on_message, m.on_half_close};
    *c = (struct capability){
        .id = keep(d, m.id),
        .version = keep(d, m.version),
        .summary = keep(d, m.summary ? m.summary : ""),
        .id_json = as_json_token(a, m.id),
        .major = version[0],
        .minor = version[1],
        .patch = version[2],
        .modes = m.modes,
        .exec = m.exec,
        .flags = m.flags,
        .timeout_ms = m.timeout_ms,
        .max_concurrency = m.max_concurrency,
        .input_schema = keep(d, m.input_schema),
        .output_schema = keep(d, m.output_schema),
        .provider = str_of(cat->instance->name),
        .handler = h,
        .invoke = m.invoke,
        .instance = cat->instance,
    };
    c->usage = usage_name_of(cat->instance->core->usage, str_of(c->id));
    c->input_schema_uri = derived_uri(a, c, "input");
    c->output_schema_uri = derived_uri(a, c, "output");
    for (const char *const *s = m.auth_scopes; s && *s; s++)
        c->scope_count++;
    c->auth_scopes = arena_zero(a, (c->scope_count + 1) * sizeof *c->auth_scopes);
    for (size_t i = 0; c->auth_scopes && i < c->scope_count; i++)
        c->auth_scopes[i] = arena_copy(a, str_of(m.auth_scopes[i]));
    const json_value *qos;
    if (!take_meta(d, c, m.meta, &qos))
        return MIG_E_ARG;
    if (!compile_schema(d, c, c->input_schema, c->input_schema_uri, &c->input, &c->input_text) ||
        !compile_schema(d, c, c->output_schema, c->output_schema_uri, &c->output, &c->output_text))
        return MIG_E_ARG;
    c->result_json = result_tail(a, c->output_schema_uri);
    c->descriptor = descriptor(a, c, qos, true, true);
    for (int v = 0; v < 3; v++)
        c->descriptor_variant[v] = descriptor(a, c, qos, v == 1, v == 0);
    return MIG_OK;
}

/* --- extensions --------------------------------------------------------------------------------- */

static mig_status add_route(struct draft *d, const void *def)
{
    struct catalogue *c = d->catalogue;
    mig_http_route r;
    mig_status status = copy_struct(&r, sizeof r, def);

    if (status != MIG_OK)
        return status;
    if (!r.method || !r.pattern || r.pattern[0] != '/' || !r.on_request || r.exec > MIG_EXEC_LOOP ||
        r.flags & ~(uint32_t)(MIG_ROUTE_PUBLIC | MIG_ROUTE_ADMIN)) {
        bad(d, "route.invalid", r.pattern, "method, pattern, on_request, exec or flags is wrong");
        return MIG_E_ARG;
    }
    mig_http_route *to = list_add(d, 1, (void **)&c->routes, &c->route_count, sizeof r);
    if (!to)
        return MIG_E_NOMEM;
    *to = r;
    to->method = keep(d, r.method);
    to->pattern = keep(d, r.pattern);
    return MIG_OK;
}

static mig_status add_timer(struct draft *d, const void *def)
{
    struct catalogue *c = d->catalogue;
    mig_timer t;
    mig_status status = copy_struct(&t, sizeof t, def);

    if (status != MIG_OK)
        return status;
    if (!t.name || !t.every_ms || !t.on_tick || t.exec > MIG_EXEC_LOOP || t.reserved) {
        bad(d, "timer.invalid", t.name, "name, every_ms, on_tick or exec is wrong");
        return MIG_E_ARG;
    }
    mig_timer *to = list_add(d, 2, (void **)&c->timers, &c->timer_count, sizeof t);
    if (!to)
        return MIG_E_NOMEM;
    *to = t;
    to->name = keep(d, t.name);
    return MIG_OK;
}

static mig_status add_health(struct draft *d, const void *def)
{
    struct catalogue *c = d->catalogue;
    mig_health h;
    mig_status status = copy_struct(&h, sizeof h, def);

    if (status != MIG_OK)
        return status;
    if (!h.check || h.exec > MIG_EXEC_LOOP || c->health_count) {
        bad(d, "health.invalid", "mig.health/1", "check or exec is wrong, or there is one already");
        return MIG_E_ARG;
    }
    mig_health *to = list_add(d, 3, (void **)&c->healths, &c->health_count, sizeof h);
    if (!to)
        return MIG_E_NOMEM;
    *to = h;
    return MIG_OK;
}

static mig_status add_metric(struct draft *d, const void *def)
{
    mig_metric m;
    mig_status status = copy_struct(&m, sizeof m, def);

    if (status == MIG_OK)
        status = metrics_register(d->catalogue->instance->core->metrics, &m);
    if (status == MIG_E_ARG)
        bad(d, "metric.invalid", m.name, "name, kind, labels, buckets or ret_id is wrong");
    return status;
}

static mig_status on_extend(const mig_registrar *reg, const char *ext_id, const void *def)
{
    static const struct {
        const char *id;
        mig_status (*add)(struct draft *d, const void *def);
    } kinds[] = {{MIG_EXT_HTTP_ROUTE, add_route},
                 {MIG_EXT_TIMER, add_timer},
                 {MIG_EXT_HEALTH, add_health},
                 {MIG_EXT_METRIC, add_metric}};
    struct draft *d = reg->ctx;

    if (d->is_closed || !ext_id || !def)
        return MIG_E_ARG;
    for (size_t i = 0; i < countof(kinds); i++)
        if (!strcmp(kinds[i].id, ext_id))
            return kinds[i].add(d, def);
    return MIG_E_NOSYS;
}

/* --- the whole ---------------------------------------------------------------------------------- */

/* As many at a time as provider and policy both allow. */
static void attach_gate(struct capability *c)
{
    struct instance *i = c->instance;
    uint32_t own = c->max_concurrency, wished = c->policy ? c->policy->max_concurrency : 0;
    uint32_t limit = own && (!wished || own < wished) ? own : wished;

    c->gate = limit ? gate_of(i, c->id, limit, (size_t)i->queue) : NULL;
}

void capability_set_policy(struct capability *c, const struct cap_policy *p)
{
    c->policy = p;
    attach_gate(c);
}

struct catalogue *catalogue_of(struct instance *i, struct diag *d)
{
    struct arena_pool *pool = calloc(1, sizeof *pool);
    struct arena *a = pool ? arena_new(pool, ARENA_LIMIT) : NULL;
    struct catalogue *c = a ? arena_zero(a, sizeof *c) : NULL;
    struct draft draft = {.catalogue = c, .diag = d};
    size_t errors = d->errors;

    must(c);
    c->instance = i;
    c->arena = a;
    c->pool = pool;
    draft.registrar = (mig_registrar){sizeof draft.registrar, 0, &draft, on_capability, on_extend};
    mig_status status = i->plugin.describe(i->self, &draft.registrar);
    draft.is_closed = true;
    if (status != MIG_OK && d->errors == errors)
        bad(&draft, "plugin.describe", "describe", "failed; the log may say why");
    if (d->errors > errors) {
        catalogue_free(c);
        return NULL;
    }
    for (size_t n = 0; n < c->capability_count; n++)
        attach_gate(&c->capabilities[n]);
    return c;
}

void catalogue_free(struct catalogue *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->capability_count; i++) {
        jschema_free(c->capabilities[i].input);
        jschema_free(c->capabilities[i].output);
    }
    struct arena_pool *pool = c->pool;
    arena_unref(c->arena);
    arena_pool_deinit(pool);
    free(pool);
}
