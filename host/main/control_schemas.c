/* Verbs on registered schemas (MIG v0.1 9.4). A change is a reload: capabilities without a schema of
 * their own are compiled with what is registered; what took effect is stored before it is answered. */
#include "base/check.h"
#include "base/jsonschema.h"
#include "core/op.h"
#include "core/schemas.h"
#include "main/registries.h"
#include "main/verbs.h"

#include <stdlib.h>

enum { ARENA_LIMIT = 64 << 20 };

struct change {
    struct verb_call v;
    char *uri, *text;
    const char *compatibility; /* static */
    bool is_refused;           /* when its turn had come */
};

/* --- what is there ------------------------------------------------------------------------------ */

/* The text that a capability brings along for this URI. */
static bool provided(const struct capability *c, str uri, str *ret)
{
    if (c->input_schema && str_eq(c->input_schema_uri, uri))
        *ret = c->input_text;
    else if (c->output_schema && str_eq(c->output_schema_uri, uri))
        *ret = c->output_text;
    else
        return false;
    return true;
}

static bool find_provided(const struct gen *g, str uri, str *ret)
{
    for (size_t i = 0; i < g->capability_count; i++)
        if (provided(g->capabilities[i], uri, ret))
            return true;
    return false;
}

static int by_uri(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

/* All URIs, sorted; some may come twice. malloc'ed. */
static str *list_uris(const struct schemas *s, const struct gen *g, size_t *ret_count)
{
    size_t n = 0;
    str *list = malloc((schemas_count(s) + 2 * g->capability_count + 1) * sizeof *list);

    must(list);
    for (size_t i = 0; i < schemas_count(s); i++)
        list[n++] = schemas_uri(s, i);
    for (size_t i = 0; i < g->capability_count; i++) {
        const struct capability *c = g->capabilities[i];
        if (c->input_schema)
            list[n++] = c->input_schema_uri;
        if (c->output_schema)
            list[n++] = c->output_schema_uri;
    }
    qsort(list, n, sizeof *list, by_uri);
    *ret_count = n;
    return list;
}

static void say_list(const struct verb_call *v)
{
    size_t count;
    str *list = list_uris(reload_schemas(v->node->reloader), v->node->core->current, &count);
    bool first = true;
    struct buf out;

    buf_init(&out, BUF_MAX);
    buf_addz(&out, "{\"schemas\":[");
    for (size_t i = 0; i < count; i++) {
        if (i && str_eq(list[i], list[i - 1]))
            continue;
        buf_addz(&out, first ? "{\"uri\":" : ",{\"uri\":");
        buf_add_json(&out, list[i]);
        buf_addc(&out, '}');
        first = false;
    }
    buf_addz(&out, "]}");
    free(list);
    verb_say(v, &out);
}

void verb_schemas(const struct verb_call *v)
{
    str uri = verb_text(v, S("uri")), text;
    struct buf out;

    if (!json_have(v->args, S("uri"))) {
        say_list(v);
        return;
    }
    if (!find_provided(v->node->core->current, uri, &text) &&
        !schemas_find(reload_schemas(v->node->reloader), uri, &text)) {
        verb_refuse(v, MIG_NOT_FOUND, "schema_not_found", "schema not found");
        return;
    }
    buf_init(&out, BUF_MAX);
    buf_addz(&out, "{\"uri\":");
    buf_add_json(&out, uri);
    buf_addz(&out, ",\"schema\":");
    buf_add(&out, text);
    buf_addc(&out, '}');
    verb_say(v, &out);
}

/* --- a change ----------------------------------------------------------------------------------- */

static void change_free(struct change *c)
{
    free(c->uri);
    free(c->text);
    free(c);
}

static void say_change(const struct verb_call *v, str uri, const char *compatibility)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    buf_addz(&out, "{\"uri\":");
    buf_add_json(&out, uri);
    buf_addf(&out, ",\"compatibility\":\"%s\"}", compatibility);
    verb_say(v, &out);
}

static void stored(void *arg, bool is_ok)
{
    struct change *c = arg;

    if (is_ok)
        say_change(&c->v, str_of(c->uri), c->compatibility);
    else
        verb_refuse(&c->v, MIG_UNAVAILABLE, "not_stored",
                    "the schema is in force, but could not be stored; try again");
    change_free(c);
}

static void reloaded(void *arg, bool is_ok, str json, const struct diag *d)
{
    struct change *c = arg;

    (void)json;
    if (is_ok && !c->is_refused) {
        registry_save(c->v.node, STORE_SCHEMA, str_of(c->uri), str_of(c->text), stored, c);
        return;
    }
    if (is_ok)
        verb_refuse(&c->v, MIG_BACKPRESSURE, "schema_limit", "the schema registry is full");
    else
        verb_refuse_findings(&c->v, d);
    change_free(c);
}

