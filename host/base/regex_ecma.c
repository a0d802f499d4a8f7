#include "base/regex_ecma.h"
#include "base/check.h"
#include "base/hex.h"

#include <ctype.h>

enum { NAMES_MAX = 64, POINT_MAX = 0x10FFFF, DEPTH_MAX = 200, FACTOR_MAX = 1 << 20 };

/* What \s means (ECMA-262 22.2.2.9: WhiteSpace and LineTerminator), and everything else; both as
 * the inside of a class. */
#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"           \
    "\\x{205f}\\x{3000}\\x{feff}"
#define NOT_SPACES                                                                                 \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"               \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"                 \
    "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"
#define ANY_BUT_LINE_ENDS "[^\\x{a}\\x{d}\\x{2028}\\x{2029}]"

struct ecma {
    str in;
    size_t at;
    struct buf *out;
    struct ecma_fault *fault;
    struct ecma_cost *cost;
    unsigned depth, groups, name_count;
    bool has_choice[DEPTH_MAX + 1]; /* by depth: a quantifier or an alternative */
    bool is_choice;                 /* what a quantifier here would repeat has one */
    bool can_repeat; /* is there something in front that a quantifier may stand behind? */
    struct {
        str name;
        unsigned number;
    } names[NAMES_MAX];
};

static bool refuse(struct ecma *e, const char *text)
{
    *e->fault = (struct ecma_fault){text, e->at < e->in.len ? e->at : e->in.len};
    return false;
}

static int peek(const struct ecma *e, size_t ahead)
{
    return e->at + ahead < e->in.len ? (unsigned char)e->in.ptr[e->at + ahead] : -1;
}

static bool next_is(const struct ecma *e, str s)
{
    return str_starts(str_cut(e->in, e->at), s);
}

static void put_point(struct ecma *e, uint32_t point)
{
    buf_addf(e->out, "\\x{%x}", point);
}

/* --- groups ------------------------------------------------------------------------------------- */

/* The name in "<name>" at e->at, which is then behind it. */
static bool read_name(struct ecma *e, str *ret)
{
    size_t from = ++e->at;

    while (peek(e, 0) >= 0 && peek(e, 0) != '>')
        e->at++;
    *ret = (str){e->in.ptr + from, e->at - from};
    if (peek(e, 0) != '>' || !ret->len)
        return refuse(e, "a group's name is not closed, or empty");
    e->at++;
    return true;
}

static bool add_name(struct ecma *e)
{
    str name;

    if (!read_name(e, &name))
        return false;
    for (unsigned i = 0; i < e->name_count; i++)
        if (str_eq(e->names[i].name, name))
            return refuse(e, "two groups have the same name");
    if (e->name_count == NAMES_MAX)
        return refuse(e, "too many named groups");
    e->names[e->name_count].name = name;
    e->names[e->name_count++].number = e->groups;
    return true;
}

static bool is_named_group(const struct ecma *e)
{
    return next_is(e, S("(?<")) && peek(e, 3) != '=' && peek(e, 3) != '!';
}

/* References may stand in front of their group: so count groups and collect names first. */
static bool scan_groups(struct ecma *e)
{
    bool in_class = false;

    for (e->at = 0; e->at < e->in.len; e->at++) {
        int c = peek(e, 0);
        if (c == '\\') {
            e->at++;
        } else if (in_class || c == '[') {
            in_class = c != ']';
        } else if (is_named_group(e)) {
            e->groups++;
            e->at += 2;
            if (!add_name(e))
                return false;
            e->at--;
        } else if (c == '(' && peek(e, 1) != '?') {
            e->groups++;
        }
    }
    e->at = 0;
    return true;
}

static bool open_group(struct ecma *e)
{
    static const str kinds[] = {{"(?:", 3}, {"(?=", 3}, {"(?!", 3}, {"(?<=", 4}, {"(?<!", 4}};
    str name;

    if (e->depth == DEPTH_MAX)
        return refuse(e, "groups too deep within each other");
    e->has_choice[++e->depth] = false;
    e->can_repeat = false;
    for (size_t i = 0; i < countof(kinds); i++)
        if (next_is(e, kinds[i])) {
            e->at += kinds[i].len;
            return buf_add(e->out, kinds[i]);
        }
    buf_addc(e->out, '(');
    if (is_named_group(e)) {
        e->at += 2;
        return read_name(e, &name); // a plain group for PCRE2: its names are more restricted
    }
    if (peek(e, 1) == '?')
        return refuse(e, "a kind of group that ECMA-262 does not have");
    e->at++;
    return true;
}

