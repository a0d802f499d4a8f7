/* The verbs of mig.control/1 (docs/reference/control.md). Control thread. Each gathers what it tells
 * there; what lives on loops is collected by a message to each. */
#include "base/check.h"
#include "base/clock.h"
#include "core/inflight.h"
#include "core/life.h"
#include "core/metrics.h"
#include "core/op.h"
#include "main/control_lists.h"
#include "main/control_own.h"
#include "main/logwriter.h"
#include "main/node.h"
#include "main/telemetry.h"
#include "main/upsert.h"

#include <stdlib.h>

void verb_say(const struct verb_call *v, struct buf *json)
{
    if (json->has_failed)
        v->done(v->arg, MIG_INTERNAL, S(""), S("out of memory"), S(""));
    else
        v->done(v->arg, MIG_OK, buf_str(json), S(""), S(""));
    buf_deinit(json);
}

void verb_refuse(const struct verb_call *v, mig_status status, const char *reason,
                 const char *message)
{
    struct buf details;

    buf_init(&details, 1024);
    buf_addz(&details, "{\"reason\":");
    buf_add_json(&details, str_of(reason));
    buf_addc(&details, '}');
    v->done(v->arg, status, S(""), str_of(message), buf_str(&details));
    buf_deinit(&details);
}

static bool arg_bool(const struct verb_call *v, str name)
{
    bool is = false;
    return json_is_bool(json_get(v->args, name), &is) && is;
}

str verb_text(const struct verb_call *v, str name)
{
    return json_string(json_get(v->args, name));
}

const json_value *verb_body(const struct verb_call *v)
{
    return json_have(v->args, S("body"));
}

str verb_member(const struct verb_call *v, str name)
{
    return json_string(json_have(verb_body(v), name));
}

struct verb_later *verb_later(const struct verb_call *v)
{
    struct verb_later *l = malloc(sizeof *l);

    must(l);
    l->call = *v;
    l->call.args = NULL;
    buf_init(&l->json, BUF_MAX);
    return l;
}

void verb_refuse_store(const struct verb_call *v)
{
    verb_refuse(v, MIG_UNAVAILABLE, "store", "it could not be stored");
}

/* --- reload ------------------------------------------------------------------------------------- */

struct reload_wait {
    struct node *node;
    verb_done done;
    void *arg;
    char *id, *version; /* of an upsert, which is answered with its descriptor; NULL: the report */
};

/* The descriptor in force, as normalized. */
static void add_descriptor(const struct reload_wait *w, struct buf *out)
{
    struct capability_family *f = map_get(&w->node->core->current->families, str_of(w->id));

    for (size_t i = 0; f && i < f->count; i++)
        if (!strcmp(f->versions[i]->version, w->version)) {
            list_descriptor(f->versions[i], out);
            buf_addc(out, '}');
        }
}

static void reloaded(void *arg, bool is_ok, str json, const struct diag *d)
{
    struct reload_wait *w = arg;
    struct buf details;

    buf_init(&details, BUF_MAX);
    if (is_ok) {
        if (w->id)
            add_descriptor(w, &details);
        w->done(w->arg, MIG_OK, w->id ? buf_str(&details) : json, S(""), S(""));
    } else {
        buf_addz(&details, "{\"reason\":\"invalid_configuration\",\"findings\":");
        diag_json(d, &details);
        buf_addc(&details, '}');
        w->done(w->arg, MIG_INVALID_REQUEST, S(""),
                S("the configuration was refused; the generation in force serves on"),
                buf_str(&details));
    }
    buf_deinit(&details);
    free(w->id);
    free(w->version);
    free(w);
}

static void start_reload(const struct verb_call *v, const struct reload_ask *ask, str id,
                         str version)
{
    struct reload_wait *w = malloc(sizeof *w);

    must(w);
    *w = (struct reload_wait){v->node, v->done, v->arg, id.len ? str_dup(id) : NULL,
                              version.len ? str_dup(version) : NULL};
    reload_ask(v->node->reloader, ask, reloaded, w);
}

static void verb_reload(const struct verb_call *v)
{
    start_reload(v, &(struct reload_ask){.is_dry_run = arg_bool(v, S("dry_run"))}, S(""), S(""));
}

