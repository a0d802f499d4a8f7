#include "ctl_conformance.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- JSON -------------------------------------------------------------------------------------
 */

mig_str json_at(str document, str pointer)
{
    mig_str at = mig_json_root(document);

    if (pointer.len)
        pointer = str_cut(pointer, 1);
    while (pointer.len && at.len) {
        char name[128];
        uint64_t index;
        str step = str_split(&pointer, '/');
        snprintf(name, sizeof name, "%.*s", STR_ARG(step));
        if (mig_json_kind_of(at) == MIG_JSON_ARRAY)
            at = str_to_u64(step, &index) ? mig_json_item(at, index) : (mig_str){0};
        else
            at = mig_json_member(at, name);
    }
    return at;
}

/* Decoded, malloc'ed. */
static char *text_of(mig_str token, size_t *ret_len)
{
    size_t n = mig_json_unescape(token, NULL, 0);
    char *text = malloc(n == MIG_JSON_BAD ? 1 : n + 1);

    must(text);
    *ret_len = n == MIG_JSON_BAD ? 0 : n;
    text[0] = 0;
    if (n != MIG_JSON_BAD)
        mig_json_unescape(token, text, n + 1);
    return text;
}

static bool same_text(mig_str a, mig_str b)
{
    size_t n = 0, m = 0;
    char *x = text_of(a, &n), *y = text_of(b, &m);
    bool is_same = n == m && memcmp(x, y, n) == 0;

    free(x);
    free(y);
    return is_same;
}

static double number_of(mig_str token)
{
    char text[64];

    snprintf(text, sizeof text, "%.*s", STR_ARG(token));
    return strtod(text, NULL);
}

static mig_str member_like(mig_str object, mig_str key)
{
    for (mig_json_iter i = mig_json_each(object); mig_json_next(&i);)
        if (same_text(i.key, key))
            return i.value;
    return (mig_str){0};
}

static bool same_entries(mig_str a, mig_str b, bool is_object)
{
    size_t n = 0;

    if (mig_json_count(a) != mig_json_count(b))
        return false;
    for (mig_json_iter i = mig_json_each(a); mig_json_next(&i); n++) {
        mig_str other = is_object ? member_like(b, i.key) : mig_json_item(b, n);
        if (!json_equal(i.value, other))
            return false;
    }
    return true;
}

bool json_equal(mig_str a, mig_str b)
{
    enum mig_json_kind kind = mig_json_kind_of(a);

    if (kind != mig_json_kind_of(b))
        return false;
    switch (kind) {
    case MIG_JSON_STRING: return same_text(a, b);
    case MIG_JSON_NUMBER: return number_of(a) == number_of(b);
    case MIG_JSON_ARRAY:
    case MIG_JSON_OBJECT: return same_entries(a, b, kind == MIG_JSON_OBJECT);
    default: return str_eq(a, b);
    }
}

/* ---- kinds ------------------------------------------------------------------------------------
 */

/* '0' a digit, 'h' a lower-case hexadecimal digit, the rest itself. */
static bool has_shape(str text, const char *shape)
{
    if (text.len != strlen(shape))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        bool fits = shape[i] == '0'   ? is_digit
                    : shape[i] == 'h' ? is_digit || (c >= 'a' && c <= 'f')
                                      : c == shape[i];
        if (!fits)
            return false;
    }
    return true;
}

