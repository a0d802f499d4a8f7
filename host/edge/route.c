#include "edge/route.h"
#include "base/check.h"
#include "base/hex.h"
#include "core/core.h"

#include <stdlib.h>

/* A trie over path segments. Methods hang on the node where a pattern ends. */
struct method {
    struct method *next;
    str name;
    const struct route *route;
};

struct node {
    str literal;
    uint32_t tag;                 /* of the literal */
    struct node *children, *next; /* literal children, siblings */
    struct node *param;           /* {name} */
    struct method *methods;
};

struct route_table {
    struct arena_pool pool;
    struct arena *arena;
    struct node root;
    struct route *routes;
    size_t count;
};

static void table_free(void *routes)
{
    struct route_table *t = routes;

    arena_unref(t->arena);
    arena_pool_deinit(&t->pool);
    free(t->routes);
    free(t);
}

static bool is_param(str segment)
{
    return segment.len > 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

/* Tells almost all siblings apart without a look at their texts. */
static inline uint32_t tag_of(str segment)
{
    if (!segment.len)
        return 0;
    return (uint32_t)segment.len << 16 | (uint32_t)(unsigned char)segment.ptr[0] << 8 |
           (unsigned char)segment.ptr[segment.len - 1];
}

static struct node *node_new(struct route_table *t, str literal)
{
    struct node *n = arena_zero(t->arena, sizeof *n);

    must(n);
    n->literal = literal;
    n->tag = tag_of(literal);
    return n;
}

static struct node *literal_child(const struct node *n, str segment)
{
    const uint32_t tag = tag_of(segment);
    struct node *c = n->children;

    while (c && (c->tag != tag || !str_eq(c->literal, segment)))
        c = c->next;
    return c;
}

static struct node *child_for(struct route_table *t, struct node *n, str segment)
{
    if (is_param(segment)) {
        if (!n->param)
            n->param = node_new(t, segment);
        return n->param;
    }
    struct node *c = literal_child(n, segment);
    if (!c) {
        c = node_new(t, segment);
        c->next = n->children;
        n->children = c;
    }
    return c;
}

static struct method *method_of(const struct node *n, str name)
{
    struct method *m = n->methods;

    while (m && !str_eq(m->name, name))
        m = m->next;
    return m;
}

static void add(struct route_table *t, const struct route *r, struct diag *d)
{
    str rest = str_cut(str_of(r->def->pattern), 1), name = str_of(r->def->method);
    struct node *n = &t->root;
    size_t params = 0;

    while (rest.ptr) {
        str segment = str_split(&rest, '/');
        params += is_param(segment);
        n = child_for(t, n, segment);
    }
    struct method *other = method_of(n, name);
    if (other) {
        diag_error(d, (struct diag_at){0}, "route.duplicate", "%s %s is served by both %s and %s",
                   r->def->method, r->def->pattern, other->route->instance->name,
                   r->instance->name);
        return;
    }
    if (params > ROUTE_PARAMS_MAX) {
        diag_error(d, (struct diag_at){0}, "route.params", "%s has more than %d parameters",
                   r->def->pattern, ROUTE_PARAMS_MAX);
        return;
    }
    struct method *m = arena_zero(t->arena, sizeof *m);
    must(m);
    *m = (struct method){n->methods, name, r};
    n->methods = m;
}

bool routes_build(struct gen *g, struct diag *d)
{
    struct route_table *t = calloc(1, sizeof *t);
    size_t total = 0, errors = d->errors;

    must(t && (t->arena = arena_new(&t->pool, 16 << 20)));
    for (size_t i = 0; i < g->catalogue_count; i++)
        total += g->catalogues[i]->route_count;
    t->routes = calloc(total + 1, sizeof *t->routes);
    must(t->routes);
    for (size_t i = 0; i < g->catalogue_count; i++)
        for (size_t n = 0; n < g->catalogues[i]->route_count; n++) {
            const mig_http_route *def = &g->catalogues[i]->routes[n];
            t->routes[t->count] = (struct route){
                .def = def,
                .instance = g->catalogues[i]->instance,
                .handler = {.exec = def->exec,
                            .data = def->data,
                            .on_cancel = def->on_cancel,
                            .on_writable = def->on_writable},
                .counts = telemetry_route(g->core->telemetry, str_of(def->pattern)),
            };
            add(t, &t->routes[t->count++], d);
        }
    g->routes = t;
    g->free_routes = table_free;
    return d->errors == errors;
}

const struct route *route_at(const struct gen *g, size_t i)
{
    const struct route_table *t = g->routes;
    return i < t->count ? &t->routes[i] : NULL;
}

/* RFC 3986 2.1. false: a bad escape, or a NUL. */
static bool decode(str segment, struct arena *a, str *ret)
{
    if (!memchr(segment.ptr, '%', segment.len)) {
        *ret = segment;
        return true;
    }
    char *out = arena_alloc(a, segment.len);
    size_t n = 0;
    for (size_t i = 0; out && i < segment.len; i++) {
        char c = segment.ptr[i];
        if (c == '%') {
            int high = i + 2 < segment.len ? hex_value(segment.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(segment.ptr[i + 2]) : -1;
            if (low < 0 || (c = (char)(high << 4 | low)) == 0)
                return false;
            i += 2;
        }
        out[n++] = c;
    }
    *ret = (str){out, n};
    return out && str_is_utf8(*ret);
}

/* rest: the path behind n, ptr NULL at its end. */
static const struct node *walk(const struct node *n, str rest, struct arena *a,
                               struct route_match *m, size_t params)
{
    while (rest.ptr) {
        str segment = str_split(&rest, '/');
        const struct node *c = literal_child(n, segment);
        if (c && n->param) { /* the only place with two ways */
            const struct node *found = walk(c, rest, a, m, params);
            if (found)
                return found;
        }
        if (!c || n->param) {
            if (!n->param || !segment.len || params >= ROUTE_PARAMS_MAX ||
                !decode(segment, a, &m->params[params]))
                return NULL;
            params++;
            c = n->param;
        }
        n = c;
    }
    m->param_count = params;
    return n->methods ? n : NULL;
}

static str allowed(const struct node *n, struct arena *a)
{
    struct arena_text t;

    text_init(&t, a, 64);
    for (struct method *m = n->methods; m; m = m->next) {
        text_add(&t, t.len ? S(", ") : S(""));
        text_add(&t, m->name);
        if (str_eq(m->name, S("GET")))
            text_add(&t, S(", HEAD"));
    }
    return text_str(&t);
}

void route_find(const struct gen *g, str method, str path, struct arena *a, struct route_match *m)
{
    const struct route_table *t = g->routes;

    m->route = NULL;
    m->allow = (str){NULL, 0};
    m->param_count = 0;
    if (!path.len || path.ptr[0] != '/')
        return;
    const struct node *n = walk(&t->root, str_cut(path, 1), a, m, 0);
    if (!n)
        return;
    struct method *found = method_of(n, str_eq(method, S("HEAD")) ? S("GET") : method);
    if (found)
        m->route = found->route;
    else
        m->allow = allowed(n, a);
}