static void verb_manifest(const struct verb_call *v)
{
    CLEANUP(str_freep) char *text = str_dup(verb_text(v, S("text")));

    start_reload(v, &(struct reload_ask){.is_dry_run = arg_bool(v, S("dry_run")), .manifest = text},
                 S(""), S(""));
}

static struct instance *serving(struct node *n, str name)
{
    struct gen *g = n->core->current;

    for (size_t i = 0; g && i < g->catalogue_count; i++)
        if (str_eq(str_of(g->catalogues[i]->instance->name), name))
            return g->catalogues[i]->instance;
    return NULL;
}

static void verb_plugin_reload(const struct verb_call *v)
{
    struct instance *i = serving(v->node, verb_text(v, S("name")));

    if (i)
        start_reload(v, &(struct reload_ask){.fresh = i->name}, S(""), S(""));
    else
        verb_refuse(v, MIG_NOT_FOUND, "plugin_not_found", "no such plugin");
}

/* --- capabilities ------------------------------------------------------------------------------- */

/* The upserts in force as a parsed array, without the one of this id and version. */
static void others(struct buf *out, const struct json *have, str id, str version)
{
    bool first = true;

    buf_addc(out, '[');
    for (struct json_iter i = json_iter(have->root); json_next(&i);) {
        const json_value *d = json_get(i.value, S("descriptor"));
        bool is_same = str_eq(json_string(json_get(d, S("id"))), id) &&
                       (!version.ptr || str_eq(json_string(json_get(d, S("version"))), version));
        if (is_same)
            continue;
        struct arena_pool pool = {0};
        struct arena *a = arena_new(&pool, 64 << 20);
        struct arena_text t;
        must(a);
        text_init(&t, a, 1024);
        json_write(i.value, &t);
        buf_addz(out, first ? "" : ",");
        buf_add(out, text_str(&t));
        arena_unref(a);
        arena_pool_deinit(&pool);
        first = false;
    }
}

static void replace_capability(const struct verb_call *v, struct arena *a, str id, str version,
                               str entry)
{
    struct json have;
    struct buf next;

    must(json_parse(&have, a, str_of(reload_capabilities(v->node->reloader)), NULL));
    buf_init(&next, BUF_MAX);
    others(&next, &have, id, version);
    if (entry.len) {
        buf_addz(&next, next.len > 1 ? "," : "");
        buf_add(&next, entry);
    }
    buf_addc(&next, ']');
    CLEANUP(str_freep) char *text = buf_take_z(&next);
    must(text);
    start_reload(v, &(struct reload_ask){.capabilities = text}, entry.len ? id : S(""), version);
}

static void verb_capability_put(const struct verb_call *v)
{
    const json_value *body = json_have(v->args, S("body"));
    const json_value *d = json_have(body, S("descriptor"));
    const char *fault = upsert_fault(body);
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    struct arena_text t;

    must(a);
    if (fault) {
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_capability", fault);
    } else {
        text_init(&t, a, 1024);
        json_write(body, &t);
        replace_capability(v, a, json_string(json_get(d, S("id"))),
                           json_string(json_get(d, S("version"))), text_str(&t));
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void verb_capability_delete(const struct verb_call *v)
{
    str id = verb_text(v, S("id"));
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    struct json have;
    bool is_there = false;

    must(a && json_parse(&have, a, str_of(reload_capabilities(v->node->reloader)), NULL));
    for (struct json_iter i = json_iter(have.root); json_next(&i);)
        is_there |= str_eq(json_string(json_get(json_get(i.value, S("descriptor")), S("id"))), id);
    if (is_there)
        replace_capability(v, a, id, (str){NULL, 0}, S(""));
    else if (map_get(&v->node->core->current->families, id))
        verb_refuse(
            v, MIG_FORBIDDEN, "not_an_upsert",
            "the capability comes from a provider; remove that from the manifest or the folder");
    else
        verb_refuse(v, MIG_NOT_FOUND, "capability_not_found", "capability not found");
    arena_unref(a);
    arena_pool_deinit(&pool);
}

/* --- lists -------------------------------------------------------------------------------------- */

static void tell(const struct verb_call *v, void (*list)(struct node *n, struct buf *out))
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    list(v->node, &out);
    verb_say(v, &out);
}

static void verb_generations(const struct verb_call *v)
{
    tell(v, list_generations);
}

static void verb_plugins(const struct verb_call *v)
{
    tell(v, list_plugins);
}

static void verb_instances(const struct verb_call *v)
{
    tell(v, list_instances);
}

static void verb_capabilities(const struct verb_call *v)
{
    tell(v, list_capabilities);
}

static void verb_loops(const struct verb_call *v)
{
    tell(v, list_loops);
}

static void verb_metrics(const struct verb_call *v)
{
    struct buf text, out;

    buf_init(&text, BUF_MAX);
    buf_init(&out, BUF_MAX);
    list_metrics(v->node, &text);
    buf_addz(&out, "{\"text\":");
    buf_add_json(&out, buf_str(&text));
    buf_addc(&out, '}');
    buf_deinit(&text);
    verb_say(v, &out);
}

static void verb_config(const struct verb_call *v)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    settings_json(reload_settings(v->node->reloader), &out);
    verb_say(v, &out);
}

