/* Sizes and offsets of ABI 1.0 as released (1.0-rc1), written by layout.py. Later minors may append
 * members, so sizes may grow: structs that carry their size are checked by >=, those that never grow
 * by ==. Offsets never change. */
#include "mig/plugin.h"
#include "mig/ext/binding.h"
#include "mig/ext/control.h"
#include "mig/ext/http.h"
#include "mig/ext/invoke.h"
#include "mig/ext/kv.h"
#include "mig/ext/loop.h"
#include "mig/ext/observe.h"
#include "mig/ext/sources.h"
#include "mig/ext/stream.h"
#include "mig/ext/task.h"
#include "mig/ext/timer.h"

#include <assert.h>

#define SIZE(s, op, n) static_assert(sizeof(struct s) op(n), #s)
#define AT(s, member, n) static_assert(offsetof(struct s, member) == (n), #s "." #member)

SIZE(mig_call, ==, 8);
AT(mig_call, v, 0);

SIZE(mig_capability, >=, 128);
AT(mig_capability, struct_size, 0);
AT(mig_capability, flags, 4);
AT(mig_capability, modes, 8);
AT(mig_capability, exec, 12);
AT(mig_capability, max_concurrency, 16);
AT(mig_capability, timeout_ms, 20);
AT(mig_capability, id, 24);
AT(mig_capability, version, 32);
AT(mig_capability, summary, 40);
AT(mig_capability, input_schema, 48);
AT(mig_capability, output_schema, 56);
AT(mig_capability, auth_scopes, 64);
AT(mig_capability, meta, 72);
AT(mig_capability, data, 80);
AT(mig_capability, invoke, 88);
AT(mig_capability, on_cancel, 96);
AT(mig_capability, on_writable, 104);
AT(mig_capability, on_message, 112);
AT(mig_capability, on_half_close, 120);

SIZE(mig_error, >=, 48);
AT(mig_error, struct_size, 0);
AT(mig_error, code, 4);
AT(mig_error, message, 8);
AT(mig_error, details, 24);
AT(mig_error, retry_after_ms, 40);
AT(mig_error, retry, 44);

SIZE(mig_ext_binding, >=, 40);
AT(mig_ext_binding, struct_size, 0);
AT(mig_ext_binding, flags, 4);
AT(mig_ext_binding, submit, 8);
AT(mig_ext_binding, message, 16);
AT(mig_ext_binding, half_close, 24);
AT(mig_ext_binding, resume, 32);

SIZE(mig_ext_control, >=, 16);
AT(mig_ext_control, struct_size, 0);
AT(mig_ext_control, flags, 4);
AT(mig_ext_control, request, 8);

SIZE(mig_ext_http, >=, 16);
AT(mig_ext_http, struct_size, 0);
AT(mig_ext_http, flags, 4);
AT(mig_ext_http, respond, 8);

SIZE(mig_ext_invoke, >=, 24);
AT(mig_ext_invoke, struct_size, 0);
AT(mig_ext_invoke, flags, 4);
AT(mig_ext_invoke, invoke, 8);
AT(mig_ext_invoke, invoke_wait, 16);

SIZE(mig_ext_kv, >=, 32);
AT(mig_ext_kv, struct_size, 0);
AT(mig_ext_kv, flags, 4);
AT(mig_ext_kv, get, 8);
AT(mig_ext_kv, put, 16);
AT(mig_ext_kv, del, 24);

SIZE(mig_ext_loop, >=, 40);
AT(mig_ext_loop, struct_size, 0);
AT(mig_ext_loop, flags, 4);
AT(mig_ext_loop, count, 8);
AT(mig_ext_loop, index, 16);
AT(mig_ext_loop, slice_begin, 24);
AT(mig_ext_loop, slice_end, 32);

SIZE(mig_ext_metrics, >=, 16);
AT(mig_ext_metrics, struct_size, 0);
AT(mig_ext_metrics, flags, 4);
AT(mig_ext_metrics, record, 8);

SIZE(mig_ext_sources, >=, 16);
AT(mig_ext_sources, struct_size, 0);
AT(mig_ext_sources, flags, 4);
AT(mig_ext_sources, file, 8);

SIZE(mig_ext_stream, >=, 32);
AT(mig_ext_stream, struct_size, 0);
AT(mig_ext_stream, flags, 4);
AT(mig_ext_stream, send_wait, 8);
AT(mig_ext_stream, recv_wait, 16);
AT(mig_ext_stream, grant, 24);

SIZE(mig_ext_task, >=, 24);
AT(mig_ext_task, struct_size, 0);
AT(mig_ext_task, flags, 4);
AT(mig_ext_task, after, 8);
AT(mig_ext_task, run, 16);

SIZE(mig_header, ==, 32);
AT(mig_header, name, 0);
AT(mig_header, value, 16);

SIZE(mig_health, >=, 32);
AT(mig_health, struct_size, 0);
AT(mig_health, flags, 4);
AT(mig_health, exec, 8);
AT(mig_health, every_ms, 12);
AT(mig_health, data, 16);
AT(mig_health, check, 24);

SIZE(mig_host, >=, 88);
AT(mig_host, struct_size, 0);
AT(mig_host, abi_major, 4);
AT(mig_host, abi_minor, 6);
AT(mig_host, product, 8);
AT(mig_host, ctx, 16);
AT(mig_host, now_ns, 24);
AT(mig_host, log, 32);
AT(mig_host, finish, 40);
AT(mig_host, finish_error, 48);
AT(mig_host, send, 56);
AT(mig_host, is_cancelled, 64);
AT(mig_host, request_redescribe, 72);
AT(mig_host, get_extension, 80);

