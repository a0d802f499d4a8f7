/* cap_policy.h: the `policy` object of a capability (MIG v0.1 9.3): what its callers owe and get. From
 * the plugin's meta, from an admin upsert, or from the manifest, which wins. Immutable. */
#ifndef CORE_CAP_POLICY_H
#define CORE_CAP_POLICY_H
#include "base/json.h"
#include "core/rate.h"

struct cap_policy {
    bool require_key;                  /* require_idempotency_key */
    bool is_idempotent;                /* idempotent              */
    uint32_t max_attempts, backoff_ms; /* retry; at least 1 attempt */
    uint32_t max_concurrency;          /* 0: as the provider says */
    uint32_t rps, burst;               /* rate_limit per tenant; rps 0: none; burst 0: rps */
    struct rate rate;                  /* the same */
    str billing_tier;                  /* empty: core */
    const str *tags;
    size_t tag_count;
    str json; /* as told to operators */
};

enum {
    CAP_POLICY_ATTEMPTS = 10,
    CAP_POLICY_BACKOFF_MS = 60000,
    CAP_POLICY_CONCURRENCY = 10000,
    CAP_POLICY_RATE = 1000000,
    CAP_POLICY_TAGS = 32
};

/* Why v is no policy; NULL: it is one. Members that nobody knows are refused: a policy with a typo would
 * be none. */
const char *cap_policy_fault(const json_value *v);
/* A copy in a of one without fault. NULL: no memory. */
struct cap_policy *cap_policy_read(struct arena *a, const json_value *v);
/* p with what follows from it (rate, json), copied to a. */
struct cap_policy *cap_policy_keep(struct arena *a, const struct cap_policy *p);
#endif
