/* Any body and any mirrors of the transport: the stages end, and the answer is JSON with a header. The
 * input is lines of mirrors (message id, session, key, traceparent, deadline, version), then the body. */
#include "base/check.h"
#include "base/json.h"
#include "core/op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_header_value(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7F)
            return false;
    return true; /* RFC 9110 5.5: any byte beyond */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const str placeholders[] = {S("mcp-adapter")}, scopes[] = {S("a:b"), S("c")};
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 64 << 20);
    struct gen gen = {.policy = {.placeholder_tenants = placeholders,
                                 .placeholder_count = 1,
                                 .max_deadline_ms = 300000,
                                 .is_strict_json = size & 1}};
    struct principal who = {.subject = S("ada \"x\""),
                            .tenant = size & 2 ? S("acme") : S(""),
                            .has_tenant_header = true,
                            .scopes = scopes,
                            .scope_count = 2};
    struct op op = {.gen = &gen, .principal = &who, .arena = a};
    str rest = {(const char *)data, size};
    str *mirrors[] = {&op.in.message_id,  &op.in.session_id,  &op.in.idempotency_key,
                      &op.in.traceparent, &op.in.deadline_ms, &op.in.mig_version};
    struct json doc;
    struct json_fault fault;

    for (size_t i = 0; i < countof(mirrors) && rest.ptr; i++) {
        str line = str_split(&rest, '\n');
        if (is_header_value(line))
            *mirrors[i] = line;
    }
    op.in.binding = S("http");
    op.in.envelope = rest;
    mig_status status = stage_envelope(&op);
    if (status == MIG_OK)
        status = stage_tenant(&op);
    must(status == MIG_OK || op.error.status == status);
    must(op.header.message_id.len && op.header.timestamp.len);
    struct call_result fine = {.status = MIG_NOT_FOUND, .message = S("no"), .retry_after_ms = 7};
    str answer = envelope_error(&op, status == MIG_OK ? &fine : &op.error);
    must(json_parse(&doc, a, answer, &fault));
    must(json_is_object(json_get(json_get(doc.root, S("header")), S("meta"))));
    must(json_is_string(json_get(json_get(doc.root, S("error")), S("code"))));
    arena_unref(a);
    arena_pool_deinit(&pool);
    return 0;
}