SIZE(mig_http_request, >=, 152);
AT(mig_http_request, struct_size, 0);
AT(mig_http_request, header_count, 4);
AT(mig_http_request, headers, 8);
AT(mig_http_request, method, 16);
AT(mig_http_request, path, 32);
AT(mig_http_request, query, 48);
AT(mig_http_request, authority, 64);
AT(mig_http_request, subject, 80);
AT(mig_http_request, tenant_id, 96);
AT(mig_http_request, params, 112);
AT(mig_http_request, body, 120);
AT(mig_http_request, remote, 136);

SIZE(mig_http_route, >=, 72);
AT(mig_http_route, struct_size, 0);
AT(mig_http_route, flags, 4);
AT(mig_http_route, exec, 8);
AT(mig_http_route, max_concurrency, 12);
AT(mig_http_route, max_body, 16);
AT(mig_http_route, method, 24);
AT(mig_http_route, pattern, 32);
AT(mig_http_route, data, 40);
AT(mig_http_route, on_request, 48);
AT(mig_http_route, on_writable, 56);
AT(mig_http_route, on_cancel, 64);

SIZE(mig_kv_result, >=, 32);
AT(mig_kv_result, struct_size, 0);
AT(mig_kv_result, status, 4);
AT(mig_kv_result, value, 8);
AT(mig_kv_result, revision, 24);

SIZE(mig_metric, >=, 56);
AT(mig_metric, struct_size, 0);
AT(mig_metric, flags, 4);
AT(mig_metric, kind, 8);
AT(mig_metric, bucket_count, 12);
AT(mig_metric, name, 16);
AT(mig_metric, help, 24);
AT(mig_metric, label_names, 32);
AT(mig_metric, buckets, 40);
AT(mig_metric, ret_id, 48);

SIZE(mig_outcome, >=, 96);
AT(mig_outcome, struct_size, 0);
AT(mig_outcome, status, 4);
AT(mig_outcome, json, 8);
AT(mig_outcome, message, 24);
AT(mig_outcome, details, 40);
AT(mig_outcome, retry_after_ms, 56);
AT(mig_outcome, retry, 60);
AT(mig_outcome, envelope, 64);
AT(mig_outcome, message_id, 80);

SIZE(mig_payload, ==, 32);
AT(mig_payload, bytes, 0);
AT(mig_payload, release, 16);
AT(mig_payload, owner, 24);

SIZE(mig_plugin, >=, 88);
AT(mig_plugin, struct_size, 0);
AT(mig_plugin, flags, 4);
AT(mig_plugin, id, 8);
AT(mig_plugin, version, 16);
AT(mig_plugin, summary, 24);
AT(mig_plugin, config_schema, 32);
AT(mig_plugin, create, 40);
AT(mig_plugin, describe, 48);
AT(mig_plugin, start, 56);
AT(mig_plugin, quiesce, 64);
AT(mig_plugin, destroy, 72);
AT(mig_plugin, get_extension, 80);

SIZE(mig_plugin_entry, >=, 24);
AT(mig_plugin_entry, magic, 0);
AT(mig_plugin_entry, abi_major, 4);
AT(mig_plugin_entry, abi_minor, 6);
AT(mig_plugin_entry, struct_size, 8);
AT(mig_plugin_entry, needs_minor, 12);
AT(mig_plugin_entry, plugins, 16);

SIZE(mig_registrar, >=, 32);
AT(mig_registrar, struct_size, 0);
AT(mig_registrar, flags, 4);
AT(mig_registrar, ctx, 8);
AT(mig_registrar, capability, 16);
AT(mig_registrar, extend, 24);

SIZE(mig_request, >=, 168);
AT(mig_request, struct_size, 0);
AT(mig_request, flags, 4);
AT(mig_request, mode, 8);
AT(mig_request, hops, 12);
AT(mig_request, deadline_ns, 16);
AT(mig_request, capability, 24);
AT(mig_request, message_id, 40);
AT(mig_request, tenant_id, 56);
AT(mig_request, session_id, 72);
AT(mig_request, subject, 88);
AT(mig_request, traceparent, 104);
AT(mig_request, idempotency_key, 120);
AT(mig_request, meta, 136);
AT(mig_request, payload, 152);

SIZE(mig_str, ==, 16);
AT(mig_str, ptr, 0);
AT(mig_str, len, 8);

SIZE(mig_submit, >=, 184);
AT(mig_submit, struct_size, 0);
AT(mig_submit, operation, 4);
AT(mig_submit, binding, 8);
AT(mig_submit, envelope, 24);
AT(mig_submit, target, 40);
AT(mig_submit, mig_version, 56);
AT(mig_submit, message_id, 72);
AT(mig_submit, session_id, 88);
AT(mig_submit, idempotency_key, 104);
AT(mig_submit, traceparent, 120);
AT(mig_submit, deadline_ms, 136);
AT(mig_submit, tag, 152);
AT(mig_submit, on_open, 160);
AT(mig_submit, on_frame, 168);
AT(mig_submit, on_done, 176);

SIZE(mig_task, >=, 40);
AT(mig_task, struct_size, 0);
AT(mig_task, flags, 4);
AT(mig_task, exec, 8);
AT(mig_task, timeout_ms, 12);
AT(mig_task, delay_ms, 16);
AT(mig_task, data, 24);
AT(mig_task, run, 32);

SIZE(mig_timer, >=, 56);
AT(mig_timer, struct_size, 0);
AT(mig_timer, flags, 4);
AT(mig_timer, exec, 8);
AT(mig_timer, reserved, 12);
AT(mig_timer, name, 16);
AT(mig_timer, every_ms, 24);
AT(mig_timer, jitter_ms, 32);
AT(mig_timer, data, 40);
AT(mig_timer, on_tick, 48);
