#include "edge/coding.h"
#include "base/check.h"

static const str names[CODINGS] = {
    [CODING_IDENTITY] = S("identity"), [CODING_GZIP] = S("gzip"), [CODING_ZSTD] = S("zstd")};

str coding_name(enum coding c)
{
    return names[c];
}

enum coding coding_of(str value)
{
    value = str_trim(value);
    if (str_eq_nocase(value, S("x-gzip"))) /* RFC 9110 8.4.1.3 */
        return CODING_GZIP;
    for (unsigned c = 0; c < CODINGS; c++)
        if (str_eq_nocase(value, names[c]))
            return (enum coding)c;
    return value.len ? CODING_UNKNOWN : CODING_IDENTITY;
}

/* RFC 9110 12.4.2: "0", "0.5", "1.000"; -1 for anything else. */
static short parse_q(str s)
{
    short q = 0;

    if (!s.len || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') ||
        (s.len > 1 && s.ptr[1] != '.'))
        return -1;
    q = (short)((s.ptr[0] - '0') * 1000);
    for (size_t i = 2, unit = 100; i < s.len; i++, unit /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        q = (short)(q + (s.ptr[i] - '0') * (int)unit);
    }
    return q <= 1000 ? q : -1;
}

static short weight_of(str params)
{
    str value = str_trim(str_split(&params, ';'));
    str name = str_trim(str_split(&value, '='));

    if (!name.len && !value.ptr)
        return 1000;
    return str_eq_nocase(name, S("q")) ? parse_q(str_trim(value)) : -1;
}

void coding_wish_add(struct coding_wish *w, str value)
{
    while (value.len) {
        str params = str_split(&value, ',');
        str name = str_trim(str_split(&params, ';'));
        short q = weight_of(params);
        enum coding c = coding_of(name);
        if (q < 0 || !name.len)
            continue;
        if (str_eq(name, S("*")))
            w->any = q;
        else if (c != CODING_UNKNOWN)
            w->q[c] = q;
    }
}

enum coding coding_choose(const struct coding_wish *w)
{
    static const enum coding order[] = {CODING_ZSTD, CODING_GZIP};
    enum coding best = CODING_IDENTITY;
    short best_q = 0;

    for (size_t i = 0; i < countof(order); i++) {
        short q = w->q[order[i]] >= 0 ? w->q[order[i]] : w->any;
        if (q > best_q) {
            best = order[i];
            best_q = q;
        }
    }
    return w->q[CODING_IDENTITY] > best_q ? CODING_IDENTITY : best;
}

bool coding_is_compressible(str content_type)
{
    static const str types[] = {S("application/json"),     S("application/javascript"),
                                S("application/xml"),      S("application/yaml"),
                                S("application/x-ndjson"), S("image/svg+xml"),
                                S("application/wasm"),     S("application/openmetrics-text")};
    str type = str_trim(str_split(&content_type, ';'));

    if (type.len > 5 && str_eq_nocase((str){type.ptr, 5}, S("text/")))
        return !str_eq_nocase(type, S("text/event-stream"));
    for (size_t i = 0; i < countof(types); i++)
        if (str_eq_nocase(type, types[i]))
            return true;
    str suffix = type.len > 5 ? str_cut(type, type.len - 5) : (str){NULL, 0};
    return str_eq_nocase(suffix, S("+json")) || str_ends(type, S("+xml"));
}
