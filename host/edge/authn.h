/* authn.h: from credentials to a principal. The only place that makes one (MIG v0.1 sections 3, 4). */
#ifndef EDGE_AUTHN_H
#define EDGE_AUTHN_H
#include "core/principal.h"
#include "edge/identity.h"
#include "net/exchange.h"

/* What edge/ has to know of the settings; part of a generation. */
struct edge_policy {
    str admin_key;    /* empty: none                    */
    str admin_header; /* lower case                     */
    bool is_jwt;      /* callers prove who they are     */
    bool require_tenant_header;
    struct jwt_rules rules;
    uint64_t rules_version;            /* another for other rules  */
    bool has_metrics, is_metrics_open; /* the route /metrics; without the key */
};

struct refusal {
    mig_status status;
    const char *reason, *message;
};

/* One token's way to a principal. In the exchange's arena. */
struct authn {
    struct identity_ask ask;
    const struct edge_policy *policy;
    struct exchange *x;
    struct principal *principal; /* when all is well */
    struct refusal refusal;      /* status MIG_OK: none */
};
/* Nobody is asked who they are; only a client's certificate names an actor. NULL: *ret says why. */
struct principal *authn_anonymous(struct exchange *x, struct refusal *ret);
/* Mode none: the organization of the client's certificate is its tenant (MIG v0.1 section 4). Without a
 * certificate, or when it names none, nothing changes. MIG_FORBIDDEN: *ret says why. */
mig_status authn_certified_tenant(struct principal *p, const struct exchange *x,
                                  struct refusal *ret);
/* Mode jwt. ret: zeroed but for ask.done and ask.identity. true: decided. false: ask.done() will run;
 * authn_decide() then decides. */
bool authn_begin(struct authn *ret, const struct edge_policy *p, struct exchange *x);
void authn_decide(struct authn *a);

/* Before anybody is known: the admin key, or this machine (remote: the client's address). MIG_OK: it
 * may go on; *ret_is_full: with every right of an operator. */
mig_status authn_operator(const struct edge_policy *p, struct exchange *x, str remote,
                          bool *ret_is_full, struct refusal *ret);
/* Of somebody who is known (mode jwt), without the key: MIG_OK; *ret_is_restricted: reads only, and
 * only of the own tenant. */
mig_status authn_scoped_operator(const struct principal *who, bool is_read, bool *ret_is_restricted,
                                 struct refusal *ret);
/* No Origin header, or one that names the host that was asked. */
bool authn_same_origin(const struct exchange *x);
#endif