bool is_uuid(str text)
{
    return has_shape(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh");
}

bool is_utc_time(str text)
{
    size_t n = 0;

    if (text.len < 20 || !has_shape((str){text.ptr, 19}, "0000-00-00T00:00:00"))
        return false;
    text = str_cut(text, 19);
    if (*text.ptr == '.') {
        for (n = 1; n < text.len && isdigit((unsigned char)text.ptr[n]);)
            n++;
        if (n == 1)
            return false;
    }
    return str_eq(str_cut(text, n), S("Z"));
}

static bool is_text_like(mig_str v, bool (*is_like)(str text))
{
    size_t n;
    char *text = text_of(v, &n);
    bool is = mig_json_kind_of(v) == MIG_JSON_STRING && is_like((str){text, n});

    free(text);
    return is;
}

static bool has_kind(mig_str v, str kind)
{
    static const struct {
        str name;
        enum mig_json_kind kind;
    } kinds[] = {
        {S("string"), MIG_JSON_STRING}, {S("number"), MIG_JSON_NUMBER},
        {S("object"), MIG_JSON_OBJECT}, {S("array"), MIG_JSON_ARRAY},
        {S("boolean"), MIG_JSON_BOOL},  {S("absent"), MIG_JSON_NONE},
    };

    for (size_t i = 0; i < countof(kinds); i++)
        if (str_eq(kind, kinds[i].name))
            return mig_json_kind_of(v) == kinds[i].kind;
    if (str_eq(kind, S("uuid")))
        return is_text_like(v, is_uuid);
    if (str_eq(kind, S("time")))
        return is_text_like(v, is_utc_time);
    must(str_eq(kind, S("text"))); // a string that is not empty
    return mig_json_kind_of(v) == MIG_JSON_STRING && v.len > 2;
}

/* ---- clauses ----------------------------------------------------------------------------------
 */

static void show(struct buf *came, mig_str value)
{
    if (!value.len)
        buf_addz(came, "nothing");
    else
        buf_addf(came, "%.*s%s", (int)(value.len < 300 ? value.len : 300), value.ptr,
                 value.len < 300 ? "" : "...");
}

static bool contains_text(mig_str v, str text)
{
    size_t n;
    char *z = text_of(v, &n);
    bool has = mig_json_kind_of(v) == MIG_JSON_STRING && str_contains_nocase((str){z, n}, text);

    free(z);
    return has;
}

/* "/pointer op value" */
static bool check_member(const struct answer *a, str clause, struct buf *came)
{
    str pointer = str_split(&clause, ' '), op, value;
    mig_str at = json_at(a->body, pointer);
    bool is_number = mig_json_kind_of(at) == MIG_JSON_NUMBER, holds;

    clause = str_trim(clause);
    op = str_split(&clause, ' ');
    value = str_trim(clause);
    if (str_eq(op, S("=")))
        holds = json_equal(at, value);
    else if (str_eq(op, S("!=")))
        holds = !json_equal(at, value);
    else if (str_eq(op, S("~")))
        holds = contains_text(at, value);
    else if (str_eq(op, S("<")))
        holds = is_number && number_of(at) < number_of(value);
    else if (str_eq(op, S(">")))
        holds = is_number && number_of(at) > number_of(value);
    else
        must(str_eq(op, S(":"))), holds = has_kind(at, value);
    if (!holds) {
        buf_addf(came, "%.*s is ", STR_ARG(pointer));
        show(came, at);
    }
    return holds;
}

/* "Name", "Name absent", "Name = text", "Name ~ text" */
static bool check_header(const struct answer *a, str clause, struct buf *came)
{
    char name[64];
    str key = str_split(&clause, ' '), op, value;
    bool holds;

    snprintf(name, sizeof name, "%.*s", STR_ARG(key));
    value = head_find(a->head, name);
    op = str_split(&clause, ' ');
    clause = str_trim(clause);
    if (str_eq(op, S("absent")))
        holds = !value.ptr;
    else if (str_eq(op, S("=")))
        holds = value.ptr && str_eq(value, clause);
    else if (str_eq(op, S("~")))
        holds = value.ptr && str_contains_nocase(value, clause);
    else
        holds = value.len != 0;
    if (!holds)
        buf_addf(came, "header %s is %.*s", name, value.ptr ? (int)value.len : 7,
                 value.ptr ? value.ptr : "nothing");
    return holds;
}

/* What section 10 says of each code. */
static const struct code {
    const char *name;
    unsigned status;
    const char *retryable; /* NULL: it depends */
} codes[] = {
    {"MIG_INVALID_REQUEST", 400, "false"},
    {"MIG_UNAUTHORIZED", 401, "false"},
    {"MIG_FORBIDDEN", 403, "false"},
    {"MIG_NOT_FOUND", 404, "false"},
    {"MIG_UNSUPPORTED_CAPABILITY", 404, "false"},
    {"MIG_VERSION_MISMATCH", 400, "false"},
    {"MIG_TIMEOUT", 504, NULL},
    {"MIG_RATE_LIMITED", 429, "true"},
    {"MIG_BACKPRESSURE", 429, "true"},
    {"MIG_UNAVAILABLE", 503, "true"},
    {"MIG_INTERNAL", 500, "false"},
};

static void show_answer(const struct answer *a, struct buf *came)
{
    buf_addf(came, "status %u, body ", a->status);
    show(came, a->body);
}

/* 413 and 405 are statuses of HTTP for MIG_INVALID_REQUEST (section 10), frames have none at all. */
static bool has_status(const struct answer *a, const struct code *k)
{
    return !a->status || a->status == k->status ||
           (k->status == 400 && (a->status == 413 || a->status == 405));
}

static bool check_code(const struct answer *a, str clause, struct buf *came)
{
    for (size_t i = 0; i < countof(codes); i++) {
        const struct code *k = &codes[i];
        mig_str retryable = json_at(a->body, S("/error/retryable"));
        if (!str_eq(clause, str_of(k->name)))
            continue;
        bool holds = mig_json_is(json_at(a->body, S("/error/code")), k->name) && has_status(a, k) &&
                     has_kind(json_at(a->body, S("/header")), S("object")) &&
                     has_kind(json_at(a->body, S("/error/details")), S("object")) &&
                     has_kind(json_at(a->body, S("/error/message")), S("text")) &&
                     has_kind(retryable, S("boolean")) &&
                     (!k->retryable || str_eq(retryable, str_of(k->retryable)));
        if (!holds)
            show_answer(a, came);
        return holds;
    }
    must(false); // no such code: the table is wrong
}

static bool check_clause(const struct answer *a, str clause, struct buf *came)
{
    str rest = clause, word = str_split(&rest, ' ');
    uint64_t status;

    if (str_to_u64(word, &status)) {
        if (status == a->status)
            return true;
        show_answer(a, came);
        return false;
    }
    if (*word.ptr == '/')
        return check_member(a, clause, came);
    if (str_eq(word, S("head")))
        return check_header(a, rest, came);
    if (str_starts(word, S("MIG_")))
        return check_code(a, word, came);
    bool is_reason = str_eq(word, S("reason"));
    mig_str at = json_at(a->body, is_reason ? S("/error/details/reason") : S("/error/message"));
    must(is_reason || str_eq(word, S("says")));
    if (contains_text(at, str_trim(rest)))
        return true;
    show_answer(a, came);
    return false;
}

bool want_check(const struct answer *a, str want, struct buf *expected, struct buf *came)
{
    while (want.len) {
        str clause = str_trim(str_split(&want, ';'));
        if (clause.len && !check_clause(a, clause, came)) {
            buf_add(expected, clause);
            return false;
        }
    }
    return true;
}
