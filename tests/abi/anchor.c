/* The whole ABI in one symbol, for abidw: every public struct and every named enum is reachable from
 * it. Add new ones here; report.sh compares the result with the baseline of the release. */
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

MIG_EXPORT void mig_abi_anchor(
    const struct mig_call *p_mig_call, const struct mig_capability *p_mig_capability,
    const struct mig_error *p_mig_error, const struct mig_ext_binding *p_mig_ext_binding,
    const struct mig_ext_control *p_mig_ext_control, const struct mig_ext_http *p_mig_ext_http,
    const struct mig_ext_invoke *p_mig_ext_invoke, const struct mig_ext_kv *p_mig_ext_kv,
    const struct mig_ext_loop *p_mig_ext_loop, const struct mig_ext_metrics *p_mig_ext_metrics,
    const struct mig_ext_sources *p_mig_ext_sources, const struct mig_ext_stream *p_mig_ext_stream,
    const struct mig_ext_task *p_mig_ext_task, const struct mig_header *p_mig_header,
    const struct mig_health *p_mig_health, const struct mig_host *p_mig_host,
    const struct mig_http_request *p_mig_http_request,
    const struct mig_http_route *p_mig_http_route, const struct mig_kv_result *p_mig_kv_result,
    const struct mig_metric *p_mig_metric, const struct mig_outcome *p_mig_outcome,
    const struct mig_payload *p_mig_payload, const struct mig_plugin *p_mig_plugin,
    const struct mig_plugin_entry *p_mig_plugin_entry, const struct mig_registrar *p_mig_registrar,
    const struct mig_request *p_mig_request, const struct mig_str *p_mig_str,
    const struct mig_submit *p_mig_submit, const struct mig_task *p_mig_task,
    const struct mig_timer *p_mig_timer, enum mig_cap_flag e_mig_cap_flag, enum mig_exec e_mig_exec,
    enum mig_log_level e_mig_log_level, enum mig_metric_kind e_mig_metric_kind,
    enum mig_mode e_mig_mode, enum mig_operation e_mig_operation,
    enum mig_plugin_flag e_mig_plugin_flag, enum mig_route_flag e_mig_route_flag,
    enum mig_status_code e_mig_status_code);

void mig_abi_anchor(
    const struct mig_call *p_mig_call, const struct mig_capability *p_mig_capability,
    const struct mig_error *p_mig_error, const struct mig_ext_binding *p_mig_ext_binding,
    const struct mig_ext_control *p_mig_ext_control, const struct mig_ext_http *p_mig_ext_http,
    const struct mig_ext_invoke *p_mig_ext_invoke, const struct mig_ext_kv *p_mig_ext_kv,
    const struct mig_ext_loop *p_mig_ext_loop, const struct mig_ext_metrics *p_mig_ext_metrics,
    const struct mig_ext_sources *p_mig_ext_sources, const struct mig_ext_stream *p_mig_ext_stream,
    const struct mig_ext_task *p_mig_ext_task, const struct mig_header *p_mig_header,
    const struct mig_health *p_mig_health, const struct mig_host *p_mig_host,
    const struct mig_http_request *p_mig_http_request,
    const struct mig_http_route *p_mig_http_route, const struct mig_kv_result *p_mig_kv_result,
    const struct mig_metric *p_mig_metric, const struct mig_outcome *p_mig_outcome,
    const struct mig_payload *p_mig_payload, const struct mig_plugin *p_mig_plugin,
    const struct mig_plugin_entry *p_mig_plugin_entry, const struct mig_registrar *p_mig_registrar,
    const struct mig_request *p_mig_request, const struct mig_str *p_mig_str,
    const struct mig_submit *p_mig_submit, const struct mig_task *p_mig_task,
    const struct mig_timer *p_mig_timer, enum mig_cap_flag e_mig_cap_flag, enum mig_exec e_mig_exec,
    enum mig_log_level e_mig_log_level, enum mig_metric_kind e_mig_metric_kind,
    enum mig_mode e_mig_mode, enum mig_operation e_mig_operation,
    enum mig_plugin_flag e_mig_plugin_flag, enum mig_route_flag e_mig_route_flag,
    enum mig_status_code e_mig_status_code)
{
    (void)p_mig_call;
    (void)p_mig_capability;
    (void)p_mig_error;
    (void)p_mig_ext_binding;
    (void)p_mig_ext_control;
    (void)p_mig_ext_http;
    (void)p_mig_ext_invoke;
    (void)p_mig_ext_kv;
    (void)p_mig_ext_loop;
    (void)p_mig_ext_metrics;
    (void)p_mig_ext_sources;
    (void)p_mig_ext_stream;
    (void)p_mig_ext_task;
    (void)p_mig_header;
    (void)p_mig_health;
    (void)p_mig_host;
    (void)p_mig_http_request;
    (void)p_mig_http_route;
    (void)p_mig_kv_result;
    (void)p_mig_metric;
    (void)p_mig_outcome;
    (void)p_mig_payload;
    (void)p_mig_plugin;
    (void)p_mig_plugin_entry;
    (void)p_mig_registrar;
    (void)p_mig_request;
    (void)p_mig_str;
    (void)p_mig_submit;
    (void)p_mig_task;
    (void)p_mig_timer;
    (void)e_mig_cap_flag;
    (void)e_mig_exec;
    (void)e_mig_log_level;
    (void)e_mig_metric_kind;
    (void)e_mig_mode;
    (void)e_mig_operation;
    (void)e_mig_plugin_flag;
    (void)e_mig_route_flag;
    (void)e_mig_status_code;
}
