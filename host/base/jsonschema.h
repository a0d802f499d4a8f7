/* jsonschema.h: JSON Schema 2020-12 and draft-07: compiled once, checked often.
 *
 * A schema and the documents that its references reach are copied, checked against their
 * metaschemas and compiled into one immutable object that needs nothing else; any thread may check
 * with it. Nothing is ever fetched: references reach what `find` hands over, and the metaschemas,
 * which are built in.
 *
 * Both sides may be hostile: compiling is bounded in memory, documents, sub-schemas and patterns; a
 * check in steps and depth, and each pattern has a match limit (regex.h). References that lead in a
 * circle without going deeper into the value are refused at compile time. */
#ifndef BASE_JSONSCHEMA_H
#define BASE_JSONSCHEMA_H
#include "base/json.h"

struct jschema;

enum jschema_draft { JSCHEMA_2020_12, JSCHEMA_DRAFT_07 };

struct jschema_options {
    enum jschema_draft draft; /* of documents without $schema */
    /* `format` is asserted, not only noted: date-time, date, time, duration, email, idn-email,
     * hostname, ipv4, ipv6, uri, uri-reference, iri, iri-reference, uri-template, uuid,
     * json-pointer, relative-json-pointer, regex. Others pass. */
    bool has_formats;
    /* The text of the document with this absolute URI (no fragment); it is copied. false: there is
     * none. NULL: nothing but the document itself can be reached. */
    bool (*find)(void *ctx, str uri, str *ret_text);
    void *ctx;
    size_t max_bytes; /* memory of the compiled schema without its patterns; 0: 16 MiB */
};

/* Why a schema cannot be used. Texts are cut to fit. */
struct jschema_fault {
    char uri[200];     /* of the document; empty: the one given */
    char pointer[200]; /* JSON pointer to the offending part    */
    char text[200];    /* for humans                            */
};

/* text: the schema. uri: where relative references start, may be empty; $id goes before it.
 * false: *fault says why. */
bool jschema_compile(struct jschema **ret, str text, str uri, const struct jschema_options *o,
                     struct jschema_fault *fault);
void jschema_free(struct jschema *s);
void jschema_freep(struct jschema **s);

struct jschema_error {
    str path;            /* JSON pointer into the value; empty: the value itself     */
    const char *keyword; /* that failed: "type", "required", ...; "" for false, static */
    str message;         /* for humans: "must be an integer, is a string"            */
};

/* What is wrong with a value: the first `max` violations. The caller sets list and max. */
struct jschema_errors {
    struct jschema_error *list;
    size_t max, count;
    bool has_more;
};

/* Does v agree with s? The happy path takes no memory but, for large objects and arrays under
 * unevaluated* or uniqueItems and for patterns, a little of the arena. errors may be NULL; its texts
 * lie in the arena. One that gave up ("too complex", "pattern took too long") is a violation. */
bool jschema_check(const struct jschema *s, const json_value *v, struct arena *a,
                   struct jschema_errors *errors);

enum jschema_compat { JSCHEMA_IDENTICAL, JSCHEMA_BACKWARD_COMPATIBLE, JSCHEMA_BREAKING };
/* "identical", "backward_compatible", "breaking" */
const char *jschema_compat_name(enum jschema_compat c);

/* Do values that agree with the older schema agree with the newer one? Identical: the same value,
 * order of members and spelling of numbers aside. Breaking: whatever is narrower (a new required
 * property, a removed property, fewer types or enum members, tighter bounds), and every change
 * that cannot be shown to be harmless. Annotations are harmless. Both are roots of schemas that
 * compile. [any] */
enum jschema_compat jschema_compat(const json_value *older, const json_value *newer);
#endif
