/* migctl: talks to a running migd, and helps to write plugins for it. */
#include "ctl.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#define AT(member) offsetof(struct ctl, member)

static const struct ctl_flag common[] = {
    {"url", "URL", "address of the daemon ($MIGD_URL, else http://127.0.0.1:8080)", CTL_TEXT,
     AT(url)},
    {"tenant", "ID", "tenant of the call ($MIGD_TENANT, else \"default\")", CTL_TEXT, AT(tenant)},
    {"token", "TOKEN", "bearer token, or @FILE ($MIGD_TOKEN)", CTL_TEXT, AT(token)},
    {"actor", "NAME", "who calls, where the daemon asks for no token", CTL_TEXT, AT(actor)},
    {"admin-key", "KEY", "key for admin commands ($MIGD_ADMIN_API_KEY)", CTL_TEXT, AT(admin_key)},
    {"timeout", "SECONDS", "give up after this time (30; check: 60 for each file)", CTL_SECONDS,
     AT(timeout_ms)},
    {"http2", NULL, "HTTP/2: negotiated with https, at once with http", CTL_SWITCH, AT(is_http2)},
    {"ca", "FILE", "certificates to trust with https, instead of the system's", CTL_TEXT, AT(ca)},
    {"cert", "FILE", "own certificate for https (PEM, the key may be in it)", CTL_TEXT, AT(cert)},
    {"cert-key", "FILE", "key of the own certificate", CTL_TEXT, AT(cert_key)},
    {"insecure", NULL, "take any certificate", CTL_SWITCH, AT(is_insecure)},
    {"json", NULL, "print the body of the answer as it came", CTL_SWITCH, AT(is_json)},
    {"help", NULL, "explain a command", CTL_SWITCH, AT(wants_help)},
    {"version", NULL, "print the version of migctl", CTL_SWITCH, AT(wants_version)},
    {0},
};

static const struct ctl_flag discover_flags[] = {
    {"query", "TEXT", "only capabilities whose id or topic contains this", CTL_TEXT, AT(query)},
    {0},
};
static const struct ctl_flag invoke_flags[] = {
    {"message-id", "ID", "id of the call, for `migctl cancel` (the daemon makes one)", CTL_TEXT,
     AT(message_id)},
    {"idempotency-key", "KEY", "a repeat with this key gets the first answer", CTL_TEXT,
     AT(idempotency_key)},
    {"cap-version", "PIN", "version of the capability, 1.2.0 or 1.x", CTL_TEXT, AT(cap_version)},
    {"stream", NULL, "print the frames of the answer as they come", CTL_SWITCH, AT(is_stream)},
    {0},
};
static const struct ctl_flag cancel_flags[] = {
    {"reason", "TEXT", "why, for the caller and the audit", CTL_TEXT, AT(reason)},
    {0},
};
static const struct ctl_flag publish_flags[] = {
    {"key", "KEY", "what the event is about, for readers that sort by it", CTL_TEXT, AT(key)},
    {"idempotency-key", "KEY", "a repeat with this key publishes nothing new", CTL_TEXT,
     AT(idempotency_key)},
    {"message-id", "ID", "id of the request (the daemon makes one)", CTL_TEXT, AT(message_id)},
    {0},
};
static const struct ctl_flag subscribe_flags[] = {
    {"consumer", "ID", "go on where this reader stopped", CTL_TEXT, AT(consumer)},
    {"cursor", "N", "events behind this sequence number; 0: all, latest: only new ones", CTL_TEXT,
     AT(cursor)},
    {"max", "N", "stop after so many events", CTL_TEXT, AT(max)},
    {0},
};
static const struct ctl_flag conformance_flags[] = {
    {"profile", "NAME", "core, streaming, evented or full (default)", CTL_TEXT, AT(profile)},
    {"capability", "ID", "what to call (observatory.models.infer)", CTL_TEXT, AT(capability)},
    {"second-tenant", "ID", "another tenant, for what must stay apart", CTL_TEXT,
     AT(second_tenant)},
    {"second-token", "TOKEN", "a token of the other tenant, or @FILE", CTL_TEXT, AT(second_token)},
    {"only", "ID,...", "only checks whose id begins so", CTL_TEXT, AT(only)},
    {"list", NULL, "name the checks, call nobody", CTL_SWITCH, AT(is_list)},
    {0},
};
static const struct ctl_flag reload_flags[] = {
    {"dry-run", NULL, "check everything, change nothing", CTL_SWITCH, AT(is_dry_run)},
    {0},
};
static const struct ctl_flag new_flags[] = {
    {"manifest", NULL, "lua: write NAME.manifest.yaml too", CTL_SWITCH, AT(has_manifest)},
    {0},
};
static const struct ctl_flag check_flags[] = {
    {"no-run", NULL, "run no code of the plugin beyond its constructors", CTL_SWITCH,
     AT(is_no_run)},
    {0},
};

