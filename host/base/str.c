#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool is_special(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* Of WIDE bytes a bit each, the first one lowest: those that have to be escaped in JSON (below 0x20,
 * quote, backslash) and, with_others, those beyond ASCII. */
#ifdef __SSE2__
enum { WIDE = 16 };

static inline uint32_t specials(const char *p, bool with_others)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i found = _mm_or_si128(control, _mm_or_si128(quote, slash));

    return (uint32_t)_mm_movemask_epi8(with_others ? _mm_or_si128(found, v) : found);
}
#else
enum { WIDE = 8 };

static inline uint32_t specials(const char *p, bool with_others)
{
    uint32_t found = 0;

    for (unsigned i = 0; i < WIDE; i++)
        found |= (uint32_t)(is_special(p[i]) || (with_others && p[i] & 0x80)) << i;
    return found;
}
#endif

/* How many bytes from the front are ASCII from `low` on, DEL not among them. */
static inline size_t prefix_from(str s, signed char low)
{
    size_t i = 0;

#ifdef __SSE2__
    for (; i + WIDE <= s.len; i += WIDE) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
        __m128i below = _mm_cmplt_epi8(v, _mm_set1_epi8(low)); /* as signed: all beyond ASCII are */
        __m128i bad = _mm_or_si128(below, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F)));
        uint32_t found = (uint32_t)_mm_movemask_epi8(bad);
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
#endif
    while (i < s.len && (signed char)s.ptr[i] >= low && s.ptr[i] != 0x7F)
        i++;
    return i;
}

size_t str_printable_prefix(str s)
{
    return prefix_from(s, ' ');
}

bool str_is_visible(str s, size_t max)
{
    return s.len <= max && prefix_from(s, '!') == s.len;
}

/* The bytes from i on, fewer than WIDE, by looking at the last WIDE. */
static inline size_t plain_tail(str s, size_t i)
{
    uint32_t found = specials(s.ptr + s.len - WIDE, false) >> (WIDE - (s.len - i));
    return found ? (size_t)__builtin_ctz(found) : s.len - i;
}

