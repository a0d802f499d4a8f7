/* What operators ask: plugins, reload, instances. */
#include "ctl.h"

#include <stdlib.h>

static int ask(const struct ctl *c, const char *method, const char *path, str body,
               int (*show)(const struct ctl *c, str body))
{
    struct reply r;
    int code = http_call(c, method, path, body, &r);

    if (code == CTL_OK)
        return finish_reply(c, &r, show);
    buf_deinit(&r.body);
    return code;
}

/* The named members of each entry as a table. */
static void print_entries(mig_str list, const char *const *titles, const char *const *names)
{
    struct table t;

    table_init(&t, titles);
    for (mig_json_iter i = mig_json_each(list); mig_json_next(&i);) {
        str cells[TABLE_COLUMNS];
        for (size_t k = 0; k < t.columns; k++)
            cells[k] = member_text(i.value, names[k]);
        table_row(&t, cells);
        for (size_t k = 0; k < t.columns; k++)
            free((char *)(uintptr_t)cells[k].ptr);
    }
    table_print(&t, stdout);
    table_deinit(&t);
}

static int show_plugins(const struct ctl *c, str body)
{
    static const char *const titles[] = {"NAME",   "ID",          "VERSION", "STATUS",
                                         "SOURCE", "DESCRIPTION", NULL};
    static const char *const names[] = {"name", "id", "version", "status", "source", "description"};
    (void)c;

    print_entries(mig_json_member(body, "plugins"), titles, names);
    return CTL_OK;
}

static int show_body(const struct ctl *c, str body)
{
    (void)c;
    print_json(body);
    return CTL_OK;
}

static int list_plugins(const struct ctl *c)
{
    return ask(c, "GET", "/admin/v0.1/plugins", (str){0}, show_plugins);
}

static int show_plugin(const struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf path;

    buf_init(&path, 4096);
    buf_addz(&path, "/admin/v0.1/plugins/");
    url_add_segment(&path, str_of(c->words[1]));
    buf_addc(&path, 0);
    if (path.has_failed)
        return usage_error("plugins show: the name is too long");
    return ask(c, "GET", path.ptr, (str){0}, show_body);
}

static int reload_plugin(const struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf body;

    buf_init(&body, 65536);
    buf_addz(&body, "{\"plugin_name\":");
    buf_add_json(&body, str_of(c->words[1]));
    buf_addc(&body, '}');
    return ask(c, "POST", "/admin/v0.1/plugins/reload", buf_str(&body), show_body);
}

int ctl_plugins(struct ctl *c)
{
    static const struct {
        const char *verb;
        size_t words;
        int (*run)(const struct ctl *c);
    } verbs[] = {{"list", 1, list_plugins}, {"show", 2, show_plugin}, {"reload", 2, reload_plugin}};
    static const char *const names[] = {"list", "show", "reload", NULL};
    const char *near;

    if (!c->word_count)
        return list_plugins(c);
    for (size_t i = 0; i < countof(verbs); i++)
        if (!strcmp(verbs[i].verb, c->words[0]))
            return verbs[i].words == c->word_count
                       ? verbs[i].run(c)
                       : usage_error("usage: migctl plugins list | show ID | reload NAME");
    near = args_nearest(c->words[0], names);
    return usage_error(near ? "plugins: unknown word %s; did you mean %s?"
                            : "plugins: unknown word %s; list, show and reload are known",
                       c->words[0], near);
}

static void print_names(const char *sign, mig_str list)
{
    for (mig_json_iter i = mig_json_each(list); mig_json_next(&i);) {
        char text[256];
        if (mig_json_unescape(i.value, text, sizeof text) == MIG_JSON_BAD)
            snprintf(text, sizeof text, "%.*s", STR_ARG(i.value));
        printf("%s %s\n", sign, text);
    }
}

static int show_reload(const struct ctl *c, str body)
{
    str generation = member_text(body, "generation"), took = member_text(body, "adopted_ms");
    struct diag d;

    diag_init(&d);
    findings_of(&d, mig_json_member(body, "findings"));
    print_findings(&d, stderr);
    print_names("+", mig_json_member(body, "added"));
    print_names("~", mig_json_member(body, "changed"));
    print_names("-", mig_json_member(body, "removed"));
    if (c->is_dry_run)
        printf("the files are good; nothing was changed\n");
    else
        printf("generation %.*s, adopted in %.*s ms\n", STR_ARG(generation), STR_ARG(took));
    diag_deinit(&d);
    free((char *)(uintptr_t)generation.ptr);
    free((char *)(uintptr_t)took.ptr);
    return CTL_OK;
}

int ctl_reload(struct ctl *c)
{
    return ask(c, "POST", c->is_dry_run ? "/admin/v0.1/reload?dry_run=true" : "/admin/v0.1/reload",
               (str){0}, show_reload);
}

static int show_instances(const struct ctl *c, str body)
{
    static const char *const titles[] = {"NAME",  "PLUGIN", "VERSION", "STATE", "DEBT",
                                         "CALLS", "ERRORS", "HEALTH",  NULL};
    static const char *const names[] = {"name", "plugin", "version", "state",
                                        "debt", "calls",  "errors",  "health"};
    (void)c;

    print_entries(mig_json_member(body, "instances"), titles, names);
    return CTL_OK;
}

int ctl_instances(struct ctl *c)
{
    return ask(c, "GET", "/admin/v0.1/instances", (str){0}, show_instances);
}
