/* The built-in admin plugin against the mock host, with a mig.control/1 of the test's own. */
#include "contract.h"

#include "mig/ext/control.h"

extern const mig_plugin_entry_t mig_plugin_entry_admin;

static unsigned asked;

static mig_status refuse(const mig_host *h, mig_call call, mig_str verb, mig_str args,
                         mig_done done, void *tag)
{
    (void)h;
    (void)call;
    (void)done;
    (void)tag;
    assert_true(verb.len > 0);
    assert_true(args.len == 0 || args.ptr[0] == '{');
    asked++;
    return MIG_E_AGAIN; /* the plugin must end its call by itself */
}

static const mig_ext_control control = {sizeof control, 0, refuse};

static void without_the_grant_it_is_not_created(void **state)
{
    mock_host *m = mock_host_new();

    (void)state;
    assert_int_equal(mock_load(m, &mig_plugin_entry_admin, NULL), MIG_OK);
    assert_int_equal(mock_create(m, "{}"), MIG_FORBIDDEN);
    assert_true(mock_log_count(m) > 0);
    mock_host_free(m);
}

static void every_route_ends_its_call(void **state)
{
    mock_host *m = served(&mig_plugin_entry_admin, "{}", MIG_EXT_CONTROL, &control);
    mig_str text = mock_catalogue_text(m);
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
#define A "/admin/v0.1"
    static const char *const paths[] = {
        A "/reload",           A "/manifests",      A "/generations",
        A "/plugins",          A "/plugins/x",      A "/instances",
        A "/capabilities",     A "/connections",    A "/loops",
        A "/config",           A "/health/live",    A "/health/ready",
        A "/health/detailed",  "/health",           "/metrics",
        A "/capabilities/a.b", A "/plugins/reload", "/pro/v0.1/audit/export"};
    unsigned served_calls = 0;

    (void)state;
    assert_true(text.len > 0);
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++)
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
            for (int body = 0; body < 3; body++) {
                static const char *const bodies[] = {"", "{}", "{\"x\":"};
                mig_call c = mock_http(m, methods[i], paths[p], bodies[body]);
                if (!c.v)
                    continue;
                served_calls++;
                mock_await(m, c);
                assert_true(mock_is_ended(m, c));
            }
    assert_true(served_calls >= 17);
    assert_true(asked > 0);
    over(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_the_grant_it_is_not_created),
        T(every_route_ends_its_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
