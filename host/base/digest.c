/* The functions of the algorithms themselves, deprecated in favour of EVP: that would load providers, 0.7 ms
 * of a start that shall take five, and these digests are on the way to its first answer. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"
#include "base/check.h"
#include "base/hex.h"

#include <openssl/sha.h>
#include <stdlib.h>

struct digest {
    SHA256_CTX sha;
};

struct digest *digest_new(void)
{
    struct digest *d = malloc(sizeof *d);

    must(d && SHA256_Init(&d->sha) == 1);
    return d;
}

void digest_add(struct digest *d, str bytes)
{
    must(SHA256_Update(&d->sha, bytes.ptr, bytes.len) == 1);
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

    must(SHA256_Final(md, &d->sha) == 1);
    free(d);
    hex_write(out, md, sizeof md);
    out[DIGEST_HEX] = 0;
}

void digest_sha1(str bytes, unsigned char out[DIGEST_SHA1])
{
    SHA_CTX sha;

    must(SHA1_Init(&sha) == 1 && SHA1_Update(&sha, bytes.ptr, bytes.len) == 1 &&
         SHA1_Final(out, &sha) == 1);
}
