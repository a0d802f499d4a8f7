/* admin: the operator's HTTP API (docs/reference/admin.md). */
#include "admin.h"
#include <stdlib.h>

static const char *const audit_query[] = {"tenant_id", "since",  "until", "outcome",
                                          "limit",     "format", NULL};

static const char *const schema_query[] = {"uri", NULL};
static const char *const connection_query[] = {"tenant_id", "protocol", "kind", NULL};

#define A "/admin/v0.1"
static const struct verb_route routes[] = {
    {"POST", A "/reload", "reload", 200, MIG_ROUTE_ADMIN},
    {"POST", A "/manifests", "manifest", 200, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_RAW_BODY},
    {"GET", A "/generations", "generations", 200, MIG_ROUTE_ADMIN},
    {"GET", A "/plugins", "plugins", 200, MIG_ROUTE_ADMIN},
    {"GET", A "/plugins/{name}", "plugin", 200, MIG_ROUTE_ADMIN, .param = "name"},
    {"POST", A "/plugins/reload", "plugin.reload", 200, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_JSON_BODY,
     .named = "plugin_name"},
    {"GET", A "/instances", "instances", 200, MIG_ROUTE_ADMIN},
    {"GET", A "/capabilities", "capabilities", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1},
    {"POST", A "/capabilities", "capability.put", 201, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_JSON_BODY},
    {"GET", A "/capabilities/{id}", "capability", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1,
     .param = "id"},
    {"DELETE", A "/capabilities/{id}", "capability.delete", 204, MIG_ROUTE_ADMIN, VERB_EMPTY,
     .param = "id"},
    {"GET", A "/schemas", "schemas", 200, MIG_ROUTE_ADMIN, .query = schema_query},
    {"POST", A "/schemas", "schema.put", 201, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_JSON_BODY},
    {"GET", A "/connections", "connections", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1,
     .query = connection_query},
    {"DELETE", A "/connections/{id}", "connection.close", 202, MIG_ROUTE_ADMIN, .param = "id"},
    {"GET", A "/loops", "loops", 200, MIG_ROUTE_ADMIN},
    {"GET", A "/config", "config", 200, MIG_ROUTE_ADMIN},
    {"GET", A "/health/live", "health", 200, MIG_ROUTE_PUBLIC, VERB_LIVE},
    {"GET", A "/health/ready", "health", 200, MIG_ROUTE_PUBLIC, VERB_READY},
    {"GET", A "/health/detailed", "health", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1,
     .is_detailed = 1},
    {"GET", A "/health/conformance", "conformance", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1},
    {"GET", "/health", "health", 200, MIG_ROUTE_PUBLIC, VERB_READY},
    {"GET", "/metrics", "metrics", 200, MIG_ROUTE_ADMIN, VERB_TEXT},
    {"GET", "/pro/v0.1/audit/export", "audit", 200, MIG_ROUTE_ADMIN, VERB_FILES,
     .is_for_tenants = 1, .query = audit_query},
};

static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct verb_site *s = verb_site_new(host);

    (void)config;
    if (!s)
        return MIG_E_NOMEM;
    if (!s->http || !s->control) {
        host->log(host, MIG_LOG_ERROR,
                  mig_s("mig.control/1 is not granted to dev.migd.admin (setting: control)"),
                  mig_s(""));
        free(s);
        return MIG_FORBIDDEN;
    }
    *ret_self = s;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    (void)self;
    mig_status status = verb_routes_describe(reg, routes, sizeof routes / sizeof routes[0]);
    return status == MIG_OK ? admin_describe_openapi(reg) : status;
}

static const mig_plugin admin = {
    sizeof admin,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.admin",
    "1.0.0",
    "The operator's HTTP API.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(admin, &admin);