static const struct ctl_command commands[] = {
    {"hello", "", "ask who is there", "Negotiates with the daemon and shows what it offers.", 0, 0,
     ctl_hello, NULL},
    {"discover", "", "list capabilities", "Lists the capabilities that the tenant may invoke.", 0,
     0, ctl_discover, discover_flags},
    {"invoke", "CAPABILITY [JSON|-]", "call a capability",
     "Calls a capability with a payload ({} when there is none; - reads it from standard input) "
     "and\n"
     "prints the payload of the answer.",
     1, 2, ctl_invoke, invoke_flags},
    {"cancel", "MESSAGE_ID", "cancel a running call", "Cancels a call by its message id.", 1, 1,
     ctl_cancel, cancel_flags},
    {"publish", "TOPIC [JSON|-]", "publish an event",
     "Publishes an event with a payload ({} when there is none; - reads it from standard input) "
     "and\n"
     "prints its sequence number and id.",
     1, 2, ctl_publish, publish_flags},
    {"subscribe", "TOPIC", "print events as they come",
     "Prints the events of a topic, one on a line: sequence, time, payload; with --json the whole "
     "event.\n"
     "Ends after --max events or --timeout seconds, or never.",
     1, 1, ctl_subscribe, subscribe_flags},
    {"conformance", "", "check a gateway against MIG v0.1",
     "Calls a MIG gateway as the standard's checklist asks and says for each line PASS, FAIL "
     "(with what\n"
     "was expected and what came) or SKIP (with the reason). It publishes events and cancels its "
     "own calls\n"
     "in the given tenants; nothing else is touched. Exit status 0: nothing failed.",
     0, 0, ctl_conformance, conformance_flags},
    {"plugins", "[list | show ID | reload NAME]", "list, show or reload plugins",
     "Shows the plugins of the daemon. `reload NAME` reads one again.", 0, 2, ctl_plugins, NULL},
    {"reload", "", "read plugins, manifest and settings again",
     "Builds a new generation from the files. It is taken as a whole or not at all: the findings "
     "say\n"
     "which file, line and column stand in the way.",
     0, 0, ctl_reload, reload_flags},
    {"instances", "", "list provider instances", "Shows each instance with its state and debt.", 0,
     0, ctl_instances, NULL},
    {"new", "plugin|lua|manifest NAME", "write a template",
     "plugin NAME    a folder NAME with source, tests and build files; `make -C NAME` builds "
     "NAME.so\n"
     "lua NAME       NAME.lua, served as it is\n"
     "manifest NAME  NAME.yaml\n"
     "Nothing that exists is overwritten.",
     2, 2, ctl_new, new_flags},
    {"validate", "FILE...", "check settings and manifests",
     "Reads settings or manifest files as the daemon would and prints every finding.", 1, SIZE_MAX,
     ctl_validate, NULL},
    {"check", "FILE.so...", "check plugins against the contract",
     "Loads a module in a child process and runs it against a mock host: entry rules, two\n"
     "descriptions, every capability with valid, hostile and huge input, deadlines, cancels, the "
     "end\n"
     "under load; then looks for debt, leaked threads and leaked descriptors.",
     1, SIZE_MAX, ctl_check, check_flags},
};

