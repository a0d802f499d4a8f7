#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/yaml.h"
#include "config/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef TEST_DATA
#define TEST_DATA "tests/data"
#endif

#define TOOL "{mcp_name: t, mig_capability: a.b}"

static void print_findings(const struct diag *d)
{
    for (size_t i = 0; i < d->count; i++)
        print_message("%s:%u:%u %s\n", d->list[i].id, d->list[i].line, d->list[i].column,
                      d->list[i].text);
}

static struct manifest *parse(const char *text, struct diag *d)
{
    diag_init(d);
    return manifest_parse(str_of(text), "conf/m.yaml", d);
}

static void assert_only(const struct diag *d, const char *text, const char *id, unsigned line,
                        unsigned column, const char *part)
{
    const struct diag_finding *f = d->list;

    if (d->count == 1 && !strcmp(f->id, id) && f->line == line && f->column == column &&
        strstr(f->text, part) && !strcmp(f->file, "conf/m.yaml"))
        return;
    print_findings(d);
    fail_msg("%s\nnot %s at %u:%u with \"%s\"", text, id, line, column, part);
}

static void the_example_of_the_contract_is_read(void **state)
{
    static const char text[] =
        "version: 0.2\n"
        "default_binding: grpc\n"
        "mappings:\n"
        "  tools:\n"
        "    - {mcp_name: translate_text, mig_capability: acme.text.translate, timeout_ms: 15000, "
        "policy_tags: [nlp], billing_tier: core}\n"
        "    - {mcp_name: transcribe_live, mig_capability: acme.audio.transcribe, "
        "mode: server_stream, billing_tier: pro}\n"
        "  resources:\n"
        "    - {mcp_uri_pattern: \"acme://documents/{id}\", mig_capability: acme.documents.read}\n"
        "  prompts:\n"
        "    - {mcp_name: triage_ticket, mig_capability: acme.prompts.triage}\n"
        "policy: {allow_streaming_tools: true, tenant_resolution: header}\n"
        "billing: {usage_scope: org}\n";
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(manifest_freep) struct manifest *m = parse(text, &d);

    (void)state;
    print_findings(&d);
    assert_non_null(m);
    assert_int_equal(d.count, 0);
    assert_string_equal(m->version, "0.2");
    assert_string_equal(m->default_binding, "grpc");
    assert_int_equal(m->tool_count, 2);
    assert_string_equal(m->tools[0].mcp_name, "translate_text");
    assert_int_equal(m->tools[0].timeout_ms, 15000);
    assert_string_equal(m->tools[0].policy_tags.items[0], "nlp");
    assert_int_equal(m->tools[0].at.line, 5);
    assert_int_equal(m->tools[0].at.column, 18);
    assert_int_equal(m->tools[0].capability_at.column, 50);
    assert_string_equal(m->tools[1].mode, "server_stream");
    assert_string_equal(m->tools[1].billing_tier, "pro");
    assert_int_equal(m->tools[1].timeout_ms, 30000);
    assert_null(m->tools[1].description);
    assert_string_equal(m->resources[0].name, "documents");
    assert_string_equal(m->resources[0].mime_type, "application/json");
    assert_string_equal(m->resources[0].mode, "unary");
    assert_string_equal(m->prompts[0].mig_capability, "acme.prompts.triage");
    assert_true(m->allow_streaming_tools);
    assert_string_equal(m->tenant_resolution, "header");
    assert_string_equal(m->billing_usage_scope, "org");
    assert_string_equal(m->billing_meter, "invocations_capability_tier");
    assert_int_equal(m->has_autoload, -1);
}

