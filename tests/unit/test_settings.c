#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/yaml.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/migd-settings-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/migd.yaml", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* file: text of migd.yaml; NULL: an empty one. */
static struct settings *load(const char *file, const char *const *env, const char *const *flags,
                             struct diag *d)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(file ? file : "", f);
    fclose(f);
    diag_init(d);
    return settings_load(&(struct settings_source){.path = path, .environ = env, .flags = flags},
                         d);
}

static void assert_finding(const struct diag *d, const char *id, unsigned line, unsigned column,
                           const char *part)
{
    for (size_t i = 0; i < d->count; i++)
        if (!strcmp(d->list[i].id, id) && d->list[i].line == line && d->list[i].column == column &&
            strstr(d->list[i].text, part))
            return;
    for (size_t i = 0; i < d->count; i++)
        print_message("%s:%u:%u %s\n", d->list[i].id, d->list[i].line, d->list[i].column,
                      d->list[i].text);
    fail_msg("no %s at %u:%u with \"%s\"", id, line, column, part);
}

static void defaults_are_those_of_the_header(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep) struct settings *s = load(NULL, NULL, NULL, &d);

    (void)state;
    assert_non_null(s);
    assert_int_equal(d.count, 0);
    assert_string_equal(s->addr, "127.0.0.1:8080");
    assert_int_equal(s->workers, 16);
    assert_int_equal(s->max_body_bytes, 4194304);
    assert_int_equal(s->idle_timeout_ms, 75000);
    assert_true(s->is_autoload && s->is_bootstrap && s->is_metrics);
    assert_false(s->is_insecure || s->is_watch || s->is_strict_json);
    assert_null(s->state_dir);
    assert_null(s->manifest);
    assert_null(s->admin_api_key);
    assert_int_equal(s->plugin_dirs.count, 0);
    assert_int_equal(s->control.count, 2);
    assert_string_equal(s->control.items[0], "dev.migd.admin");
    assert_string_equal(s->control.items[1], "dev.migd.pro");
    assert_string_equal(s->placeholder_tenants.items[0], "mcp-adapter");
    assert_string_equal(settings_file(s), path);
}

static void later_sources_win(void **state)
{
    static const char file[] = "workers: 1\nloops: 1\nlog.level: warn\nhttp: {max_headers: 9}\n";
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep)
    struct settings *s =
        load(file, LIST("MIGD_WORKERS= 2 ", "MIGD_LOOPS=2", "HOME=/x"), LIST("workers=3"), &d);

    (void)state;
    assert_non_null(s);
    assert_int_equal(s->workers, 3);
    assert_int_equal(s->loops, 2);
    assert_int_equal(s->max_headers, 9);
    assert_string_equal(s->log_level, "warn");
}

static void every_key_has_the_variable_that_its_name_says(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep)
    struct settings *s = load(
        NULL,
        LIST("MIGD_HTTP_IDLE_TIMEOUT_MS=5", "MIGD_MAX_BODY_BYTES=2048", "MIGD_LOG_LEVEL=DEBUG",
             "MIGD_ADMIN_API_KEY=k", "MIGD_ADDR=[::1]:0", "MIGD_PLUGIN_DIRS=a, /b,",
             "MIGD_ENABLE_METRICS=F", "MIGD_AUTH_MODE=None", "MIGD_CONFIG=x", "MIGD_SERVER_ID="),
        NULL, &d);

    (void)state;
    assert_non_null(s);
    assert_int_equal(d.count, 0);
    assert_int_equal(s->idle_timeout_ms, 5);
    assert_int_equal(s->max_body_bytes, 2048);
    assert_string_equal(s->log_level, "debug");
    assert_string_equal(s->admin_api_key, "k");
    assert_string_equal(s->addr, "[::1]:0");
    assert_int_equal(s->plugin_dirs.count, 2);
    assert_string_equal(s->plugin_dirs.items[0], "a"); // the current folder
    assert_string_equal(s->plugin_dirs.items[1], "/b");
    assert_false(s->is_metrics);
    assert_string_equal(s->auth_mode, "none");
    assert_string_equal(s->server_id, "migd-core"); // empty is unset
}

