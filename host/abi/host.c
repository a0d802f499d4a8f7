/* The core table: mig_host. */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include <stdlib.h>

#include "mig/ext/binding.h"
#include "mig/ext/control.h"
#include "mig/ext/invoke.h"
#include "mig/ext/kv.h"
#include "mig/ext/loop.h"
#include "mig/ext/stream.h"
#include "mig/ext/task.h"

enum { LINES_PER_WINDOW = 100, WINDOW_MS = 10000 };

static uint64_t host_now_ns(const mig_host *h)
{
    (void)h;
    return clock_now_ns();
}

static bool log_is_allowed(struct instance *i)
{
    uint64_t window = clock_wall_ms() / WINDOW_MS;

    if (atomic_exchange(&i->log_budget.window, window) != window)
        atomic_store(&i->log_budget.count, 0);
    return atomic_fetch_add(&i->log_budget.count, 1) < LINES_PER_WINDOW;
}

/* During create() and describe() errors are findings for whoever asked for the reload. A place in a
 * file comes as fields {"file","line","column"}. */
static void to_findings(struct instance *i, str message, const struct json *fields)
{
    int64_t line = 0, column = 0;
    str file = fields ? json_string(json_get(fields->root, S("file"))) : (str){NULL, 0};
    char *name = file.len ? str_dup(file) : NULL;

    if (fields) {
        json_is_integer(json_get(fields->root, S("line")), &line);
        json_is_integer(json_get(fields->root, S("column")), &column);
    }
    diag_error(i->findings, ((struct diag_at){name, (unsigned)line, (unsigned)column}),
               "plugin.error", "%s: %.*s", i->name, STR_ARG(message));
    free(name);
}

static void host_log(const mig_host *h, uint32_t level, mig_str msg, mig_str fields)
{
    struct instance *i = instance_of(h);
    struct arena_pool pool = {0};

    if (level > (uint32_t)log_threshold && !(i->findings && level <= MIG_LOG_ERROR))
        return;
    struct arena *a = arena_new(&pool, 1 << 20);
    struct json doc;
    bool has_fields =
        a && fields.len && json_parse(&doc, a, fields, NULL) && json_is_object(doc.root);
    if (i->findings && level <= MIG_LOG_ERROR) {
        to_findings(i, msg, has_fields ? &doc : NULL);
    } else if (log_is_allowed(i)) {
        static struct log_site unlimited[8];
        const struct log_field line[] = {F_Z("instance", i->name), F_STR("message", msg),
                                         F_JSON("fields", has_fields ? fields : S("{}"))};
        log_write(&unlimited[level & 7], (enum log_level)level, "plugin.log", line,
                  has_fields ? 3 : 2);
    }
    if (a)
        arena_unref(a);
    arena_pool_deinit(&pool);
}

static mig_status said(struct instance *i, mig_status status, const char *what)
{
    if (status == MIG_E_ARG)
        log_warn("plugin.contract", F_Z("instance", i->name), F_Z("plugin", i->plugin.id),
                 F_Z("function", what),
                 F_Z("hint", "the call belongs to another instance, or its "
                             "kind has no such function"));
    return status;
}

static mig_status host_finish(const mig_host *h, mig_call call, const mig_payload *result)
{
    struct instance *i = instance_of(h);
    return said(i, call_finish(i->core, i, call, result), "finish");
}

static mig_status host_finish_error(const mig_host *h, mig_call call, const mig_error *err)
{
    struct instance *i = instance_of(h);
    mig_error e = {0};

    if (!err || err->struct_size < offsetof(mig_error, retry_after_ms))
        return said(i, MIG_E_ARG, "finish_error");
    memcpy(&e, err, err->struct_size < sizeof e ? err->struct_size : sizeof e);
    return said(i, call_finish_error(i->core, i, call, &e), "finish_error");
}

static mig_status host_send(const mig_host *h, mig_call call, const mig_payload *frame)
{
    struct instance *i = instance_of(h);
    return frame ? said(i, call_send(i->core, i, call, frame), "send") : MIG_E_ARG;
}

static int32_t host_is_cancelled(const mig_host *h, mig_call call)
{
    return call_is_cancelled(instance_of(h)->core, call);
}

static mig_status host_request_redescribe(const mig_host *h)
{
    struct core *core = instance_of(h)->core;

    core->request_redescribe(core);
    return MIG_OK;
}

static const void *host_get_extension(const mig_host *h, const char *id)
{
    static const struct {
        const char *id;
        const void *(*table)(struct instance *i);
    } tables[] = {{MIG_EXT_STREAM, table_stream},   {MIG_EXT_INVOKE, table_invoke},
                  {MIG_EXT_KV, table_kv},           {MIG_EXT_TASK, table_task},
                  {MIG_EXT_METRICS, table_metrics}, {MIG_EXT_HTTP, table_http},
                  {MIG_EXT_BINDING, table_binding}, {MIG_EXT_LOOP, table_loop},
                  {MIG_EXT_CONTROL, table_control}};

    for (size_t n = 0; id && n < countof(tables); n++)
        if (!strcmp(tables[n].id, id))
            return tables[n].table(instance_of(h));
    return NULL;
}

void host_table_init(struct instance *i)
{
    i->host = (mig_host){
        .struct_size = sizeof i->host,
        .abi_major = MIG_ABI_MAJOR,
        .abi_minor = MIG_ABI_MINOR,
        .product = "migd/" MIGD_VERSION,
        .ctx = i,
        .now_ns = host_now_ns,
        .log = host_log,
        .finish = host_finish,
        .finish_error = host_finish_error,
        .send = host_send,
        .is_cancelled = host_is_cancelled,
        .request_redescribe = host_request_redescribe,
        .get_extension = host_get_extension,
    };
}
