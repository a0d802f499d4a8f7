/* Keys from PEM texts (RFC 7468) and from files. */
#include "base/check.h"
#include "base/openssl.h"
#include "core/jwt_key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    struct jwks *set;
    str kid;
    struct diag_at at;
    struct diag *diag;
    size_t blocks, taken, certificates;
};

static EVP_PKEY *key_of_certificate(const unsigned char *der, long len)
{
    X509 *x = d2i_X509(NULL, &der, len);
    EVP_PKEY *pkey = x ? X509_get_pubkey(x) : NULL;

    X509_free(x);
    return pkey;
}

/* NULL: *ret_why. */
static EVP_PKEY *key_of_block(struct reading *r, const char *label, const unsigned char *der,
                              long len, const char **ret_why)
{
    bool is_certificate = strcmp(label, PEM_STRING_X509) == 0;

    if (!is_certificate && strcmp(label, PEM_STRING_PUBLIC) != 0) {
        *ret_why = strstr(label, "PRIVATE") ? "a private key does not belong on a verifier"
                                            : "only PUBLIC KEY and CERTIFICATE are known";
        return NULL;
    }
    if (is_certificate && ++r->certificates > 1) {
        *ret_why = "one certificate is a key, several are a chain, which is not followed";
        return NULL;
    }
    *ret_why = "OpenSSL cannot read it";
    return is_certificate ? key_of_certificate(der, len) : d2i_PUBKEY(NULL, &der, len);
}

static void read_block(struct reading *r, const char *label, const unsigned char *der, long len)
{
    const char *why = NULL;
    struct jwt_key k = {.pkey = key_of_block(r, label, der, len, &why)};

    r->blocks++;
    if (k.pkey)
        k.algs = jws_algs_of(k.pkey, &why);
    if (k.algs && r->kid.len) {
        char *kid = str_dup(r->kid);
        must(kid);
        k.kid = (str){kid, r->kid.len};
    }
    bool is_good = k.algs != 0;
    if (is_good && jwks_take_key(r->set, &k)) {
        r->taken++;
        return;
    }
    jwt_key_deinit(&k);
    diag_error(r->diag, r->at, "jwks.pem", "PEM block %zu (%.40s): %s", r->blocks, label,
               is_good ? "a set has at most 64 keys" : why);
}

static void read_blocks(struct reading *r, BIO *bio)
{
    char *label, *header;
    unsigned char *der;
    long len;

    while (PEM_read_bio(bio, &label, &header, &der, &len) == 1) {
        read_block(r, label, der, len);
        OPENSSL_clear_free(der, (size_t)len); // it may have been a private key
        OPENSSL_free(label);
        OPENSSL_free(header);
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        diag_error(r->diag, r->at, "jwks.pem", "PEM block %zu is damaged", r->blocks + 1);
    ERR_clear_error();
}

bool jwks_add_pem(struct jwks *s, str text, str kid, struct diag_at at, struct diag *d)
{
    struct jwks *found = jwks_new(); // all of the text, or nothing
    struct reading r = {found, kid, at, d, 0, 0, 0};
    size_t errors = d->errors;

    if (text.len > JWKS_TEXT_MAX || kid.len > JWKS_KID_MAX) {
        diag_error(d, at, "jwks.too_large", "a PEM text has at most %d KiB, a kid %d bytes",
                   JWKS_TEXT_MAX >> 10, JWKS_KID_MAX);
    } else {
        BIO *bio = BIO_new_mem_buf(text.len ? text.ptr : "", (int)text.len);
        must(bio);
        ERR_clear_error();
        read_blocks(&r, bio);
        BIO_free(bio);
        if (!r.blocks && d->errors == errors)
            diag_error(d, at, "jwks.pem", "there is no PEM block in the text");
    }
    bool ok = r.taken && d->errors == errors;
    if (ok && !jwks_add_set(s, found)) {
        diag_error(d, at, "jwks.full", "a set has at most %d keys", JWKS_KEYS_MAX);
        ok = false;
    }
    jwks_unref(found);
    return ok;
}

bool jwks_add_file(struct jwks *s, const char *path, struct diag *d)
{
    struct diag_at at = {.file = path};
    FILE *f = fopen(path, "rbe");
    char *bytes = malloc(JWKS_TEXT_MAX + 1);

    must(bytes);
    size_t n = f ? fread(bytes, 1, JWKS_TEXT_MAX + 1, f) : 0;
    bool is_read = f && !ferror(f);
    if (!is_read)
        diag_error(d, at, "jwks.file", "cannot be read: %s", strerror(errno));
    if (f)
        fclose(f);
    str text = str_trim((str){bytes, n});
    bool ok = is_read &&
              (str_starts(text, S("-----BEGIN")) ? jwks_add_pem(s, text, S(""), at, d)
                                                 : jwks_add_json(s, text, JWKS_OF_FILE, at, d));
    explicit_bzero(bytes, n); // kty "oct" is a secret
    free(bytes);
    return ok;
}
