/* From texts to a compiled schema: index, build what is reached, look for circles, hand over. */
#include "base/jsonschema_compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORK_MAX_BYTES = 64 << 20 };

/* --- faults ------------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t size, str s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    while (n < s.len && n && ((unsigned char)s.ptr[n] & 0xC0) == 0x80) // not within a character
        n--;
    if (n)
        memcpy(to, s.ptr, n);
    to[n] = 0;
}

static void add_token(struct buf *b, str token)
{
    buf_addc(b, '/');
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] == '~' || token.ptr[i] == '/')
            buf_addz(b, token.ptr[i] == '~' ? "~0" : "~1");
        else
            buf_addc(b, token.ptr[i]);
}

static void add_pointer(struct buf *b, const struct sub *at)
{
    const struct sub *chain[2 * JSON_DEPTH_MAX];
    size_t n = 0;

    for (; at && at->up && n < countof(chain); at = at->up)
        chain[n++] = at;
    while (n--) {
        buf_addc(b, '/');
        buf_add(b, chain[n]->keyword);
        if (chain[n]->key.ptr)
            add_token(b, chain[n]->key);
    }
}

bool compile_refuse(struct compiler *c, const struct sub *at, str keyword, const char *format, ...)
{
    CLEANUP(buf_deinit) struct buf pointer;
    va_list args;

    va_start(args, format);
    vsnprintf(c->fault->text, sizeof c->fault->text, format, args);
    va_end(args);
    // the cut may lie within a character
    copy_text(c->fault->text, sizeof c->fault->text, str_of(c->fault->text));
    buf_init(&pointer, 1 << 16);
    add_pointer(&pointer, at);
    if (keyword.len) {
        buf_addc(&pointer, '/');
        buf_add(&pointer, keyword);
    }
    copy_text(c->fault->pointer, sizeof c->fault->pointer, buf_str(&pointer));
    copy_text(c->fault->uri, sizeof c->fault->uri, at ? at->document_uri : S(""));
    return false;
}

bool compile_no_memory(struct compiler *c)
{
    return compile_refuse(c, NULL, S(""), "the schema needs more memory than allowed");
}

/* --- nodes -------------------------------------------------------------------------------------- */

node_id schema_node_of(struct compiler *c, struct sub *sub)
{
    uint32_t n = c->s->node_count;

    if (sub->node != NODE_NONE)
        return sub->node;
    if (n == c->queue_cap) {
        size_t cap = n ? 2 * (size_t)n : 64;
        struct sub **queue = arena_grow(c->work, c->queue, n * sizeof *queue, cap * sizeof *queue);
        struct node *nodes = arena_grow(c->work, c->nodes, n * sizeof *nodes, cap * sizeof *nodes);
        if (!queue || !nodes) {
            compile_no_memory(c);
            return NODE_NONE;
        }
        c->queue = queue;
        c->nodes = nodes;
        c->queue_cap = cap;
    }
    c->queue[n] = sub;
    c->s->node_count++;
    return sub->node = n;
}

/* Every schema that a $dynamicRef may lead to is a node, too. */
static bool reach_dynamic(struct compiler *c)
{
    for (struct dynamic_pending *p = c->dynamic_pending; p; p = p->next)
        for (struct dynamic_anchor *a = c->dynamic_anchors; a; a = a->next)
            if (str_eq(a->name, p->name) && schema_node_of(c, a->sub) == NODE_NONE)
                return false;
    return true;
}

static bool build_all(struct compiler *c)
{
    for (uint32_t built = 0; built < c->s->node_count;) {
        for (; built < c->s->node_count; built++) {
            struct node node;
            if (!build_node(c, c->queue[built], &node))
                return false;
            c->nodes[built] = node; // only now: building may have moved the array
        }
        if (!reach_dynamic(c))
            return false;
    }
    return true;
}

static bool fill_dynamic(struct compiler *c)
{
    for (struct dynamic_pending *p = c->dynamic_pending; p; p = p->next) {
        node_id *table = build_alloc(c, c->s->resource_count * sizeof *table);
        if (!table)
            return false;
        memset(table, 0xFF, c->s->resource_count * sizeof *table);
        for (struct dynamic_anchor *a = c->dynamic_anchors; a; a = a->next)
            if (str_eq(a->name, p->name))
                table[a->sub->resource->number] = a->sub->node;
        p->rule->by_resource = table;
    }
    return true;
}

/* --- circles ------------------------------------------------------------------------------------ */

/* The i-th schema that an operation applies to the same value. */
static bool in_place(const struct op *op, uint32_t i, node_id *ret)
{
    *ret = NODE_NONE;
    switch ((enum op_code)op->code) {
    case OP_REF:
    case OP_NOT: *ret = op->node; return i < 1;
    case OP_ALL_OF:
    case OP_ANY_OF:
    case OP_ONE_OF:
        if (i < op->count)
            *ret = op->nodes[i];
        return i < op->count;
    case OP_DEPENDENT:
        if (i < op->count)
            *ret = op->dependencies[i].node;
        return i < op->count;
    case OP_IF:
        if (i < 3)
            *ret = (const node_id[]){op->cond->condition, op->cond->yes, op->cond->no}[i];
        return i < 3;
    default: return false;
    }
}

