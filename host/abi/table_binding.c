/* mig.binding/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "base/check.h"
#include "core/subscription.h"
#include "mig/ext/binding.h"

#include <stdlib.h>

struct order {
    struct task task;
    struct call *call;
    struct instance *instance;
    mig_submit submit;
};

static void obey(struct task *t)
{
    struct order *o = container_of(t, struct order, task);

    pipeline_submit(o->call, o->instance, &o->submit);
    free(o);
}

static mig_status submit(const mig_host *h, mig_call ex, const mig_submit *s)
{
    struct instance *i = instance_of(h);
    mig_submit in = {0};

    if (!s || s->struct_size < offsetof(mig_submit, on_done) + sizeof s->on_done || !s->on_done ||
        s->operation > MIG_OP_SCHEMA)
        return MIG_E_ARG;
    memcpy(&in, s, s->struct_size < sizeof in ? s->struct_size : sizeof in);
    struct call *c = call_hold(i->core, i, ex);
    if (!c)
        return MIG_E_GONE;
    if (!c->principal) {
        call_drop_any(c);
        return MIG_E_ARG; /* a tick has no caller */
    }
    if (loop_is_current(c->home)) {
        pipeline_submit(c, i, &in);
        return MIG_OK;
    }
    struct order *o = malloc(sizeof *o);
    must(o);
    *o = (struct order){{.run = obey}, c, i, in};
    loop_post(c->home, &o->task);
    return MIG_OK;
}

/* --- the client's side of a stream -------------------------------------------------------------- */

enum word { WORD_MESSAGE, WORD_HALF_CLOSE, WORD_RESUME };

struct message {
    struct task task;
    struct core *core;
    struct instance *binding;
    mig_call op;
    enum word word;
    size_t len;
    char json[];
};

static mig_status hear(struct core *core, struct instance *binding, mig_call h, enum word word,
                       str json)
{
    struct call *c = call_find(core, h);
    struct op *op = c ? op_of_call(c) : NULL;
    struct subscription *s = c ? subscription_of(c) : NULL;

    if (s && s->rest.instance == binding && word == WORD_RESUME) {
        s->child.room(&s->child);
        return MIG_OK;
    }
    if (!op || op->instance != binding)
        return MIG_E_GONE;
    switch (word) {
    case WORD_MESSAGE: return call_message(c, json);
    case WORD_HALF_CLOSE: call_half_close(c); break;
    case WORD_RESUME: op->child.room(&op->child); break;
    }
    return MIG_OK;
}

static void hear_later(struct task *t)
{
    struct message *m = container_of(t, struct message, task);

    hear(m->core, m->binding, m->op, m->word, (str){m->json, m->len});
    free(m);
}

/* On the home loop the answer is exact; from elsewhere the message travels. */
static mig_status say(const mig_host *h, mig_call op, enum word word, str json)
{
    struct instance *i = instance_of(h);
    size_t loop = op.v >> 56;

    if (loop >= i->core->loop_count || call_is_cancelled(i->core, op))
        return MIG_E_GONE;
    if (loop_is_current(i->core->loops[loop]))
        return hear(i->core, i, op, word, json);
    struct message *m = malloc(sizeof *m + json.len);
    must(m);
    *m = (struct message){{.run = hear_later}, i->core, i, op, word, json.len};
    if (json.len)
        memcpy(m->json, json.ptr, json.len);
    loop_post(i->core->loops[loop], &m->task);
    return MIG_OK;
}

static bool is_json(str json)
{
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, json.len * 16 + (1 << 20));
    bool ok = a && json_check(a, json, NULL);

    if (a)
        arena_unref(a);
    arena_pool_deinit(&pool);
    return ok;
}

static mig_status message(const mig_host *h, mig_call op, mig_str json)
{
    return is_json(json) ? say(h, op, WORD_MESSAGE, json) : MIG_INVALID_REQUEST;
}

static mig_status half_close(const mig_host *h, mig_call op)
{
    return say(h, op, WORD_HALF_CLOSE, (str){NULL, 0});
}

static mig_status resume(const mig_host *h, mig_call op)
{
    return say(h, op, WORD_RESUME, (str){NULL, 0});
}

const void *table_binding(struct instance *i)
{
    static const mig_ext_binding table = {sizeof table, 0, submit, message, half_close, resume};
    (void)i;
    return &table;
}
