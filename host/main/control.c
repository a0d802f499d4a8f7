/* The verbs of mig.control/1 (docs/reference/control.md). Control thread. Each gathers what it tells
 * there; what lives on loops is collected by a message to each. */
#include "base/check.h"
#include "base/clock.h"
#include "core/inflight.h"
#include "core/life.h"
#include "core/metrics.h"
#include "core/op.h"
#include "main/control_lists.h"
#include "main/logwriter.h"
#include "main/node.h"
#include "main/telemetry.h"
#include "main/verbs.h"

#include <stdlib.h>

/* --- reload ------------------------------------------------------------------------------------- */

static void reloaded(void *arg, bool is_ok, str json, const struct diag *d)
{
    struct verb_call *v = arg;

    if (is_ok)
        v->done(v->arg, MIG_OK, json, S(""), S(""));
    else
        verb_refuse_findings(v, d);
    free(v);
}

static void start_reload(const struct verb_call *v, const struct reload_ask *ask)
{
    struct verb_call *copy = malloc(sizeof *copy);

    must(copy);
    *copy = *v;
    reload_ask(v->node->reloader, ask, reloaded, copy);
}

static void verb_reload(const struct verb_call *v)
{
    start_reload(v, &(struct reload_ask){.is_dry_run = verb_flag(v, S("dry_run"))});
}

static void verb_manifest(const struct verb_call *v)
{
    CLEANUP(str_freep) char *text = str_dup(verb_text(v, S("text")));

    start_reload(v,
                 &(struct reload_ask){.is_dry_run = verb_flag(v, S("dry_run")), .manifest = text});
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
        start_reload(v, &(struct reload_ask){.fresh = i->name});
    else
        verb_refuse(v, MIG_NOT_FOUND, "plugin_not_found", "no such plugin");
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
    list_health(v->node, verb_flag(v, S("detailed")), &out);
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

static void verb_audit(const struct verb_call *v)
{
    struct buf out;

    buf_init(&out, BUF_MAX);
    const char *wrong = telemetry_audit(v->node, v->args, verb_tenant(v), &out);
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
    {"schemas", verb_schemas},
    {"schema.put", verb_schema_put},
    {"connections", verb_connections},
    {"connection.close", verb_connection_close},
    {"conformance", verb_conformance},
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

void control_verb(struct core *core, const struct principal *who, str verb, str args,
                  void (*done)(void *arg, mig_status status, str json, str message, str details),
                  void *arg)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    struct verb_call v = {.node = node_of(core), .who = who, .done = done, .arg = arg};
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