static bool close_group(struct ecma *e)
{
    if (!e->depth)
        return refuse(e, "a closing parenthesis without an opening one");
    e->is_choice = e->has_choice[e->depth--];
    e->has_choice[e->depth] |= e->is_choice;
    e->at++;
    e->can_repeat = true;
    return buf_addc(e->out, ')');
}

/* --- escapes ------------------------------------------------------------------------------------ */

static bool read_hex(struct ecma *e, size_t digits, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_value(peek(e, i));
        if (d < 0)
            return refuse(e, "an escape with a wrong hexadecimal digit");
        *ret = *ret << 4 | (uint32_t)d;
    }
    e->at += digits;
    return true;
}

static bool read_braced_hex(struct ecma *e, uint32_t *ret)
{
    size_t digits = 0;

    e->at++;
    for (*ret = 0; hex_value(peek(e, 0)) >= 0; e->at++, digits++) {
        *ret = *ret << 4 | (uint32_t)hex_value(peek(e, 0));
        if (*ret > POINT_MAX)
            return refuse(e, "no such code point");
    }
    if (!digits || peek(e, 0) != '}')
        return refuse(e, "an escape with a wrong hexadecimal digit");
    e->at++;
    return true;
}

/* Behind \u. Two escaped surrogates are one character. */
static bool read_unicode(struct ecma *e, uint32_t *ret)
{
    uint32_t low;

    if (peek(e, 0) == '{')
        return read_braced_hex(e, ret);
    if (!read_hex(e, 4, ret))
        return false;
    if (*ret >> 10 != 0xD800 >> 10 || !next_is(e, S("\\u")))
        return true;
    size_t behind = e->at;
    e->at += 2;
    if (peek(e, 0) != '{' && read_hex(e, 4, &low) && low >> 10 == 0xDC00 >> 10)
        *ret = 0x10000 + ((*ret & 0x3FF) << 10 | (low & 0x3FF));
    else
        e->at = behind;
    *e->fault = (struct ecma_fault){0};
    return true;
}

static bool is_word(int c)
{
    return c == '_' || (c >= 0 && c < 128 && isalnum(c));
}

/* Behind \p or \P. */
static bool put_property(struct ecma *e, char kind)
{
    size_t from = e->at + 1;

    if (peek(e, 0) != '{')
        return refuse(e, "\\p needs a property in braces");
    for (e->at++; is_word(peek(e, 0)) || peek(e, 0) == '='; e->at++)
        ;
    str value = {e->in.ptr + from, e->at - from};
    if (peek(e, 0) != '}' || !value.len)
        return refuse(e, "a property with a wrong name");
    e->at++;
    str key = memchr(value.ptr, '=', value.len) ? str_split(&value, '=') : S("gc");
    if (str_eq(key, S("Script")) || str_eq(key, S("sc")))
        return buf_addf(e->out, "\\%c{sc:%.*s}", kind, STR_ARG(value));
    if (str_eq(key, S("Script_Extensions")) || str_eq(key, S("scx")))
        return buf_addf(e->out, "\\%c{scx:%.*s}", kind, STR_ARG(value));
    if (str_eq(key, S("General_Category")) || str_eq(key, S("gc")))
        return buf_addf(e->out, "\\%c{%.*s}", kind, STR_ARG(ecma_category(value)));
    return refuse(e, "a property with a wrong name");
}

static bool put_reference(struct ecma *e)
{
    unsigned n = 0;
    str name;

    if (peek(e, 0) == 'k') {
        e->at++;
        if (peek(e, 0) != '<')
            return refuse(e, "\\k needs a name");
        if (!read_name(e, &name))
            return false;
        for (unsigned i = 0; i < e->name_count; i++)
            if (str_eq(e->names[i].name, name))
                n = e->names[i].number;
    } else {
        for (; isdigit(peek(e, 0)) && n <= e->groups; e->at++)
            n = n * 10 + (unsigned)(peek(e, 0) - '0');
    }
    if (!n || n > e->groups)
        return refuse(e, "a reference to a group that is not there");
    e->cost->degree++; // as long as the group may be
    return buf_addf(e->out, "\\g{%u}", n);
}

