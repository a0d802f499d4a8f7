/* front.h: where net/ meets core/. An HTTP request finds its route and its principal and becomes a
 * call of the instance that registered the route. */
#ifndef EDGE_FRONT_H
#define EDGE_FRONT_H
#include "core/core.h"
#include "edge/authn.h"
#include "edge/manners.h"
#include "net/exchange.h"
#include "net/http.h"

/* What edge/ and net/ have to know of the settings; in gen->edge. */
struct front_config {
    struct http_limits http;
    struct edge_policy policy;
    struct manners_policy manners;
};

/* The ops of all HTTP servers. */
const struct exchange_ops *front_ops(void);
/* Loop thread. Limits of the loop's current generation. */
const struct http_limits *front_limits(struct loop *l);
/* Before the loops run: loop -> core. */
void front_init(struct core *core);
#endif
