#include "base/yaml.h"
#include "base/check.h"
#include "base/yaml_guard.h"
#include "base/yaml_scalar.h"

#include <libfyaml.h>
#include <stdlib.h>

/* We listen to the parser's events and build the tree ourselves. libfyaml's own documents expand
 * alias bombs, compare keys pairwise and resolve merges before anybody could count. */

enum {
    DEPTH_MAX = 64,
    ALIAS_NODES_MAX = 100000,
    ANCHORS_MAX = 1000, // looked up one by one
    TEXT_MAX = 1 << 20,
    CHUNK_BYTES = 16 << 10,
};

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

/* What yaml_parse() returns: the root node and the memory of all others. */
struct tree {
    struct yaml_node root;
    struct chunk *chunks;
};

struct level {
    struct yaml_node *node;
    struct yaml_node **tail;
    struct yaml_node *merge; // value of the key <<
    str key;
    unsigned key_line, key_column;
    bool has_key;
    bool is_merge_key;
    size_t anchor; // 1 + index of the anchor that is open as long as this level; 0: none
};

struct anchor {
    str name;
    struct yaml_node *node;
    bool is_open; // an alias here would be a cycle
};

struct builder {
    str text;
    const char *file;
    struct diag *d;
    struct chunk *chunks;
    struct yaml_node *root;
    struct level stack[DEPTH_MAX];
    size_t depth;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    size_t alias_nodes;
    size_t documents;
    struct diag_at last; // where the latest token stood: empty values have no place of their own
    bool is_stopped;     // going on would be useless or dangerous
};

/* Memory -------------------------------------------------------------------------------------- */

