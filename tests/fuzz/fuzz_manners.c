/* What the edge reads of strangers' headers and bodies. The first byte chooses: Forwarded, X-Forwarded-For,
 * Accept-Encoding, Host and Origin, or a coded body. */
#include "base/check.h"
#include "edge/client.h"
#include "edge/compress.h"
#include "edge/cors.h"

#include <stdlib.h>

enum { BODY_MAX = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_client(str text, bool is_rfc7239)
{
    static const struct cidr all = {.bits = 0};
    const struct client_policy p = {&all, 1,
                                    is_rfc7239}; /* every hop is trusted: the longest way */
    const mig_header h[] = {{is_rfc7239 ? S("forwarded") : S("x-forwarded-for"), text},
                            {S("x-forwarded-proto"), text}};
    struct arena_pool pool = {0};
    struct arena *a = arena_new(&pool, 1 << 16);
    struct client c;
    struct ip ip;

    client_find(&p, S("127.0.0.1:1"), false, h, 2, a, &c);
    must(ip_parse_host(c.address, &ip));
    must(c.is_forwarded || str_eq(c.address, S("127.0.0.1:1")));
    arena_unref(a);
    arena_pool_deinit(&pool);
}

static void read_wish(str text)
{
    struct coding_wish w = CODING_WISH_NONE;

    coding_wish_add(&w, text);
    must(coding_choose(&w) < CODINGS);
    for (unsigned c = 0; c < CODINGS; c++)
        must(w.q[c] >= -1 && w.q[c] <= 1000);
    coding_is_compressible(text);
}

static void read_names(str text)
{
    static const str hosts[] = {S("*.example.org")}, origins[] = {S("https://a.example")};
    static const struct cors_policy p = {
        .origins = origins, .origin_count = 1, .hosts = hosts, .host_count = 1};
    struct cidr c;

    must(!cors_is_our_host(&p, text) || str_contains_nocase(text, S(".example.org")));
    must(!cors_allows(&p, text) || text.len == origins[0].len);
    if (cidr_parse(text, &c))
        must(c.bits <= 128 && cidr_has(&c, &c.ip));
}

static void unpack(str body, enum coding coding)
{
    static struct compressor *z;
    struct buf out;

    if (!z)
        z = compressor_new();
    must(z);
    buf_init(&out, BODY_MAX);
    decompress_body(z, coding, body, &out);
    must(out.len <= BODY_MAX);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    str text = {(const char *)data + 1, size - 1};
    switch (data[0] % 6) {
    case 0: read_client(text, true); break;
    case 1: read_client(text, false); break;
    case 2: read_wish(text); break;
    case 3: read_names(text); break;
    case 4: unpack(text, CODING_GZIP); break;
    default: unpack(text, CODING_ZSTD); break;
    }
    return 0;
}
