/* route.h: from method and path to the handler that an instance registered. Built with a generation,
 * immutable. Literal segments win over {name}, which takes one whole, percent-decoded segment. */
#ifndef EDGE_ROUTE_H
#define EDGE_ROUTE_H
#include "base/arena.h"
#include "core/gen.h"
#include "core/telemetry.h"

enum { ROUTE_PARAMS_MAX = 8 };

struct route {
    const mig_http_route *def;
    struct instance *instance;
    struct call_handler handler;
    struct route_counts *counts;
};

struct route_table;

/* [life] false: d names patterns that collide or are malformed. Sets g->routes. */
bool routes_build(struct gen *g, struct diag *d);

struct route_match {
    const struct route *route; /* NULL: see allow */
    str params[ROUTE_PARAMS_MAX];
    size_t param_count;
    str allow; /* methods of the path when only the method is wrong; empty: no such path */
};
/* Texts of params live in the arena. */
void route_find(const struct gen *g, str method, str path, struct arena *a, struct route_match *m);
/* All routes, for lists: for (size_t i = 0; (r = route_at(g, i)); i++). */
const struct route *route_at(const struct gen *g, size_t i);
#endif
