/* What JSON Schema says about values as such: equality, integers, decimals, lengths. */
#include "base/jsonschema_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool pay(uint64_t *steps, uint64_t cost)
{
    bool can = *steps >= cost;

    *steps = can ? *steps - cost : 0;
    return can;
}

/* --- equality ----------------------------------------------------------------------------------- */

static bool arrays_equal(const json_value *a, const json_value *b, uint64_t *steps)
{
    struct json_iter i = json_iter(a), k = json_iter(b);

    while (json_next(&i) && json_next(&k))
        if (!value_equal(i.value, k.value, steps))
            return false;
    return true;
}

/* Mostly both have the same order; where not, the member is looked up, and paid for. */
static bool objects_equal(const json_value *a, const json_value *b, uint64_t *steps)
{
    struct json_iter i = json_iter(a), k = json_iter(b);
    size_t n = json_size(b);

    while (json_next(&i) && json_next(&k)) {
        const json_value *other = k.value;
        if (!str_eq(i.key, k.key)) {
            if (!pay(steps, n))
                return false;
            other = json_get(b, i.key);
        }
        if (!other || !value_equal(i.value, other, steps))
            return false;
    }
    return true;
}

bool value_equal(const json_value *a, const json_value *b, uint64_t *steps)
{
    enum json_kind kind = json_kind(a);
    bool x, y;

    if (kind != json_kind(b) || !pay(steps, 1))
        return false;
    switch (kind) {
    case JSON_NULL: return true;
    case JSON_BOOL: return json_is_bool(a, &x) && json_is_bool(b, &y) && x == y;
    case JSON_NUMBER: return json_exact(a) == json_exact(b);
    case JSON_STRING: return str_eq(json_string(a), json_string(b));
    case JSON_ARRAY: return json_size(a) == json_size(b) && arrays_equal(a, b, steps);
    case JSON_OBJECT: break;
    }
    return json_size(a) == json_size(b) && objects_equal(a, b, steps);
}

/* --- hashes ------------------------------------------------------------------------------------- */

static uint64_t bytes_hash(uint64_t salt, uint64_t x)
{
    uint64_t both[2] = {salt, x};

    return str_hash((str){(const char *)both, sizeof both});
}

static uint64_t number_hash(const json_value *v)
{
    long double x = json_exact(v);
    double d = (double)x;
    uint64_t bits;

    if (x == truncl(x) && fabsl(x) < 0x1p64L) {
        bits = (uint64_t)fabsl(x);
        return bytes_hash(x < 0 ? 1 : 2, bits);
    }
    memcpy(&bits, &d, sizeof bits);
    return bytes_hash(3, bits);
}

/* A sum does not mind the order of members. */
static uint64_t object_hash(const json_value *v)
{
    uint64_t h = 0;

    for (struct json_iter i = json_iter(v); json_next(&i);)
        h += bytes_hash(str_hash(i.key), value_hash(i.value));
    return bytes_hash(4, h);
}

uint64_t value_hash(const json_value *v)
{
    bool is_true = false;
    uint64_t h = 5;

    switch (json_kind(v)) {
    case JSON_NULL: return bytes_hash(6, 0);
    case JSON_BOOL: json_is_bool(v, &is_true); return bytes_hash(7, is_true);
    case JSON_NUMBER: return number_hash(v);
    case JSON_STRING: return str_hash(json_string(v));
    case JSON_OBJECT: return object_hash(v);
    case JSON_ARRAY: break;
    }
    for (struct json_iter i = json_iter(v); json_next(&i);)
        h = bytes_hash(h, value_hash(i.value));
    return h;
}

/* --- numbers ------------------------------------------------------------------------------------ */

bool value_is_integer(const json_value *number)
{
    int64_t whole;
    long double x;

    return json_is_integer(number, &whole) || (x = json_exact(number), x == truncl(x));
}

static struct decimal strip(struct decimal d)
{
    if (!d.m)
        return (struct decimal){0, 0};
    while (d.m % 10 == 0) {
        d.m /= 10;
        d.e++;
    }
    return d;
}

/* The shortest decimal that reads as this double: what somebody wrote as 0.0075 is 75 * 10^-4. The
 * sign does not matter here. */
static struct decimal decimal_of_real(double x)
{
    struct decimal d = {0, 0};
    char text[40];
    int precision = 14;

    do
        snprintf(text, sizeof text, "%.*e", precision, x);
    while (strtod(text, NULL) != x && ++precision < 17);
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p != '.')
            d.m = d.m * 10 + (uint64_t)(*p - '0');
    d.e = (int)strtol(p + 1, NULL, 10) - (precision < 17 ? precision : 16);
    return strip(d);
}

struct decimal decimal_of(const json_value *number)
{
    long double x = fabsl(json_exact(number));

    if (x == truncl(x) && x < 0x1p64L)
        return strip((struct decimal){(uint64_t)x, 0});
    return decimal_of_real((double)x);
}

static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t m)
{
    return (uint64_t)((unsigned __int128)a * b % m);
}

bool decimal_divides(struct decimal divisor, struct decimal n)
{
    if (!n.m)
        return true;
    if (n.e < divisor.e) // then n.m would end with a 0
        return false;
    uint64_t rest = n.m % divisor.m, power = 10 % divisor.m;
    for (unsigned shift = (unsigned)(n.e - divisor.e); shift; shift >>= 1) {
        if (shift & 1)
            rest = mul_mod(rest, power, divisor.m);
        power = mul_mod(power, power, divisor.m);
    }
    return rest == 0;
}

/* --- text --------------------------------------------------------------------------------------- */

size_t value_length(str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return n;
}
