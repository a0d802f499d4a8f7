/* The verb `conformance` (MIG v0.1 14.1, 18.1): self-checks of this node, run when somebody asks and
 * good for five seconds. */
#include "base/check.h"
#include "base/clock.h"
#include "core/selfcheck.h"
#include "main/control_lists.h"
#include "main/verbs.h"

#include <stdlib.h>

enum { GOOD_MS = 5000 };

struct waiting {
    struct waiting *next;
    struct verb_call v;
};

struct conformance {
    struct node *node;
    struct selfcheck_report report;
    uint64_t at_ms; /* when it was made; 0: there is none */
    bool is_running;
    struct waiting *first;
    struct task begin, end;
};

void conformance_free(struct conformance *c)
{
    for (struct waiting *w = c ? c->first : NULL, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    free(c);
}

static const char *profile_name(enum selfcheck_profile p)
{
    return p == SELFCHECK_CORE        ? "core"
           : p == SELFCHECK_STREAMING ? "streaming"
           : p == SELFCHECK_EVENTED   ? "evented"
                                      : "full";
}

static void add_checks(const struct selfcheck_report *r, struct buf *out)
{
    buf_addz(out, ",\"checks\":[");
    for (size_t i = 0; i < r->count; i++) {
        const struct selfcheck_result *one = &r->list[i];
        buf_addf(out, "%s{\"name\":\"%s\",\"profile\":\"%s\",\"ok\":%s", i ? "," : "", one->name,
                 profile_name(one->profile), one->is_ok ? "true" : "false");
        if (one->note[0]) {
            buf_addz(out, ",\"message\":");
            buf_add_json(out, str_of(one->note));
        }
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static const char *word(bool is)
{
    return is ? "true" : "false";
}

static void tell(const struct conformance *c, const struct verb_call *v)
{
    bool core = selfcheck_has(&c->report, SELFCHECK_CORE);
    bool streaming = core && selfcheck_has(&c->report, SELFCHECK_STREAMING);
    bool evented = core && selfcheck_has(&c->report, SELFCHECK_EVENTED);
    bool full = streaming && evented && selfcheck_has(&c->report, SELFCHECK_FULL);
    struct buf out;

    buf_init(&out, BUF_MAX);
    buf_addf(&out, "{\"core\":%s,\"streaming\":%s,\"evented\":%s,\"full\":%s", word(core),
             word(streaming), word(evented), word(full));
    buf_addf(&out, ",\"profile\":\"%s\"",
             full        ? "full"
             : streaming ? "streaming"
             : evented   ? "evented"
             : core      ? "core"
                         : "none");
    add_checks(&c->report, &out);
    buf_addc(&out, '}');
    verb_say(v, &out);
}

/* Metrics by capability and by code (MIG v0.1 18.1): the steps before have given both a sample. */
static void check_metrics(struct conformance *c)
{
    static const str families[] = {S("\nmig_gateway_invocations_total{"),
                                   S("\nmig_gateway_errors_total{")};
    struct buf text;
    bool is_ok = true;

    buf_init(&text, BUF_MAX);
    list_metrics(c->node, &text);
    for (size_t i = 0; i < countof(families); i++)
        is_ok &= text.len && memmem(text.ptr, text.len, families[i].ptr, families[i].len);
    buf_deinit(&text);
    selfcheck_add(&c->report, "metrics", SELFCHECK_FULL, is_ok,
                  is_ok ? "" : "invocations or errors are not counted");
}

/* Control thread. */
static void ended(struct task *t)
{
    struct conformance *c = container_of(t, struct conformance, end);

    check_metrics(c);
    c->is_running = false;
    c->at_ms = clock_now_ns() / 1000000;
    while (c->first) {
        struct waiting *w = c->first;
        c->first = w->next;
        tell(c, &w->v);
        free(w);
    }
}

/* Loop thread. */
static void checked(void *arg, const struct selfcheck_report *r)
{
    struct conformance *c = arg;

    c->report = *r;
    c->end.run = ended;
    loop_post(c->node->control, &c->end);
}

static void begin_here(struct task *t)
{
    struct conformance *c = container_of(t, struct conformance, begin);
    struct selfcheck_report none = {0};

    if (selfcheck_run(c->node->core, loop_current(), checked, c))
        return;
    selfcheck_add(&none, "selfcheck", SELFCHECK_CORE, false, "it could not be started");
    checked(c, &none);
}

void verb_conformance(const struct verb_call *v)
{
    struct node *n = v->node;
    struct conformance *c = n->conformance ? n->conformance : calloc(1, sizeof *c);

    must(c);
    n->conformance = c;
    c->node = n;
    if (!c->is_running && c->at_ms && clock_now_ns() / 1000000 < c->at_ms + GOOD_MS) {
        tell(c, v);
        return;
    }
    struct waiting *w = malloc(sizeof *w);
    must(w);
    *w = (struct waiting){c->first, *v};
    c->first = w;
    if (c->is_running)
        return;
    c->is_running = true;
    c->begin.run = begin_here;
    loop_post(n->loops[0], &c->begin);
}
