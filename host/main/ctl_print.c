#include "ctl.h"

#include <stdlib.h>

/* ---- tables -----------------------------------------------------------------------------------
 */

/* Text of strangers must not drive the terminal. */
static char *printable(str text)
{
    char *copy = str_dup(text);

    must(copy);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return copy;
}

void table_row(struct table *t, const str *cells)
{
    size_t first = t->rows * t->columns;

    if (first + t->columns > t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->cells = realloc(t->cells, t->cap * sizeof *t->cells);
        must(t->cells);
    }
    for (size_t i = 0; i < t->columns; i++)
        t->cells[first + i] = printable(cells[i]);
    t->rows++;
}

void table_init(struct table *t, const char *const *titles)
{
    str cells[TABLE_COLUMNS];

    *t = (struct table){0};
    while (titles[t->columns]) {
        must(t->columns < TABLE_COLUMNS);
        cells[t->columns] = str_of(titles[t->columns]);
        t->columns++;
    }
    table_row(t, cells);
}

void table_deinit(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}

/* Characters, not bytes: wide ones count as one, which is good enough for ids and sentences. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

void table_print(const struct table *t, FILE *out)
{
    size_t widths[TABLE_COLUMNS] = {0};

    for (size_t i = 0; i < t->rows * t->columns; i++) {
        size_t n = width_of(t->cells[i]), *w = &widths[i % t->columns];
        *w = n > *w ? n : *w;
    }
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        bool is_last = (i + 1) % t->columns == 0;
        int pad = is_last ? 0 : (int)(widths[i % t->columns] - width_of(t->cells[i]) + 2);
        fprintf(out, "%s%*s%s", t->cells[i], pad, "", is_last ? "\n" : "");
    }
}

static void put(str text, FILE *out)
{
    if (text.len)
        fwrite(text.ptr, 1, text.len, out);
}

/* ---- JSON for people --------------------------------------------------------------------------
 */

static void add_token_text(struct buf *b, mig_str token)
{
    if (mig_json_kind_of(token) != MIG_JSON_STRING) {
        buf_add(b, token);
        return;
    }
    size_t n = mig_json_unescape(token, NULL, 0);
    char *at = buf_reserve(b, n + 1);
    if (at) {
        mig_json_unescape(token, at, n + 1);
        b->len += n;
    }
}

str member_text(mig_str object, const char *name)
{
    mig_str token = mig_json_member(object, name);
    struct buf b;
    size_t n = 0;

    buf_init(&b, HTTP_ANSWER_MAX);
    if (mig_json_kind_of(token) == MIG_JSON_ARRAY) {
        for (mig_json_iter i = mig_json_each(token); mig_json_next(&i);) {
            buf_addz(&b, n++ ? "," : "");
            add_token_text(&b, i.value);
        }
    } else if (mig_json_kind_of(token) != MIG_JSON_NULL) {
        add_token_text(&b, token);
    }
    n = b.len;
    return (str){buf_take_z(&b), n};
}

static void add_line(struct buf *b, size_t depth)
{
    buf_addc(b, '\n');
    for (size_t i = 0; i < depth; i++)
        buf_addz(b, "  ");
}

/* Without white space outside of strings. */
static void add_compact(struct buf *b, str json)
{
    bool is_text = false;

    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (is_text && c == '\\' && i + 1 < json.len)
            buf_addc(b, json.ptr[i++]);
        else if (c == '"')
            is_text = !is_text;
        if (is_text || !mig_json_is_space_(json.ptr[i]))
            buf_addc(b, json.ptr[i]);
    }
}

/* Bytes since the last new line before `at`. */
static size_t column_of(const struct buf *b, size_t at)
{
    const char *line = at ? memrchr(b->ptr, '\n', at) : NULL;

    return line ? at - (size_t)(line + 1 - b->ptr) : at;
}

static void add_pretty(struct buf *b, str json, size_t width, size_t depth)
{
    size_t before = b->len, n = 0;
    enum mig_json_kind kind = mig_json_kind_of(json);
    bool is_object = kind == MIG_JSON_OBJECT;

    add_compact(b, json);
    bool fits = column_of(b, before) + b->len - before <= width;
    if ((kind != MIG_JSON_ARRAY && !is_object) || fits || depth >= MIG_JSON_DEPTH_MAX)
        return;
    b->len = before;
    buf_addc(b, is_object ? '{' : '[');
    for (mig_json_iter i = mig_json_each(json); mig_json_next(&i);) {
        buf_addz(b, n++ ? "," : "");
        add_line(b, depth + 1);
        buf_add(b, i.key);
        buf_addz(b, is_object ? ": " : "");
        add_pretty(b, i.value, width, depth + 1);
    }
    add_line(b, depth);
    buf_addc(b, is_object ? '}' : ']');
}