static void *take_bytes(struct builder *b, size_t n)
{
    struct chunk *c = b->chunks;

    n = (n + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    if (!c || c->size - c->used < n) {
        size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        c = malloc(sizeof *c + size);
        if (!c) {
            b->is_stopped = true;
            diag_error(b->d, (struct diag_at){.file = b->file}, "yaml.memory", "out of memory");
            return NULL;
        }
        *c = (struct chunk){.next = b->chunks, .size = size};
        b->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    return p;
}

static void free_chunks(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

static struct yaml_node *new_node(struct builder *b, enum yaml_type type, struct diag_at at)
{
    struct yaml_node *n = take_bytes(b, sizeof *n);

    if (n)
        *n =
            (struct yaml_node){.type = type, .line = at.line, .column = at.column, .text = {"", 0}};
    return n;
}

static bool copy_text(struct builder *b, str s, str *ret)
{
    char *p = take_bytes(b, s.len + 1);

    if (!p)
        return false;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    *ret = (str){p, s.len};
    return true;
}

/* Findings ------------------------------------------------------------------------------------ */

#define STOP(b, at, id, ...)                                                                       \
    do {                                                                                           \
        (b)->is_stopped = true;                                                                    \
        diag_error((b)->d, at, id, __VA_ARGS__);                                                   \
    } while (0)

/* Empty values have no token in libfyaml 0.7 and one without text, behind the colon, in 0.8. */
static bool is_absent(struct fy_token *t)
{
    return !t || (fy_token_get_type(t) == FYTT_SCALAR && fy_token_scalar_style(t) == FYSS_PLAIN &&
                  fy_token_get_text_length(t) == 0);
}

/* Marks count from 0. Those of quoted scalars and aliases are behind the quote and the star. */
static struct diag_at mark_at(struct builder *b, struct fy_token *t)
{
    const struct fy_mark *m = is_absent(t) ? NULL : fy_token_start_mark(t);

    if (!m)
        return b->last;
    bool is_behind = fy_token_get_type(t) == FYTT_ALIAS;
    if (fy_token_get_type(t) == FYTT_SCALAR) {
        enum fy_scalar_style style = fy_token_scalar_style(t);
        is_behind = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    }
    unsigned column = (unsigned)m->column + (is_behind && m->column > 0 ? 0 : 1);
    b->last = (struct diag_at){b->file, (unsigned)m->line + 1, column};
    return b->last;
}

static void swallow(struct fy_diag *fy, void *user, const char *text, size_t len)
{
    (void)fy, (void)user, (void)text, (void)len;
}

static struct fy_diag *new_fy_diag(void)
{
    struct fy_diag_cfg cfg;

    fy_diag_cfg_default(&cfg);
    cfg.fp = NULL;
    cfg.output_fn = swallow; // without it stderr would be used
    cfg.level = FYET_ERROR;
    struct fy_diag *fy = fy_diag_create(&cfg);
    if (fy)
        fy_diag_set_collect_errors(fy, true);
    return fy;
}

/* The collected errors count lines and columns from 1 already, unlike marks. Their `file` is an
 * address in memory and is not shown. */
static void report_syntax(struct builder *b, struct fy_diag *fy)
{
    struct fy_diag_error *e;
    void *iterator = NULL;
    size_t before = b->d->errors;

    while ((e = fy_diag_errors_iterate(fy, &iterator))) {
        str text = str_trim(str_of(e->msg));
        struct diag_at at = {b->file, e->line > 0 ? (unsigned)e->line : 0,
                             e->column > 0 ? (unsigned)e->column : 1};
        diag_error(b->d, at, "yaml.syntax", "%.*s", STR_ARG(text));
    }
    if (b->d->errors == before)
        diag_error(b->d, b->last, "yaml.syntax", "the text ends here for the parser");
}

static void apply_tag(struct builder *b, struct yaml_node *n, struct fy_token *t)
{
    str name = {0};

    name.ptr = fy_token_get_text(t, &name.len);
    if (!name.ptr || !yaml_type_tagged(n, name))
        diag_error(b->d, (struct diag_at){b->file, n->line, n->column}, "yaml.tag",
                   "the tag %.*s is unknown or does not fit this value", STR_ARG(yaml_shown(name)));
}

/* Maps ---------------------------------------------------------------------------------------- */

/* The keys of one map, for duplicates: open addressing, at most half full. */
struct keys {
    const struct yaml_node **slots;
    size_t mask;
};

static bool keys_init(struct keys *k, size_t count)
{
    size_t size = 8;

    while (size < count * 2)
        size *= 2;
    *k = (struct keys){calloc(size, sizeof *k->slots), size - 1};
    return k->slots != NULL;
}

/* NULL when n is new and was added, else who has its key. */
static const struct yaml_node *keys_add(struct keys *k, const struct yaml_node *n)
{
    size_t i = str_hash(n->key) & k->mask;

    for (; k->slots[i]; i = (i + 1) & k->mask)
        if (str_eq(k->slots[i]->key, n->key))
            return k->slots[i];
    k->slots[i] = n;
    return NULL;
}

static void append(struct level *l, struct yaml_node *n)
{
    n->next = NULL;
    *l->tail = n;
    l->tail = &n->next;
    l->node->count++;
}

/* Keys that are here already stay; among several sources the first wins. */
static void merge_from(struct level *l, struct keys *k, struct yaml_node *source)
{
    for (struct yaml_node *n = source->first, *next; n; n = next) {
        next = n->next;
        if (!keys_add(k, n))
            append(l, n);
    }
}

static bool is_mergeable(const struct yaml_node *v)
{
    if (v->type != YAML_LIST)
        return v->type == YAML_MAP;
    for (const struct yaml_node *n = v->first; n; n = n->next)
        if (n->type != YAML_MAP)
            return false;
    return true;
}

static size_t count_merged(const struct yaml_node *v)
{
    size_t count = v->count;

    for (const struct yaml_node *n = v->type == YAML_LIST ? v->first : NULL; n; n = n->next)
        count += n->count;
    return count;
}

static void merge(struct builder *b, struct level *l, struct keys *k)
{
    if (!is_mergeable(l->merge)) {
        diag_error(b->d, yaml_key_at(l->merge, b->file), "yaml.merge",
                   "<< takes a map or a list of maps");
        return;
    }
    if (l->merge->type == YAML_MAP) {
        merge_from(l, k, l->merge);
        return;
    }
    for (struct yaml_node *n = l->merge->first; n; n = n->next)
        merge_from(l, k, n);
}

static void finish_map(struct builder *b, struct level *l)
{
    struct keys k;

    if (!keys_init(&k, l->node->count + (l->merge ? count_merged(l->merge) : 0))) {
        STOP(b, b->last, "yaml.memory", "out of memory");
        return;
    }
    for (const struct yaml_node *n = l->node->first; n; n = n->next) {
        const struct yaml_node *first = keys_add(&k, n);
        if (first)
            diag_error(b->d, yaml_key_at(n, b->file), "yaml.duplicate",
                       "the key \"%.*s\" is here twice, first in line %u",
                       STR_ARG(yaml_shown(n->key)), first->key_line);
    }
    if (l->merge)
        merge(b, l, &k);
    free(k.slots);
}

/* Building ------------------------------------------------------------------------------------ */

static void take_key(struct builder *b, struct level *l, struct yaml_node *n, bool is_plain)
{
    if (n->type == YAML_LIST || n->type == YAML_MAP) {
        STOP(b, yaml_at(n, b->file), "yaml.key", "%s cannot be a key here",
             yaml_type_name(n->type));
        return;
    }
    l->key = n->text;
    l->key_line = n->line;
    l->key_column = n->column;
    l->has_key = true;
    l->is_merge_key = is_plain && str_eq(n->text, S("<<"));
}

static void take_value(struct builder *b, struct level *l, struct yaml_node *n)
{
    l->has_key = false;
    n->key = l->key;
    n->key_line = l->key_line;
    n->key_column = l->key_column;
    if (!l->is_merge_key) {
        append(l, n);
        return;
    }
    if (l->merge)
        diag_error(b->d, yaml_key_at(n, b->file), "yaml.duplicate",
                   "the key \"<<\" is here twice; give it a list of maps");
    l->merge = n;
}

static void place(struct builder *b, struct yaml_node *n, bool is_plain)
{
    struct level *l = b->depth ? &b->stack[b->depth - 1] : NULL;

    if (!l)
        b->root = n;
    else if (l->node->type == YAML_LIST)
        append(l, n);
    else if (l->has_key)
        take_value(b, l, n);
    else
        take_key(b, l, n, is_plain);
}

/* 1 + index of the anchor, 0 when there is none. */
static size_t add_anchor(struct builder *b, struct fy_token *t, struct yaml_node *n, bool is_open)
{
    str name = {0};

    if (!t)
        return 0;
    name.ptr = fy_token_get_text(t, &name.len);
    if (b->anchor_count == ANCHORS_MAX) {
        STOP(b, yaml_at(n, b->file), "yaml.alias", "more than %d anchors", ANCHORS_MAX);
        return 0;
    }
    struct anchor *a = &b->anchors[b->anchor_count];
    *a = (struct anchor){.node = n, .is_open = is_open};
    return name.ptr && copy_text(b, name, &a->name) ? ++b->anchor_count : 0;
}

static void start_container(struct builder *b, enum yaml_type type, struct fy_event *e)
{
    struct diag_at at = mark_at(b, fy_event_get_token(e));

    if (b->depth == DEPTH_MAX) {
        STOP(b, at, "yaml.depth", "more than %d levels deep", DEPTH_MAX);
        return;
    }
    struct yaml_node *n = new_node(b, type, at);
    if (!n)
        return;
    struct fy_token *tag = fy_event_get_tag_token(e);
    if (tag)
        apply_tag(b, n, tag);
    place(b, n, /*is_plain=*/false);
    size_t anchor = add_anchor(b, fy_event_get_anchor_token(e), n, /*is_open=*/true);
    b->stack[b->depth++] = (struct level){.node = n, .tail = &n->first, .anchor = anchor};
}

static void end_container(struct builder *b)
{
    if (broken(b->depth == 0))
        return;
    struct level *l = &b->stack[--b->depth];
    if (l->node->type == YAML_MAP)
        finish_map(b, l);
    if (l->anchor)
        b->anchors[l->anchor - 1].is_open = false;
}

/* What stands between single quotes, in the source. libfyaml 0.7.12 leaks memory when it unescapes
 * more than seven '' of one scalar (from 2 KiB up to tens of MiB), so we do it ourselves. */
static bool find_single_quoted(struct builder *b, struct fy_token *t, str *ret)
{
    const struct fy_mark *from = t ? fy_token_start_mark(t) : NULL;
    const struct fy_mark *to = t ? fy_token_end_mark(t) : NULL;

    if (!from || !to || fy_token_scalar_style(t) != FYSS_SINGLE_QUOTED)
        return false;
    size_t start = from->input_pos, end = to->input_pos;
    if (start == 0 || start > end || end >= b->text.len || b->text.ptr[start - 1] != '\'' ||
        b->text.ptr[end] != '\'')
        return false;
    *ret = (str){b->text.ptr + start, end - start};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* CR LF is one break, at its LF. */
static bool is_break(str s, size_t at)
{
    bool is_crlf = at + 1 < s.len && s.ptr[at + 1] == '\n';

    return s.ptr[at] == '\n' || (s.ptr[at] == '\r' && !is_crlf);
}

/* YAML 1.2.2 7.3.2: '' is a quote; blanks around one line break fold into a space, around several
 * into the breaks after the first. */
static bool copy_single_quoted(struct builder *b, str raw, str *ret)
{
    char *start = take_bytes(b, raw.len + 1), *to = start;

    if (!start)
        return false;
    for (size_t i = 0, end; i < raw.len; i = end) {
        size_t breaks = 0;
        for (end = i; end < raw.len && is_blank(raw.ptr[end]); end++)
            breaks += is_break(raw, end);
        if (end == i) {
            *to++ = raw.ptr[i];
            end = i + (raw.ptr[i] == '\'' ? 2 : 1);
        } else if (breaks == 0) {
            to = mempcpy(to, raw.ptr + i, end - i);
        } else {
            size_t n = breaks == 1 ? 1 : breaks - 1;
            memset(to, breaks == 1 ? ' ' : '\n', n);
            to += n;
        }
    }
    *to = 0;
    *ret = (str){start, (size_t)(to - start)};
    return true;
}

static bool read_text(struct builder *b, struct fy_token *t, str *ret)
{
    str text = {"", 0};

    if (find_single_quoted(b, t, &text))
        return copy_single_quoted(b, text, ret);
    if (t)
        text.ptr = fy_token_get_text(t, &text.len);
    return copy_text(b, text.ptr ? text : S(""), ret);
}

static void add_scalar(struct builder *b, struct fy_event *e)
{
    struct fy_token *t = fy_event_get_token(e), *tag = fy_event_get_tag_token(e);
    struct yaml_node *n = new_node(b, YAML_STRING, mark_at(b, t));
    bool is_plain = !t || fy_token_scalar_style(t) == FYSS_PLAIN;

    if (!n || !read_text(b, t, &n->text))
        return;
    if (!str_is_utf8(n->text))
        diag_error(b->d, yaml_at(n, b->file), "yaml.utf8",
                   "an escape here stands for no character (half of a surrogate pair?)");
    if (tag)
        apply_tag(b, n, tag);
    else if (is_plain)
        yaml_type_plain(n);
    add_anchor(b, fy_event_get_anchor_token(e), n, /*is_open=*/false);
    place(b, n, is_plain && !tag);
}

/* Texts are shared, nodes are not: each has its own place among siblings. Recursion ends at
 * DEPTH_MAX. */
static struct yaml_node *copy_tree(struct builder *b, const struct yaml_node *from, size_t depth)
{
    bool is_container = from->type == YAML_LIST || from->type == YAML_MAP;

    if (++b->alias_nodes > ALIAS_NODES_MAX) {
        STOP(b, b->last, "yaml.alias", "aliases expand to more than %d values", ALIAS_NODES_MAX);
        return NULL;
    }
    if (is_container && depth >= DEPTH_MAX) {
        STOP(b, b->last, "yaml.depth", "this alias makes more than %d levels", DEPTH_MAX);
        return NULL;
    }
    struct yaml_node *n = take_bytes(b, sizeof *n);
    if (!n)
        return NULL;
    *n = *from;
    n->next = n->first = NULL;
    struct yaml_node **tail = &n->first;
    for (const struct yaml_node *child = from->first; child; child = child->next) {
        if (!(*tail = copy_tree(b, child, depth + 1)))
            return NULL;
        tail = &(*tail)->next;
    }
    return n;
}

static void add_alias(struct builder *b, struct fy_event *e)
{
    struct fy_token *t = fy_event_get_token(e);
    struct diag_at at = mark_at(b, t);
    str name = {0};

    name.ptr = fy_token_get_text(t, &name.len);
    for (size_t i = b->anchor_count; i-- > 0;) {
        struct anchor *a = &b->anchors[i];
        if (!str_eq(a->name, name))
            continue;
        if (a->is_open) {
            STOP(b, at, "yaml.alias", "*%.*s stands inside of itself", STR_ARG(yaml_shown(name)));
            return;
        }
        struct yaml_node *n = copy_tree(b, a->node, b->depth);
        if (n)
            place(b, n, /*is_plain=*/false);
        return;
    }
    STOP(b, at, "yaml.alias", "no anchor &%.*s before this alias", STR_ARG(yaml_shown(name)));
}

static void start_document(struct builder *b, struct fy_event *e)
{
    if (b->documents++ == 0)
        return;
    const struct fy_mark *m = fy_event_start_mark(e);
    if (m)
        b->last = (struct diag_at){b->file, (unsigned)m->line + 1, (unsigned)m->column + 1};
    STOP(b, b->last, "yaml.documents", "a second document begins here; one is allowed");
}

static void take_event(struct builder *b, struct fy_event *e)
{
    switch (e->type) {
    case FYET_DOCUMENT_START: start_document(b, e); break;
    case FYET_MAPPING_START: start_container(b, YAML_MAP, e); break;
    case FYET_SEQUENCE_START: start_container(b, YAML_LIST, e); break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END: end_container(b); break;
    case FYET_SCALAR: add_scalar(b, e); break;
    case FYET_ALIAS: add_alias(b, e); break;
    default: break;
    }
}

static void build(struct builder *b, str text)
{
    struct fy_diag *fy = new_fy_diag();
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_2,
        .diag = fy,
    };
    struct fy_parser *p = fy ? fy_parser_create(&cfg) : NULL;
    struct fy_event *e;

    if (!p || fy_parser_set_string(p, text.ptr, text.len)) {
        STOP(b, (struct diag_at){.file = b->file}, "yaml.memory", "out of memory");
    } else {
        while (!b->is_stopped && (e = fy_parser_parse(p))) {
            take_event(b, e);
            fy_parser_event_free(p, e);
        }
        if (!b->is_stopped && fy_parser_get_stream_error(p))
            report_syntax(b, fy);
    }
    fy_parser_destroy(p);
    fy_diag_destroy(fy);
}

/* Before parsing ------------------------------------------------------------------------------ */

struct yaml_node *yaml_parse(str text, const char *file, struct diag *d)
{
    struct tree *tree = calloc(1, sizeof *tree);
    struct builder *b = calloc(1, sizeof *b);
    size_t before = d->errors;

    if (!tree || !b) {
        diag_error(d, (struct diag_at){.file = file}, "yaml.memory", "out of memory");
        free(tree);
        free(b);
        return NULL;
    }
    b->text = text;
    b->file = file;
    b->d = d;
    b->last = (struct diag_at){file, 1, 1};
    if (text.len > TEXT_MAX)
        diag_error(d, (struct diag_at){.file = file}, "yaml.size", "larger than %d bytes",
                   TEXT_MAX);
    else if (text.len && yaml_guard(text, file, d))
        build(b, text);
    if (d->errors > before) {
        free_chunks(b->chunks);
        free(b);
        free(tree);
        return NULL;
    }
    tree->root = (struct yaml_node){.type = YAML_MAP, .line = 1, .column = 1, .text = {"", 0}};
    if (b->root && (b->root->type != YAML_NULL || b->root->text.len))
        tree->root = *b->root;
    tree->chunks = b->chunks;
    free(b);
    return &tree->root;
}

void yaml_free(struct yaml_node *root)
{
    if (!root)
        return;
    struct tree *tree = container_of(root, struct tree, root);
    free_chunks(tree->chunks);
    free(tree);
}
