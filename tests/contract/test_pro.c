/* The built-in pro plugin against the mock host, with a mig.control/1 of the test's own. */
#include "contract.h"

#include "mig/ext/control.h"

extern const mig_plugin_entry_t mig_plugin_entry_pro;

static unsigned asked;
static char last_args[256];

static mig_status refuse(const mig_host *h, mig_call call, mig_str verb, mig_str args,
                         mig_done done, void *tag)
{
    (void)h;
    (void)call;
    (void)done;
    (void)tag;
    assert_true(verb.len > 0);
    assert_true(args.len > 1 && args.len < sizeof last_args && args.ptr[0] == '{');
    memcpy(last_args, args.ptr, args.len);
    last_args[args.len] = 0;
    asked++;
    return MIG_E_AGAIN; /* the plugin must end its call by itself */
}

static const mig_ext_control control = {sizeof control, 0, refuse};

static void without_the_grant_it_serves_nothing(void **state)
{
    mock_host *m = served(&mig_plugin_entry_pro, "{}", NULL, NULL);

    (void)state;
    assert_true(mock_log_count(m) > 0);
    assert_int_equal(mock_http(m, "GET", "/cloud/v0.1/usage", "").v, 0);
    over(m);
}

static void every_route_ends_its_call(void **state)
{
    mock_host *m = served(&mig_plugin_entry_pro, "{}", MIG_EXT_CONTROL, &control);
    static const char *const methods[] = {"GET", "POST"};
    static const char *const paths[] = {
        "/pro/v0.1/policies/validate", "/pro/v0.1/quotas",     "/cloud/v0.1/orgs",
        "/cloud/v0.1/tenants",         "/cloud/v0.1/gateways", "/cloud/v0.1/usage"};
    unsigned served_calls = 0;

    (void)state;
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++)
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
            for (int body = 0; body < 4; body++) {
                static const char *const bodies[] = {"", "{}", "{\"x\":", "[1]"};
                mig_call c = mock_http(m, methods[i], paths[p], bodies[body]);
                if (!c.v)
                    continue;
                served_calls++;
                mock_await(m, c);
                assert_true(mock_is_ended(m, c));
            }
    assert_int_equal(served_calls, 10 * 4);
    assert_int_equal(asked, 5 + 5 * 4); /* a POST only with an object */
    over(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_the_grant_it_serves_nothing),
        T(every_route_ends_its_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
