#include "main/policy.h"
#include "base/check.h"
#include "edge/front.h"
#include "net/tls.h"

static str keep(struct gen *g, const char *z)
{
    return arena_copy(g->arena, str_of(z));
}

static str keep_text(struct gen *g, const char *z)
{
    return z ? keep(g, z) : S("");
}

static str keep_lower(struct gen *g, const char *z)
{
    str s = keep(g, z);

    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
            ((char *)(uintptr_t)s.ptr)[i] |= 0x20;
    return s;
}

static void fill_core(struct gen *g, const struct settings *s)
{
    str *placeholders = arena_zero(g->arena, (s->placeholder_tenants.count + 1) * sizeof(str));

    must(placeholders);
    for (size_t i = 0; i < s->placeholder_tenants.count; i++)
        placeholders[i] = keep(g, s->placeholder_tenants.items[i]);
    g->policy = (struct policy){
        .server_id = keep(g, s->server_id),
        .placeholder_tenants = placeholders,
        .placeholder_count = s->placeholder_tenants.count,
        .require_tenant_header = s->require_tenant_header,
        .is_strict_json = s->is_strict_json,
        .checks_input = strcmp(s->validate_payloads, "off") != 0,
        .checks_output = !strcmp(s->validate_payloads, "both"),
        .max_deadline_ms = (uint64_t)s->max_deadline_ms,
        .max_inflight = (uint64_t)s->max_inflight,
        .max_inflight_tenant = (uint64_t)s->max_inflight_tenant,
        .stream_credit_bytes = (uint64_t)s->stream_credit_bytes,
        .stream_credit_frames = (uint64_t)s->stream_queue,
        .stream_stall_ms = (uint64_t)s->stream_stall_ms,
        .instance_concurrency = (uint64_t)s->instance_concurrency,
        .instance_queue = (uint64_t)s->instance_queue,
        .drain_streams_ms = (uint64_t)s->drain_streams_ms,
        .drain_grace_ms = (uint64_t)s->drain_grace_ms,
        .is_cursor_latest = str_eq(str_of(s->subscribe_default_cursor), S("latest")),
        .missed_limit = (uint64_t)s->heartbeat_missed_limit,
        .closes_missed = !strcmp(s->heartbeat_action, "close"),
        .consumer_ttl_ms = (uint64_t)s->consumer_ttl_s * 1000,
        .replay_rate = (uint64_t)s->replay_rate,
        .replay_quota = (uint64_t)s->replay_quota,
        .idempotency_ttl_ms = (uint64_t)s->idempotency_ttl_s * 1000,
        .tenant_rate =
            rate_of((uint64_t)s->rate_limit_tenant_rps, (uint64_t)s->rate_limit_tenant_burst),
        .client_rate =
            rate_of((uint64_t)s->rate_limit_client_rps, (uint64_t)s->rate_limit_client_burst),
        .has_rates = s->rate_limit_tenant_rps || s->rate_limit_client_rps,
        .is_tenant_registered = str_eq(str_of(s->tenant_mode), S("registered")),
    };
}

static void drop_tls(void *tls)
{
    tls_context_unref(tls);
}

static const str *keep_list(struct gen *g, const struct str_list *list)
{
    str *items = arena_zero(g->arena, (list->count + 1) * sizeof *items);

    must(items);
    for (size_t i = 0; i < list->count; i++)
        items[i] = keep(g, list->items[i]);
    return items;
}

static void fill_manners(struct gen *g, struct manners_policy *m, const struct settings *s)
{
    size_t count = s->trusted_proxies.count;
    struct cidr *trusted = arena_zero(g->arena, (count + 1) * sizeof *trusted);

    must(trusted);
    for (size_t i = 0; i < count; i++)
        must(cidr_parse(str_of(s->trusted_proxies.items[i]), &trusted[i]));
    *m = (struct manners_policy){
        .cors = {.origins = keep_list(g, &s->cors_origins),
                 .origin_count = s->cors_origins.count,
                 .hosts = keep_list(g, &s->hosts),
                 .host_count = s->hosts.count},
        .client = {.trusted = trusted,
                   .trusted_count = count,
                   .is_rfc7239 = !strcmp(s->forwarded, "forwarded")},
        .compress_min = s->compresses ? (uint32_t)s->compress_min : 0,
        .makes_request_ids = s->request_ids,
        .tells_timing = s->server_timing,
        .is_logged = s->access_log != NULL,
    };
    for (size_t i = 0; i < s->cors_origins.count; i++)
        m->cors.is_any |= !strcmp(s->cors_origins.items[i], "*");
    manners_policy_seal(m);
}

