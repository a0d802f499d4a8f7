#include "ctl_conformance.h"

#include <stdlib.h>

enum { PROBE_MS = 5000, DELAY_MS = 120 };

static const struct check_table *const tables[] = {
    &header_checks,  &tenant_checks,      &hello_checks,     &invoke_checks, &error_checks,
    &call_checks,    &idempotency_checks, &stream_checks,    &socket_checks, &ws_checks,
    &control_checks, &publish_checks,     &subscribe_checks, &full_checks,
};

static const struct {
    const char *name;
    unsigned contains; /* enum profile (18.1) */
} profiles[] = {
    {"core", CORE},
    {"streaming", CORE | STREAMING},
    {"evented", CORE | EVENTED},
    {"full", CORE | STREAMING | EVENTED | FULL},
};

static const char *profile_name(enum profile one)
{
    return one == CORE        ? "core"
           : one == STREAMING ? "streaming"
           : one == EVENTED   ? "evented"
                              : "full";
}

/* ---- what will run ----------------------------------------------------------------------------
 */

static bool is_named(const char *only, const char *id)
{
    str rest = str_of(only);

    if (!only)
        return true;
    while (rest.len) {
        str name = str_split(&rest, ',');
        if (name.len && str_starts(str_of(id), name))
            return true;
    }
    return false;
}

/* Calls on_check for each that the command line wants. Returns their number. */
static size_t each_check(const struct ctl *c, unsigned profile, void *arg,
                         void (*on_check)(void *arg, const struct check *k))
{
    size_t n = 0;

    for (size_t i = 0; i < countof(tables); i++)
        for (size_t k = 0; k < tables[i]->count; k++) {
            const struct check *check = &tables[i]->rows[k];
            if (!(check->profile & profile) || !is_named(c->only, check->id))
                continue;
            on_check(arg, check);
            n++;
        }
    return n;
}

static void add_check_json(struct buf *b, const struct check *k)
{
    buf_addf(b, "{\"id\":\"%s\",\"profile\":\"%s\",\"section\":\"%s\",\"title\":", k->id,
             profile_name(k->profile), k->section);
    buf_add_json(b, str_of(k->title));
}

static void list_check(void *arg, const struct check *k)
{
    const struct ctl *c = arg;
    CLEANUP(buf_deinit) struct buf b = {0};

    if (!c->is_json) {
        printf("%-32s %-10s %-5s %s\n", k->id, profile_name(k->profile), k->section, k->title);
        return;
    }
    buf_init(&b, 65536);
    add_check_json(&b, k);
    printf("%.*s}\n", (int)b.len, b.ptr);
}

/* ---- a run ------------------------------------------------------------------------------------
 */

struct run {
    struct probe probe;
    struct buf json; /* the checks, for --json */
    size_t counts[3];
};

static const char *missing(const struct probe *p, unsigned needs)
{
    if (needs & NEED_SECOND && !p->second_tenant)
        return "needs --second-tenant";
    if (needs & NEED_SECOND && p->token && !p->second_token)
        return "needs --second-token";
    if (needs & NEED_TOKEN && !p->token)
        return "a rule of gateways with tokens; needs --token";
    if (needs & NEED_NO_TOKEN && p->token)
        return "a rule of gateways without tokens";
    if (needs & NEED_HTTP1 && p->ctl->is_http2)
        return "HTTP/2 forbids the header that this is about (RFC 9113 8.2.2)";
    if (needs & NEED_DELAY && !p->can_delay)
        return "the capability does not sleep when payload.delay_ms says so (the echo provider "
               "does)";
    if (needs & NEED_STREAM && !descriptor_lists(p, "modes", "server_stream"))
        return "the capability has no mode server_stream";
    return NULL;
}

static void print_result(struct run *r, const struct check *k, int64_t ms)
{
    static const char *const words[] = {"PASS", "FAIL", "SKIP"};
    struct probe *p = &r->probe;
    struct buf *b = &r->json;

    r->counts[p->verdict]++;
    if (!p->ctl->is_json) {
        printf("%s  %-5s %-32s %s\n", words[p->verdict], k->section, k->id, k->title);
        if (p->verdict == FAIL)
            printf("        expected: %.*s\n        came:     %.*s\n",
                   STR_ARG(buf_str(&p->expected)), STR_ARG(buf_str(&p->came)));
        if (p->verdict == SKIP)
            printf("        %.*s\n", STR_ARG(buf_str(&p->came)));
        fflush(stdout);
        return;
    }
    buf_addz(b, b->len ? "," : "");
    add_check_json(b, k);
    buf_addf(b, ",\"result\":\"%s\",\"ms\":%lld", words[p->verdict], (long long)ms);
    if (p->verdict == FAIL) {
        buf_addz(b, ",\"expected\":");
        buf_add_json(b, buf_str(&p->expected));
    }
    if (p->verdict != PASS) {
        buf_addz(b, p->verdict == FAIL ? ",\"came\":" : ",\"reason\":");
        buf_add_json(b, buf_str(&p->came));
    }
    buf_addc(b, '}');
}

static void run_check(void *arg, const struct check *k)
{
    struct run *r = arg;
    struct probe *p = &r->probe;
    const char *why = missing(p, k->needs);
    int64_t began = clock_ms();

    p->check = k;
    p->number++;
    p->verdict = PASS;
    buf_clear(&p->expected);
    buf_clear(&p->came);
    if (why)
        skip_check(p, "%s", why);
    else if (k->run)
        k->run(p);
    else
        ask(p, k->request, k->heads, k->body, k->want);
    print_result(r, k, clock_ms() - began);
}