/* An escape that stands for one character, behind the backslash. */
static bool read_character(struct ecma *e, uint32_t *ret)
{
    static const char from[] = "tnvfr", to[] = "\t\n\v\f\r";
    int c = peek(e, 0);
    const char *control = c > 0 ? strchr(from, c) : NULL;

    e->at++;
    if (control) {
        *ret = (uint32_t)to[control - from];
        return true;
    }
    if (c == 'x')
        return read_hex(e, 2, ret);
    if (c == 'u')
        return read_unicode(e, ret);
    if (c == '0' && !isdigit(peek(e, 0))) {
        *ret = 0;
        return true;
    }
    if (c == 'c' && peek(e, 0) < 128 && isalpha(peek(e, 0))) {
        *ret = (uint32_t)peek(e, 0) & 31;
        e->at++;
        return true;
    }
    e->at--;
    if (c < 0 || (is_word(c) && c != '_') || c >= 128)
        return refuse(e, "an escape that ECMA-262 does not have");
    e->at++;
    *ret = (uint32_t)c;
    return true;
}

/* \d, \w, \s, \p and their opposites. *ret_done: it was one of them. */
static bool put_class_escape(struct ecma *e, bool in_class, bool *ret_done)
{
    int c = peek(e, 0);

    *ret_done = c > 0 && strchr("dDwWsSpP", c);
    if (!*ret_done)
        return true;
    e->at++;
    if (c == 'p' || c == 'P')
        return put_property(e, (char)c);
    if (c == 's')
        return buf_addz(e->out, in_class ? SPACES : "[" SPACES "]");
    if (c == 'S')
        return buf_addz(e->out, in_class ? NOT_SPACES : "[^" SPACES "]");
    return buf_addf(e->out, "\\%c", c);
}

static bool is_surrogate(uint32_t point)
{
    return point >= 0xD800 && point <= 0xDFFF;
}

static bool put_escape(struct ecma *e)
{
    uint32_t point;
    bool is_done;

    e->at++;
    e->can_repeat = true;
    if (!put_class_escape(e, /*in_class=*/false, &is_done) || is_done)
        return e->fault->text == NULL;
    int c = peek(e, 0);
    if (c == 'b' || c == 'B') {
        e->at++;
        e->can_repeat = false;
        return buf_addf(e->out, "\\%c", c);
    }
    if (c == 'k' || (c >= '1' && c <= '9'))
        return put_reference(e);
    if (!read_character(e, &point))
        return false;
    if (is_surrogate(point)) // no UTF-8 text has one
        return buf_addz(e->out, "(?!)");
    put_point(e, point);
    return true;
}

/* --- classes ------------------------------------------------------------------------------------ */

static bool put_class_member(struct ecma *e)
{
    uint32_t point = 0;
    bool is_done;

    e->at++;
    if (!put_class_escape(e, /*in_class=*/true, &is_done))
        return false;
    if (is_done) { // a hyphen behind a whole class cannot make a range
        if (peek(e, 0) == '-' && peek(e, 1) != ']') {
            e->at++;
            buf_addz(e->out, "\\-");
        }
        return true;
    }
    if (peek(e, 0) == 'b') {
        e->at++;
        point = '\b';
    } else if (!read_character(e, &point)) {
        return false;
    }
    if (!is_surrogate(point))
        put_point(e, point);
    return true;
}

static bool is_hyphen_before_class(const struct ecma *e)
{
    return peek(e, 0) == '-' && peek(e, 1) == '\\' && peek(e, 2) > 0 &&
           strchr("dDwWsSpP", peek(e, 2));
}

static bool put_class(struct ecma *e)
{
    e->at++;
    e->can_repeat = true;
    buf_addc(e->out, '[');
    if (peek(e, 0) == '^') {
        buf_addc(e->out, '^');
        e->at++;
    }
    while (peek(e, 0) != ']') {
        int c = peek(e, 0);
        if (c < 0)
            return refuse(e, "a class is not closed");
        if (c == '\\') {
            if (!put_class_member(e))
                return false;
            continue;
        }
        if (c == '[' || c == '^' || is_hyphen_before_class(e))
            buf_addc(e->out, '\\');
        buf_addc(e->out, (char)c);
        e->at++;
    }
    e->at++;
    return buf_addc(e->out, ']');
}

/* --- quantifiers -------------------------------------------------------------------------------- */

/* Length of "{n}", "{n,}" or "{n,m}" here; 0: none of them. */
static size_t counted(const struct ecma *e)
{
    size_t n = 1;

    if (!isdigit(peek(e, n)))
        return 0;
    while (isdigit(peek(e, n)))
        n++;
    if (peek(e, n) == ',')
        for (n++; isdigit(peek(e, n)); n++)
            ;
    return peek(e, n) == '}' ? n + 1 : 0;
}

