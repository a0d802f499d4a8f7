#include "core/self_call.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/core.h"

enum { ARENA_LIMIT = 1 << 20 };

struct self_call {
    struct self_call_spec spec;
    bool has_started, has_result;
    struct call_result result;
};

static void start(struct call *c)
{
    struct self_call *s = c->owner;

    s->has_started = true;
    s->spec.give(s->spec.arg, call_handle(c));
}

/* The instance must have given its end before ended() runs: a tick that overstays stays "running". */
static void answer(struct call *c, const struct call_result *r)
{
    struct self_call *s = c->owner;

    s->result =
        (struct call_result){.status = r->status, .message = arena_copy(c->arena, r->message)};
    s->has_result = true;
}

static void end(struct call *c)
{
    struct self_call *s = c->owner;

    if (s->spec.ended && s->has_result)
        s->spec.ended(s->spec.arg, &s->result);
}

static const struct call_kind kind = {
    .name = "self", .start = start, .answer = answer, .free = end};

bool self_call_start(struct loop *l, const struct self_call_spec *spec)
{
    struct core *core = spec->instance->core;
    struct arena *a = arena_new(&l->chunks, ARENA_LIMIT);
    struct self_call *s = a ? arena_zero(a, sizeof *s) : NULL;
    const struct call_handler handler = {.exec = spec->exec};

    if (!s)
        return false;
    s->spec = *spec;
    uint64_t ms = spec->timeout_ms ? spec->timeout_ms : POLICY_DEADLINE_MS;
    struct call *c =
        call_open(core->per_loop[l->index].calls, &(struct call_spec){
                                                      .kind = &kind,
                                                      .instance = spec->instance,
                                                      .gen = gen_current(core, l),
                                                      .arena = a,
                                                      .handler = &handler,
                                                      .owner = s,
                                                      .deadline_ns = clock_now_ns() + ms * 1000000u,
                                                  });
    arena_unref(a);
    if (!c)
        return false;
    return call_start(c); /* when refused, s->has_result is false and ended() does not run */
}