static void keep_descriptor(struct probe *p)
{
    mig_str list = last_at(p, "/capabilities");

    for (mig_json_iter i = mig_json_each(list); mig_json_next(&i);)
        if (mig_json_is(mig_json_member(i.value, "id"), p->capability))
            buf_add(&p->descriptor, i.value);
}

/* What the checks want to know beforehand. An exit code; CTL_OK: go on. */
static int look_around(struct probe *p)
{
    struct http_job *j = begin(p, "POST discover", NULL, "{'header':{'tenant_id':'${T}'}}");

    http_wait(p->client, j, PROBE_MS);
    if (!j->is_done)
        j->fault = "no answer in time", j->exit_code = CTL_FAILED;
    if (j->fault) {
        int code = http_say_fault(p->ctl, j);
        http_job_free(p->client, j);
        return code;
    }
    p->last = j;
    if (j->status == 401 && !p->token) {
        fprintf(stderr, "migctl: %s wants a token: --token, --second-token\n", p->ctl->url);
        return CTL_FAILED;
    }
    keep_descriptor(p);
    ask(p, "POST invoke/${C}", NULL,
        "{'header':{'tenant_id':'${T}'},'payload':{'input':'x','delay_ms':120}}", "200");
    p->can_delay =
        p->last->status == 200 && p->last->done_ms - p->last->started_ms >= DELAY_MS - 10;
    return CTL_OK;
}

static void print_summary(const struct run *r, const char *profile, int64_t ms)
{
    const struct probe *p = &r->probe;
    CLEANUP(buf_deinit) struct buf b = {0};

    if (!p->ctl->is_json) {
        printf("profile %s: %zu passed, %zu failed, %zu skipped, in %.1f s\n", profile,
               r->counts[PASS], r->counts[FAIL], r->counts[SKIP], (double)ms / 1000);
        return;
    }
    buf_init(&b, BUF_MAX);
    buf_addz(&b, "{\"url\":");
    buf_add_json(&b, str_of(p->ctl->url));
    buf_addf(&b, ",\"profile\":\"%s\",\"passed\":%zu,\"failed\":%zu,\"skipped\":%zu,\"ms\":%lld",
             profile, r->counts[PASS], r->counts[FAIL], r->counts[SKIP], (long long)ms);
    buf_addz(&b, ",\"checks\":[");
    buf_add(&b, buf_str(&r->json));
    printf("%.*s]}\n", (int)b.len, b.ptr);
}

static void init_probe(struct probe *p, const struct ctl *c, struct http *client)
{
    *p = (struct probe){.ctl = c,
                        .client = client,
                        .capability = c->capability ? c->capability : "observatory.models.infer",
                        .tenant = c->tenant,
                        .second_tenant = c->second_tenant,
                        .token = c->token,
                        .second_token = c->second_token};
    snprintf(p->run, sizeof p->run, "%llx", (unsigned long long)(clock_ms() & 0xffffffff));
    buf_init(&p->descriptor, HTTP_ANSWER_MAX);
    buf_init(&p->expected, 65536);
    buf_init(&p->came, 65536);
}

static void deinit_probe(struct probe *p)
{
    http_job_free(p->client, p->last);
    buf_deinit(&p->descriptor);
    buf_deinit(&p->expected);
    buf_deinit(&p->came);
}

static int run_all(struct ctl *c, size_t profile)
{
    CLEANUP(http_freep) struct http *client = http_new(c);
    int64_t began = clock_ms();
    struct run r = {0};
    int code;

    if (!client)
        return CTL_USAGE;
    init_probe(&r.probe, c, client);
    buf_init(&r.json, BUF_MAX);
    code = look_around(&r.probe);
    if (code == CTL_OK) {
        size_t n = each_check(c, profiles[profile].contains, &r, run_check);
        if (n)
            print_summary(&r, profiles[profile].name, clock_ms() - began);
        code = !n               ? usage_error("--only %s: no check begins so", c->only)
               : r.counts[FAIL] ? CTL_FAILED
                                : CTL_OK;
    }
    deinit_probe(&r.probe);
    buf_deinit(&r.json);
    return code;
}

/* Ids and tokens go into headers and JSON texts as they are. */
static bool is_plain(const char *text)
{
    return !text || (*text && str_is_visible(str_of(text), 8192) && !strpbrk(text, "\"\\'${}"));
}

int ctl_conformance(struct ctl *c)
{
    const char *wanted = c->profile ? c->profile : "full";
    size_t i = 0;

    while (i < countof(profiles) && strcmp(profiles[i].name, wanted) != 0)
        i++;
    if (i == countof(profiles))
        return usage_error("--profile %s: core, streaming, evented and full are known", wanted);
    if (!is_plain(c->tenant) || !is_plain(c->second_tenant) || !is_plain(c->token) ||
        !is_plain(c->second_token) || !is_plain(c->capability) || !is_plain(c->admin_key))
        return usage_error("conformance: an id, key or token has characters that none has");
    if (!c->is_list)
        return run_all(c, i);
    each_check(c, profiles[i].contains, c, list_check);
    return CTL_OK;
}
