/* The operations of the protocol: hello, discover, invoke, cancel. */
#include "ctl.h"

#include <stdlib.h>
#include <unistd.h>

void text_free(str s)
{
    free((char *)(uintptr_t)s.ptr);
}

void op_add_member(struct buf *b, const char *name, const char *text)
{
    if (!text)
        return;
    if (b->len && !strchr("{[", b->ptr[b->len - 1]))
        buf_addc(b, ',');
    buf_add_json(b, str_of(name));
    buf_addc(b, ':');
    buf_add_json(b, str_of(text));
}

void op_begin(struct buf *b, const struct ctl *c)
{
    buf_init(b, HTTP_ANSWER_MAX);
    buf_addz(b, "{\"header\":{");
    op_add_member(b, "mig_version", "0.1");
    op_add_member(b, "tenant_id", c->tenant);
    op_add_member(b, "message_id", c->message_id);
    op_add_member(b, "idempotency_key", c->idempotency_key);
    if (c->timeout_ms)
        buf_addf(b, ",\"deadline_ms\":%lld", (long long)c->timeout_ms);
    if (c->cap_version) {
        buf_addz(b, ",\"meta\":{");
        op_add_member(b, "mig.capability_version", c->cap_version);
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
}

int op_post(const struct ctl *c, const char *operation, const char *target, const struct buf *body,
            int (*show)(const struct ctl *c, str body))
{
    CLEANUP(buf_deinit) struct buf path;
    struct reply r;
    int code;

    buf_init(&path, 4096);
    buf_addf(&path, "/mig/v0.1/%s%s", operation, target ? "/" : "");
    url_add_segment(&path, str_of(target));
    buf_addc(&path, 0);
    if (path.has_failed || body->has_failed)
        return usage_error("the request is too large");
    code = http_call(c, "POST", path.ptr, buf_str(body), &r);
    if (code == CTL_OK)
        return finish_reply(c, &r, show);
    buf_deinit(&r.body);
    return code;
}

static void print_member(str body, const char *title, const char *name)
{
    str text = member_text(body, name);

    printf("%-10s %.*s\n", title, STR_ARG(text));
    text_free(text);
}

static int show_hello(const struct ctl *c, str body)
{
    printf("%-10s %s\n", "address", c->url);
    print_member(body, "server", "server_id");
    print_member(body, "version", "selected_version");
    print_member(body, "binding", "selected_binding");
    print_member(body, "features", "enabled_features");
    return CTL_OK;
}

int ctl_hello(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf b;

    op_begin(&b, c);
    buf_addz(&b, ",\"supported_versions\":[\"0.1\"],\"requested_bindings\":[\"http\"],"
                 "\"requested_features\":[\"streaming\",\"server_stream\",\"client_stream\","
                 "\"bidi_stream\",\"events\",\"replay\",\"cancel\",\"idempotency\",\"heartbeat\","
                 "\"backpressure\",\"telemetry\",\"websocket\",\"sse\",\"mcp-bridge\","
                 "\"schema-registry\"]}");
    return op_post(c, "hello", NULL, &b, show_hello);
}

static int show_capabilities(const struct ctl *c, str body)
{
    static const char *const titles[] = {"CAPABILITY", "VERSION", "MODES", "SCOPES", NULL};
    struct table t;
    (void)c;

    table_init(&t, titles);
    for (mig_json_iter i = mig_json_each(mig_json_member(body, "capabilities"));
         mig_json_next(&i);) {
        str cells[] = {member_text(i.value, "id"), member_text(i.value, "version"),
                       member_text(i.value, "modes"), member_text(i.value, "auth_scopes")};
        table_row(&t, cells);
        for (size_t k = 0; k < countof(cells); k++)
            text_free(cells[k]);
    }
    table_print(&t, stdout);
    table_deinit(&t);
    return CTL_OK;
}

int ctl_discover(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf b;

    op_begin(&b, c);
    op_add_member(&b, "query", c->query);
    buf_addc(&b, '}');
    return op_post(c, "discover", NULL, &b, show_capabilities);
}

static int show_payload(const struct ctl *c, str body)
{
    mig_str payload = mig_json_member(body, "payload");
    (void)c;

    print_json(payload.len ? payload : S("null"));
    return CTL_OK;
}

int op_read_payload(const struct ctl *c, struct buf *b)
{
    const char *given = c->word_count > 1 ? c->words[1] : "{}";

    if (strcmp(given, "-") != 0) {
        buf_addz(b, given);
    } else {
        for (;;) {
            char *at = buf_reserve(b, 65536);
            ssize_t n = at ? read(STDIN_FILENO, at, 65536) : -1;
            if (n < 0)
                return usage_error("standard input: cannot be read, or is over 64 MiB");
            if (n == 0)
                break;
            b->len += (size_t)n;
        }
    }
    if (!mig_json_valid(buf_str(b)))
        return usage_error("the payload is not JSON: %.*s", (int)(b->len < 60 ? b->len : 60),
                           b->len ? b->ptr : "");
    return CTL_OK;
}

int ctl_invoke(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf payload;
    CLEANUP(buf_deinit) struct buf b;
    int code;

    op_begin(&b, c);
    buf_init(&payload, HTTP_ANSWER_MAX);
    code = op_read_payload(c, &payload);
    if (code != CTL_OK)
        return code;
    buf_addz(&b, ",\"payload\":");
    buf_add(&b, buf_str(&payload));
    if (c->is_stream)
        return invoke_stream(c, &b);
    buf_addc(&b, '}');
    return op_post(c, "invoke", c->words[0], &b, show_payload);
}

static int show_cancel(const struct ctl *c, str body)
{
    str status = member_text(body, "status");

    printf("%s: %.*s\n", c->words[0], STR_ARG(status));
    text_free(status);
    return CTL_OK;
}

int ctl_cancel(struct ctl *c)
{
    CLEANUP(buf_deinit) struct buf b;

    op_begin(&b, c);
    op_add_member(&b, "reason", c->reason);
    buf_addc(&b, '}');
    return op_post(c, "cancel", c->words[0], &b, show_cancel);
}