struct visit {
    node_id node;
    uint32_t op, i;
};

/* The next schema in place of v->node; NODE_NONE: no more. */
static node_id visit_next(const struct compiler *c, struct visit *v)
{
    const struct node *node = &c->nodes[v->node];
    node_id to;

    for (; v->op < node->op_count; v->op++, v->i = 0)
        while (in_place(&node->ops[v->op], v->i, &to)) {
            v->i++;
            if (to != NODE_NONE)
                return to;
        }
    return NODE_NONE;
}

enum { COLOUR_NEW, COLOUR_OPEN, COLOUR_DONE };

/* Depth first, on a stack of our own. */
static bool walk(struct compiler *c, node_id from, uint8_t *colours, struct visit *stack)
{
    size_t depth = 1;

    stack[0] = (struct visit){from, 0, 0};
    colours[from] = COLOUR_OPEN;
    while (depth) {
        node_id to = visit_next(c, &stack[depth - 1]);
        if (to == NODE_NONE) {
            colours[stack[--depth].node] = COLOUR_DONE;
        } else if (colours[to] == COLOUR_OPEN) {
            return compile_refuse(c, c->queue[to], S(""),
                                  "applies itself to the same value without end");
        } else if (colours[to] == COLOUR_NEW) {
            colours[to] = COLOUR_OPEN;
            stack[depth++] = (struct visit){to, 0, 0};
        }
    }
    return true;
}

static bool find_circles(struct compiler *c)
{
    uint8_t *colours = arena_zero(c->work, c->s->node_count);
    struct visit *stack = arena_alloc(c->work, c->s->node_count * sizeof *stack);

    if (!colours || !stack)
        return compile_no_memory(c);
    for (node_id n = 0; n < c->s->node_count; n++)
        if (colours[n] == COLOUR_NEW && !walk(c, n, colours, stack))
            return false;
    return true;
}

/* --- all of it ---------------------------------------------------------------------------------- */

static bool compile(struct compiler *c, str text, str uri)
{
    struct sub *root;

    uri = arena_copy(c->work, uri);
    if (!uri.ptr)
        return compile_no_memory(c);
    if (!index_document(c, uri, text, &root) || schema_node_of(c, root) == NODE_NONE ||
        !build_all(c) || !fill_dynamic(c) || !find_circles(c))
        return false;
    struct node *nodes = build_alloc(c, c->s->node_count * sizeof *nodes);
    if (!nodes)
        return false;
    memcpy(nodes, c->nodes, c->s->node_count * sizeof *nodes);
    c->s->nodes = nodes;
    c->s->root = root->node;
    return true;
}

static void compiler_deinit(struct compiler *c)
{
    map_deinit(&c->resources);
    map_deinit(&c->anchors);
    map_deinit(&c->subs);
    map_deinit(&c->patterns);
    for (struct dialect *d = c->dialects; d; d = d->next)
        jschema_free(d->own_meta);
}

static struct jschema *schema_new(size_t max_bytes)
{
    struct jschema *s = calloc(1, sizeof *s);

    if (s && !(s->arena = arena_new(&s->pool, max_bytes ? max_bytes : DEFAULT_MAX_BYTES))) {
        free(s);
        return NULL;
    }
    return s;
}

bool compile_at_level(struct jschema **ret, str text, str uri, const struct jschema_options *o,
                      unsigned level, bool is_trusted, struct jschema_fault *fault)
{
    struct arena_pool pool = {0};
    struct arena *work = arena_new(&pool, WORK_MAX_BYTES);
    CLEANUP(jschema_freep) struct jschema *s = schema_new(o->max_bytes);
    bool ok = false;

    *fault = (struct jschema_fault){0};
    struct compiler c = {.s = s,
                         .options = o,
                         .fault = fault,
                         .work = work,
                         .level = level,
                         .is_trusted = is_trusted};
    if (s && work) {
        c.keep = s->arena;
        ok = compile(&c, text, uri);
        compiler_deinit(&c);
    } else {
        compile_no_memory(&c);
    }
    if (work)
        arena_unref(work);
    arena_pool_deinit(&pool);
    if (ok)
        *ret = TAKE(s);
    return ok;
}

bool compile_trusted(struct jschema **ret, str text, str uri, const struct jschema_options *o,
                     struct jschema_fault *fault)
{
    return compile_at_level(ret, text, uri, o, 0, /*is_trusted=*/true, fault);
}

bool jschema_compile(struct jschema **ret, str text, str uri, const struct jschema_options *o,
                     struct jschema_fault *fault)
{
    static const struct jschema_options defaults;

    return compile_at_level(ret, text, uri, o ? o : &defaults, 0, /*is_trusted=*/false, fault);
}

void jschema_free(struct jschema *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->regex_count; i++)
        regex_free(s->regexes[i]);
    free(s->regexes);
    arena_unref(s->arena);
    arena_pool_deinit(&s->pool);
    free(s);
}

void jschema_freep(struct jschema **s)
{
    jschema_free(*s);
}
