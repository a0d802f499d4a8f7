/* Documents, and the places in them where schemas stand, by address, URI and anchor. */
#include "base/jsonschema_compile.h"
#include "base/jsonschema_uri.h"

static str address_key(const json_value *const *value)
{
    return (str){(const char *)value, sizeof *value};
}

struct sub *index_find(const struct compiler *c, const json_value *value)
{
    return map_get(&c->subs, address_key(&value));
}

/* The first one keeps a name; arena memory for the key. */
static bool name_put(struct compiler *c, struct map *m, str key, void *value)
{
    if (map_get(m, key))
        return true;
    return (key.ptr && map_put(m, key, value)) || compile_no_memory(c);
}

/* --- anchors ------------------------------------------------------------------------------------ */

static bool add_anchor(struct compiler *c, struct sub *sub, str name)
{
    struct arena_text t;

    text_init(&t, c->work, sub->resource->uri.len + name.len + 1);
    text_add(&t, sub->resource->uri);
    text_add(&t, S("#"));
    text_add(&t, name);
    return t.has_failed ? compile_no_memory(c) : name_put(c, &c->anchors, text_str(&t), sub);
}

static bool add_dynamic_anchor(struct compiler *c, struct sub *sub, str name)
{
    struct dynamic_anchor *a = arena_alloc(c->work, sizeof *a);

    if (!a)
        return compile_no_memory(c);
    *a = (struct dynamic_anchor){c->dynamic_anchors, name, sub};
    c->dynamic_anchors = a;
    return add_anchor(c, sub, name);
}

/* --- resources ---------------------------------------------------------------------------------- */

static bool resource_new(struct compiler *c, struct sub *root, str uri,
                         const struct dialect *dialect)
{
    struct resource *r = arena_alloc(c->work, sizeof *r);

    if (!r)
        return compile_no_memory(c);
    *r = (struct resource){uri, root, dialect, c->s->resource_count++};
    root->resource = r;
    return name_put(c, &c->resources, uri, r);
}

/* $schema counts where a resource begins. */
static bool pick_dialect(struct compiler *c, const struct sub *root, const struct dialect **d)
{
    const json_value *v = json_get(root->value, S("$schema"));

    if (!v)
        return true;
    if (!json_is_string(v))
        return compile_refuse(c, root, S("$schema"), "must be a string");
    *d = dialect_find(c, root, json_string(v));
    return *d;
}

/* An $id begins a resource, unless it is only a fragment (draft-07: an anchor). */
static bool read_id(struct compiler *c, struct sub *sub)
{
    const json_value *v = keyword_get(sub, KW_ID);
    const struct dialect *d = sub->resource->dialect;
    str fragment;

    if (!v)
        return true;
    if (!json_is_string(v))
        return compile_refuse(c, sub, S("$id"), "must be a string");
    str id = uri_split(json_string(v), &fragment);
    if (id.len) {
        str uri = uri_resolve(c->work, sub->resource->uri, id);
        if (!uri.ptr)
            return compile_no_memory(c);
        if (!pick_dialect(c, sub, &d) || !resource_new(c, sub, uri, d))
            return false;
    }
    return !fragment.len || d->draft != JSCHEMA_DRAFT_07 || add_anchor(c, sub, fragment);
}

static bool read_anchors(struct compiler *c, struct sub *sub)
{
    const json_value *plain = keyword_get(sub, KW_ANCHOR);
    const json_value *dynamic = keyword_get(sub, KW_DYNAMIC_ANCHOR);

    if (plain && !json_is_string(plain))
        return compile_refuse(c, sub, S("$anchor"), "must be a string");
    if (dynamic && !json_is_string(dynamic))
        return compile_refuse(c, sub, S("$dynamicAnchor"), "must be a string");
    return (!plain || add_anchor(c, sub, json_string(plain))) &&
           (!dynamic || add_dynamic_anchor(c, sub, json_string(dynamic)));
}

/* --- places ------------------------------------------------------------------------------------- */

static str index_text(struct compiler *c, size_t i)
{
    struct arena_text t;

    text_init(&t, c->work, 8);
    text_addu(&t, i);
    return text_str(&t);
}

static bool is_schema_like(const json_value *v)
{
    enum json_kind kind = json_kind(v);

    return kind == JSON_OBJECT || kind == JSON_BOOL;
}