void policy_fill(struct gen *g, const struct settings *s, struct tls_context *tls)
{
    struct front_config *f = arena_zero(g->arena, sizeof *f);

    must(f && arena_defer(g->arena, drop_tls, tls));
    fill_core(g, s);
    f->http = (struct http_limits){
        .max_body = (uint64_t)s->max_body_bytes,
        .max_header_bytes = (uint32_t)s->max_header_bytes,
        .max_headers = (uint32_t)s->max_headers,
        .max_url = (uint32_t)s->max_url_bytes,
        .max_connections = (uint32_t)s->max_connections,
        .header_ms = (uint32_t)s->header_timeout_ms,
        .body_ms = (uint32_t)s->body_timeout_ms,
        .idle_ms = (uint32_t)s->idle_timeout_ms,
        .write_ms = (uint32_t)s->write_timeout_ms,
        .handshake_ms = (uint32_t)s->handshake_timeout_ms,
        .max_streams = (uint32_t)s->max_streams,
        .tls = tls,
    };
    f->policy = (struct edge_policy){
        .admin_key = s->admin_api_key ? keep(g, s->admin_api_key) : S(""),
        .admin_header = keep_lower(g, s->admin_api_header),
        .is_jwt = !strcmp(s->auth_mode, "jwt"),
        .require_tenant_header = s->require_tenant_header,
        .rules = {.issuer = keep_text(g, s->jwt_issuer),
                  .audience = keep_text(g, s->jwt_audience),
                  .leeway_s = JWT_LEEWAY_S,
                  .require_exp = s->jwt_require_exp,
                  .algorithms = JWS_ALGS_ALL},
        .has_metrics = s->is_metrics,
        .is_metrics_open = str_eq(str_of(s->metrics_auth), S("open")),
    };
    f->policy.rules_version = str_hash(f->policy.rules.issuer) * 31 +
                              str_hash(f->policy.rules.audience) * 2 + s->jwt_require_exp;
    fill_manners(g, &f->manners, s);
    g->edge = f;
}

/* --- capabilities ------------------------------------------------------------------------------- */

static const struct cap_policy *cap_policy_of(struct gen *g, const struct manifest_policy *m)
{
    str *tags = arena_zero(g->arena, (m->tags.count + 1) * sizeof *tags);

    must(tags);
    for (size_t i = 0; i < m->tags.count; i++)
        tags[i] = str_of(m->tags.items[i]);
    const struct cap_policy p = {
        .require_key = m->require_key,
        .is_idempotent = m->is_idempotent,
        .max_attempts = m->max_attempts ? (uint32_t)m->max_attempts : 1,
        .backoff_ms = (uint32_t)m->backoff_ms,
        .max_concurrency = (uint32_t)m->max_concurrency,
        .rps = (uint32_t)m->rps,
        .burst = (uint32_t)m->burst,
        .tags = tags,
        .tag_count = m->tags.count,
        .billing_tier = str_of(m->billing_tier),
    };
    const struct cap_policy *kept = cap_policy_keep(g->arena, &p);
    must(kept);
    return kept;
}

void policy_apply(struct gen *g, const struct manifest *m, struct diag *d)
{
    for (size_t i = 0; i < m->policy_count; i++) {
        const struct manifest_policy *from = &m->policies[i];
        struct capability_family *f = map_get(&g->families, str_of(from->capability));
        if (!f) {
            diag_warn(d, from->at, "policy.capability.unknown", "nobody offers %s now",
                      from->capability);
            continue;
        }
        const struct cap_policy *p = cap_policy_of(g, from);
        for (size_t v = 0; v < f->count; v++)
            capability_set_policy(f->versions[v], p);
    }
}
