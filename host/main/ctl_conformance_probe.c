#include "ctl_conformance.h"

#include <stdarg.h>

enum { ASK_MS = 8000, REQUEST_MAX = 16 << 20 };

/* ---- templates --------------------------------------------------------------------------------
 */

static void add_variable(const struct probe *p, struct buf *out, str name)
{
    const char *second = p->second_tenant ? p->second_tenant : "";

    if (str_eq(name, S("T")))
        buf_addz(out, p->tenant);
    else if (str_eq(name, S("U")))
        buf_addz(out, second);
    else if (str_eq(name, S("C")))
        buf_addz(out, p->capability);
    else if (str_eq(name, S("N")))
        buf_addf(out, "conf-%s-%u", p->run, p->number);
    else if (str_eq(name, S("E")))
        buf_addf(out, "conformance.run-%s.check-%u", p->run, p->number);
    else if (str_eq(name, S("I")))
        buf_addf(out, "\"header\":{\"tenant_id\":\"%s\",\"message_id\":\"conf-%s-%u\"}", p->tenant,
                 p->run, p->number);
    else if (str_eq(name, S("P")))
        buf_addz(out, "\"payload\":{\"input\":\"conformance\"}");
    else if (str_eq(name, S("SECOND")))
        buf_addf(out, "X-Tenant-ID: %s%s%s", second,
                 p->second_token ? "\nAuthorization: Bearer " : "",
                 p->second_token ? p->second_token : "");
    else
        must(false); // a check names a variable that is none
}

void expand(const struct probe *p, struct buf *out, const char *template, bool is_json)
{
    for (const char *at = template; *at; at++) {
        const char *end = at[0] == '$' && at[1] == '{' ? strchr(at, '}') : NULL;
        if (end) {
            add_variable(p, out, (str){at + 2, (size_t)(end - at) - 2});
            at = end;
        } else {
            buf_addc(out, is_json && *at == '\'' ? '"' : *at);
        }
    }
}

/* Does a line begin with this name, or with "-" and this name? */
static bool names(str lines, const char *name)
{
    while (lines.len) {
        str line = str_split(&lines, '\n');
        line = str_starts(line, S("-")) ? str_cut(line, 1) : line;
        if (str_eq_nocase(str_split(&line, ':'), str_of(name)))
            return true;
    }
    return false;
}

void add_heads(const struct probe *p, struct buf *out, const char *heads)
{
    CLEANUP(buf_deinit) struct buf own = {0};

    buf_init(&own, HTTP_HEAD_MAX);
    expand(p, &own, heads ? heads : "", false);
    if (!names(buf_str(&own), "X-Tenant-ID"))
        head_add(out, "X-Tenant-ID", p->tenant);
    if (p->token && !names(buf_str(&own), "Authorization"))
        buf_addf(out, "Authorization: Bearer %s\n", p->token);
    if (p->ctl->admin_key && !names(buf_str(&own), "X-Admin-API-Key"))
        head_add(out, "X-Admin-API-Key", p->ctl->admin_key);
    for (str rest = buf_str(&own); rest.len;) {
        str line = str_split(&rest, '\n');
        if (line.len && *line.ptr != '-')
            buf_addf(out, "%.*s\n", STR_ARG(line));
    }
}

/* ---- requests ---------------------------------------------------------------------------------
 */

struct http_job *begin(struct probe *p, const char *request, const char *heads, const char *body)
{
    const char *space = strchr(request, ' ');
    CLEANUP(buf_deinit) struct buf path = {0};
    CLEANUP(buf_deinit) struct buf lines = {0};
    CLEANUP(buf_deinit) struct buf text = {0};
    char method[16];

    buf_init(&path, REQUEST_MAX);
    buf_init(&lines, HTTP_HEAD_MAX);
    buf_init(&text, REQUEST_MAX);
    snprintf(method, sizeof method, "%.*s", (int)(space - request), request);
    buf_addz(&path, space[1] == '/' ? "" : "/mig/v0.1/");
    expand(p, &path, space + 1, false);
    buf_addc(&path, 0);
    add_heads(p, &lines, heads);
    expand(p, &text, body ? body : "", true);
    must(!path.has_failed && !lines.has_failed && !text.has_failed);
    return http_start(p->client, &(struct http_ask){.method = method,
                                                    .path = path.ptr,
                                                    .heads = buf_str(&lines),
                                                    .body = body ? buf_str(&text) : (str){0}});
}

static bool compare(struct probe *p, const struct http_job *j, const char *want)
{
    CLEANUP(buf_deinit) struct buf clauses = {0};
    CLEANUP(buf_deinit) struct buf expected = {0};
    CLEANUP(buf_deinit) struct buf came = {0};
    struct answer a = {j->status, buf_str(&j->head), buf_str(&j->body)};

    buf_init(&clauses, REQUEST_MAX);
    buf_init(&expected, REQUEST_MAX);
    buf_init(&came, REQUEST_MAX);
    expand(p, &clauses, want, true);
    if (want_check(&a, buf_str(&clauses), &expected, &came))
        return true;
    buf_addc(&expected, 0);
    return fail_check(p, expected.ptr, "%.*s", (int)came.len, came.ptr);
}

bool finish(struct probe *p, struct http_job *j, int64_t timeout_ms, const char *want)
{
    http_wait(p->client, j, timeout_ms);
    http_job_free(p->client, p->last);
    p->last = j;
    if (!j->is_done)
        return fail_check(p, "an answer", "none within %lld ms", (long long)timeout_ms);
    if (j->fault && j->status < 400) // a refusal may come before the whole request is sent
        return fail_check(p, "an answer", "none: %s", j->fault);
    return compare(p, j, want);
}

bool ask(struct probe *p, const char *request, const char *heads, const char *body,
         const char *want)
{
    int64_t limit = p->ctl->timeout_ms ? p->ctl->timeout_ms : ASK_MS;

    return finish(p, begin(p, request, heads, body), limit, want);
}

void pause_ms(struct probe *p, int64_t ms)
{
    int64_t end = clock_ms() + ms;

    while (clock_ms() < end)
        http_pump(p->client, -1, end - clock_ms());
}

mig_str last_at(const struct probe *p, const char *pointer)
{
    return p->last ? json_at(buf_str(&p->last->body), str_of(pointer)) : (mig_str){0};
}

bool descriptor_lists(const struct probe *p, const char *member, const char *text)
{
    mig_str list = mig_json_member(buf_str(&p->descriptor), member);

    for (mig_json_iter i = mig_json_each(list); mig_json_next(&i);)
        if (mig_json_is(i.value, text))
            return true;
    return false;
}

/* ---- verdicts ---------------------------------------------------------------------------------
 */

bool fail_check(struct probe *p, const char *expected, const char *came, ...)
{
    char text[1024];
    va_list args;

    if (p->verdict != PASS)
        return false;
    p->verdict = FAIL;
    va_start(args, came);
    vsnprintf(text, sizeof text, came, args);
    va_end(args);
    buf_addz(&p->expected, expected);
    buf_addz(&p->came, text);
    return false;
}

bool skip_check(struct probe *p, const char *reason, ...)
{
    char text[512];
    va_list args;

    if (p->verdict != PASS)
        return false;
    p->verdict = SKIP;
    va_start(args, reason);
    vsnprintf(text, sizeof text, reason, args);
    va_end(args);
    buf_addz(&p->came, text);
    return false;
}
