/* mig/sdk/mock_life.h: the mock host itself and the life of its instance. Part of mock.h. */
#ifndef MIG_SDK_MOCK_LIFE_H
#define MIG_SDK_MOCK_LIFE_H
#include "mig/sdk/mock_describe.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- the table that the plugin sees -----------------------------------------------------------
 */

static inline uint64_t mock_h_now_(const mig_host *h)
{
    mock_host *m = mock_enter_(h);
    uint64_t now = m->now_ns;

    mock_out_(m);
    return now;
}

static inline void mock_h_log_(const mig_host *h, uint32_t level, mig_str msg, mig_str fields)
{
    mock_host *m = mock_enter_(h);
    char prefix[8];
    mig_json_writer w = mock_text_(m);

    if (fields.len &&
        (!mig_json_valid(fields) || mig_json_kind_of(mig_json_root(fields)) != MIG_JSON_OBJECT))
        mock_fault_(m, MIG_E_ARG, "log: fields are no JSON object");
    snprintf(prefix, sizeof prefix, "%u ", (unsigned)(level % 100));
    mig_json_add_(&w, prefix, strlen(prefix));
    mig_json_add_(&w, msg.ptr, msg.len);
    mig_json_add_(&w, "", 1);
    if (m->logs.count < 10000)
        mock_push_(&m->logs, w.ptr);
    mock_out_(m);
}

static inline mig_status mock_h_redescribe_(const mig_host *h)
{
    mock_host *m = mock_enter_(h);

    m->redescribes++;
    return mock_leave_(m, MIG_OK);
}

static inline const void *mock_own_table_(const char *id)
{
    static const mig_ext_stream stream = {sizeof stream, 0, mock_h_send_wait_, mock_h_recv_wait_,
                                          mock_h_grant_};
    static const mig_ext_invoke invoke = {sizeof invoke, 0, mock_h_invoke_, mock_h_invoke_wait_};
    static const mig_ext_kv kv = {sizeof kv, 0, mock_h_kv_get_, mock_h_kv_put_, mock_h_kv_del_};
    static const mig_ext_task task = {sizeof task, 0, mock_h_after_, mock_h_task_run_};
    static const mig_ext_loop loop = {sizeof loop,         0,
                                      mock_h_loop_count_,  mock_h_loop_index_,
                                      mock_h_slice_begin_, mock_h_slice_end_};
    static const mig_ext_metrics metrics = {sizeof metrics, 0, mock_h_record_};
    static const mig_ext_http http = {
        sizeof http, 0, mock_h_respond_, mock_h_event_, mock_h_upgrade_, mock_h_release_request_};
    static const mig_ext_binding binding = {
        sizeof binding, 0, mock_h_submit_, mock_h_message_, mock_h_op_half_close_, mock_h_resume_};
    static const struct {
        const char *id;
        const void *table;
    } rows[] = {
        {MIG_EXT_STREAM, &stream}, {MIG_EXT_INVOKE, &invoke},   {MIG_EXT_KV, &kv},
        {MIG_EXT_TASK, &task},     {MIG_EXT_LOOP, &loop},       {MIG_EXT_METRICS, &metrics},
        {MIG_EXT_HTTP, &http},     {MIG_EXT_BINDING, &binding},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].id, id))
            return rows[i].table;
    return NULL;
}

static inline const void *mock_h_extension_(const mig_host *h, const char *id)
{
    const mock_host *m = (const mock_host *)h->ctx;

    for (size_t i = m->offers.count; i-- > 0;) {
        const mock_offer *o = (const mock_offer *)m->offers.items[i];
        if (mock_same_(o->id, mig_s(id)))
            return o->table;
    }
    return mock_own_table_(id);
}

/* ---- the host and its instance ----------------------------------------------------------------
 */

/* Change m->caller and m->loop_count (before mock_create) as a test needs it. */
static inline mock_host *mock_host_new(void)
{
    mock_host *m = (mock_host *)calloc(1, sizeof *m);

    if (!m)
        abort();
    m->host.struct_size = (uint32_t)sizeof m->host;
    m->host.abi_major = (uint16_t)MIG_ABI_MAJOR;
    m->host.abi_minor = (uint16_t)MIG_ABI_MINOR;
    m->host.product = "mock/1.0";
    m->host.ctx = m;
    m->host.now_ns = mock_h_now_;
    m->host.log = mock_h_log_;
    m->host.finish = mock_h_finish_;
    m->host.finish_error = mock_h_finish_error_;
    m->host.send = mock_h_send_;
    m->host.is_cancelled = mock_h_is_cancelled_;
    m->host.request_redescribe = mock_h_redescribe_;
    m->host.get_extension = mock_h_extension_;
    m->submit_done = mock_submit_done_;
    m->caller.tenant_id = "acme";
    m->caller.subject = "tester";
    m->now_ns = 1000 * MOCK_MS;
    m->loop_count = 2;
    m->loop_now = UINT32_MAX;
    return m;
}

static inline void mock_free_list_(mock_list *l)
{
    free(l->items);
    memset(l, 0, sizeof *l);
}

static inline void mock_free_call_(mock_call *c)
{
    mock_free_mem_(&c->mem);
    mock_free_list_(&c->frames);
    mock_free_list_(&c->inbox);
    mock_free_list_(&c->headers);
}

