/* policy.h: what the core has to know of the settings. Filled by config/, immutable, part of a
 * generation. Texts belong to the generation. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H
#include "core/rate.h"

struct policy {
    str server_id;
    const str *placeholder_tenants;
    size_t placeholder_count;
    bool require_tenant_header;
    bool is_strict_json;
    bool checks_input, checks_output; /* payloads against the schemas of capabilities */
    uint64_t max_deadline_ms;
    uint64_t max_inflight, max_inflight_tenant;
    uint64_t stream_credit_bytes, stream_credit_frames, stream_stall_ms;
    uint64_t instance_concurrency, instance_queue;
    uint64_t drain_streams_ms, drain_grace_ms;
    bool is_cursor_latest; /* SUBSCRIBE without a cursor: live only */
    uint64_t missed_limit; /* heartbeats of a session                              */
    bool closes_missed;    /* and then its streams are cancelled                   */
    uint64_t consumer_ttl_ms, replay_rate, replay_quota;
    uint64_t idempotency_ttl_ms;
    struct rate tenant_rate, client_rate;
    bool has_rates;            /* one of them is set */
    bool is_tenant_registered; /* only tenants of the registry */
};

enum { POLICY_DEADLINE_MS = 30000, POLICY_HOPS_MAX = 8, POLICY_RETRY_AFTER_MS = 1000 };
#endif
