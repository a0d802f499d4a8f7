/* pro: quotas, policy questions, registries and usage over HTTP (MIG v0.1 14.2 and 14.3,
 * docs/reference/admin.md). A plugin of its own: mig.control/1 is granted to it apart from admin. */
#include "verb_routes.h"
#include <stdlib.h>

static const char *const of_tenant[] = {"tenant_id", NULL};

static const struct verb_route routes[] = {
    {"POST", "/pro/v0.1/policies/validate", "policy.validate", 200, MIG_ROUTE_ADMIN, VERB_PLAIN,
     VERB_JSON_BODY},
    {"POST", "/pro/v0.1/quotas", "quota.put", 200, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_JSON_BODY},
    {"GET", "/pro/v0.1/quotas", "quotas", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1,
     .query = of_tenant},
    {"POST", "/cloud/v0.1/orgs", "org.put", 201, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_JSON_BODY},
    {"GET", "/cloud/v0.1/orgs", "orgs", 200, MIG_ROUTE_ADMIN, .query = of_tenant},
    {"POST", "/cloud/v0.1/tenants", "tenant.put", 201, MIG_ROUTE_ADMIN, VERB_PLAIN, VERB_JSON_BODY},
    {"GET", "/cloud/v0.1/tenants", "tenants", 200, MIG_ROUTE_ADMIN, .query = of_tenant},
    {"POST", "/cloud/v0.1/gateways", "gateway.put", 201, MIG_ROUTE_ADMIN, VERB_PLAIN,
     VERB_JSON_BODY},
    {"GET", "/cloud/v0.1/gateways", "gateways", 200, MIG_ROUTE_ADMIN, .query = of_tenant},
    {"GET", "/cloud/v0.1/usage", "usage", 200, MIG_ROUTE_ADMIN, .is_for_tenants = 1,
     .query = of_tenant},
};

/* Without mig.control/1 it serves nothing, and says so. */
static mig_status create(const mig_host *host, mig_str config, void **ret_self)
{
    struct verb_site *s = verb_site_new(host);

    (void)config;
    if (!s)
        return MIG_E_NOMEM;
    if (!s->control)
        host->log(host, MIG_LOG_WARN,
                  mig_s("mig.control/1 is not granted to dev.migd.pro (setting: control): "
                        "/pro/v0.1 and /cloud/v0.1 are not served"),
                  mig_s(""));
    *ret_self = s;
    return MIG_OK;
}

static mig_status describe(void *self, const mig_registrar *reg)
{
    const struct verb_site *s = self;
    size_t count = s->control && s->http ? sizeof routes / sizeof routes[0] : 0;

    return verb_routes_describe(reg, routes, count);
}

static const mig_plugin pro = {
    sizeof pro,
    MIG_PLUGIN_UNLOADABLE,
    "dev.migd.pro",
    "1.0.0",
    "Quotas, policy questions, registries and usage over HTTP.",
    NULL,
    create,
    describe,
    NULL,
    NULL,
    free,
    NULL,
};
MIG_PLUGIN_ENTRY(pro, &pro);
