/* The built-in HTTP binding against the mock host. */
#include "contract.h"

extern const mig_plugin_entry_t mig_plugin_entry_http_binding;

static mock_host *up(void)
{
    return served(&mig_plugin_entry_http_binding, "{}", NULL, NULL);
}

static void carries_an_invocation_and_its_answer(void **state)
{
    mock_host *m = up();

    (void)state;
    mock_answer(m, "a.b", MIG_OK, "{\"r\":1}", 0);
    mig_call c = mock_http(m, "POST", "/mig/v0.1/invoke/a.b", "{\"payload\":{}}");
    assert_int_not_equal(c.v, 0);
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_int_equal(mock_look(m, c)->http_status, 200);
    assert_non_null(strstr(mock_result(m, c), "{\"r\":1}"));
    assert_string_equal(mock_header(m, c, "content-type"), "application/json");
    over(m);
}

static void errors_have_the_status_of_their_code(void **state)
{
    mock_host *m = up();

    (void)state;
    mock_answer(m, "a.b", MIG_BACKPRESSURE, "busy", 0);
    mig_call c = mock_http(m, "POST", "/mig/v0.1/invoke/a.b", "{}");
    mock_await(m, c);
    assert_int_equal(mock_look(m, c)->http_status, 429);
    assert_string_equal(mock_header(m, c, "retry-after"), "1");
    over(m);
}

static void an_invocation_without_a_body_is_refused(void **state)
{
    mock_host *m = up();
    mig_call c = mock_http(m, "POST", "/mig/v0.1/invoke/a.b", "");

    (void)state;
    assert_int_equal(mock_await(m, c), MIG_INVALID_REQUEST);
    over(m);
}

static void other_routes_are_not_its(void **state)
{
    mock_host *m = up();

    (void)state;
    assert_int_equal(mock_http(m, "GET", "/mig/v0.1/invoke/a.b", "").v, 0);
    assert_int_equal(mock_http(m, "POST", "/mig/v0.2/invoke/a.b", "{}").v, 0);
    over(m);
}

static void a_client_that_leaves_ends_the_submission(void **state)
{
    mock_host *m = up();

    (void)state;
    mock_answer(m, "a.b", MIG_OK, "{}", 0);
    mig_call c = mock_http(m, "POST", "/mig/v0.1/invoke/a.b", "{}");
    mock_cancel(m, c);
    mock_advance(m, 60000);
    over(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(carries_an_invocation_and_its_answer),     T(errors_have_the_status_of_their_code),
        T(an_invocation_without_a_body_is_refused),  T(other_routes_are_not_its),
        T(a_client_that_leaves_ends_the_submission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
