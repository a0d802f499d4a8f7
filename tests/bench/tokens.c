/* tokens KEY.pem COUNT: so many different tokens on standard output, one per line, signed with RS256 or
 * ES256 as the key has it. They are valid for an hour, for the tenant TENANT, and may infer. */
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "load.h"

enum { HALF = 32 }; /* of an ES256 signature */

/* Base64 for URLs without padding (RFC 7515 2); the length. */
static size_t put_base64(char *out, const unsigned char *data, size_t len)
{
    size_t n = (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)len);

    while (n && out[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    return n;
}

/* From DER to the two numbers one after the other (RFC 7518 3.4). */
static size_t flatten(unsigned char *sig, size_t len)
{
    const unsigned char *at = sig;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);

    if (!pair)
        die("a signature that cannot be read");
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, HALF);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + HALF, HALF);
    ECDSA_SIG_free(pair);
    return 2 * HALF;
}

static size_t sign(EVP_PKEY *key, const char *text, size_t len, unsigned char *sig, size_t cap)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = cap;

    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text, len) != 1)
        die("the key does not sign");
    EVP_MD_CTX_free(ctx);
    return EVP_PKEY_base_id(key) == EVP_PKEY_EC ? flatten(sig, n) : n;
}

int main(int argc, char **argv)
{
    unsigned char sig[1024];
    char text[2048], claims[512];

    FILE *f = argc == 3 ? fopen(argv[1], "r") : NULL;
    EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (!key)
        die("usage: tokens KEY.pem COUNT");
    fclose(f);
    const char *head = EVP_PKEY_base_id(key) == EVP_PKEY_EC ? "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"
                                                            : "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    for (long i = 0; i < atol(argv[2]); i++) {
        int n = snprintf(claims, sizeof claims,
                         "{\"sub\":\"user-%ld\",\"tenant_id\":\"%s\",\"exp\":%lld,"
                         "\"scopes\":[\"capability:infer\"]}",
                         i, required("TENANT"), (long long)time(NULL) + 3600);
        size_t len = put_base64(text, (const unsigned char *)head, strlen(head));
        text[len++] = '.';
        len += put_base64(text + len, (const unsigned char *)claims, (size_t)n);
        size_t sig_len = sign(key, text, len, sig, sizeof sig);
        text[len++] = '.';
        len += put_base64(text + len, sig, sig_len);
        text[len++] = '\n';
        fwrite(text, 1, len, stdout);
    }
    EVP_PKEY_free(key);
    return 0;
}
