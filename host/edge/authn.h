/* authn.h: from credentials to a principal. The only place that makes one. */
#ifndef EDGE_AUTHN_H
#define EDGE_AUTHN_H
#include "core/principal.h"
#include "net/exchange.h"

/* What edge/ has to know of the settings; part of a generation. */
struct edge_policy {
    str admin_key;    /* empty: none                    */
    str admin_header; /* lower case                     */
};

/* In the exchange's arena; NULL: memory is out. */
struct principal *authn_principal(struct exchange *x);
/* May this exchange use an operator's route? *ret_reason says why not. */
mig_status authn_admin(const struct edge_policy *p, struct exchange *x, const char **ret_reason);
/* No Origin header, or one that names the host that was asked. */
bool authn_same_origin(const struct exchange *x);
#endif
