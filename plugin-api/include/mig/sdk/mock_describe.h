/* mig/sdk/mock_describe.h: the registrar of the mock host. Part of mock.h. */
#ifndef MIG_SDK_MOCK_DESCRIBE_H
#define MIG_SDK_MOCK_DESCRIBE_H
#include "mig/sdk/mock_http.h"
#ifdef __cplusplus
extern "C" {
#endif

/* One entry of the catalogue's text: names and values in turn, NULL ends. */
static inline void mock_note_(mock_host *m, const char *kind, ...)
{
    mig_json_writer *w = &m->catalogue->text;
    const char *name, *value;
    va_list args;

    va_start(args, kind);
    mig_json_open(w, '{');
    mig_json_key(w, "kind");
    mig_json_put_string(w, mig_s(kind));
    while ((name = va_arg(args, const char *)) != NULL) {
        value = va_arg(args, const char *);
        mig_json_key(w, name);
        if (value)
            mig_json_put_string(w, mig_s(value));
        else
            mig_json_put_null(w);
    }
    mig_json_close(w, '}');
    va_end(args);
}

static inline int mock_is_json_or_null_(const char *text)
{
    return !text || mig_json_valid(mig_s(text));
}

/* What is wrong with a capability; NULL: nothing. */
static inline const char *mock_cap_problem_(const mock_host *m, const mig_capability *c)
{
    static const uint32_t all =
        MIG_MODE_UNARY | MIG_MODE_SERVER_STREAM | MIG_MODE_CLIENT_STREAM | MIG_MODE_BIDI;

    return !mock_is_dotted_(c->id, 1)                   ? "id is no dotted name"
           : strlen(c->id) > 200                        ? "id is longer than 200 bytes"
           : !mock_is_version_(c->version)              ? "version is not semantic"
           : !c->modes || (c->modes & ~all)             ? "modes are none or unknown"
           : c->exec > MIG_EXEC_LOOP                    ? "exec is unknown"
           : c->flags & ~(uint32_t)MIG_CAP_MANUAL_GRANT ? "flags are unknown"
           : !c->invoke                                 ? "invoke is NULL"
           : !mock_is_json_or_null_(c->input_schema)    ? "input_schema is not JSON"
           : !mock_is_json_or_null_(c->output_schema)   ? "output_schema is not JSON"
           : c->meta && mig_json_kind_of(mig_json_root(mig_s(c->meta))) != MIG_JSON_OBJECT
               ? "meta is no JSON object"
           : !mock_is_json_or_null_(c->meta) ? "meta is not JSON"
           : mock_cap_of_(m, mig_s(c->id)) &&
                   !strcmp(mock_cap_of_(m, mig_s(c->id))->def.version, c->version)
               ? "the same id and version is there already"
               : NULL;
}

static inline const char *const *mock_copy_names_(mock_host *m, const char *const *names)
{
    size_t n = 0;
    const char **copy;

    if (!names)
        return NULL;
    while (names[n])
        n++;
    copy = (const char **)mock_alloc_(&m->mem, (n + 1) * sizeof *copy);
    while (n-- > 0)
        copy[n] = mock_copy_z_(m, names[n]);
    return copy;
}

static inline mig_status mock_add_cap_(mock_host *m, const mig_capability *given)
{
    mock_cap *cap = (mock_cap *)mock_alloc_(&m->mem, sizeof *cap);
    mig_capability *d = &cap->def;
    mig_status answer = mock_take_(m, "mig_capability", given, d, sizeof *d);
    const char *problem = answer == MIG_OK ? mock_cap_problem_(m, d) : NULL;
    char numbers[80];

    if (answer != MIG_OK)
        return answer;
    if (problem)
        return mock_fault_(m, MIG_E_ARG, "capability %s: %s", d->id ? d->id : "?", problem);
    snprintf(numbers, sizeof numbers, "modes %u exec %u flags %u concurrency %u timeout %u",
             d->modes, d->exec, d->flags, d->max_concurrency, d->timeout_ms);
    d->id = mock_copy_z_(m, d->id);
    d->version = mock_copy_z_(m, d->version);
    d->summary = mock_copy_z_(m, d->summary);
    d->input_schema = mock_copy_z_(m, d->input_schema);
    d->output_schema = mock_copy_z_(m, d->output_schema);
    d->meta = mock_copy_z_(m, d->meta);
    d->auth_scopes = mock_copy_names_(m, d->auth_scopes);
    mock_push_(&m->catalogue->caps, cap);
    mock_note_(m, "capability", "id", d->id, "version", d->version, "summary", d->summary, "input",
               d->input_schema, "output", d->output_schema, "meta", d->meta, "numbers", numbers,
               (const char *)NULL);
    for (size_t i = 0; d->auth_scopes && d->auth_scopes[i]; i++)
        mock_note_(m, "scope", "name", d->auth_scopes[i], (const char *)NULL);
    return MIG_OK;
}

static inline mig_status mock_add_timer_(mock_host *m, const void *given)
{
    mock_timer *t = (mock_timer *)mock_alloc_(&m->mem, sizeof *t);
    mig_status answer = mock_take_(m, "mig_timer", given, &t->def, sizeof t->def);

    if (answer != MIG_OK)
        return answer;
    if (!t->def.name || !t->def.every_ms || !t->def.on_tick || t->def.reserved)
        return mock_fault_(m, MIG_E_ARG, "timer: name, every_ms or on_tick is missing");
    t->def.name = mock_copy_z_(m, t->def.name);
    mock_push_(&m->catalogue->timers, t);
    mock_note_(m, "timer", "name", t->def.name, (const char *)NULL);
    return MIG_OK;
}

static inline mig_status mock_add_route_(mock_host *m, const void *given)
{
    mock_route *r = (mock_route *)mock_alloc_(&m->mem, sizeof *r);
    mig_status answer = mock_take_(m, "mig_http_route", given, &r->def, sizeof r->def);

    if (answer != MIG_OK)
        return answer;
    if (!r->def.method || !r->def.pattern || r->def.pattern[0] != '/' || !r->def.on_request)
        return mock_fault_(m, MIG_E_ARG, "route: method, pattern or on_request is missing");
    r->def.method = mock_copy_z_(m, r->def.method);
    r->def.pattern = mock_copy_z_(m, r->def.pattern);
    mock_push_(&m->catalogue->routes, r);
    mock_note_(m, "route", "method", r->def.method, "pattern", r->def.pattern, (const char *)NULL);
    return MIG_OK;
}

static inline mig_status mock_add_health_(mock_host *m, const void *given)
{
    mig_health *x = (mig_health *)mock_alloc_(&m->mem, sizeof *x);
    mig_status answer = mock_take_(m, "mig_health", given, x, sizeof *x);

    if (answer == MIG_OK && !x->check)
        answer = mock_fault_(m, MIG_E_ARG, "health: check is NULL");
    if (answer != MIG_OK)
        return answer;
    mock_push_(&m->catalogue->healths, x);
    mock_note_(m, "health", (const char *)NULL);
    return MIG_OK;
}

static inline const char *mock_metric_problem_(const mig_metric *d)
{
    size_t labels = 0;

    while (d->label_names && d->label_names[labels])
        labels++;
    for (uint32_t i = 1; d->buckets && i < d->bucket_count; i++)
        if (!(d->buckets[i] > d->buckets[i - 1]))
            return "buckets do not ascend";
    return !d->name || !*d->name                              ? "name is missing"
           : !d->help                                         ? "help is missing"
           : d->kind < MIG_COUNTER || d->kind > MIG_HISTOGRAM ? "kind is unknown"
           : labels > 4                                       ? "more than 4 labels"
           : !d->ret_id                                       ? "ret_id is NULL"
                                                              : NULL;
}

static inline mock_metric *mock_metric_of_(const mock_host *m, const char *name)
{
    for (size_t i = 0; i < m->metrics.count; i++) {
        mock_metric *x = (mock_metric *)m->metrics.items[i];
        if (!strcmp(x->def.name, name))
            return x;
    }
    return NULL;
}

static inline mig_status mock_add_metric_(mock_host *m, const void *given)
{
    mig_metric d;
    mig_status answer = mock_take_(m, "mig_metric", given, &d, sizeof d);
    const char *problem = answer == MIG_OK ? mock_metric_problem_(&d) : NULL;
    mock_metric *x;

    if (answer != MIG_OK)
        return answer;
    if (problem)
        return mock_fault_(m, MIG_E_ARG, "metric %s: %s", d.name ? d.name : "?", problem);
    x = mock_metric_of_(m, d.name);
    if (!x) {
        x = (mock_metric *)mock_alloc_(&m->mem, sizeof *x);
        mock_push_(&m->metrics, x);
        x->id = (uint32_t)m->metrics.count;
        x->def = d;
        x->def.name = mock_copy_z_(m, d.name);
        while (d.label_names && d.label_names[x->label_count])
            x->label_count++;
    }
    *d.ret_id = x->id;
    mock_note_(m, "metric", "name", x->def.name, (const char *)NULL);
    return MIG_OK;
}

static inline mig_status mock_r_capability_(const mig_registrar *reg, const mig_capability *cap)
{
    mock_host *m = (mock_host *)reg->ctx;

    mock_in_(m);
    return mock_leave_(m, mock_add_cap_(m, cap));
}

static inline mig_status mock_r_extend_(const mig_registrar *reg, const char *id, const void *def)
{
    static const struct {
        const char *id;
        mig_status (*add)(mock_host *m, const void *given);
    } rows[] = {
        {MIG_EXT_TIMER, mock_add_timer_},
        {MIG_EXT_HTTP_ROUTE, mock_add_route_},
        {MIG_EXT_HEALTH, mock_add_health_},
        {MIG_EXT_METRIC, mock_add_metric_},
    };
    mock_host *m = (mock_host *)reg->ctx;

    mock_in_(m);
    for (size_t i = 0; i < m->offers.count; i++) {
        const mock_offer *o = (const mock_offer *)m->offers.items[i];
        if (!o->table && mock_same_(o->id, mig_s(id)))
            return mock_leave_(m, MIG_E_NOSYS);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].id, id))
            return mock_leave_(m, rows[i].add(m, def));
    return mock_leave_(m, MIG_E_NOSYS);
}

#ifdef __cplusplus
}
#endif
#endif
