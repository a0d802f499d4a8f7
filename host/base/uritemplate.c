#include "base/uritemplate.h"
#include "base/check.h"
#include "base/hex.h"

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_escape(str s, size_t at)
{
    return at + 2 < s.len && s.ptr[at] == '%' && hex_value(s.ptr[at + 1]) >= 0 &&
           hex_value(s.ptr[at + 2]) >= 0;
}

/* RFC 6570 2.1; the apostrophe is allowed, as its erratum 6937 says. */
static bool is_literal(char c)
{
    return (unsigned char)c > ' ' && c != 0x7F && !strchr("\"<>\\^`{|}%", c);
}

static bool is_unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Reading a template piece by piece ----------------------------------------------------------- */

struct piece {
    bool is_var;
    str text; // the literal, or the variable's name
};

static bool next_piece(str *rest, struct piece *ret)
{
    if (!rest->len)
        return false;
    bool is_var = rest->ptr[0] == '{';
    str s = is_var ? str_cut(*rest, 1) : *rest;
    const char *end = memchr(s.ptr, is_var ? '}' : '{', s.len);
    size_t n = end ? (size_t)(end - s.ptr) : s.len;
    *ret = (struct piece){is_var, {s.ptr, n}};
    *rest = str_cut(s, n + is_var);
    return true;
}

size_t uritemplate_count(str text)
{
    struct piece p;
    size_t count = 0;

    while (next_piece(&text, &p))
        count += p.is_var;
    return count;
}

/* Checking ------------------------------------------------------------------------------------ */

static const char *check_scheme(str text, size_t *at)
{
    size_t i = 0;

    while (i < text.len &&
           (is_alpha(text.ptr[i]) || is_digit(text.ptr[i]) || strchr("+-.", text.ptr[i])) &&
           text.ptr[i])
        i++;
    *at = i;
    if (i == 0 || !is_alpha(text.ptr[0]) || i == text.len || text.ptr[i] != ':')
        return "it must be an absolute URI and begin with a scheme such as \"docs:\"";
    *at = ++i;
    return i == text.len ? "nothing follows the scheme" : NULL;
}

static const char *check_name(str name, size_t *at)
{
    if (!name.len)
        return "a variable without a name";
    if (strchr("+#./;?&=,!@|", name.ptr[0]))
        return "only variables of RFC 6570 level 1, {name}, are served";
    for (size_t i = 0; i < name.len; i++, ++*at) {
        char c = name.ptr[i];
        if (c == '*' || c == ':' || c == ',')
            return "only variables of RFC 6570 level 1, {name}, are served";
        if (!is_alpha(c) && !is_digit(c) && c != '_' && c != '.')
            return "a variable's name has letters, digits, _ and .";
    }
    return NULL;
}

struct names {
    str list[URITEMPLATE_VARS_MAX];
    size_t count;
};

/* text.ptr[*at] is the opening brace; *at moves behind the closing one. */
static const char *check_var(str text, size_t *at, struct names *names)
{
    const char *close = memchr(text.ptr + *at, '}', text.len - *at);

    if (!close)
        return "{ without }";
    size_t from = *at + 1;
    str name = {text.ptr + from, (size_t)(close - text.ptr) - from};
    size_t end = from + name.len + 1;
    *at = from;
    const char *wrong = check_name(name, at);
    if (wrong)
        return wrong;
    *at = from;
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->list[i], name))
            return "the same variable twice";
    if (names->count == URITEMPLATE_VARS_MAX)
        return "more than 16 variables";
    names->list[names->count++] = name;
    *at = end;
    bool is_next = end < text.len && text.ptr[end] == '{';
    return is_next ? "two variables without text between them" : NULL;
}

const char *uritemplate_check(str text, size_t *ret_at)
{
    struct names names = {.count = 0};
    const char *wrong = check_scheme(text, ret_at);
    size_t at = *ret_at;

    if (text.len > URITEMPLATE_BYTES_MAX)
        return "longer than 2048 bytes";
    while (!wrong && at < text.len) {
        if (text.ptr[at] == '{')
            wrong = check_var(text, &at, &names);
        else if (is_escape(text, at))
            at += 3;
        else if (is_literal(text.ptr[at]))
            at++;
        else
            wrong = "a character that a URI cannot have";
    }
    *ret_at = at;
    return wrong;
}

/* Matching ------------------------------------------------------------------------------------ */

/* Where the value of a variable ends: at the first place where the literal behind it stands. That
 * is enough, without going back: a value cannot hold a slash, so a later place of a literal with
 * a slash is out of reach, and for one without, the earlier place leaves more for what follows. */
static bool find_end(str uri, size_t from, str literal, bool is_last, size_t *ret_end)
{
    size_t limit = from;

    while (limit < uri.len && !strchr("/?#", uri.ptr[limit]) && uri.ptr[limit])
        limit++;
    if (is_last) { // the literal closes the URI
        if (uri.len < literal.len + from + 1)
            return false;
        *ret_end = uri.len - literal.len;
        return *ret_end <= limit && str_ends(uri, literal);
    }
    for (size_t end = from + 1; end <= limit; end++)
        if (str_starts(str_cut(uri, end), literal)) {
            *ret_end = end;
            return true;
        }
    return false;
}

bool uritemplate_match(str text, str uri, struct uritemplate_var *vars, size_t *ret_count)
{
    struct piece p, literal;
    size_t at = 0, end, count = 0;

    while (next_piece(&text, &p)) {
        if (!p.is_var) {
            if (!str_starts(str_cut(uri, at), p.text))
                return false;
            at += p.text.len;
            continue;
        }
        if (!next_piece(&text, &literal))
            literal = (struct piece){0};
        if (broken(count == URITEMPLATE_VARS_MAX || literal.is_var) ||
            !find_end(uri, at, literal.text, !text.len, &end))
            return false;
        vars[count++] = (struct uritemplate_var){p.text, {uri.ptr + at, end - at}};
        at = end + literal.text.len;
    }
    *ret_count = count;
    return at == uri.len;
}

/* Values -------------------------------------------------------------------------------------- */

bool uritemplate_decode(str value, struct buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '%') {
            buf_addc(out, value.ptr[i]);
            continue;
        }
        if (!is_escape(value, i))
            return false;
        buf_addc(out, (char)(hex_value(value.ptr[i + 1]) * 16 + hex_value(value.ptr[i + 2])));
        i += 2;
    }
    return !out->has_failed;
}

static void add_encoded(str value, struct buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        if (is_unreserved(value.ptr[i]))
            buf_addc(out, value.ptr[i]);
        else
            buf_addf(out, "%%%02X", (unsigned char)value.ptr[i]);
    }
}

bool uritemplate_fill(str text, const struct uritemplate_var *vars, size_t count, struct buf *out)
{
    struct piece p;

    while (next_piece(&text, &p)) {
        if (!p.is_var)
            buf_add(out, p.text);
        for (size_t i = 0; p.is_var && i < count; i++)
            if (str_eq(vars[i].name, p.text))
                add_encoded(vars[i].value, out);
    }
    return !out->has_failed;
}