static void strange_variables_are_warnings(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep)
    struct settings *s = load("watch: true\n", LIST("MIGD_WORKER=4", "MIGD_WATCH=yes"), NULL, &d);

    (void)state;
    assert_non_null(s);
    assert_int_equal(d.count, 2);
    assert_finding(&d, "setting.env_unknown", 0, 0, "did you mean \"MIGD_WORKERS\"");
    assert_finding(&d, "setting.env_boolean", 0, 0, "MIGD_WATCH");
    assert_true(s->is_watch);
}

static void mistakes_in_the_file_are_named_with_their_place(void **state)
{
    static const struct {
        const char *file, *id;
        unsigned line, column;
        const char *part;
    } rows[] = {
        {"worker: 4\n", "setting.unknown", 1, 1, "did you mean \"workers\""},
        {"log:\n  levl: info\n", "setting.unknown", 2, 3, "did you mean \"log.level\""},
        {"workers: 0\n", "setting.range", 1, 10, "from 1 to 256"},
        {"workers: many\n", "setting.type", 1, 10, "must be an integer, not a string"},
        {"workers: 1.5\n", "setting.type", 1, 10, "not a number"},
        {"workers:\n", "setting.type", 1, 1, "leave the key out"},
        {"watch: yes\n", "setting.type", 1, 8, "YAML 1.2"},
        {"watch: 1\n", "setting.type", 1, 8, "must be a boolean"},
        {"log: info\n", "setting.type", 1, 6, "must be a map"},
        {"log.level: loud\n", "setting.value", 1, 12, "error, warn, info, debug"},
        {"log.level: INFO\n", "setting.value", 1, 12, "not \"INFO\""},
        {"mig: {auth_mode: basic}\n", "setting.value", 1, 18, "unsupported MIGD_AUTH_MODE"},
        {"mig: {auth_mode: jwt}\n", "setting.jwt_keys", 1, 18, "mode jwt needs"},
        {"mig.server_id: 42\n", "setting.type", 1, 16, "put it in quotes"},
        {"mig.admin_api_header: \"a b\"\n", "setting.value", 1, 23, "header name"},
        {"log.level: info\nlog: {level: warn}\n", "setting.twice", 2, 7, "log.level"},
        {"plugin_dirs: x\n", "setting.type", 1, 14, "must be a list"},
        {"plugin_dirs: [a, 1]\n", "setting.type", 1, 18, "item must be a string"},
        {"plugin_dirs: [\"\"]\n", "setting.value", 1, 14, "item 1"},
        {"- a\n", "setting.type", 1, 1, "must be a map of settings"},
        {"a: [\n", "yaml.syntax", 2, 1, "sequence"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        assert_null(load(rows[i].file, NULL, NULL, &d));
        assert_int_equal(d.errors, 1);
        assert_finding(&d, rows[i].id, rows[i].line, rows[i].column, rows[i].part);
        assert_string_equal(d.list[0].file, path);
    }
}

static void all_mistakes_are_told_at_once(void **state)
{
    CLEANUP(diag_deinit) struct diag d;

    (void)state;
    assert_null(load("workers: 0\nlog.level: x\nbogus: 1\n", LIST("MIGD_LOOPS=abc"),
                     LIST("nonsense=1", "watch=maybe", "workers"), &d));
    assert_int_equal(d.errors, 7);
    assert_finding(&d, "setting.type", 0, 0, "MIGD_LOOPS");
    assert_finding(&d, "setting.unknown", 0, 0, "nonsense");
    assert_finding(&d, "setting.type", 0, 0, "watch: must be true or false");
    assert_finding(&d, "setting.value", 0, 0, "workers=VALUE");
}

static void addresses_are_checked(void **state)
{
    static const struct {
        const char *addr;
        bool is_good;
    } rows[] = {
        {"127.0.0.1:8080", true},
        {"localhost:0", true},
        {"[::1]:65535", true},
        {"127.9.9.9:1", true},
        {"8080", false},
        {"127.0.0.1", false},
        {"127.0.0.1:", false},
        {"127.0.0.1:65536", false},
        {"127.0.0.1:-1", false},
        {"127.0.0.256:1", false},
        {"::1:80", false},
        {"[::1]", false},
        {"[::g]:1", false},
        {"a b:1", false},
        {"127.0.0.1:080000", false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        char flag[64];
        snprintf(flag, sizeof flag, "mig.addr=%s", rows[i].addr);
        CLEANUP(settings_freep) struct settings *s = load(NULL, NULL, LIST(flag), &d);
        if ((s != NULL) != rows[i].is_good)
            fail_msg("%s", rows[i].addr);
        if (!s)
            assert_finding(&d, "setting.address", 0, 0, "host:port");
    }
}

static void an_open_address_without_authentication_needs_insecure(void **state)
{
    static const char *const open[] = {":8080", "0.0.0.0:80", "[::]:80", "10.0.0.1:80",
                                       "host.example:1"};

    (void)state;
    for (size_t i = 0; i < countof(open); i++) {
        CLEANUP(diag_deinit) struct diag d;
        char variable[64];
        snprintf(variable, sizeof variable, "MIGD_ADDR=%s", open[i]);
        assert_null(load(NULL, LIST(variable), NULL, &d));
        assert_finding(&d, "setting.insecure", 0, 0, "MIGD_ADDR");
        assert_finding(&d, "setting.insecure", 0, 0, "configure authentication");
        assert_finding(&d, "setting.insecure", 0, 0, "MIGD_INSECURE=true");
        diag_deinit(&d);
        CLEANUP(settings_freep)
        struct settings *s = load(NULL, LIST(variable, "MIGD_INSECURE=true"), NULL, &d);
        assert_non_null(s);
        assert_string_equal(s->addr, open[i]);
    }
}

static void tls_settings_go_together(void **state)
{
    static const struct {
        const char *file, *id, *part;
    } rows[] = {
        {"tls.cert_file: a\n", "setting.tls", "tls.key_file is missing"},
        {"tls.key_file: a\n", "setting.tls", "tls.cert_file is missing"},
        {"tls.addr: 127.0.0.1:1\n", "setting.tls", "needs tls.cert_file"},
        {"tls.client_ca_file: a\n", "setting.tls", "needs tls.cert_file"},
        {"tls.min_version: \"1.1\"\n", "setting.value", "1.2, 1.3"},
        {"tls.sni: x\n", "setting.type", "must be a list"},
        {"tls.sni: [x]\n", "setting.value", "a map of names"},
        {"tls.sni: [{names: [a], cert_file: b}]\n", "setting.value", "a map of names"},
        {"tls.sni: [{names: [a], cert_file: b, key_file: c, d: e}]\n", "setting.value", "a map"},
        {"tls.sni: [{names: [], cert_file: b, key_file: c}]\n", "setting.type", "1 to 64 names"},
        {"tls.sni: [{names: [a b], cert_file: b, key_file: c}]\n", "setting.value",
         "no server name"},
        {"tls.sni: [{names: [a.*.b], cert_file: b, key_file: c}]\n", "setting.value",
         "server name"},
        {"tls.sni: [{names: [1], cert_file: b, key_file: c}]\n", "setting.type", "a string"},
        {"tls.sni: [{names: [a], cert_file: [], key_file: c}]\n", "setting.type",
         "cert_file must be"},
        {"tls.sni: [{names: [a], cert_file: \"\", key_file: c}]\n", "setting.value",
         "cert_file must be"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(diag_deinit) struct diag d;
        assert_null(load(rows[i].file, NULL, NULL, &d));
        assert_finding(&d, rows[i].id, 1, d.list[0].column, rows[i].part);
        assert_true(d.list[0].column > 1);
    }
}

static void certificates_are_listed_by_name(void **state)
{
    static const char file[] =
        "tls: {cert_file: m.pem, key_file: /m.key, sni: [{names: [a.b, \"*.c\"], "
        "cert_file: \"${NAME}.pem\", key_file: k}]}\n";
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep) struct settings *s = load(file, LIST("NAME=two"), NULL, &d);

    (void)state;
    assert_non_null(s);
    assert_true(settings_is_tls(s));
    assert_string_equal(s->tls_key_file, "/m.key");
    assert_int_equal(s->tls_sni.count, 1);
    assert_int_equal(s->tls_sni.items[0].names.count, 2);
    assert_string_equal(s->tls_sni.items[0].names.items[1], "*.c");
    assert_non_null(strstr(s->tls_sni.items[0].cert_file, "/two.pem")); /* beside the file */
    diag_deinit(&d);
    settings_free(s);
    s = load(NULL,
             LIST("MIGD_TLS_CERT_FILE=c", "MIGD_TLS_KEY_FILE=k", "MIGD_REQUIRE_TLS=1",
                  "MIGD_TLS_SNI=[{names: [x.y], cert_file: p, key_file: q}]"),
             NULL, &d);
    assert_non_null(s);
    assert_true(s->require_tls);
    assert_string_equal(s->tls_sni.items[0].key_file, "q");
    diag_deinit(&d);
    assert_null(load(NULL, LIST("MIGD_TLS_SNI=nonsense"), NULL, &d));
    assert_finding(&d, "setting.value", 0, 0, "write [{names:");
}

static void plain_text_beyond_loopback_is_told(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep)
    struct settings *s = load(NULL, LIST("MIGD_ADDR=:1", "MIGD_INSECURE=1"), NULL, &d);

    (void)state;
    assert_non_null(s);
    assert_finding(&d, "setting.plaintext", 0, 0, "MIGD_ADDR");
    diag_deinit(&d);
    assert_null(
        load(NULL, LIST("MIGD_ADDR=:1", "MIGD_INSECURE=1", "MIGD_REQUIRE_TLS=1"), NULL, &d));
    assert_finding(&d, "setting.plaintext", 0, 0, "MIGD_ADDR");
    diag_deinit(&d);
    settings_free(s);
    s = load("mig: {addr: \":1\"}\ntls: {cert_file: c, key_file: k, client_ca_file: a}\n",
             LIST("MIGD_REQUIRE_TLS=1"), NULL, &d);
    assert_non_null(s); /* client certificates are authentication */
    assert_int_equal(d.count, 0);
}

static void variables_in_the_file_are_replaced_before_typing(void **state)
{
    static const char file[] = "loops: ${LOOPS}\nworkers: ${NONE:7}\nwatch: \"${W:true}\"\n"
                               "mig.server_id: a-${NAME}-${NONE:x:y}-${not.ours}\n"
                               "plugin_dirs: ${DIRS}\nmig.admin_api_key: ${NONE}\n";
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep)
    struct settings *s = load(file, LIST("LOOPS=3", "NAME=n", "DIRS=p,/q"), NULL, &d);
    char expected[64];

    (void)state;
    assert_non_null(s);
    assert_int_equal(s->loops, 3);
    assert_int_equal(s->workers, 7);
    assert_true(s->is_watch);
    assert_string_equal(s->server_id, "a-n-x:y-${not.ours}");
    snprintf(expected, sizeof expected, "%s/p", folder);
    assert_string_equal(s->plugin_dirs.items[0], expected);
    assert_string_equal(s->plugin_dirs.items[1], "/q");
    assert_null(s->admin_api_key);
    assert_int_equal(d.count, 1);
    assert_finding(&d, "setting.env_unset", 6, 20, "${NONE}");
}

