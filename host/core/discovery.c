/* HELLO and DISCOVER (MIG v0.1 5.1 and 5.2). */
#include "base/check.h"
#include "core/op.h"

static mig_status answer(struct op *op, struct arena_text *t)
{
    if (t->has_failed)
        return op_fail(op, MIG_BACKPRESSURE, "memory", "the answer needs too much memory");
    op_answer(op, &(struct call_result){0}, text_str(t));
    return OP_WAITS;
}

/* A list of strings, or nothing; false: something else. */
static bool string_list(const json_value *v)
{
    if (!v)
        return true;
    if (!json_is_array(v))
        return false;
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!json_is_string(i.value))
            return false;
    return true;
}

/* --- HELLO -------------------------------------------------------------------------------------- */

/* What this version serves, of the names of 5.1. */
static const str features[] = {
    S("streaming"),    S("server_stream"),   S("client_stream"), S("bidi_stream"), S("events"),
    S("replay"),       S("cancel"),          S("heartbeat"),     S("websocket"),   S("sse"),
    S("backpressure"), S("schema-registry"), S("idempotency"),   S("telemetry"),
};

/* Bindings that a client can be told to use. */
static const str bindings[] = {S("http")};

static bool offers_version(const json_value *list)
{
    if (!json_size(list))
        return true;
    for (struct json_iter i = json_iter(list); json_next(&i);)
        if (str_eq(str_trim(json_string(i.value)), S("0.1")))
            return true;
    return false;
}

/* The first of the asked that is enabled; the one of the request otherwise. */
static str select_binding(const json_value *list, str own)
{
    for (struct json_iter i = json_iter(list); json_next(&i);)
        for (size_t b = 0; b < countof(bindings); b++)
            if (str_eq_nocase(str_trim(json_string(i.value)), bindings[b]))
                return bindings[b];
    return own;
}

static bool is_feature(str name)
{
    for (size_t i = 0; i < countof(features); i++)
        if (str_eq(features[i], name))
            return true;
    return false;
}

static void add_features(struct arena_text *t, const json_value *asked)
{
    str seen[countof(features)];
    size_t n = 0;

    for (struct json_iter i = json_iter(asked); json_next(&i);) {
        str name = json_string(i.value);
        bool is_new = is_feature(name);
        for (size_t s = 0; s < n; s++)
            is_new &= !str_eq(seen[s], name);
        if (!is_new)
            continue;
        text_add(t, n ? S(",") : S(""));
        text_add_json(t, name);
        seen[n++] = name;
    }
}

mig_status stage_hello(struct op *op)
{
    const json_value *versions = json_have(op->doc.root, S("supported_versions"));
    const json_value *wanted = json_have(op->doc.root, S("requested_bindings"));
    const json_value *asked = json_have(op->doc.root, S("requested_features"));
    struct arena_text t;

    if (!string_list(versions))
        return op_fail_member(op, S("supported_versions"));
    if (!string_list(wanted))
        return op_fail_member(op, S("requested_bindings"));
    if (!string_list(asked))
        return op_fail_member(op, S("requested_features"));
    if (!offers_version(versions))
        return op_fail(op, MIG_VERSION_MISMATCH, "mig_version", "no compatible MIG version");
    text_init(&t, op->arena, 768);
    envelope_header(op, &t);
    text_add(&t, S(",\"selected_version\":\"0.1\",\"selected_binding\":"));
    text_add_json(&t, select_binding(wanted, op->in.binding));
    text_add(&t, S(",\"enabled_features\":["));
    add_features(&t, asked);
    text_add(&t, S("],\"server_id\":"));
    text_add_json(&t, op->gen->policy.server_id);
    text_add(&t, S("}"));
    return answer(op, &t);
}

/* --- DISCOVER ----------------------------------------------------------------------------------- */

/* false: not a boolean. */
static bool flag(struct op *op, str name, bool *ret)
{
    const json_value *v = json_have(op->doc.root, name);

    *ret = true;
    return !v || json_is_bool(v, ret);
}

static bool matches(const struct capability *c, str query)
{
    if (!query.len || str_contains_nocase(str_of(c->id), query))
        return true;
    for (size_t i = 0; i < c->topic_count; i++)
        if (str_contains_nocase(c->event_topics[i], query))
            return true;
    return false;
}

mig_status stage_discover(struct op *op)
{
    const json_value *query = json_have(op->doc.root, S("query"));
    bool refs, qos, first = true;
    struct arena_text t;

    if (query && !json_is_string(query))
        return op_fail_member(op, S("query"));
    if (!flag(op, S("include_schema_refs"), &refs))
        return op_fail_member(op, S("include_schema_refs"));
    if (!flag(op, S("include_qos"), &qos))
        return op_fail_member(op, S("include_qos"));
    text_init(&t, op->arena, 2048);
    envelope_header(op, &t);
    text_add(&t, S(",\"capabilities\":["));
    for (size_t i = 0; i < op->gen->capability_count; i++) {
        const struct capability *c = op->gen->capabilities[i];
        if (!authz_may_invoke(op->principal, c) || !matches(c, json_string(query)))
            continue;
        text_add(&t, first ? S("") : S(","));
        text_add(&t, refs && qos ? c->descriptor : c->descriptor_variant[refs ? 1 : qos ? 0 : 2]);
        first = false;
    }
    text_add(&t, S("]}"));
    return answer(op, &t);
}

/* --- schema lookup (11.1) ------------------------------------------------------------------------- */

/* The text of this URI's schema if the capability refers to it. */
static bool text_in(const struct capability *c, str uri, str *ret)
{
    if (c->input_text.ptr && str_eq(c->input_schema_uri, uri))
        *ret = c->input_text;
    else if (c->output_text.ptr && str_eq(c->output_schema_uri, uri))
        *ret = c->output_text;
    else
        return false;
    return true;
}

static mig_status answer_schema(struct op *op, str uri, str text)
{
    struct arena_text t;

    text_init(&t, op->arena, 1024 + text.len);
    envelope_header(op, &t);
    text_add(&t, S(",\"uri\":"));
    text_add_json(&t, uri);
    text_add(&t, S(",\"schema\":"));
    text_add(&t, text);
    text_add(&t, S("}"));
    return answer(op, &t);
}

/* Seen by whoever may invoke a capability that refers to it. */
mig_status stage_schema(struct op *op)
{
    str uri = op->in.target, text;

    if (!uri.len)
        return op_fail(op, MIG_INVALID_REQUEST, "uri_required", "uri is required");
    for (size_t i = 0; i < op->gen->capability_count; i++) {
        const struct capability *c = op->gen->capabilities[i];
        if (text_in(c, uri, &text) && authz_may_invoke(op->principal, c))
            return answer_schema(op, uri, text);
    }
    return op_fail(op, MIG_NOT_FOUND, "schema_not_found", "schema not found");
}
