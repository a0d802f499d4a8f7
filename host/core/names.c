#include "core/names.h"

enum { TENANT_MAX = 64, ID_MAX = 200 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_word(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_letter(s.ptr[i]))
            return false;
    return s.len > 0;
}

bool name_is_tenant(str s)
{
    return s.len <= TENANT_MAX && is_word(s) && s.ptr[0] != '-' && !str_eq(s, S("unknown"));
}

bool name_is_capability(str s)
{
    if (!s.len || s.len > ID_MAX)
        return false;
    for (str rest = s; rest.ptr;)
        if (!is_word(str_split(&rest, '.')))
            return false;
    return true;
}

bool name_is_topic(str s)
{
    return name_is_capability(s) && memchr(s.ptr, '.', s.len);
}