static void providers_are_read(void **state)
{
    static const char text[] =
        "providers:\n"
        "  greeter:\n"
        "    module: hello.so\n"
        "    plugin: org.example.hello\n"
        "    config: {greeting: \"${GREETING_OF_TEST:hi}\", n: 0x10, deep: [{a: ~}], raw: \"$5\"}\n"
        "    isolation: inline\n"
        "    limits: {max_concurrency: 64, queue: 5}\n"
        "    sha256: ABCDEFabcdef0123456789012345678901234567890123456789012345678901\n"
        "    required: true\n"
        "  weather:\n"
        "    lua: weather.lua\n"
        "    enabled: false\n"
        "  mem:\n"
        "    plugin: dev.migd.memory\n"
        "plugin_dirs: [mods, /abs]\n"
        "autoload: false\n"
        "watch: true\n";
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(manifest_freep) struct manifest *m = parse(text, &d);

    (void)state;
    print_findings(&d);
    assert_non_null(m);
    assert_int_equal(m->provider_count, 3);
    const struct manifest_provider *p = m->providers;
    assert_string_equal(p[0].name, "greeter");
    assert_int_equal(p[0].source, MANIFEST_MODULE);
    assert_string_equal(p[0].path, "hello.so");
    assert_string_equal(p[0].plugin, "org.example.hello");
    assert_string_equal(p[0].config,
                        "{\"greeting\":\"hi\",\"n\":16,\"deep\":[{\"a\":null}],\"raw\":\"$5\"}");
    assert_string_equal(p[0].sha256,
                        "abcdefabcdef0123456789012345678901234567890123456789012345678901");
    assert_int_equal(p[0].max_concurrency, 64);
    assert_int_equal(p[0].queue, 5);
    assert_true(p[0].is_required && p[0].is_enabled);
    assert_int_equal(p[0].at.line * 100 + p[0].at.column, 203);
    assert_int_equal(p[0].path_at.line * 100 + p[0].path_at.column, 313);
    assert_int_equal(p[1].source, MANIFEST_LUA);
    assert_false(p[1].is_required || p[1].is_enabled);
    assert_string_equal(p[1].config, "{}");
    assert_int_equal(p[2].source, MANIFEST_BUILTIN);
    assert_null(p[2].path);
    assert_string_equal(p[2].plugin, "dev.migd.memory");
    assert_int_equal(p[2].path_at.line, 14);
    assert_string_equal(m->plugin_dirs.items[0], "conf/mods");
    assert_string_equal(m->plugin_dirs.items[1], "/abs");
    assert_int_equal(m->has_autoload, 0);
    assert_int_equal(m->has_watch, 1);
    assert_string_equal(m->version, "0.1");
}