static void verb_health(const struct verb_call *v)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    list_health(v->node, arg_bool(v, S("detailed")), &out);
    verb_say(v, &out);
}

static void verb_plugin(const struct verb_call *v)
{
    struct instance *i = serving(v->node, verb_text(v, S("name")));
    struct buf out;

    if (!i) {
        verb_refuse(v, MIG_NOT_FOUND, "plugin_not_found", "no such plugin");
        return;
    }
    buf_init(&out, BUF_MAX);
    list_plugin(v->node, i, &out);
    verb_say(v, &out);
}

static void verb_capability(const struct verb_call *v)
{
    struct capability_family *f = map_get(&v->node->core->current->families, verb_text(v, S("id")));
    struct buf out;

    if (!f) {
        verb_refuse(v, MIG_NOT_FOUND, "capability_not_found", "capability not found");
        return;
    }
    buf_init(&out, BUF_MAX);
    list_descriptor(f->versions[0], &out);
    buf_addc(&out, '}');
    verb_say(v, &out);
}

static void verb_connections(const struct verb_call *v)
{
    tell(v, list_connections);
}

static void verb_audit(const struct verb_call *v)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    const char *wrong = telemetry_audit(v->node, v->args, &out);
    if (!wrong) {
        verb_say(v, &out);
        return;
    }
    buf_deinit(&out);
    verb_refuse(v, MIG_INVALID_REQUEST, wrong, "the value cannot be used");
}

static const struct verb verbs[] = {
    {"reload", verb_reload},
    {"manifest", verb_manifest},
    {"generations", verb_generations},
    {"plugins", verb_plugins},
    {"plugin", verb_plugin},
    {"plugin.reload", verb_plugin_reload},
    {"instances", verb_instances},
    {"capabilities", verb_capabilities},
    {"capability", verb_capability},
    {"capability.put", verb_capability_put},
    {"capability.delete", verb_capability_delete},
    {"connections", verb_connections},
    {"loops", verb_loops},
    {"health", verb_health},
    {"metrics", verb_metrics},
    {"config", verb_config},
    {"audit", verb_audit},
    {NULL, NULL},
};

static const struct verb *verb_named(const struct verb *list, str name)
{
    while (list->name && !str_eq(name, str_of(list->name)))
        list++;
    return list->name ? list : NULL;
}

void control_verb(struct core *core, str verb, str args,
                  void (*done)(void *arg, mig_status status, str json, str message, str details),
                  void *arg)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    struct verb_call v = {.node = node_of(core), .done = done, .arg = arg};
    struct json doc = {0};
    const struct verb *found = verb_named(verbs, verb);

    must(a);
    found = found ? found : verb_named(control_pro_verbs, verb);
    found = found ? found : verb_named(control_cloud_verbs, verb);
    if (!found) {
        verb_refuse(&v, MIG_NOT_FOUND, "unknown_verb", "no such control verb");
    } else if (!json_parse(&doc, a, args, NULL) || !json_is_object(doc.root)) {
        verb_refuse(&v, MIG_INVALID_REQUEST, "invalid_arguments",
                    "the arguments are no JSON object");
    } else if (!core->current) {
        verb_refuse(&v, MIG_UNAVAILABLE, "stopping", "the gateway is starting or stopping");
    } else {
        v.args = doc.root;
        found->run(&v);
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
}
