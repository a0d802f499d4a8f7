#include "main/verbs.h"
#include "base/check.h"

#include <stdlib.h>

void verb_say(const struct verb_call *v, struct buf *json)
{
    if (json->has_failed)
        v->done(v->arg, MIG_INTERNAL, S(""), S("out of memory"), S(""));
    else
        v->done(v->arg, MIG_OK, buf_str(json), S(""), S(""));
    buf_deinit(json);
}

void verb_refuse(const struct verb_call *v, mig_status status, const char *reason,
                 const char *message)
{
    struct buf details;

    buf_init(&details, 1024);
    buf_addz(&details, "{\"reason\":");
    buf_add_json(&details, str_of(reason));
    buf_addc(&details, '}');
    v->done(v->arg, status, S(""), str_of(message), buf_str(&details));
    buf_deinit(&details);
}

void verb_refuse_store(const struct verb_call *v)
{
    verb_refuse(v, MIG_UNAVAILABLE, "store", "it could not be stored");
}

void verb_refuse_findings(const struct verb_call *v, const struct diag *d)
{
    struct buf details;

    buf_init(&details, BUF_MAX);
    buf_addz(&details, "{\"reason\":\"invalid_configuration\",\"findings\":");
    diag_json(d, &details);
    buf_addc(&details, '}');
    v->done(v->arg, MIG_INVALID_REQUEST, S(""),
            S("the configuration was refused; the generation in force serves on"),
            buf_str(&details));
    buf_deinit(&details);
}

bool verb_flag(const struct verb_call *v, str name)
{
    bool is = false;
    return json_is_bool(json_get(v->args, name), &is) && is;
}

str verb_text(const struct verb_call *v, str name)
{
    return json_string(json_get(v->args, name));
}

const json_value *verb_body(const struct verb_call *v)
{
    return json_have(v->args, S("body"));
}

str verb_member(const struct verb_call *v, str name)
{
    return json_string(json_have(verb_body(v), name));
}

struct verb_later *verb_later(const struct verb_call *v)
{
    struct verb_later *l = malloc(sizeof *l);

    must(l);
    l->call = *v;
    l->call.args = NULL;
    buf_init(&l->json, BUF_MAX);
    return l;
}

str verb_tenant(const struct verb_call *v)
{
    if (!verb_flag(v, S("restricted")))
        return (str){NULL, 0};
    return v->who && v->who->tenant.ptr ? v->who->tenant : S("");
}
