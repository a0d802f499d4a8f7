/* Tests of @NAME@ against the mock host: no daemon, no network, no waiting. */
#include <mig/sdk/mock.h>
#include <stdio.h>
#include <string.h>

extern const mig_plugin_entry_t mig_plugin_entry;

static int failures;

static void expect(int is_so, const char *what)
{
    printf("%s  %s\n", is_so ? "ok  " : "FAIL", what);
    failures += !is_so;
}

static void greets(mock_host *m)
{
    mig_call call =
        mock_invoke(m, "example.@NAME@.greet", "{\"name\":\"Ada \\\"L\\\"\"}", MIG_MODE_UNARY);

    expect(mock_await(m, call) == MIG_OK, "a greeting succeeds");
    expect(!strcmp(mock_result(m, call), "{\"greeting\":\"Hello, Ada \\\"L\\\"!\"}"),
           "the name is in it, escaped");
}

static void streams(mock_host *m)
{
    mig_call call =
        mock_invoke(m, "example.@NAME@.greet", "{\"name\":\"Ada\"}", MIG_MODE_SERVER_STREAM);

    expect(mock_await(m, call) == MIG_OK, "a stream succeeds");
    expect(mock_frame_count(m, call) == 3, "it brings three frames");
}

int main(void)
{
    mock_host *m = mock_host_new();

    if (mock_load(m, &mig_plugin_entry, NULL) != MIG_OK || mock_create(m, "{}") != MIG_OK ||
        mock_describe(m) != MIG_OK || mock_start(m) != MIG_OK) {
        printf("FAIL  %s\n", mock_fault(m, 0));
        return 1;
    }
    greets(m);
    streams(m);
    mock_quiesce(m);
    expect(mock_destroy(m), "nothing is owed at the end");
    for (size_t i = 0; i < mock_fault_count(m); i++)
        expect(0, mock_fault(m, i));
    mock_host_free(m);
    return failures != 0;
}
