/* Plugins built against the frozen headers of earlier releases load in this host. */
#include "unit.h"
#include "abi/entry.h"
#include "abi/module.h"
#include "mig/plugin.h"

static mig_status take_capability(const mig_registrar *reg, const mig_capability *cap)
{
    *(const char **)reg->ctx = cap->id;
    return MIG_OK;
}

static mig_status no_extension(const mig_registrar *reg, const char *id, const void *def)
{
    (void)reg;
    (void)id;
    (void)def;
    return MIG_E_NOSYS;
}

static mig_status finish(const mig_host *h, mig_call call, const mig_payload *p)
{
    assert_int_equal(call.v, 7);
    memcpy(h->ctx, p->bytes.ptr, p->bytes.len);
    return MIG_OK;
}

static const mig_capability *seen;
static mig_capability copy;

static mig_status keep_capability(const mig_registrar *reg, const mig_capability *cap)
{
    memcpy(&copy, cap, cap->struct_size < sizeof copy ? cap->struct_size : sizeof copy);
    seen = &copy;
    return take_capability(reg, cap);
}

static void hello_of_1_0_rc1_loads_and_answers(void **state)
{
    static const struct module_builtin none[] = {{0}};
    const char *id = NULL;
    char error[256], answer[128] = "";
    char *dir = unit_dir();
    struct diag d;
    void *self;
    const mig_host host = {
        .struct_size = sizeof host, .abi_major = 1, .ctx = answer, .finish = finish};
    const mig_registrar reg = {sizeof reg, 0, &id, keep_capability, no_extension};
    const mig_request req = {.struct_size = sizeof req, .payload = S("{\"name\":\"Ada\"}")};

    (void)state;
    diag_init(&d);
    struct modules *all = modules_new(dir, none, error);
    struct module *m = module_open(all, TEST_BUILD "/tests/corpus/hello_1_0_rc1.so", NULL,
                                   (struct diag_at){0}, &d);
    if (!m)
        fail_msg("%s", d.list[0].text);
    mig_plugin p =
        entry_copy_plugin(module_plugin(m, "org.example.hello", (struct diag_at){0}, &d));
    assert_int_equal(p.create(&host, mig_s("{}"), &self), MIG_OK);
    assert_int_equal(p.describe(self, &reg), MIG_OK);
    assert_string_equal(id, "example.hello.greet");
    seen->invoke(self, seen->data, (mig_call){7}, &req);
    assert_string_equal(answer, "{\"greeting\":\"hello\"}");
    p.destroy(self);
    module_unref(m);
    modules_free(all);
    diag_deinit(&d);
    unit_rm(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(hello_of_1_0_rc1_loads_and_answers)};
    return RUN(tests);
}
