/* verbs.h: what the files with verbs of mig.control/1 share. Control thread. */
#ifndef MAIN_VERBS_H
#define MAIN_VERBS_H
#include "base/json.h"
#include "core/principal.h"
#include "main/node.h"

typedef void (*verb_done)(void *arg, mig_status status, str json, str message, str details);

/* One verb while it runs. args are gone when it returns; the rest may be copied and used later. */
struct verb_call {
    struct node *node;
    const json_value *args;
    const struct principal *who; /* for whom; NULL: nobody; lives until done */
    verb_done done;
    void *arg;
};

struct verb {
    const char *name;
    void (*run)(const struct verb_call *v);
};

/* The answers. Each call gets one. json: taken and freed. */
void verb_say(const struct verb_call *v, struct buf *json);
void verb_refuse(const struct verb_call *v, mig_status status, const char *reason,
                 const char *message);
void verb_refuse_store(const struct verb_call *v);
/* The refusal of a reload with its findings. */
void verb_refuse_findings(const struct verb_call *v, const struct diag *d);

bool verb_flag(const struct verb_call *v, str name);
/* A string argument; empty: absent. */
str verb_text(const struct verb_call *v, str name);
/* The argument "body", and a string member of it. */
const json_value *verb_body(const struct verb_call *v);
str verb_member(const struct verb_call *v, str name);
/* The tenant alone whose things may be shown; ptr NULL: everything may. */
str verb_tenant(const struct verb_call *v);

/* A verb that goes on when the store has answered. */
struct verb_later {
    struct verb_call call; /* without args */
    struct buf json;
};
/* malloc'ed: free() it after the answer. */
struct verb_later *verb_later(const struct verb_call *v);

/* control_capabilities.c */
void verb_capabilities(const struct verb_call *v);
void verb_capability(const struct verb_call *v);
void verb_capability_put(const struct verb_call *v);
void verb_capability_delete(const struct verb_call *v);
/* control_schemas.c */
void verb_schemas(const struct verb_call *v);
void verb_schema_put(const struct verb_call *v);
/* control_connections.c */
void verb_connections(const struct verb_call *v);
void verb_connection_close(const struct verb_call *v);
/* control_conformance.c */
struct conformance;
void conformance_free(struct conformance *c);
void verb_conformance(const struct verb_call *v);

/* Each ends with a row of zeros. */
extern const struct verb control_pro_verbs[];   /* control_pro.c: quotas, policies    */
extern const struct verb control_cloud_verbs[]; /* control_cloud.c: registries, usage */
#endif
