#include "base/digest.h"
#include "base/check.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

static EVP_MD *sha256, *sha1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Without the system's configuration file and fetched once: the first digest is on the way to the first
 * answer after a start. */
static void fetch(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

struct digest *digest_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    pthread_once(&once, fetch);
    must(ctx && sha256 && EVP_DigestInit_ex(ctx, sha256, NULL) == 1);
    return (struct digest *)(void *)ctx;
}

void digest_add(struct digest *d, str bytes)
{
    must(EVP_DigestUpdate((EVP_MD_CTX *)(void *)d, bytes.ptr, bytes.len) == 1);
}

void digest_add_part(struct digest *d, str part)
{
    uint64_t len = part.len;

    digest_add(d, (str){(const char *)&len, sizeof len});
    digest_add(d, part);
}

void digest_take(struct digest *d, char out[DIGEST_HEX + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char md[32];

    must(EVP_DigestFinal_ex((EVP_MD_CTX *)(void *)d, md, NULL) == 1);
    EVP_MD_CTX_free((EVP_MD_CTX *)(void *)d);
    for (int i = 0; i < 32; i++) {
        out[2 * i] = hex[md[i] >> 4];
        out[2 * i + 1] = hex[md[i] & 15];
    }
    out[DIGEST_HEX] = 0;
}

bool digest_sha1(str bytes, unsigned char out[DIGEST_SHA1])
{
    pthread_once(&once, fetch);
    return sha1 && EVP_Digest(bytes.ptr, bytes.len, out, NULL, sha1, NULL) == 1;
}
