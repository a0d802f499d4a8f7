#include "base/tracestate.h"

enum { KEY_MAX = 256, TENANT_MAX = 241, SYSTEM_MAX = 14, VALUE_MAX = 256 };

struct members {
    str list[TRACESTATE_MEMBERS];
    size_t count, bytes; /* bytes: with the commas */
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_mark(char c)
{
    return c == '_' || c == '-' || c == '*' || c == '/';
}

static bool is_name(str s, size_t max, bool may_begin_with_digit)
{
    if (!s.len || s.len > max ||
        !(is_lower(s.ptr[0]) || (may_begin_with_digit && is_digit(*s.ptr))))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!is_lower(s.ptr[i]) && !is_digit(s.ptr[i]) && !is_mark(s.ptr[i]))
            return false;
    return true;
}

/* 3.3.1.3.1: a name, or tenant@system. */
static bool is_key(str key)
{
    if (!key.len || !memchr(key.ptr, '@', key.len))
        return is_name(key, KEY_MAX, /*may_begin_with_digit=*/true);
    str system = key, tenant = str_split(&system, '@');
    return is_name(tenant, TENANT_MAX, true) && is_name(system, SYSTEM_MAX, false);
}

/* 3.3.1.3.2: printable, without comma and equals sign; blanks at the end are not its own. */
static bool is_value(str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7E || value.ptr[i] == '=')
            return false;
    return value.len && value.len <= VALUE_MAX;
}

static str key_of(str member)
{
    return str_split(&member, '=');
}

static bool has_key(const struct members *m, str key)
{
    for (size_t i = 0; i < m->count; i++)
        if (str_eq(key_of(m->list[i]), key))
            return true;
    return false;
}

static bool take(struct members *m, str member)
{
    str value = member, key = str_split(&value, '=');

    if (!value.ptr || !is_key(key) || !is_value(value) || has_key(m, key))
        return false;
    if (m->count < TRACESTATE_MEMBERS) {
        m->list[m->count++] = member;
        m->bytes += member.len + 1;
    }
    return true;
}

static void drop(struct members *m, size_t at)
{
    m->bytes -= m->list[at].len + 1;
    m->count--;
    memmove(m->list + at, m->list + at + 1, (m->count - at) * sizeof m->list[0]);
}

/* The last ones have been there longest. */
static void fit(struct members *m)
{
    for (size_t i = m->count; i-- > 0 && m->bytes > TRACESTATE_MAX + 1;)
        if (m->list[i].len > TRACESTATE_LONG)
            drop(m, i);
    while (m->bytes > TRACESTATE_MAX + 1)
        drop(m, m->count - 1);
}

size_t tracestate_write(str text, char out[TRACESTATE_MAX])
{
    struct members m = {.count = 0};
    size_t n = 0;

    for (str rest = text; rest.len;) {
        str member = str_trim(str_split(&rest, ','));
        if (member.len && !take(&m, member)) /* empty ones are allowed */
            return 0;
    }
    fit(&m);
    for (size_t i = 0; i < m.count; i++) {
        if (i)
            out[n++] = ',';
        memcpy(out + n, m.list[i].ptr, m.list[i].len);
        n += m.list[i].len;
    }
    return n;
}