size_t str_plain_prefix(str s)
{
    size_t i = 0;

    for (; i + WIDE <= s.len; i += WIDE) {
        uint32_t found = specials(s.ptr + i, false);
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
    if (i < s.len && s.len >= WIDE)
        return i + plain_tail(s, i);
    while (i < s.len && !is_special(s.ptr[i]))
        i++;
    return i;
}

size_t str_ascii_prefix_in(const char *p, const char *from, const char *end)
{
    const char *at = p;

    for (; end - at >= WIDE; at += WIDE) {
        uint32_t found = specials(at, true);
        if (found)
            return (size_t)(at - p) + (size_t)__builtin_ctz(found);
    }
    if (end - from >= WIDE) { /* the last bytes of the text, without those before `at` */
        uint32_t found = specials(end - WIDE, true) >> (WIDE - (end - at));
        return (size_t)(at - p) + (found ? (size_t)__builtin_ctz(found) : (size_t)(end - at));
    }
    while (at < end && !is_special(*at) && (unsigned char)*at < 0x80)
        at++;
    return (size_t)(at - p);
}

static inline void lower8(char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = ones << 7;
    uint64_t v;

    memcpy(&v, p, sizeof v);
    uint64_t low7 = v & ~high;
    uint64_t from_a = low7 + (0x80 - 'A') * ones, beyond_z = low7 + (0x7F - 'Z') * ones;
    v |= (from_a & ~beyond_z & ~v & high) >> 2;
    memcpy(p, &v, sizeof v);
}

void str_lower(char *p, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        lower8(p + i);
    if (i < n && n >= 8) {
        lower8(p + n - 8); /* some bytes twice */
        return;
    }
    for (; i < n; i++)
        p[i] = lower(p[i]);
}

bool str_eq_nocase(str a, str b)
{
    if (a.len != b.len)
        return false;
    if (a.len && memcmp(a.ptr, b.ptr, a.len) == 0)
        return true;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool str_contains_nocase(str hay, str needle)
{
    for (size_t i = 0; i + needle.len <= hay.len; i++)
        if (str_eq_nocase((str){hay.ptr + i, needle.len}, needle))
            return true;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

str str_trim(str s)
{
    if (s.len && (unsigned char)s.ptr[0] > ' ' && (unsigned char)s.ptr[s.len - 1] > ' ')
        return s;
    while (s.len && is_space(s.ptr[0]))
        s = str_cut(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

int str_cmp(str a, str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

    return c ? c : (a.len > b.len) - (a.len < b.len);
}

str str_split(str *rest, char sep)
{
    str s = *rest;
    const char *at = s.len ? memchr(s.ptr, sep, s.len) : NULL;

    if (!at) {
        *rest = (str){NULL, 0};
        return s;
    }
    size_t n = (size_t)(at - s.ptr);
    *rest = (str){at + 1, s.len - n - 1};
    return (str){s.ptr, n};
}

bool str_to_u64(str s, uint64_t *ret)
{
    uint64_t n = 0;

    if (!s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned char)s.ptr[i] - '0';
        if (d > 9 || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, d, &n))
            return false;
    }
    *ret = n;
    return true;
}

bool str_to_i64(str s, int64_t *ret)
{
    bool minus = s.len && s.ptr[0] == '-';
    uint64_t n;

    if (!str_to_u64(minus ? str_cut(s, 1) : s, &n) || n > (uint64_t)INT64_MAX)
        return false;
    *ret = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

char *str_dup(str s)
{
    char *z = malloc(s.len + 1);

    if (!z)
        return NULL;
    if (s.len)
        memcpy(z, s.ptr, s.len);
    z[s.len] = 0;
    return z;
}

void str_freep(char **z)
{
    free(*z);
}

static uint64_t hash_seed(void)
{
    static uint64_t seed;
    uint64_t s = __atomic_load_n(&seed, __ATOMIC_RELAXED);

    if (__builtin_expect(s != 0, 1))
        return s;
    if (getrandom(&s, sizeof s, GRND_NONBLOCK) != sizeof s || s == 0)
        s = 0x9E3779B97F4A7C15u;
    uint64_t none = 0;
    if (!__atomic_compare_exchange_n(&seed, &none, s, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        s = none; /* another thread was first: everybody uses its seed */
    return s;
}

/* Folded 64x64 multiply, as wyhash does it: fast on short keys. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t word(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The seed is in both factors: who could make one of them zero would have all before it forgotten. */
uint64_t str_hash(str s)
{
    const uint64_t seed = hash_seed();
    const uint64_t k = seed ^ 0xE7037ED1A0B428DBu, other_k = seed ^ 0x2D358DCCAA6C78A5u;
    uint64_t h = seed ^ (s.len * 0xA0761D6478BD642Fu);
    const char *p = s.ptr;
    size_t n = s.len;
    uint64_t a = 0, b = 0;

    if (n > 48) { /* two that do not wait for each other */
        uint64_t other = h;
        for (; n > 48; n -= 32, p += 32) {
            h = mix(word(p) ^ k, word(p + 8) ^ h);
            other = mix(word(p + 16) ^ other_k, word(p + 24) ^ other);
        }
        h ^= other;
    }
    for (; n > 16; n -= 16, p += 16)
        h = mix(word(p) ^ k, word(p + 8) ^ h);
    if (n >= 8) {
        a = word(p);
        b = word(p + n - 8);
    } else if (n) {
        memcpy(&a, p, n);
    }
    return mix(h ^ 0x8EBC6AF09C88C6E3u, mix(a ^ seed ^ 0x589965CC75374CC3u, b ^ h));
}

bool str_eq_secret(str a, str b)
{
    unsigned diff = a.len != b.len;

    for (size_t i = 0; i < a.len && i < b.len; i++)
        diff |= (unsigned)(a.ptr[i] ^ b.ptr[i]);
    return diff == 0;
}

unsigned str_distance(str a, str b, unsigned max)
{
    enum { WIDEST = 64 };
    unsigned row[WIDEST + 1];

    if (a.len > WIDEST || b.len > WIDEST)
        return max + 1;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned best = diagonal + (lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.len] > max ? max + 1 : row[b.len];
}

size_t str_utf8_sequence(str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    if (!s.len || p[0] < 0x80)
        return s.len > 0;
    size_t need = p[0] >= 0xC2 && p[0] <= 0xDF   ? 2
                  : (p[0] & 0xF0) == 0xE0        ? 3
                  : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                                 : 0;
    if (!need || s.len < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xED && p[1] > 0x9F;
    bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : need;
}

/* Eight bytes of ASCII at a time. */
bool str_is_utf8(str s)
{
    for (size_t n; s.len; s = str_cut(s, n)) {
        uint64_t eight = UINT64_MAX;
        if (s.len >= sizeof eight)
            memcpy(&eight, s.ptr, sizeof eight);
        n = eight & 0x8080808080808080u ? str_utf8_sequence(s) : sizeof eight;
        if (!n)
            return false;
    }
    return true;
}