static void paths_in_the_file_are_beside_the_file(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep)
    struct settings *s = load("manifest: m.yaml\nstate_dir: /abs\nplugin_dirs: [p]\n", NULL,
                              LIST("state_dir=here"), &d);
    char expected[64];

    (void)state;
    assert_non_null(s);
    snprintf(expected, sizeof expected, "%s/m.yaml", folder);
    assert_string_equal(s->manifest, expected);
    assert_string_equal(s->state_dir, "here");
    snprintf(expected, sizeof expected, "%s/p", folder);
    assert_string_equal(s->plugin_dirs.items[0], expected);
}

static void a_file_that_was_asked_for_must_be_there(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    const char *const env[] = {"MIGD_CONFIG=/nonexistent/migd.yaml", NULL};

    (void)state;
    diag_init(&d);
    assert_null(settings_load(&(struct settings_source){.environ = env}, &d));
    assert_string_equal(d.list[0].id, "setting.file");
    assert_string_equal(d.list[0].file, "/nonexistent/migd.yaml");
    assert_null(settings_load(&(struct settings_source){.path = "/dev/null"}, &d));
    assert_null(settings_load(&(struct settings_source){.path = folder}, &d));
    assert_int_equal(d.errors, 3);
}

static void secrets_are_never_printed(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf b;
    CLEANUP(settings_freep)
    struct settings *s = load(NULL, LIST("MIGD_ADMIN_API_KEY=topsecret"), NULL, &d);

    (void)state;
    buf_init(&b, 1 << 20);
    settings_json(s, &b);
    buf_addc(&b, 0);
    assert_null(strstr(b.ptr, "topsecret"));
    assert_non_null(strstr(b.ptr, "\"mig.admin_api_key\":\"***\""));
    assert_non_null(strstr(b.ptr, "\"state_dir\":null"));
    b.len--;
    CLEANUP(yaml_freep) struct yaml_node *root = yaml_parse(buf_str(&b), "json", &d);
    assert_int_equal(yaml_get(root, S("mig.max_inflight"))->integer, 4096);
    diag_deinit(&d);
    assert_null(load(NULL, LIST("MIGD_ADMIN_API_KEY=top\x01secret"), NULL, &d));
    assert_null(strstr(d.list[0].text, "secret"));
}