void json_pretty(struct buf *out, str json, size_t width)
{
    add_pretty(out, mig_json_root(json), width, 0);
}

void print_json(str json)
{
    CLEANUP(buf_deinit) struct buf b;

    buf_init(&b, BUF_MAX);
    json_pretty(&b, json, 100);
    put(buf_str(&b), stdout);
    putchar('\n');
}

/* ---- findings and refusals --------------------------------------------------------------------
 */

static unsigned member_number(mig_str object, const char *name)
{
    uint64_t n = 0;

    mig_json_u64(mig_json_member(object, name), &n);
    return n > 1u << 30 ? 0 : (unsigned)n;
}

void findings_of(struct diag *d, mig_str array)
{
    for (mig_json_iter i = mig_json_each(array); mig_json_next(&i);) {
        str file = member_text(i.value, "file"), id = member_text(i.value, "id");
        str text = member_text(i.value, "message");
        bool is_error = mig_json_is(mig_json_member(i.value, "level"), "error");

        diag_add(d, is_error ? DIAG_ERROR : DIAG_WARNING,
                 (struct diag_at){file.len ? file.ptr : NULL, member_number(i.value, "line"),
                                  member_number(i.value, "column")},
                 id.len ? id.ptr : "finding", "%.*s", STR_ARG(text));
        free((char *)(uintptr_t)file.ptr);
        free((char *)(uintptr_t)id.ptr);
        free((char *)(uintptr_t)text.ptr);
    }
}

void print_findings(const struct diag *d, FILE *out)
{
    CLEANUP(buf_deinit) struct buf b;

    buf_init(&b, BUF_MAX);
    for (size_t i = 0; i < d->count; i++) {
        diag_line(&d->list[i], &b);
        if (!b.len || b.ptr[b.len - 1] != '\n')
            buf_addc(&b, '\n');
    }
    put(buf_str(&b), out);
}

static void print_error_text(mig_str error)
{
    str code = member_text(error, "code"), message = member_text(error, "message");
    str reason = member_text(mig_json_member(error, "details"), "reason");

    fprintf(stderr, "migctl: %.*s: %.*s", STR_ARG(code), STR_ARG(message));
    if (reason.len)
        fprintf(stderr, " (%.*s)", STR_ARG(reason));
    fputc('\n', stderr);
    free((char *)(uintptr_t)code.ptr);
    free((char *)(uintptr_t)message.ptr);
    free((char *)(uintptr_t)reason.ptr);
}

int print_refusal(const struct ctl *c, const struct reply *r)
{
    mig_str error = mig_json_member(buf_str(&r->body), "error");
    mig_str details = mig_json_member(error, "details");
    struct diag d;

    if (c->is_json) {
        put(buf_str(&r->body), stdout);
        putchar('\n');
        return CTL_FAILED;
    }
    if (mig_json_kind_of(error) != MIG_JSON_OBJECT) {
        fprintf(stderr, "migctl: %s answered with HTTP status %u\n", c->url, r->status);
        return CTL_FAILED;
    }
    diag_init(&d);
    findings_of(&d, mig_json_member(details, "findings"));
    print_findings(&d, stderr);
    diag_deinit(&d);
    print_error_text(error);
    if (mig_json_count(mig_json_member(details, "errors"))) { /* schema violations, with paths */
        for (mig_json_iter i = mig_json_each(mig_json_member(details, "errors"));
             mig_json_next(&i);)
            fprintf(stderr, "  %.*s\n", STR_ARG(i.value));
    }
    return CTL_FAILED;
}

int finish_reply(const struct ctl *c, struct reply *r, int (*show)(const struct ctl *c, str body))
{
    str body = buf_str(&r->body);
    int code;

    if (r->status >= 300) {
        code = print_refusal(c, r);
    } else if (c->is_json) {
        put(body, stdout);
        putchar('\n');
        code = CTL_OK;
    } else if (!mig_json_valid(body)) {
        fprintf(stderr, "migctl: the answer of %s is not JSON\n", c->url);
        code = CTL_FAILED;
    } else {
        code = show(c, body);
    }
    buf_deinit(&r->body);
    return code;
}