/* Call mock_destroy() before: the instance itself is not touched. */
static inline void mock_host_free(mock_host *m)
{
    if (!m)
        return;
    for (mock_job *j = m->queue; j; j = j->next) {
        free((void *)(uintptr_t)j->text.ptr);
        free((void *)(uintptr_t)j->message.ptr);
        free((void *)(uintptr_t)j->details.ptr);
    }
    for (size_t i = 0; i < m->calls.count; i++)
        mock_free_call_((mock_call *)m->calls.items[i]);
    for (size_t i = 0; i < m->lists.count; i++) {
        mock_catalogue *k = (mock_catalogue *)m->lists.items[i];
        mock_free_list_(&k->caps);
        mock_free_list_(&k->timers);
        mock_free_list_(&k->routes);
        mock_free_list_(&k->healths);
    }
    mock_free_list_(&m->calls);
    mock_free_list_(&m->faults);
    mock_free_list_(&m->logs);
    mock_free_list_(&m->pairs);
    mock_free_list_(&m->stubs);
    mock_free_list_(&m->offers);
    mock_free_list_(&m->metrics);
    mock_free_list_(&m->lists);
    mock_free_mem_(&m->mem);
    free(m);
}

/* An extension table of the test's own under this id; NULL: this host has none of that id, neither
 * as a service nor at the registrar. Lives until mock_host_free(). */
static inline void mock_offer_table(mock_host *m, const char *id, const void *table)
{
    mock_offer *o = (mock_offer *)mock_alloc_(&m->mem, sizeof *o);

    o->id = mock_copy_(&m->mem, mig_s(id));
    o->table = table;
    mock_push_(&m->offers, o);
}

static inline mig_status mock_load_plugin(mock_host *m, const mig_plugin *plugin)
{
    char why[256];

    m->plugin = plugin;
    return mock_plugin_ok(plugin, why, sizeof why) ? MIG_OK : mock_fault_(m, MIG_E_ARG, "%s", why);
}

/* Chooses the plugin of this id, or the only one (NULL). MIG_E_ARG: mock_fault() says why. */
static inline mig_status mock_load(mock_host *m, const mig_plugin_entry_t *entry, const char *id)
{
    char why[256];

    if (!mock_entry_ok(entry, why, sizeof why))
        return mock_fault_(m, MIG_E_ARG, "%s", why);
    for (const mig_plugin *const *p = entry->plugins; *p; p++)
        if (id ? !strcmp((*p)->id, id) : !p[1])
            return mock_load_plugin(m, *p);
        else if (!id)
            break;
    return mock_fault_(m, MIG_E_ARG, "there is no plugin %s in the module",
                       id ? id : "that is the only one");
}

static inline mig_status mock_create(mock_host *m, const char *config)
{
    mig_str text = mock_lend_(mig_s(config));
    mig_status answer = m->plugin->create(&m->host, text, &m->self);

    free((void *)(uintptr_t)text.ptr);
    return answer;
}

/* Asks for the catalogue; calls of the one before go on with it. */
static inline mig_status mock_describe(mock_host *m)
{
    mock_catalogue *k;
    mig_registrar reg;

    memset(&reg, 0, sizeof reg);
    reg.struct_size = (uint32_t)sizeof reg;
    reg.ctx = m;
    reg.capability = mock_r_capability_;
    reg.extend = mock_r_extend_;
    mock_in_(m);
    k = (mock_catalogue *)mock_alloc_(&m->mem, sizeof *k);
    k->text = mock_text_(m);
    mig_json_open(&k->text, '[');
    mock_push_(&m->lists, k);
    m->catalogue = k;
    mock_out_(m);
    return m->plugin->describe(m->self, &reg);
}

/* The catalogue as JSON text, for comparison and messages. */
static inline mig_str mock_catalogue_text(const mock_host *m)
{
    mig_str none = {NULL, 0};

    return m->catalogue ? mig_json_written(&m->catalogue->text) : none;
}

/* Timers begin here. */
static inline mig_status mock_start(mock_host *m)
{
    mig_status answer = m->plugin->start ? m->plugin->start(m->self) : MIG_OK;

    mock_in_(m);
    m->is_started = answer == MIG_OK;
    for (size_t i = 0; m->is_started && m->catalogue && i < m->catalogue->timers.count; i++) {
        mock_timer *t = (mock_timer *)m->catalogue->timers.items[i];
        mock_post_(m, NULL, t->def.every_ms, mock_run_tick_)->timer = t;
    }
    mock_out_(m);
    return answer;
}

/* No new calls and ticks from here on; open ones go on. */
static inline void mock_quiesce(mock_host *m)
{
    m->is_quiesced = 1;
    if (m->plugin->quiesce)
        m->plugin->quiesce(m->self);
}

/* The caller's side may look while threads of the plugin work: calls stay where they are. */
static inline mock_call *mock_find_call_(const mock_host *m, mig_call call)
{
    mock_host *own = (mock_host *)(uintptr_t)m;
    mock_call *c;

    mock_in_(own);
    c = mock_find_(m, call);
    mock_out_(own);
    return c;
}

/* Calls not ended + operations whose callback has not run + payloads not released. */
static inline size_t mock_debt(const mock_host *m)
{
    mock_host *own = (mock_host *)(uintptr_t)m;
    size_t debt;

    mock_in_(own);
    debt = m->operations + m->releases;
    for (size_t i = 0; i < m->calls.count; i++) {
        const mock_call *c = (const mock_call *)m->calls.items[i];
        debt += c->state != MOCK_ENDED && mock_has_handler_(c);
    }
    mock_out_(own);
    return debt;
}

/* 1: destroyed. 0: there was debt, so a host would abandon the instance; it is not touched. */
static inline int mock_destroy(mock_host *m)
{
    if (mock_debt(m)) {
        mock_fault_(m, MIG_E_ARG, "debt %u at the end: a call was never ended",
                    (unsigned)mock_debt(m));
        return 0;
    }
    m->plugin->destroy(m->self);
    m->self = NULL;
    return 1;
}

#ifdef __cplusplus
}
#endif
#endif
