/* catalogue.h: what one instance told in describe(). Copied from the plugin, checked, immutable, owned
 * by the generation that asked. Function pointers and data stay the plugin's. */
#ifndef CORE_CATALOGUE_H
#define CORE_CATALOGUE_H
#include "base/arena.h"
#include "base/diag.h"
#include "core/call.h"
#include "core/cap_policy.h"
#include "core/instance.h"

struct capability_counts;
struct gate;
struct jschema;
struct usage_name;

/* A capability as callers see it. */
struct capability {
    const char *id, *version, *summary;
    str id_json;     /* the id as a JSON token                        */
    str result_json; /* ,"result_schema_uri":"..."} : the end of answers */
    unsigned major, minor, patch;
    uint32_t modes, exec, flags, timeout_ms, max_concurrency;
    const char *input_schema, *output_schema; /* JSON Schema text, may be NULL   */
    struct jschema *input, *output;           /* compiled; NULL: nothing is checked  */
    str input_schema_uri, output_schema_uri;
    str input_text, output_text; /* of what was compiled, its own or registered; ptr NULL: none */
    str *auth_scopes;
    size_t scope_count;
    str *event_topics;
    size_t topic_count;
    uint64_t max_payload_bytes; /* 0: only the listener's limit                  */
    str descriptor;             /* JSON: the MIG descriptor (mig-core.md 9.1)    */
    str descriptor_variant[3];  /* without schema refs, without qos, without both */
    str provider;               /* provider name                                 */
    struct call_handler *handler;
    void (*invoke)(void *self, void *data, mig_call call, const mig_request *req);
    struct instance *instance;
    struct gate *gate;               /* NULL: max_concurrency 0                       */
    const struct cap_policy *policy; /* NULL: none                      */
    const struct usage_name *usage;
    struct capability_counts *counts; /* of its id; set by gen_take_catalogues()          */
};

struct catalogue {
    struct instance *instance;
    struct arena *arena; /* this and everything below; freed on the control thread */
    struct arena_pool *pool;
    struct capability *capabilities;
    size_t capability_count;
    mig_http_route *routes;
    size_t route_count;
    mig_timer *timers;
    size_t timer_count;
    mig_health *healths;
    size_t health_count;
};

/* [life] Run describe() and check what it says. NULL: d says why. */
struct catalogue *catalogue_of(struct instance *i, struct diag *d);
void catalogue_free(struct catalogue *c);
/* [life] Before the catalogue is published. p: in place of what the plugin said; lives as long as the
 * catalogue. */
void capability_set_policy(struct capability *c, const struct cap_policy *p);
#endif
