/* From the text of a reference to the schema it means. */
#include "base/jsonschema_compile.h"
#include "base/jsonschema_uri.h"

static struct sub *unresolved(struct compiler *c, const struct sub *from, enum keyword k, str ref,
                              const char *why)
{
    compile_refuse(c, from, keyword_name(k), "%.*s %s", STR_ARG(ref), why);
    return NULL;
}

/* Loads the document when nobody has met it yet. NULL without a fault: there is none. */
static struct resource *resource_at(struct compiler *c, str uri, bool *has_failed)
{
    struct resource *r = map_get(&c->resources, uri);
    struct sub *root;
    str text;

    *has_failed = false;
    if (r)
        return r;
    text = meta_text(uri);
    if (!text.ptr && !(c->options->find && c->options->find(c->options->ctx, uri, &text)))
        return NULL;
    *has_failed = !index_document(c, uri, text, &root);
    return *has_failed ? NULL : map_get(&c->resources, uri);
}

/* "~1" is "/", "~0" is "~" (RFC 6901 section 4). In place. */
static str unescape(str token)
{
    char *p = (char *)(uintptr_t)token.ptr;
    size_t n = 0;

    for (size_t i = 0; i < token.len; i++) {
        bool is_escape = token.ptr[i] == '~' && i + 1 < token.len &&
                         (token.ptr[i + 1] == '0' || token.ptr[i + 1] == '1');
        p[n++] = !is_escape ? token.ptr[i] : token.ptr[++i] == '1' ? '/' : '~';
    }
    return (str){p, n};
}

static const json_value *item_at(const json_value *array, str token)
{
    uint64_t want;
    size_t n = 0;

    if (!str_to_u64(token, &want) || (token.len > 1 && token.ptr[0] == '0'))
        return NULL;
    for (struct json_iter i = json_iter(array); json_next(&i); n++)
        if (n == want)
            return i.value;
    return NULL;
}

/* Pointers mostly lead along places that are indexed; what lies elsewhere (a keyword that we do not
 * know) becomes a schema by being referred to. */
static struct sub *follow_pointer(struct compiler *c, struct sub *root, str pointer,
                                  bool *has_failed)
{
    struct sub *owner = root, *here = root;
    const json_value *v = root->value;
    str way = {pointer.ptr, 0}, rest = str_cut(pointer, 1);
    str whole = arena_copy(c->work, pointer);

    *has_failed = !whole.ptr;
    while (rest.ptr && whole.ptr) {
        str token = unescape(str_split(&rest, '/'));
        v = json_is_array(v) ? item_at(v, token) : json_get(v, token);
        if (!v)
            return NULL;
        here = index_find(c, v);
        if (here) {
            owner = here;
            way.ptr = rest.ptr;
        }
    }
    if (here || *has_failed)
        return here;
    way = str_cut(whole, way.ptr == pointer.ptr ? 1 : (size_t)(way.ptr - pointer.ptr));
    here = index_sub(c, v, owner, way, (str){NULL, 0}, owner->resource);
    *has_failed = !here;
    return here;
}

static struct sub *find_anchor(struct compiler *c, const struct resource *r, str name,
                               bool *has_failed)
{
    struct arena_text t;

    text_init(&t, c->work, r->uri.len + name.len + 1);
    text_add(&t, r->uri);
    text_add(&t, S("#"));
    text_add(&t, name);
    *has_failed = t.has_failed;
    return t.has_failed ? NULL : map_get(&c->anchors, text_str(&t));
}

static struct sub *in_resource(struct compiler *c, const struct resource *r, str fragment,
                               bool *has_failed)
{
    *has_failed = false;
    if (!fragment.len)
        return r->root;
    if (fragment.ptr[0] == '/')
        return follow_pointer(c, r->root, fragment, has_failed);
    return find_anchor(c, r, fragment, has_failed);
}

struct sub *ref_resolve(struct compiler *c, const struct sub *from, enum keyword keyword, str ref,
                        str *ret_fragment)
{
    bool has_failed;
    str uri = uri_resolve(c->work, from->resource->uri, ref);

    if (!uri.ptr) {
        compile_no_memory(c);
        return NULL;
    }
    uri = uri_split(uri, ret_fragment);
    *ret_fragment = uri_decode(c->work, *ret_fragment);
    struct resource *r = resource_at(c, uri, &has_failed);
    if (!r)
        return has_failed ? NULL : unresolved(c, from, keyword, ref, "leads to no known document");
    struct sub *to = in_resource(c, r, *ret_fragment, &has_failed);
    if (!to && !has_failed)
        return unresolved(c, from, keyword, ref, "leads to nothing");
    return to;
}
