#include "main/upsert.h"
#include "base/check.h"
#include "core/cap_policy.h"

static bool is_mode(str name)
{
    static const str modes[] = {S("unary"), S("server_stream"), S("client_stream"),
                                S("bidi_stream")};

    for (size_t i = 0; i < countof(modes); i++)
        if (str_eq(modes[i], name))
            return true;
    return false;
}

static bool is_text(str text)
{
    return text.len > 0;
}

/* Absent, or a list of strings that `is_good` takes. */
static bool is_list(const json_value *v, bool (*is_good)(str item))
{
    if (!v)
        return true;
    if (!json_is_array(v))
        return false;
    for (struct json_iter i = json_iter(v); json_next(&i);)
        if (!json_is_string(i.value) || !is_good(json_string(i.value)))
            return false;
    return true;
}

static bool is_flag(const json_value *v)
{
    bool is;
    return !v || json_is_bool(v, &is);
}

static bool is_delivery(const json_value *v)
{
    str name = json_string(v);

    return !v || str_eq(name, S("best_effort")) || str_eq(name, S("at_least_once")) ||
           str_eq(name, S("exactly_once"));
}

/* What is there is shown as it is, so null is none of the values either. */
static const char *qos_fault(const json_value *v)
{
    const json_value *max = json_get(v, S("max_payload_bytes"));
    int64_t bytes;

    if ((v && !json_is_object(v)) || (max && (!json_is_integer(max, &bytes) || bytes < 1)))
        return "descriptor.qos must be an object, and max_payload_bytes a number from 1";
    if (!is_flag(json_get(v, S("supports_replay"))) ||
        !is_flag(json_get(v, S("supports_ordering"))))
        return "descriptor.qos: supports_replay and supports_ordering must be booleans";
    if (!is_delivery(json_get(v, S("delivery_semantics"))))
        return "descriptor.qos.delivery_semantics must be best_effort, at_least_once or "
               "exactly_once";
    return NULL;
}

static const char *descriptor_fault(const json_value *d)
{
    const json_value *modes = json_have(d, S("modes"));

    if (!json_string(json_have(d, S("id"))).len || !json_string(json_have(d, S("version"))).len)
        return "descriptor.id and descriptor.version are required";
    if (!json_string(json_have(d, S("input_schema_uri"))).len ||
        !json_string(json_have(d, S("output_schema_uri"))).len)
        return "schema URIs are required";
    if (!is_list(modes, is_mode) || (modes && !json_size(modes)))
        return "descriptor.modes must list unary, server_stream, client_stream or bidi_stream";
    if (!is_list(json_have(d, S("auth_scopes")), is_text))
        return "descriptor.auth_scopes must be a list of strings";
    if (!is_list(json_have(d, S("event_topics")), is_text))
        return "descriptor.event_topics must be a list of strings";
    return qos_fault(json_have(d, S("qos")));
}

const char *upsert_fault(const json_value *body)
{
    str type = json_string(json_have(json_have(body, S("provider")), S("type")));
    const char *fault = descriptor_fault(json_have(body, S("descriptor")));

    if (fault)
        return fault;
    if (type.len && !str_eq(type, S("echo")))
        return "provider.type: this version serves echo only; modules and scripts come by manifest";
    const json_value *policy = json_have(body, S("policy"));
    return policy ? cap_policy_fault(policy) : NULL;
}
