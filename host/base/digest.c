#include "base/digest.h"
#include "base/check.h"
#include "base/hex.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdlib.h>

struct digest {
    struct sha256_ctx sha;
};

struct digest *digest_new(void)
{
    struct digest *d = malloc(sizeof *d);

    must(d);
    sha256_init(&d->sha);
    return d;
}

void digest_add(struct digest *d, str bytes)
{
    sha256_update(&d->sha, bytes.len, (const unsigned char *)bytes.ptr);
}

void digest_add_part(struct digest *d, str part)
{
    uint64_t len = part.len;

    digest_add(d, (str){(const char *)&len, sizeof len});
    digest_add(d, part);
}

void digest_take(struct digest *d, char out[DIGEST_HEX + 1])
{
    unsigned char md[DIGEST_HEX / 2];

    sha256_digest(&d->sha, sizeof md, md);
    free(d);
    hex_write(out, md, sizeof md);
    out[DIGEST_HEX] = 0;
}

void digest_sha1(str bytes, unsigned char out[DIGEST_SHA1])
{
    struct sha1_ctx sha;

    sha1_init(&sha);
    sha1_update(&sha, bytes.len, (const unsigned char *)bytes.ptr);
    sha1_digest(&sha, DIGEST_SHA1, out);
}
