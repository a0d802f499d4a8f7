/* Any method and path against a table of routes: what is found fits, params are UTF-8 without NUL. The
 * first byte chooses the method. */
#include "base/check.h"
#include "base/diag.h"
#include "core/core.h"
#include "edge/route.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gen *table(void)
{
    static mig_http_route routes[] = {
        {.method = "GET", .pattern = "/"},
        {.method = "GET", .pattern = "/health/live"},
        {.method = "POST", .pattern = "/mig/v0.1/invoke/{capability}"},
        {.method = "POST", .pattern = "/mig/v0.1/invoke/special"},
        {.method = "GET", .pattern = "/{a}/{b}"},
        {.method = "GET", .pattern = "/{a}/b/{c}"},
        {.method = "DELETE", .pattern = "/x/{y}"},
        {.method = "GET", .pattern = "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}"},
    };
    static char name[] = "fuzz";
    static struct instance i = {.name = name};
    static struct catalogue c = {.instance = &i, .routes = routes, .route_count = countof(routes)};
    static struct catalogue *list[] = {&c};
    static struct core core = {.loop_count = 1};
    must(core.telemetry = telemetry_new(1, 100));
    struct gen *g = gen_new(&core);
    struct diag d;

    diag_init(&d);
    g->catalogues = list;
    g->catalogue_count = 1;
    must(routes_build(g, &d));
    diag_deinit(&d);
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const str methods[] = {S("GET"), S("HEAD"), S("POST"), S("DELETE"), S("PUT")};
    static struct gen *g;
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    struct route_match m;

    if (!g)
        g = table();
    if (size) {
        str method = methods[data[0] % countof(methods)];
        str path = {(const char *)data + 1, size - 1};
        route_find(g, method, path, a, &m);
        must(m.param_count <= ROUTE_PARAMS_MAX);
        for (size_t i = 0; m.route && i < m.param_count; i++)
            must(m.params[i].len &&
                 (memchr(path.ptr, 0, path.len) || !memchr(m.params[i].ptr, 0, m.params[i].len)) &&
                 (!str_is_utf8(path) || str_is_utf8(m.params[i])));
        str served = str_eq(method, S("HEAD")) ? S("GET") : method;
        must(!m.route || str_eq(str_of(m.route->def->method), served));
    }
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}
