/* The Lua engine against the mock host. */
#include "contract.h"

extern const mig_plugin_entry_t mig_plugin_entry_lua;

static char dir[] = "/tmp/migd-contract-XXXXXX";
static char config[512];

static const char *script(const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/s.lua", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    snprintf(config, sizeof config, "{\"script\":\"%s\",\"name\":\"s\",\"config\":{}}", path);
    return config;
}

static const char greeter[] =
    "local mig = require 'mig'\n"
    "local greet = mig.capability { id = 'test.greet', version = '1.0.0',\n"
    "  summary = 'Greets.' }\n"
    "function greet.invoke(call)\n"
    "  if not call.payload.name then error('no name') end\n"
    "  return { greeting = 'Hello, ' .. call.payload.name }\n"
    "end\n";

static void serves_a_script(void **state)
{
    mock_host *m = served(&mig_plugin_entry_lua, script(greeter), NULL, NULL);
    mig_call c = mock_invoke(m, "test.greet", "{\"name\":\"Ada\"}", MIG_MODE_UNARY);

    (void)state;
    assert_int_equal(mock_await(m, c), MIG_OK);
    assert_string_equal(mock_result(m, c), "{\"greeting\":\"Hello, Ada\"}");
    over(m);
}

static void an_error_of_the_script_is_an_error_of_the_call(void **state)
{
    mock_host *m = served(&mig_plugin_entry_lua, script(greeter), NULL, NULL);
    mig_call c = mock_invoke(m, "test.greet", "{}", MIG_MODE_UNARY);

    (void)state;
    assert_int_not_equal(mock_await(m, c), MIG_OK);
    assert_true(mock_is_ended(m, c));
    c = mock_invoke(m, "test.greet", "{\"name\":\"Eve\"}", MIG_MODE_UNARY);
    assert_int_equal(mock_await(m, c), MIG_OK); /* and of that call only */
    over(m);
}

static void a_cancelled_call_ends(void **state)
{
    mock_host *m = served(&mig_plugin_entry_lua, script(greeter), NULL, NULL);
    mig_call c = mock_invoke(m, "test.greet", "{\"name\":\"Ada\"}", MIG_MODE_UNARY);

    (void)state;
    mock_cancel(m, c);
    mock_advance(m, 60000);
    assert_int_equal(mock_debt(m), 0);
    over(m);
}

static void a_wrong_script_is_refused_with_its_line(void **state)
{
    static const char *const bad[] = {"this is no Lua\n", "error('at load')\n",
                                      "local mig = require 'mig'\nmig.capability { id = 7 }\n"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mock_host *m = mock_host_new();
        assert_int_equal(mock_load(m, &mig_plugin_entry_lua, NULL), MIG_OK);
        assert_int_not_equal(mock_create(m, script(bad[i])), MIG_OK);
        size_t found = 0;
        for (size_t l = 0; l < mock_log_count(m); l++)
            found += strstr(mock_log(m, l), "s.lua") != NULL;
        assert_true(found > 0);
        mock_host_free(m);
    }
}

static void without_a_script_it_is_not_created(void **state)
{
    mock_host *m = mock_host_new();

    (void)state;
    assert_int_equal(mock_load(m, &mig_plugin_entry_lua, NULL), MIG_OK);
    assert_int_not_equal(mock_create(m, "{}"), MIG_OK);
    assert_int_not_equal(mock_create(m, "{\"script\":\"/nonexistent.lua\",\"name\":\"x\"}"),
                         MIG_OK);
    mock_host_free(m);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/s.lua", dir);
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(serves_a_script),
        T(an_error_of_the_script_is_an_error_of_the_call),
        T(a_cancelled_call_ends),
        T(a_wrong_script_is_refused_with_its_line),
        T(without_a_script_it_is_not_created),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