static void each_mistake_has_its_id_and_place(void **state)
{
    static const struct {
        const char *text, *id;
        unsigned line, column;
        const char *part;
    } rows[] = {
        {"version: 0.3\nmappings: {tools: [" TOOL "]}", "manifest.version", 1, 10, "0.1, 0.2"},
        {"version: 0.10\nmappings: {tools: [" TOOL "]}", "manifest.version", 1, 10, "0.10"},
        {"schema_version: x\nmappings: {tools: [" TOOL "]}", "manifest.schema_version", 1, 17, "x"},
        {"default_binding: tcp\nmappings: {tools: [" TOOL "]}", "manifest.default_binding", 1, 18,
         "http, grpc, nats"},
        {"", "manifest.mappings.empty", 1, 1, "providers"},
        {"version: 0.1", "manifest.mappings.empty", 1, 1, "no tool"},
        {"mappings: {}", "manifest.mappings.empty", 1, 1, "no tool"},
        {"mappings:", "manifest.mappings.empty", 1, 1, "no tool"},
        {"mappings: {tools: []}", "manifest.mappings.empty", 1, 1, "no tool"},
        {"autoload: true\npolicy: {}", "manifest.mappings.empty", 1, 1, "no tool"},
        {"mappings: {tools: x}", "manifest.mappings.type", 1, 19, "must be a list"},
        {"mappings: x", "manifest.mappings.type", 1, 11, "must be a map"},
        {"[]", "manifest.type", 1, 1, "a map"},
        {"mappings: {tools: [x]}", "tool.type", 1, 20, "a tool is a map"},
        {"mappings: {tools: [{mig_capability: a}]}", "tool.mcp_name", 1, 20, "needs mcp_name"},
        {"mappings: {tools: [{mcp_name: a}]}", "tool.mig_capability", 1, 20, "needs"},
        {"mappings: {tools: [{mcp_name: a b, mig_capability: a}]}", "tool.mcp_name", 1, 31, "a b"},
        {"mappings: {tools: [{mcp_name: 12, mig_capability: a}]}", "tool.mcp_name", 1, 31,
         "must be a string, not an integer"},
        {"mappings: {tools: [{mcp_name: \"\", mig_capability: a}]}", "tool.mcp_name", 1, 31,
         "too short"},
        {"mappings: {tools: [{mcp_name: \"a\\0b\", mig_capability: a}]}", "tool.mcp_name", 1, 31,
         "NUL"},
        {"mappings: {tools: [{mcp_name: a, mig_capability: a..b}]}", "tool.mig_capability", 1, 50,
         "capability id"},
        {"mappings: {tools: [" TOOL ", " TOOL "]}", "tool.mcp_name.duplicate", 1, 67, "line 1"},
        {"mappings: {tools: [{mcp_name: t, mig_capability: a, mode: x}]}", "tool.mode", 1, 59, "x"},
        {"mappings: {tools: [{mcp_name: t, mig_capability: a, mode: bidi_stream}]}",
         "tool.mode.streaming_disabled", 1, 59, "allow_streaming_tools"},
        {"mappings: {tools: [{mcp_name: t, mig_capability: a, timeout_ms: 3600001}]}",
         "tool.timeout_ms", 1, 65, "from 1 to 3600000"},
        {"version: 0.2\nmappings: {tools: [{mcp_name: t, mig_capability: a, "
         "policy_tags: [A]}]}",
         "tool.policy_tags", 2, 67, "a-z"},
        {"version: 0.2\nmappings: {tools: [{mcp_name: t, mig_capability: a, "
         "billing_tier: Pro}]}",
         "tool.billing_tier", 2, 67, "Pro"},
        {"mappings: {resources: [{mcp_uri_pattern: \"a/{b}\", mig_capability: a}]}",
         "resource.pattern", 1, 42, "absolute"},
        {"mappings: {resources: [{mcp_uri_pattern: \"x:a\", mig_capability: a, mode: "
         "server_stream}]}",
         "resource.mode", 1, 74, "unary"},
        {"mappings:\n  resources:\n  - {mcp_uri_pattern: \"x:a\", mig_capability: a}\n"
         "  - {mcp_uri_pattern: \"x:a\", mig_capability: b}\n",
         "resource.pattern.duplicate", 4, 23, "line 3"},
        {"mappings: {prompts: [{mcp_name: p, mig_capability: a, mode: bidi_stream}]}",
         "prompt.mode", 1, 61, "unary"},
        {"policy: {require_traceparent: yes}\nmappings: {tools: [" TOOL "]}",
         "manifest.policy.type", 1, 31, "must be a boolean"},
        {"policy: {tenant_resolution: dns}\nmappings: {tools: [" TOOL "]}",
         "manifest.policy.tenant_resolution", 1, 29, "auth_claim, header, static"},
        {"version: 0.2\nbilling: {meter: \"\"}\nmappings: {tools: [" TOOL "]}", "billing.meter", 2,
         18, "too short"},
        {"version: 0.2\nbilling: {usage_scope: x}\nmappings: {tools: [" TOOL "]}",
         "billing.usage_scope", 2, 24, "tenant, org, capability"},
        {"upstreams: []\nmappings: {tools: [" TOOL "]}", "manifest.unsupported", 1, 1, "upstreams"},
        {"events: {}\nmappings: {tools: [" TOOL "]}", "manifest.unsupported", 1, 1, "events"},
        {"providers: {a: {}}", "provider.source", 1, 13, "exactly one"},
        {"providers: {a: {module: x, lua: y}}", "provider.source", 1, 13, "exactly one"},
        {"providers: {a: {plugin: x, lua: y}}", "provider.source", 1, 13, "exactly one"},
        {"providers: {a: x}", "provider.type", 1, 16, "a map"},
        {"providers: {A: {lua: x}}", "provider.name", 1, 13, "a-z"},
        {"providers: {a: {lua: x, config: []}}", "provider.config", 1, 33, "must be a map"},
        {"providers: {a: {lua: x, sha256: abc}}", "provider.sha256", 1, 33, "64"},
        {"providers: {a: {lua: x, isolation: process}}", "provider.isolation", 1, 36,
         "isolation by process is not available in this version"},
        {"providers: {a: {lua: x, limits: {max_concurrency: 0}}}", "provider.limits", 1, 51,
         "from 1 to 10000"},
        {"providers: {a: {lua: x, limits: {queue: 100001}}}", "provider.limits", 1, 41,
         "from 0 to 100000"},
        {"providers: {a: {lua: x, limits: {cpu: 1}}}", "provider.unknown_key", 1, 34, "cpu"},
        {"providers: {a: {lua: x, confg: {}}}", "provider.unknown_key", 1, 25,
         "did you mean \"config\""},
        {"providers: {a: {lua: x, trust: tenant}}", "provider.unknown_key", 1, 25, "trust"},
        {"providers: {a: {plugin: \"a b\"}}", "provider.plugin", 1, 25, "org.example.hello"},
        {"autoload: 1", "manifest.autoload", 1, 11, "must be a boolean"},
        {"plugin_dirs: [1]", "manifest.plugin_dirs", 1, 15, "must be a string"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        CLEANUP(manifest_freep) struct manifest *m = parse(rows[i].text, &d);
        assert_null(m);
        assert_only(&d, rows[i].text, rows[i].id, rows[i].line, rows[i].column, rows[i].part);
    }
}

static void what_is_only_strange_is_a_warning(void **state)
{
    static const struct {
        const char *text, *id;
        unsigned line, column;
        const char *part;
    } rows[] = {
        {"mapings: 1\nmappings: {tools: [" TOOL "]}", "manifest.unknown_key", 1, 1, "\"mappings\""},
        {"mappings: {tools: [{mcp_name: t, mig_capability: a, timeout: 1}]}",
         "manifest.unknown_key", 1, 53, "\"timeout_ms\""},
        {"mappings: {tools: [{mcp_name: t, mig_capability: a, policy_tags: [x]}]}",
         "tool.policy_tags", 1, 53, "0.1"},
        {"mappings: {tools: [{mcp_name: t, mig_capability: a, billing_tier: pro}]}",
         "tool.billing_tier", 1, 53, "0.1"},
        {"billing: {meter: x}\nmappings: {tools: [" TOOL "]}", "billing.type", 1, 1, "ignored"},
        {"providers: {a: {lua: x, config: {k: \"${UNSET_IN_TESTS}\"}}}", "setting.env_unset", 1, 37,
         "UNSET_IN_TESTS"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        CLEANUP(manifest_freep) struct manifest *m = parse(rows[i].text, &d);
        assert_non_null(m);
        assert_only(&d, rows[i].text, rows[i].id, rows[i].line, rows[i].column, rows[i].part);
        assert_true(!m->tool_count || !strcmp(m->tools[0].billing_tier, "core"));
        assert_true(!m->tool_count || m->tools[0].policy_tags.count == 0);
    }
}

static void the_higher_version_counts(void **state)
{
    static const struct {
        const char *text, *version;
    } rows[] = {
        {"providers: {}", "0.1"},
        {"version: \"0.2\"\nproviders: {}", "0.2"},
        {"schema_version: 0.2\nproviders:\n", "0.2"},
        {"version: 0.2\nschema_version: 0.1\nproviders: {}", "0.2"},
        {"version: 0.1\nautoload: true", "0.1"},
        {"plugin_dirs: [x]", "0.1"},
        {"{\"watch\": false}", "0.1"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        CLEANUP(manifest_freep) struct manifest *m = parse(rows[i].text, &d);
        print_findings(&d);
        assert_non_null(m);
        assert_string_equal(m->version, rows[i].version);
    }
}

static void no_file_is_the_empty_manifest_and_a_missing_one_is_an_error(void **state)
{
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    CLEANUP(manifest_freep) struct manifest *m = manifest_load(NULL, &d);
    assert_non_null(m);
    assert_null(m->file);
    assert_string_equal(m->default_binding, "http");
    assert_int_equal(m->has_watch, -1);
    assert_int_equal(d.count, 0);
    assert_null(manifest_load("/nonexistent.yaml", &d));
    assert_string_equal(d.list[0].id, "manifest.file");
}

static void the_file_with_five_mistakes_gives_five_findings(void **state)
{
    static const struct {
        const char *id;
        unsigned line;
    } rows[] = {
        {"provider.unknown_key", 6},          {"tool.mcp_name", 9},     {"tool.timeout_ms", 13},
        {"tool.mode.streaming_disabled", 16}, {"resource.pattern", 18},
    };
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    diag_init(&d);
    assert_null(manifest_load(TEST_DATA "/manifests/bad-five.yaml", &d));
    print_findings(&d);
    assert_int_equal(d.count, countof(rows));
    for (size_t i = 0; i < countof(rows); i++) {
        assert_string_equal(d.list[i].id, rows[i].id);
        assert_int_equal(d.list[i].line, rows[i].line);
    }
}

static void the_schema_is_json(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf b;

    (void)state;
    diag_init(&d);
    buf_init(&b, 1 << 20);
    manifest_schema(&b);
    CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(buf_str(&b), "schema", &d);
    assert_non_null(root);
    assert_non_null(yaml_get(yaml_get(root, S("properties")), S("providers")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_contract_is_read),
        cmocka_unit_test(providers_are_read),
        cmocka_unit_test(each_mistake_has_its_id_and_place),
        cmocka_unit_test(what_is_only_strange_is_a_warning),
        cmocka_unit_test(the_higher_version_counts),
        cmocka_unit_test(no_file_is_the_empty_manifest_and_a_missing_one_is_an_error),
        cmocka_unit_test(the_file_with_five_mistakes_gives_five_findings),
        cmocka_unit_test(the_schema_is_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
