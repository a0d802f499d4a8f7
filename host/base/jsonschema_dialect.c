/* What "$schema" says: the draft, and for 2020-12 the vocabularies that a metaschema asks for. */
#include "base/jsonschema_compile.h"

#define VOCAB_BASE "https://json-schema.org/draft/2020-12/vocab/"

static const struct {
    const char *name;
    unsigned bit;
} vocabularies[] = {
    {"core", VOCAB_CORE},
    {"applicator", VOCAB_APPLICATOR},
    {"unevaluated", VOCAB_UNEVALUATED},
    {"validation", VOCAB_VALIDATION},
    {"meta-data", VOCAB_META_DATA},
    {"format-annotation", VOCAB_FORMAT},
    {"format-assertion", VOCAB_FORMAT},
    {"content", VOCAB_CONTENT},
};

static unsigned vocabulary_bit(str uri)
{
    for (size_t i = 0; str_starts(uri, S(VOCAB_BASE)) && i < countof(vocabularies); i++)
        if (str_eq(str_cut(uri, sizeof VOCAB_BASE - 1), str_of(vocabularies[i].name)))
            return vocabularies[i].bit;
    return 0;
}

/* 2020-12 core 8.1.2: a required vocabulary that we do not know means that we must not go on. */
static bool read_vocabularies(struct compiler *c, const struct sub *at, const json_value *list,
                              struct dialect *d)
{
    d->vocabularies = VOCAB_CORE;
    for (struct json_iter i = json_iter(list); json_next(&i);) {
        bool is_required = false;
        unsigned bit = vocabulary_bit(i.key);
        json_is_bool(i.value, &is_required);
        if (!bit && is_required)
            return compile_refuse(c, at, S("$schema"), "needs the unknown vocabulary %.*s",
                                  STR_ARG(i.key));
        d->vocabularies |= bit;
        if (str_eq(i.key, S(VOCAB_BASE "format-assertion")))
            d->has_formats = true;
    }
    return true;
}

static const struct dialect *add(struct compiler *c, struct dialect d)
{
    struct dialect *kept = arena_alloc(c->work, sizeof *kept);

    if (!kept) {
        jschema_free(d.own_meta);
        compile_no_memory(c);
        return NULL;
    }
    *kept = d;
    kept->next = c->dialects;
    c->dialects = kept;
    return kept;
}

static const struct dialect *add_known(struct compiler *c, str uri, enum jschema_draft draft)
{
    return add(c, (struct dialect){.uri = uri,
                                   .draft = draft,
                                   .vocabularies = VOCAB_ALL,
                                   .has_formats = c->options->has_formats,
                                   .meta = c->is_trusted ? NULL : meta_schema(draft)});
}

static bool read_custom(struct compiler *c, const struct sub *at, str text, struct dialect *d)
{
    struct json doc;
    const json_value *list;

    if (!json_parse(&doc, c->work, text, NULL))
        return compile_refuse(c, at, S("$schema"), "the metaschema %.*s is no JSON text",
                              STR_ARG(d->uri));
    if (str_starts(json_string(json_get(doc.root, S("$schema"))),
                   S("http://json-schema.org/draft-07/")))
        d->draft = JSCHEMA_DRAFT_07;
    else if ((list = json_get(doc.root, S("$vocabulary"))))
        return read_vocabularies(c, at, list, d);
    return true;
}

static const struct dialect *add_custom(struct compiler *c, const struct sub *at, str uri, str text)
{
    struct dialect d = {.uri = uri, .vocabularies = VOCAB_ALL};
    struct jschema_fault fault;

    d.has_formats = c->options->has_formats;
    if (c->level >= META_LEVELS_MAX) {
        compile_refuse(c, at, S("$schema"), "too many metaschemas above each other");
        return NULL;
    }
    if (!read_custom(c, at, text, &d))
        return NULL;
    if (!compile_at_level(&d.own_meta, text, uri, c->options, c->level + 1, false, &fault)) {
        compile_refuse(c, at, S("$schema"), "the metaschema %.*s cannot be used: %s: %s",
                       STR_ARG(uri), fault.pointer, fault.text);
        return NULL;
    }
    d.meta = d.own_meta;
    return add(c, d);
}

const struct dialect *dialect_find(struct compiler *c, const struct sub *at, str uri)
{
    str text;

    if (str_ends(uri, S("#")))
        uri.len--;
    for (const struct dialect *d = c->dialects; d; d = d->next)
        if (str_eq(d->uri, uri))
            return d;
    if (str_eq(uri, S("https://json-schema.org/draft/2020-12/schema")))
        return add_known(c, uri, JSCHEMA_2020_12);
    if (str_eq(uri, S("http://json-schema.org/draft-07/schema")) ||
        str_eq(uri, S("https://json-schema.org/draft-07/schema")))
        return add_known(c, uri, JSCHEMA_DRAFT_07);
    if ((text = meta_text(uri)).ptr ||
        (c->options->find && c->options->find(c->options->ctx, uri, &text)))
        return add_custom(c, at, uri, text);
    compile_refuse(c, at, S("$schema"), "%.*s is unknown; 2020-12 and draft-07 are built in",
                   STR_ARG(uri));
    return NULL;
}

const struct dialect *dialect_default(struct compiler *c)
{
    return dialect_find(c, NULL,
                        c->options->draft == JSCHEMA_DRAFT_07
                            ? S("http://json-schema.org/draft-07/schema")
                            : S("https://json-schema.org/draft/2020-12/schema"));
}
