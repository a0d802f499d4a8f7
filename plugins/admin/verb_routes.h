/* verb_routes.h: HTTP routes that are verbs of mig.control/1, for plugins that serve them: what a verb does is in
 * the host, what it looks like on the wire is here. */
#ifndef VERB_ROUTES_H
#define VERB_ROUTES_H
#include <mig/ext/control.h>
#include <mig/ext/http.h>
#include <mig/plugin.h>

/* The instance (self) of a plugin that serves such routes. */
struct verb_site {
    const mig_host *host;
    const mig_ext_http *http;
    const mig_ext_control *control; /* NULL: not granted */
};

enum verb_shape {
    VERB_PLAIN, /* the verb's JSON                                       */
    VERB_TEXT,  /* its member "text", as text/plain (metrics)            */
    VERB_FILES, /* its member "text" as its member "type", else JSON     */
    VERB_EMPTY, /* no body                                               */
    VERB_LIVE,  /* {"status":"alive"} whatever the verb says             */
    VERB_READY  /* 503 unless its member "ready" is true                 */
};
enum verb_body {
    VERB_NO_BODY,
    VERB_JSON_BODY, /* an object, as the argument "body"  */
    VERB_RAW_BODY   /* any text, as the argument "text"   */
};

struct verb_route {
    const char *method, *pattern, *verb;
    uint32_t status;
    uint32_t flags; /* MIG_ROUTE_* */
    enum verb_shape shape;
    enum verb_body body;
    int is_for_tenants; /* callers with a plain tenant token may read what is theirs  */
    int is_detailed;    /* the argument "detailed"                                    */
    const char *param;  /* name of {x} in the arguments; NULL: none                   */
    const char *named;  /* member of the body that is the argument "name"; NULL: none */
    /* Parameters that become arguments of the same name, then NULL. NULL: none. */
    const char *const *query;
};

/* NULL: memory is out. */
struct verb_site *verb_site_new(const mig_host *host);
/* From describe() of an instance that is a verb_site. routes: static. */
mig_status verb_routes_describe(const mig_registrar *reg, const struct verb_route *routes,
                                size_t count);
#endif
