/* Verbs on capabilities. Each change is a reload: it takes effect or is refused as a whole; what took
 * effect is stored before it is answered. */
#include "base/check.h"
#include "core/op.h"
#include "main/control_lists.h"
#include "main/registries.h"
#include "main/upsert.h"
#include "main/verbs.h"

#include <stdlib.h>

enum { ARENA_LIMIT = 64 << 20 };

/* --- lists -------------------------------------------------------------------------------------- */

static bool may_see(const struct verb_call *v, const struct capability *c)
{
    return !verb_tenant(v).ptr || (v->who && authz_may_invoke(v->who, c));
}

void verb_capabilities(const struct verb_call *v)
{
    const struct gen *g = v->node->core->current;
    bool first = true;
    struct buf out;

    buf_init(&out, BUF_MAX);
    buf_addz(&out, "{\"capabilities\":[");
    for (size_t i = 0; i < g->capability_count; i++) {
        const struct capability *c = g->capabilities[i];
        if (!may_see(v, c))
            continue;
        buf_addz(&out, first ? "" : ",");
        list_descriptor(c, &out);
        buf_addz(&out, ",\"provider\":{\"type\":\"plugin\",\"plugin\":");
        buf_add_json(&out, c->provider);
        buf_addz(&out, "}}");
        first = false;
    }
    buf_addz(&out, "]}");
    verb_say(v, &out);
}

void verb_capability(const struct verb_call *v)
{
    struct capability_family *f = map_get(&v->node->core->current->families, verb_text(v, S("id")));
    struct buf out;

    if (!f || !may_see(v, f->versions[0])) {
        verb_refuse(v, MIG_NOT_FOUND, "capability_not_found", "capability not found");
        return;
    }
    buf_init(&out, BUF_MAX);
    list_descriptor(f->versions[0], &out);
    buf_addc(&out, '}');
    verb_say(v, &out);
}

/* --- changes ------------------------------------------------------------------------------------ */

struct change {
    struct verb_call v;
    char *id, *version, *entry; /* entry NULL: all versions go */
};

static void change_free(struct change *c)
{
    free(c->id);
    free(c->version);
    free(c->entry);
    free(c);
}

static bool is_of(const json_value *entry, str id, const char *version)
{
    const json_value *d = json_get(entry, S("descriptor"));

    return str_eq(json_string(json_get(d, S("id"))), id) &&
           (!version || str_eq(json_string(json_get(d, S("version"))), str_of(version)));
}

static void add_entry(struct buf *out, struct arena *a, const json_value *entry)
{
    struct arena_text t;

    text_init(&t, a, 1024);
    json_write(entry, &t);
    must(!t.has_failed);
    buf_addz(out, out->len > 1 ? "," : "");
    buf_add(out, text_str(&t));
}

/* Of the upserts in force those that `is_wanted` takes, as an array that is still open. */
static void select_upserts(const struct change *c, struct buf *out,
                           bool (*is_wanted)(const struct change *c, const json_value *entry))
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, SIZE_MAX / 2);
    struct json have;

    must(a && json_parse(&have, a, str_of(reload_capabilities(c->v.node->reloader)), NULL));
    buf_addc(out, '[');
    for (struct json_iter i = json_iter(have.root); json_next(&i);)
        if (is_wanted(c, i.value))
            add_entry(out, a, i.value);
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static bool stays(const struct change *c, const json_value *entry)
{
    return !is_of(entry, str_of(c->id), c->version);
}

static bool is_same_id(const struct change *c, const json_value *entry)
{
    return is_of(entry, str_of(c->id), NULL);
}

/* Its turn: the array that shall be in force. */
static void fill(void *arg, struct reload_ask *ask)
{
    struct change *c = arg;
    struct buf next;

    buf_init(&next, BUF_MAX);
    select_upserts(c, &next, stays);
    if (c->entry) {
        buf_addz(&next, next.len > 1 ? "," : "");
        buf_addz(&next, c->entry);
    }
    buf_addc(&next, ']');
    must(ask->capabilities = buf_take_z(&next));
}

/* The descriptor in force, as normalized, with its policy. */
static void add_descriptor(const struct change *c, struct buf *out)
{
    struct capability_family *f = map_get(&c->v.node->core->current->families, str_of(c->id));

    for (size_t i = 0; f && c->version && i < f->count; i++)
        if (!strcmp(f->versions[i]->version, c->version)) {
            list_descriptor(f->versions[i], out);
            buf_addc(out, '}');
            return;
        }
    buf_addz(out, "{}");
}

static void stored(void *arg, bool is_ok)
{
    struct change *c = arg;
    struct buf out;

    if (is_ok) {
        buf_init(&out, BUF_MAX);
        add_descriptor(c, &out);
        verb_say(&c->v, &out);
    } else {
        verb_refuse(&c->v, MIG_UNAVAILABLE, "not_stored",
                    "the change is in force, but could not be stored; try again");
    }
    change_free(c);
}

static void reloaded(void *arg, bool is_ok, str json, const struct diag *d)
{
    struct change *c = arg;
    struct buf row;

    (void)json;
    if (!is_ok) {
        verb_refuse_findings(&c->v, d);
        change_free(c);
        return;
    }
    buf_init(&row, BUF_MAX);
    select_upserts(c, &row, is_same_id);
    bool is_there = row.len > 1;
    buf_addc(&row, ']');
    registry_save(c->v.node, STORE_CAPABILITY, str_of(c->id),
                  is_there ? buf_str(&row) : (str){NULL, 0}, stored, c);
    buf_deinit(&row);
}

static void start(const struct verb_call *v, str id, str version, str entry)
{
    struct change *c = malloc(sizeof *c);

    must(c);
    *c = (struct change){*v, str_dup(id), version.len ? str_dup(version) : NULL,
                         entry.len ? str_dup(entry) : NULL};
    must(c->id);
    reload_ask(v->node->reloader, &(struct reload_ask){.fill = fill}, reloaded, c);
}

void verb_capability_put(const struct verb_call *v)
{
    const json_value *body = json_have(v->args, S("body"));
    const json_value *d = json_have(body, S("descriptor"));
    const char *fault = upsert_fault(body);
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, ARENA_LIMIT);
    struct arena_text t;

    must(a);
    text_init(&t, a, 1024);
    if (!fault)
        json_write(body, &t);
    if (fault)
        verb_refuse(v, MIG_INVALID_REQUEST, "invalid_capability", fault);
    else if (t.has_failed)
        verb_refuse(v, MIG_BACKPRESSURE, "memory", "the descriptor is too large");
    else
        start(v, json_string(json_get(d, S("id"))), json_string(json_get(d, S("version"))),
              text_str(&t));
    arena_unref(a);
    arena_pool_deinit(&pool);
}

void verb_capability_delete(const struct verb_call *v)
{
    str id = verb_text(v, S("id"));
    CLEANUP(str_freep) char *own_id = str_dup(id);
    const struct change c = {.v = *v, .id = own_id};
    struct buf have;

    buf_init(&have, BUF_MAX);
    select_upserts(&c, &have, is_same_id);
    if (have.len > 1)
        start(v, id, S(""), S(""));
    else if (map_get(&v->node->core->current->families, id))
        verb_refuse(v, MIG_FORBIDDEN, "not_an_upsert",
                    "the capability comes from a provider; remove that from the manifest or the "
                    "folder");
    else
        verb_refuse(v, MIG_NOT_FOUND, "capability_not_found", "capability not found");
    buf_deinit(&have);
}
