#include "base/json_canon.h"

#include <math.h>
#include <stdlib.h>

struct member {
    str key;
    const json_value *value;
};

/* Bytes of UTF-8 are in the order of UTF-16 code units but for one thing: what needs two units
 * (lead bytes from F0) comes before U+E000 to U+FFFF (EE and EF). */
static int rank(unsigned char c)
{
    return c >= 0xF0 ? c - 2 : c == 0xEE || c == 0xEF ? c + 0x10 : c;
}

static int by_key(const void *a, const void *b)
{
    str x = ((const struct member *)a)->key, y = ((const struct member *)b)->key;
    size_t n = x.len < y.len ? x.len : y.len;

    for (size_t i = 0; i < n; i++)
        if (x.ptr[i] != y.ptr[i])
            return rank((unsigned char)x.ptr[i]) - rank((unsigned char)y.ptr[i]);
    return (x.len > y.len) - (x.len < y.len);
}

static void add_number(const json_value *v, struct arena_text *t)
{
    const double beyond = 18446744073709551616.0; /* 2^64 */
    int64_t integer;
    double d;

    if (!json_is_integer(v, &integer) && json_number(v, &d) && d == floor(d) && fabs(d) < beyond) {
        text_add(t, d < 0 ? S("-") : S(""));
        text_addu(t, (uint64_t)fabs(d)); /* 1.0, 1e0 and -0.0 are written as integers are */
        return;
    }
    json_write(v, t);
}

static void add_object(const json_value *v, struct arena_text *t)
{
    size_t n = 0;
    struct member *list = arena_alloc(t->arena, (json_size(v) + 1) * sizeof *list);

    if (!list) {
        t->has_failed = true;
        return;
    }
    for (struct json_iter i = json_iter(v); json_next(&i);)
        list[n++] = (struct member){i.key, i.value};
    qsort(list, n, sizeof *list, by_key);
    text_add(t, S("{"));
    for (size_t i = 0; i < n; i++) {
        text_add(t, i ? S(",") : S(""));
        text_add_json(t, list[i].key);
        text_add(t, S(":"));
        json_canon(list[i].value, t);
    }
    text_add(t, S("}"));
}

static void add_array(const json_value *v, struct arena_text *t)
{
    text_add(t, S("["));
    bool first = true;
    for (struct json_iter i = json_iter(v); json_next(&i); first = false) {
        text_add(t, first ? S("") : S(","));
        json_canon(i.value, t);
    }
    text_add(t, S("]"));
}

/* As deep as the parser allows: 128. */
void json_canon(const json_value *v, struct arena_text *t)
{
    double d;

    if (json_is_object(v))
        add_object(v, t);
    else if (json_is_array(v))
        add_array(v, t);
    else if (json_is_string(v))
        text_add_json(t, json_string(v));
    else if (json_number(v, &d))
        add_number(v, t);
    else
        json_write(v, t);
}