/* The most and least times that the quantifier here asks for. */
static void read_counts(const struct ecma *e, uint64_t *least, uint64_t *most)
{
    int c = peek(e, 0);
    size_t n = 1;

    *least = c == '+';
    *most = c == '?' ? 1 : UINT64_MAX;
    if (c != '{')
        return;
    for (*least = 0; isdigit(peek(e, n)) && *least < FACTOR_MAX; n++)
        *least = *least * 10 + (uint64_t)(peek(e, n) - '0');
    *most = *least;
    if (peek(e, n) != ',')
        return;
    for (*most = 0, n++; isdigit(peek(e, n)) && *most < FACTOR_MAX; n++)
        *most = *most * 10 + (uint64_t)(peek(e, n) - '0');
    if (peek(e, n - 1) == ',')
        *most = UINT64_MAX;
}

static void add_factor(struct ecma *e, uint64_t n)
{
    e->cost->factor *= n;
    if (e->cost->factor > FACTOR_MAX) {
        e->cost->factor = 1;
        e->cost->is_wild = true;
    }
}

/* Choices that are repeated multiply with each round; others once. */
static void add_cost(struct ecma *e)
{
    uint64_t least, most;

    read_counts(e, &least, &most);
    if (e->is_choice && most > 1)
        e->cost->is_wild = true;
    if (most == UINT64_MAX)
        e->cost->degree++;
    else
        add_factor(e, most > least ? most - least + 1 : 1);
    e->has_choice[e->depth] |= most > least;
}

static bool put_quantifier(struct ecma *e, size_t len)
{
    if (!e->can_repeat)
        return refuse(e, "nothing to repeat");
    add_cost(e);
    buf_add(e->out, (str){e->in.ptr + e->at, len});
    e->at += len;
    if (peek(e, 0) == '?') {
        buf_addc(e->out, '?');
        e->at++;
    }
    e->can_repeat = false; // so that a+ + is no possessive quantifier
    return true;
}

static bool put_plain(struct ecma *e, int c)
{
    if (c == '{' || c == '}' || c == ']')
        buf_addc(e->out, '\\');
    e->at++;
    e->can_repeat = true;
    return buf_addc(e->out, (char)c);
}

static bool put_any(struct ecma *e)
{
    e->at++;
    e->can_repeat = true;
    return buf_addz(e->out, ANY_BUT_LINE_ENDS);
}

static bool put_operator(struct ecma *e, int c)
{
    if (c == '|') {
        e->has_choice[e->depth] = true;
        add_factor(e, 2);
    }
    e->at++;
    e->can_repeat = false;
    return buf_addc(e->out, (char)c);
}

static bool put_term(struct ecma *e)
{
    int c = peek(e, 0);

    if (c != '*' && c != '+' && c != '?' && c != '{')
        e->is_choice = false;
    switch (c) {
    case '\\': return put_escape(e);
    case '[': return put_class(e);
    case '(': return open_group(e);
    case ')': return close_group(e);
    case '.': return put_any(e);
    case '^':
    case '$':
    case '|': return put_operator(e, c);
    case '*':
    case '+':
    case '?': return put_quantifier(e, 1);
    case '{': return counted(e) ? put_quantifier(e, counted(e)) : put_plain(e, c);
    default: return put_plain(e, c);
    }
}

/* Tried at each place of the subject, unless everything begins with ^. */
static bool is_anchored(const struct ecma *e)
{
    unsigned depth = 0;
    bool in_class = false;

    for (size_t i = 0; i < e->in.len; i++) {
        char c = e->in.ptr[i];
        if (c == '\\')
            i++;
        else if (in_class || c == '[')
            in_class = c != ']';
        else if (c == '(' || c == ')')
            depth += c == '(' ? 1 : (unsigned)-1;
        else if (c == '|' && !depth)
            return false;
    }
    return str_starts(e->in, S("^"));
}

bool ecma_to_pcre(struct buf *out, str pattern, struct ecma_cost *cost, struct ecma_fault *fault)
{
    struct ecma e = {.in = pattern, .out = out, .cost = cost, .fault = fault};

    *fault = (struct ecma_fault){0};
    *cost = (struct ecma_cost){.factor = 1, .degree = !is_anchored(&e)};
    if (!scan_groups(&e))
        return false;
    while (e.at < e.in.len)
        if (!put_term(&e) && fault->text)
            return false;
    if (e.depth)
        return refuse(&e, "a group is not closed");
    return !out->has_failed || refuse(&e, "the pattern is too long");
}
