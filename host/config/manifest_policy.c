/* policies.<capability id> of the manifest. */
#include "base/check.h"

#include "config/manifest_table.h"
#include "core/cap_policy.h"

#define POLICY(name) offsetof(struct manifest_policy, name)

/* The same limits as cap_policy.h has for admin upserts and plugins. */
static const struct field retry_fields[] = {
    {"max_attempts", "policy.retry", FIELD_INT, .offset = POLICY(max_attempts), .min = 1,
     .max = CAP_POLICY_ATTEMPTS, .meaning = "All attempts together; 1 is no retry."},
    {"backoff_ms", "policy.retry", FIELD_INT, .offset = POLICY(backoff_ms), .min = 0,
     .max = CAP_POLICY_BACKOFF_MS, .meaning = "Pause before the second attempt; it doubles."},
};

static const struct shape retry_shape = {
    .what = "retry",
    .type_id = "policy.retry",
    .fields = retry_fields,
    .count = countof(retry_fields),
    .is_strict = true,
    .unknown_id = "policy.unknown_key",
};

static const struct field rate_fields[] = {
    {"rps", "policy.rate_limit", FIELD_INT, .is_required = true, .offset = POLICY(rps), .min = 1,
     .max = CAP_POLICY_RATE, .meaning = "Invocations per second and tenant."},
    {"burst", "policy.rate_limit", FIELD_INT, .offset = POLICY(burst), .min = 1,
     .max = CAP_POLICY_RATE, .meaning = "How many of them at once; default: rps."},
};

static const struct shape rate_shape = {
    .what = "rate_limit",
    .type_id = "policy.rate_limit",
    .fields = rate_fields,
    .count = countof(rate_fields),
    .is_strict = true,
    .unknown_id = "policy.unknown_key",
};

static const struct field capability_policy_fields[] = {
    {"require_idempotency_key", "policy.require_idempotency_key", FIELD_BOOL,
     .offset = POLICY(require_key), .meaning = "Refuses invocations without a key."},
    {"idempotent", "policy.idempotent", FIELD_BOOL, .offset = POLICY(is_idempotent),
     .meaning = "It may run twice: retries need no key."},
    {"retry", "policy.retry", FIELD_SECTION, .shape = &retry_shape},
    {"max_concurrency", "policy.max_concurrency", FIELD_INT, .offset = POLICY(max_concurrency),
     .min = 1, .max = CAP_POLICY_CONCURRENCY,
     .meaning = "Calls at a time; those beyond wait, as many as limits.queue."},
    {"rate_limit", "policy.rate_limit", FIELD_SECTION, .shape = &rate_shape},
    {"tags", "policy.tags", FIELD_STRINGS, .offset = POLICY(tags), .min = 1, .max = 64,
     .pattern = "^[a-z0-9_.-]+$", .hint = "1 to 64 of a-z 0-9 _ . -"},
    {"billing_tier", "policy.billing_tier", FIELD_STRING, .offset = POLICY(billing_tier), .min = 1,
     .max = 32, .pattern = "^[a-z0-9_-]+$", .hint = "1 to 32 of a-z 0-9 _ -"},
};

static const struct field policy_capability = {
    "capability",
    "policy.capability",
    FIELD_STRING,
    .offset = POLICY(capability),
    .min = 1,
    .max = 200,
    .pattern = "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$",
    .hint = "a capability id: up to 200 bytes, parts of A-Z a-z 0-9 _ - joined by dots",
};

const struct shape capability_policy_shape = {
    .what = "policy",
    .type_id = "policy.type",
    .fields = capability_policy_fields,
    .count = countof(capability_policy_fields),
    .size = sizeof(struct manifest_policy),
    .is_strict = true,
    .unknown_id = "policy.unknown_key",
    .at_offset = POLICY(at),
    .name = &policy_capability,
};