static bool index_children(struct compiler *c, struct sub *sub, enum keyword k,
                           const json_value *value)
{
    enum children children = keyword_children(k);
    str name = keyword_name(k);
    size_t n = 0;

    if (children == CHILDREN_ONE || (children == CHILDREN_ONE_OR_LIST && !json_is_array(value)))
        return index_sub(c, value, sub, name, (str){NULL, 0}, sub->resource);
    for (struct json_iter i = json_iter(value); json_next(&i); n++) {
        if (k == KW_DEPENDENCIES && !is_schema_like(i.value)) // names of properties
            continue;
        if (!index_sub(c, i.value, sub, name, i.is_object ? i.key : index_text(c, n),
                       sub->resource))
            return false;
    }
    return true;
}

static bool index_inside(struct compiler *c, struct sub *sub)
{
    bool is_07 = sub->resource->dialect->draft == JSCHEMA_DRAFT_07;
    const json_value *v;

    // draft-07 8.3: what stands beside $ref is ignored, but may be the target of pointers
    if (!(is_07 && keyword_get(sub, KW_REF)) && (!read_id(c, sub) || !read_anchors(c, sub)))
        return false;
    for (enum keyword k = 0; k < KW_COUNT; k++)
        if (keyword_children(k) != CHILDREN_NONE && (v = keyword_get(sub, k)) &&
            !index_children(c, sub, k, v))
            return false;
    return true;
}

static struct sub *sub_new(struct compiler *c, const json_value *value)
{
    struct sub *sub = arena_alloc(c->work, sizeof *sub);

    if (c->sub_count++ >= SUBS_MAX) {
        compile_refuse(c, NULL, S(""), "more than %d sub-schemas", SUBS_MAX);
        return NULL;
    }
    if (sub)
        *sub = (struct sub){.value = value, .node = NODE_NONE};
    if (!sub || !map_put(&c->subs, address_key(&sub->value), sub)) {
        compile_no_memory(c);
        return NULL;
    }
    return sub;
}

struct sub *index_sub(struct compiler *c, const json_value *value, const struct sub *up,
                      str keyword, str key, struct resource *resource)
{
    struct sub *sub = index_find(c, value);

    if (sub)
        return sub;
    if (!(sub = sub_new(c, value)))
        return NULL;
    sub->up = up;
    sub->keyword = keyword;
    sub->key = key;
    sub->resource = resource;
    sub->document_uri = up->document_uri;
    if (!is_schema_like(value)) {
        compile_refuse(c, sub, S(""), "a schema must be an object or a boolean");
        return NULL;
    }
    return index_inside(c, sub) ? sub : NULL;
}

/* --- documents ---------------------------------------------------------------------------------- */

static bool check_meta(struct compiler *c, const struct sub *root)
{
    const struct jschema *meta = root->resource->dialect->meta;
    struct jschema_error error = {0};
    struct jschema_errors errors = {.list = &error, .max = 1};

    if (!meta || jschema_check(meta, root->value, c->work, &errors))
        return true;
    return compile_refuse(c, root, str_cut(error.path, 1), "%.*s", STR_ARG(error.message));
}

static bool parse(struct compiler *c, str text, struct sub *root)
{
    struct json_fault fault;
    struct json doc;
    str copy = arena_copy(c->keep, text);

    if (!copy.ptr)
        return compile_no_memory(c);
    if (!json_parse(&doc, c->keep, copy, &fault))
        return fault.kind == JSON_FAULT_MEMORY
                   ? compile_no_memory(c)
                   : compile_refuse(c, root, S(""), "%s at byte %zu", fault.text, fault.offset);
    root->value = doc.root;
    return is_schema_like(doc.root) ||
           compile_refuse(c, root, S(""), "a schema must be an object or a boolean");
}

bool index_document(struct compiler *c, str uri, str text, struct sub **ret_root)
{
    struct sub at = {.document_uri = uri}, *root;
    const struct dialect *d;

    if (c->document_count++ >= DOCUMENTS_MAX)
        return compile_refuse(c, &at, S(""), "more than %d documents", DOCUMENTS_MAX);
    if (!parse(c, text, &at) || !(root = sub_new(c, at.value)))
        return false;
    root->document_uri = uri;
    if (!(d = dialect_default(c)) || !pick_dialect(c, root, &d) || !resource_new(c, root, uri, d) ||
        !check_meta(c, root) || !index_inside(c, root))
        return false;
    *ret_root = root;
    return true;
}