static void fill(void *arg, struct reload_ask *ask)
{
    struct change *c = arg;

    ask->schemas =
        schemas_with(reload_schemas(c->v.node->reloader), str_of(c->uri), str_of(c->text));
    c->is_refused = !ask->schemas;
}

static enum jschema_compat compare(struct arena *a, str older, const json_value *newer)
{
    struct json doc;

    must(json_parse(&doc, a, older, NULL));
    return jschema_compat(doc.root, newer);
}

static void refuse_fault(const struct verb_call *v, const struct jschema_fault *fault)
{
    struct buf details, message;

    buf_init(&details, BUF_MAX);
    buf_init(&message, BUF_MAX);
    buf_addf(&message, "the schema does not compile: %s", fault->text);
    buf_addz(&details, "{\"reason\":\"invalid_schema\",\"pointer\":");
    buf_add_json(&details, str_of(fault->pointer));
    buf_addz(&details, ",\"uri\":");
    buf_add_json(&details, str_of(fault->uri));
    buf_addc(&details, '}');
    v->done(v->arg, MIG_INVALID_REQUEST, S(""), buf_str(&message), buf_str(&details));
    buf_deinit(&details);
    buf_deinit(&message);
}

static bool find(void *ctx, str uri, str *ret_text)
{
    return schemas_find(ctx, uri, ret_text);
}

static bool compiles(const struct verb_call *v, str uri, str text)
{
    const struct jschema_options options = {.find = find, .ctx = reload_schemas(v->node->reloader)};
    struct jschema_fault fault = {0};
    struct jschema *compiled;

    if (!jschema_compile(&compiled, text, uri, &options, &fault)) {
        refuse_fault(v, &fault);
        return false;
    }
    jschema_free(compiled);
    return true;
}

static void start(const struct verb_call *v, str uri, str text, enum jschema_compat compat)
{
    struct change *c = malloc(sizeof *c);

    must(c);
    *c = (struct change){*v, str_dup(uri), str_dup(text), jschema_compat_name(compat), false};
    must(c->uri && c->text);
    if (compat != JSCHEMA_IDENTICAL || !schemas_find(reload_schemas(v->node->reloader), uri, &text))
        reload_ask(v->node->reloader, &(struct reload_ask){.fill = fill}, reloaded, c);
    else /* nothing to do but to be sure that it is stored */
        registry_save(v->node, STORE_SCHEMA, uri, str_of(c->text), stored, c);
}

static void put(const struct verb_call *v, struct arena *a, str uri, const json_value *schema)
{
    enum jschema_compat compat = JSCHEMA_IDENTICAL; /* a first one changes nothing for anybody */
    const struct gen *g = v->node->core->current;
    struct arena_text t;
    str older;

    text_init(&t, a, 1024);
    json_write(schema, &t);
    if (t.has_failed || text_str(&t).len > SCHEMA_TEXT_MAX) {
        verb_refuse(v, MIG_INVALID_REQUEST, "schema_too_large", "the schema is too large");
        return;
    }
    if (!compiles(v, uri, text_str(&t)))
        return;
    bool is_provided = find_provided(g, uri, &older);
    if (is_provided || schemas_find(reload_schemas(v->node->reloader), uri, &older))
        compat = compare(a, older, schema);
    if (is_provided && compat == JSCHEMA_IDENTICAL)
        say_change(v, uri, jschema_compat_name(compat));
    else if (is_provided)
        verb_refuse(v, MIG_INVALID_REQUEST, "schema_provided",
                    "a capability brings the schema of this URI along; it cannot be changed here");
    else if (compat != JSCHEMA_IDENTICAL && reload_settings(v->node->reloader)->is_schema_immutable)
        verb_refuse(v, MIG_INVALID_REQUEST, "schema_immutable",
                    "the schema of this URI is registered and cannot be changed");
    else
        start(v, uri, text_str(&t), compat);
}

void verb_schema_put(const struct verb_call *v)
{
    const json_value *body = json_have(v->args, S("body"));
    const json_value *schema = json_have(body, S("schema"));
    str uri = json_string(json_have(body, S("uri")));
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, ARENA_LIMIT);

    must(a);
    if (!uri.len)
        verb_refuse(v, MIG_INVALID_REQUEST, "uri_required", "uri is required");
    else if (!schema)
        verb_refuse(v, MIG_INVALID_REQUEST, "schema_required", "schema is required");
    else if (!schemas_is_uri(uri))
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_uri",
                    "uri must be absolute, without a fragment, and at most 512 bytes of ASCII");
    else if (!json_is_object(schema))
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_schema", "schema must be an object");
    else
        put(v, a, uri, schema);
    arena_unref(a);
    arena_pool_deinit(&pool);
}