static void only_process_settings_need_a_restart(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(settings_freep) struct settings *old = load(NULL, NULL, NULL, &d);
    CLEANUP(settings_freep)
    struct settings *now =
        load(NULL, NULL, LIST("loops=2", "log.level=debug", "mig.addr=127.0.0.1:1"), &d);

    (void)state;
    settings_need_restart(old, old, &d);
    assert_int_equal(d.errors, 0);
    settings_need_restart(old, now, &d);
    assert_int_equal(d.errors, 2);
    assert_string_equal(d.list[0].id, "setting.restart");
    assert_non_null(strstr(d.list[0].text, "\"127.0.0.1:8080\""));
}

static void schema_and_reference_name_every_key(void **state)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf b, page;
    CLEANUP(settings_freep) struct settings *s = load(NULL, NULL, NULL, &d);

    (void)state;
    buf_init(&b, 1 << 20);
    buf_init(&page, 1 << 20);
    settings_json(s, &b);
    CLEANUP(yaml_freep) struct yaml_node *keys = yaml_parse(buf_str(&b), "json", &d);
    buf_clear(&b);
    settings_schema(&b);
    CLEANUP(yaml_freep) struct yaml_node *schema = yaml_parse(buf_str(&b), "schema", &d);
    settings_reference(&page);
    buf_addc(&page, 0);
    assert_non_null(schema);
    assert_true(keys->count > 40);
    for (const struct yaml_node *k = keys->first; k; k = k->next) {
        char cell[64];
        assert_non_null(yaml_get(yaml_get(schema, S("properties")), k->key));
        snprintf(cell, sizeof cell, "| `%.*s` |", STR_ARG(k->key));
        assert_non_null(strstr(page.ptr, cell));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_header),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(every_key_has_the_variable_that_its_name_says),
        cmocka_unit_test(strange_variables_are_warnings),
        cmocka_unit_test(mistakes_in_the_file_are_named_with_their_place),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(an_open_address_without_authentication_needs_insecure),
        cmocka_unit_test(tls_settings_go_together),
        cmocka_unit_test(certificates_are_listed_by_name),
        cmocka_unit_test(plain_text_beyond_loopback_is_told),
        cmocka_unit_test(variables_in_the_file_are_replaced_before_typing),
        cmocka_unit_test(paths_in_the_file_are_beside_the_file),
        cmocka_unit_test(a_file_that_was_asked_for_must_be_there),
        cmocka_unit_test(secrets_are_never_printed),
        cmocka_unit_test(only_process_settings_need_a_restart),
        cmocka_unit_test(schema_and_reference_name_every_key),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
