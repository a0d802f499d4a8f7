/* The built-in echo provider against the mock host. */
#include "contract.h"

extern const mig_plugin_entry_t mig_plugin_entry_echo;

static const char config[] =
    "{\"unbound\":\"unavailable\",\"capabilities\":["
    "{\"descriptor\":{\"id\":\"test.echo\",\"version\":\"1.0.0\",\"modes\":[\"unary\"]},"
    "\"provider\":\"echo\"},"
    "{\"descriptor\":{\"id\":\"test.unbound\",\"version\":\"1.0.0\",\"modes\":[\"unary\"]}}]}";

static void needs_no_configuration(void **state)
{
    (void)state;
    over(served(&mig_plugin_entry_echo, "{}", NULL, NULL));
}

static void answers_with_what_it_was_given(void **state)
{
    mock_host *m = served(&mig_plugin_entry_echo, config, NULL, NULL);
    mig_call c = mock_invoke(m, "test.echo", "{\"a\":[1,\"\\u00e4\"]}", MIG_MODE_UNARY);

    (void)state;
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_non_null(strstr(mock_result(m, c), "{\"a\":[1,\"\\u00e4\"]}"));
    assert_true(mock_is_ended(m, c));
    over(m);
}

static void unbound_capabilities_are_unavailable_when_told(void **state)
{
    mock_host *m = served(&mig_plugin_entry_echo, config, NULL, NULL);
    mig_call c = mock_invoke(m, "test.unbound", "{}", MIG_MODE_UNARY);

    (void)state;
    assert_int_equal(mock_await(m, c), MIG_UNAVAILABLE);
    over(m);
}

static void a_cancelled_call_ends(void **state)
{
    mock_host *m = served(&mig_plugin_entry_echo, config, NULL, NULL);
    mig_call c = mock_invoke(m, "test.echo", "{}", MIG_MODE_UNARY);

    (void)state;
    mock_cancel(m, c);
    mock_advance(m, 60000);
    assert_int_equal(mock_debt(m), 0);
    over(m);
}

static void bad_configuration_is_refused(void **state)
{
    static const char *const bad[] = {"{\"capabilities\":[{}]}",
                                      "{\"capabilities\":[{\"descriptor\":{\"id\":\"a.b\"}}]}"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mock_host *m = mock_host_new();
        assert_int_equal(mock_load(m, &mig_plugin_entry_echo, NULL), MIG_OK);
        assert_int_not_equal(mock_create(m, bad[i]), MIG_OK);
        assert_true(mock_log_count(m) > 0);
        mock_host_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(needs_no_configuration),
        T(answers_with_what_it_was_given),
        T(unbound_capabilities_are_unavailable_when_told),
        T(a_cancelled_call_ends),
        T(bad_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