static void print_flags(const struct ctl_flag *f, FILE *out)
{
    for (; f && f->name; f++) {
        char head[64];
        snprintf(head, sizeof head, "--%s%s%s", f->name, f->value ? " " : "",
                 f->value ? f->value : "");
        fprintf(out, "  %-24s %s\n", head, f->help);
    }
}

static int print_usage(FILE *out)
{
    fputs("usage: migctl COMMAND [ARGUMENTS] [FLAGS]\n\n", out);
    for (size_t i = 0; i < countof(commands); i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fputs("  help        explain a command: migctl help COMMAND\n\nflags of every command:\n", out);
    print_flags(common, out);
    fputs("\nexit status: 0 done, 1 refused or failed, 2 wrong usage or invalid input, 3 not "
          "running\n",
          out);
    return CTL_OK;
}

static int print_help(const struct ctl_command *k)
{
    printf("usage: migctl %s%s%s [FLAGS]\n\n%s\n", k->name, *k->usage ? " " : "", k->usage,
           k->help);
    if (k->flags)
        puts("\nflags:");
    print_flags(k->flags, stdout);
    puts("\nflags of every command:");
    print_flags(common, stdout);
    return CTL_OK;
}

static const struct ctl_command *command_of(const char *name)
{
    for (size_t i = 0; i < countof(commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[countof(commands) + 1] = {NULL}, *near;

    for (size_t i = 0; i < countof(commands); i++)
        names[i] = commands[i].name;
    near = args_nearest(name, names);
    return usage_error(near ? "unknown command %s; did you mean %s?"
                            : "unknown command %s; `migctl help` lists them",
                       name, near);
}

static const char *or_environment(const char *given, const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);

    return given ? given : value && *value ? value : otherwise;
}

static int run(struct ctl *c, const struct ctl_command *k)
{
    CLEANUP(str_freep) char *token = NULL;
    CLEANUP(str_freep) char *second_token = NULL;

    if (c->wants_help)
        return print_help(k);
    if (c->word_count < k->least || c->word_count > k->most)
        return usage_error("usage: migctl %s %s", k->name, k->usage);
    c->url = or_environment(c->url, "MIGD_URL", "http://127.0.0.1:8080");
    c->tenant = or_environment(c->tenant, "MIGD_TENANT", "default");
    c->admin_key = or_environment(c->admin_key, "MIGD_ADMIN_API_KEY", NULL);
    if (!token_read(or_environment(c->token, "MIGD_TOKEN", NULL), &token) ||
        !token_read(c->second_token, &second_token))
        return CTL_USAGE;
    c->token = token;
    c->second_token = second_token;
    return k->run(c);
}

/* No command: help, version, or a hint. */
static int without_command(struct ctl *c, int argc, char **argv)
{
    if (!args_parse(c, argc, argv, common, NULL))
        return CTL_USAGE;
    if (c->wants_version)
        return puts("migctl " MIGD_VERSION), CTL_OK;
    if (c->wants_help)
        return print_usage(stdout);
    print_usage(stderr);
    return CTL_USAGE;
}

static int help(struct ctl *c)
{
    const struct ctl_command *k;

    if (!c->word_count)
        return print_usage(stdout);
    k = command_of(c->words[0]);
    return k ? print_help(k) : unknown_command(c->words[0]);
}

/* Output that could not be written is a failure: `migctl ... > /dev/full`. */
static int flushed(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    perror("migctl: standard output");
    return code ? code : CTL_FAILED;
}

int main(int argc, char **argv)
{
    struct ctl c = {0};
    int at;

    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && !strcmp(argv[1], "--check-child"))
        return ctl_check_child(argc, argv);
    at = args_command(argc, argv, common);
    if (!at)
        return flushed(without_command(&c, argc, argv));

    const char *name = argv[at];
    const struct ctl_command *k = command_of(name);
    bool is_help = !strcmp(name, "help");
    if (!k && !is_help)
        return unknown_command(name);
    memmove(&argv[at], &argv[at + 1], sizeof *argv * (size_t)(argc - at));
    if (!args_parse(&c, argc - 1, argv, common, k ? k->flags : NULL))
        return CTL_USAGE;
    return flushed(is_help ? help(&c) : run(&c, k));
}
