#include "unit.h"
#include "core/jwt.h"

#include <pthread.h>

static struct diag diag;
static struct jwks *set;

static int set_up(void **state)
{
    (void)state;
    diag_init(&diag);
    set = jwks_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    set = jwks_unref(set);
    assert_null(set);
    diag_deinit(&diag);
    return 0;
}

static bool add(const char *json, enum jwks_origin origin)
{
    return jwks_add_json(set, str_of(json), origin, (struct diag_at){.file = "keys.json"}, &diag);
}

/* The last finding says this. */
static void assert_finding(const char *id, enum diag_level level, const char *part)
{
    assert_true(diag.count > 0);
    const struct diag_finding *f = &diag.list[diag.count - 1];
    assert_string_equal(f->id, id);
    assert_int_equal(f->level, level);
    if (!strstr(f->text, part))
        print_error("%s: %s\n", f->text, part);
    assert_non_null(strstr(f->text, part));
}

/* RFC 7515 A.2, A.3; RFC 8037 A.2. */
#define N                                                                                          \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4" \
    "d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5re" \
    "xMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX" \
    "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RSA "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" N "\""
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC(crv) "\"kty\":\"EC\",\"crv\":\"" crv "\",\"x\":\"" X "\",\"y\":\"" Y "\""
#define ED                                                                                         \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OCT16 "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg\""

static const struct {
    const char *jwk;
    const char *why; /* NULL: taken; "": for another use */
} keys[] = {
    {"{" RSA "}", NULL},
    {"{" RSA ",\"alg\":\"PS384\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"kid\":\"a\"}", NULL},
    {"{" RSA ",\"key_ops\":[\"encrypt\",\"verify\"],\"x5c\":[\"junk\"]}", NULL},
    {"{" EC("P-256") "}", NULL},
    {"{" EC("P-256") ",\"alg\":\"ES256\"}", NULL},
    {"{" ED "}", NULL},
    {"{" ED ",\"alg\":\"EdDSA\"}", NULL},
    {"{" OCT16 "}", NULL},
    {"{" RSA ",\"use\":\"enc\"}", ""},
    {"{" RSA ",\"alg\":\"RSA-OAEP\"}", ""},
    {"{" RSA ",\"key_ops\":[\"sign\"]}", ""},
    {"{" RSA ",\"key_ops\":[]}", ""},
    {"{" RSA ",\"use\":[\"sig\"]}", "`use`"},
    {"{" RSA ",\"key_ops\":\"verify\"}", "`key_ops`"},
    {"{" RSA ",\"alg\":\"HS256\"}", "does not go with"},
    {"{" RSA ",\"alg\":\"ES256\"}", "does not go with"},
    {"{" RSA ",\"alg\":256}", "`alg` is a text"},
    {"{" EC("P-256") ",\"alg\":\"ES384\"}", "does not go with"},
    {"{" ED ",\"alg\":\"RS256\"}", "does not go with"},
    {"{" OCT16 ",\"alg\":\"RS256\"}", "does not go with"},
    {"{" RSA ",\"kid\":7}", "`kid`"},
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "`n` and `e`"},
    {"{\"kty\":\"RSA\",\"n\":\"" N "\"}", "`n` and `e`"},
    {"{\"kty\":\"RSA\",\"n\":\"" N "=\",\"e\":\"AQAB\"}", "`n` and `e`"},
    {"{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQ\"}", "exponent"},
    {"{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAC\"}", "exponent"},
    {"{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAAAAAAAAAB\"}", "exponent"},
    {"{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNg\",\"e\":\"AQAB\"}", "2048"},
    {"{\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\"}", ""},
    {"{" EC("P-384") "}", "of the curve's size"},
    {"{" EC("secp256k1") "}", "none of P-256"},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" Y "\",\"y\":\"" X "\"}", "not on the curve"},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}", "of the curve's size"},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" N "\",\"y\":\"" Y "\"}", "of the curve's size"},
    {"{\"kty\":\"EC\",\"x\":\"" X "\",\"y\":\"" Y "\"}", "none of P-256"},
    {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X "\"}", "Ed25519"},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "Ed25519"},
    {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2Rl\"}", "at least 16 bytes"},
    {"{\"kty\":\"oct\",\"k\":\"?\"}", "`k`"},
    {"{\"kty\":\"oct\"}", "`k`"},
    {"{\"kty\":\"rsa\"}", "`kty`"},
    {"{\"kty\":null}", "`kty`"},
    {"{\"kty\":[1,2,3]}", "`kty`"}, /* as long as "RSA" */
    {"{\"kty\":{\"R\":1,\"S\":2,\"A\":3}}", "`kty`"},
    {"{\"kty\":\"EC\",\"crv\":[1,2,3,4,5],\"x\":[1],\"y\":[2]}", "none of P-256"},
    {"{\"kty\":\"oct\",\"k\":[1,2,3]}", "`k`"},
    {"{" RSA ",\"key_ops\":[[1,2,3,4,5,6]]}", ""},
    {"{" RSA ",\"kid\":[1,2]}", "`kid`"},
    {"{}", "`kty`"},
    {"7", "an object"},
};

static void takes_sound_keys_and_says_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(keys); i++) {
        CLEANUP(jwks_freep) struct jwks *s = jwks_new();
        struct diag d;
        char text[2000];
        diag_init(&d);
        snprintf(text, sizeof text, "{\"keys\":[%s]}", keys[i].jwk);
        bool ok = jwks_add_json(s, str_of(text), JWKS_OF_FILE, (struct diag_at){0}, &d);
        if (ok != !keys[i].why)
            print_error("%s\n", text);
        assert_int_equal(ok, !keys[i].why);
        assert_int_equal(jwks_count(s), ok);
        assert_int_equal(d.errors,
                         !ok); /* no key at all is an error, one of several only a warning */
        if (keys[i].why && keys[i].why[0]) {
            assert_int_equal(d.count, 2);
            assert_non_null(strstr(d.list[0].text, "keys[0] is left out: "));
            if (!strstr(d.list[0].text, keys[i].why))
                print_error("%s\n", d.list[0].text);
            assert_non_null(strstr(d.list[0].text, keys[i].why));
        }
        diag_deinit(&d);
    }
}

static void one_bad_key_does_not_spoil_the_set(void **state)
{
    (void)state;
    assert_true(add("{\"x\":1,\"keys\":[{" RSA
                    ",\"kid\":\"good\"},{\"kty\":\"EC\",\"kid\":\"odd\"},"
                    "{" ED ",\"use\":\"enc\"},{" ED "}]}",
                    JWKS_OF_URL));
    assert_int_equal(jwks_count(set), 2);
    assert_int_equal(diag.count, 1);
    assert_string_equal(diag.list[0].file, "keys.json");
    assert_finding("jwks.key", DIAG_WARNING, "keys[1] (kid \"odd\") is left out: ");
}

static void a_kid_is_shown_with_care(void **state)
{
    char text[1000];

    (void)state;
    add("{\"keys\":[{\"kid\":\"a\\nb\"}]}", JWKS_OF_URL);
    assert_non_null(strstr(diag.list[0].text, "keys[0] (kid of 3 bytes)"));
    snprintf(text, sizeof text, "{\"keys\":[{" ED "},{\"kid\":\"%0*d\"}]}", 257, 0);
    assert_true(add(text, JWKS_OF_URL));
    assert_finding("jwks.key", DIAG_WARNING, "00...\")");
    snprintf(text, sizeof text, "{\"keys\":[{" ED "},{" ED ",\"kid\":\"%0*d\"}]}", 257, 0);
    assert_true(add(text, JWKS_OF_URL));
    assert_finding("jwks.key", DIAG_WARNING, "at most 256 bytes");
}

static void refuses_documents_that_are_no_key_sets(void **state)
{
    static const struct {
        const char *text, *id;
    } bad[] = {
        {"", "jwks.json"},
        {"<html>", "jwks.json"},
        {"{\"keys\":[],\"keys\":[]}", "jwks.json"},
        {"{\"keys\":[{" ED ",\"kty\":\"OKP\"}]}", "jwks.json"},
        {"{}", "jwks.shape"},
        {"[]", "jwks.shape"},
        {"null", "jwks.shape"},
        {"{\"keys\":{}}", "jwks.shape"},
        {"{\"keys\":[]}", "jwks.empty"},
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_false(add(bad[i].text, JWKS_OF_FILE));
        assert_finding(bad[i].id, DIAG_ERROR, "");
    }
    char *big = malloc(JWKS_TEXT_MAX + 2);
    memset(big, ' ', JWKS_TEXT_MAX + 1);
    assert_false(jwks_add_json(set, (str){big, JWKS_TEXT_MAX + 1}, JWKS_OF_FILE,
                               (struct diag_at){0}, &diag));
    assert_finding("jwks.too_large", DIAG_ERROR, "256 KiB");
    free(big);
    assert_int_equal(jwks_count(set), 0);
}

static void a_single_key_is_a_set(void **state)
{
    (void)state;
    assert_true(add("{" ED "}", JWKS_OF_FILE));
    assert_int_equal(jwks_count(set), 1);
}

static void a_published_secret_is_none(void **state)
{
    (void)state;
    assert_false(add("{\"keys\":[{" OCT16 "}]}", JWKS_OF_URL));
    assert_non_null(strstr(diag.list[0].text, "published"));
    assert_true(add("{\"keys\":[{" OCT16 "}]}", JWKS_OF_FILE));
    assert_finding("jwks.short_secret", DIAG_WARNING, "32 bytes");
    assert_true(jwks_has_short_secret(set));
}

static void warns_of_a_private_half(void **state)
{
    (void)state;
    assert_true(
        add("{" ED ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}", JWKS_OF_FILE));
    assert_finding("jwks.private", DIAG_WARNING, "keys[0]");
}

static void holds_64_keys(void **state)
{
    CLEANUP(jwks_freep) struct jwks *other = jwks_new();

    (void)state;
    for (int i = 0; i < JWKS_KEYS_MAX; i++)
        assert_true(add("{" ED "}", JWKS_OF_FILE));
    assert_int_equal(diag.count, 0);
    assert_false(add("{" ED "}", JWKS_OF_FILE));
    assert_true(jwks_add_secret(other, S("0123456789abcdef"), (struct diag_at){0}, &diag));
    assert_false(jwks_add_set(set, other));
    assert_true(jwks_add_set(other, other));
    assert_int_equal(jwks_count(other), 2);
    assert_int_equal(jwks_count(set), JWKS_KEYS_MAX);
}

static const struct {
    const char *secret;
    bool ok, is_short;
} secrets[] = {
    {"", false, false},
    {"0123456789abcde", false, false},
    {"0123456789abcdef", true, true},
    {"0123456789abcdef0123456789abcde", true, true},
    {"0123456789abcdef0123456789abcdef", true, false},
    {"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n", false, false},
};

static void weighs_a_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(secrets); i++) {
        CLEANUP(jwks_freep) struct jwks *s = jwks_new();
        size_t before = diag.count;
        assert_int_equal(jwks_add_secret(s, str_of(secrets[i].secret), (struct diag_at){0}, &diag),
                         secrets[i].ok);
        assert_int_equal(jwks_has_short_secret(s), secrets[i].is_short);
        assert_int_equal(diag.count - before, !secrets[i].ok || secrets[i].is_short);
    }
    assert_int_equal(diag.errors, 3);
}

/* --- PEM -------------------------------------------------------------------------------------- */

static const char pem_ec[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJqHqzxSD2SLkplKGC1klMEO+ZOI1\n"
                             "j6f7qwftcckOIuM7pYqu2A2zy+yXnFkwQcZAmi/8XjndVJM7rLLMmOausA==\n"
                             "-----END PUBLIC KEY-----\n";
static const char pem_ed[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MCowBQYDK2VwAyEAtjGqYAaxm0276ekLWQ3dcibKYuviHhEYUZyAqA62L6E=\n"
                             "-----END PUBLIC KEY-----\n";
static const char pem_k256[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEw0rnpdKG7klx/ilDfWCyAzI6emxugX1Y\n"
                               "Q13f93/DV+bF57tYerIfZi6cb7DLtbBX5I3XdpCwNR0//WRFQYWeYA==\n"
                               "-----END PUBLIC KEY-----\n";
static const char pem_rsa1024[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDckLqwcXdPngFHp1vOfuap9woI\n"
    "GaJLrReiPExcC3ZSB3YfALMS/jbJI0C7VeY+9j0oErHWZbAOP8cFENLD+gl7CDPD\n"
    "d2dr3rYRccakUxeoj59S/jdzL8mPXp6wl1NVk0tR8hrGAZ655UUlSTi3hCl9BU1H\n"
    "VMRRosO/KXJhBXAtBwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
static const char pem_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdzCCAR2gAwIBAgIUR8Xe0sD5eyTnyx+rJaOrCCjcqp0wCgYIKoZIzj0EAwIw\n"
    "ETEPMA0GA1UEAwwGaXNzdWVyMB4XDTI2MTEyMTE1NDczNVoXDTI2MTEyMjE1NDcz\n"
    "NVowETEPMA0GA1UEAwwGaXNzdWVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
    "JqHqzxSD2SLkplKGC1klMEO+ZOI1j6f7qwftcckOIuM7pYqu2A2zy+yXnFkwQcZA\n"
    "mi/8XjndVJM7rLLMmOausKNTMFEwHQYDVR0OBBYEFLPVaCGXi7/zGnx9KBMolvf9\n"
    "3EAyMB8GA1UdIwQYMBaAFLPVaCGXi7/zGnx9KBMolvf93EAyMA8GA1UdEwEB/wQF\n"
    "MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAMmRD2BSUOGqySLserz5l1St1Fh+5Fqr\n"
    "6/IFFUJK4QMuAiB9bZ1pA1N9rIIpXNsbSt24MsxU0qHiJZa9qhIu++RHzg==\n"
    "-----END CERTIFICATE-----\n";
static const char pem_private[] =
    "-----BEGIN PRIVATE " /* cut: no key is to be found in this tree */
    "KEY-----\n"
    "MC4CAQA=\n"
    "-----END PRIVATE KEY-----\n";

static bool add_pem(const char *pem, const char *kid)
{
    return jwks_add_pem(set, str_of(pem), str_of(kid), (struct diag_at){.file = "key.pem"}, &diag);
}

static void takes_public_keys_and_one_certificate(void **state)
{
    char both[4000];

    (void)state;
    assert_true(add_pem(pem_ec, "named"));
    assert_int_equal(jwks_count(set), 1);
    assert_true(add_pem(pem_certificate, ""));
    snprintf(both, sizeof both, "Some words before\n%s\nand between\n%s%s", pem_ec, pem_ed,
             pem_certificate);
    assert_true(add_pem(both, ""));
    assert_int_equal(jwks_count(set), 5);
    assert_int_equal(diag.count, 0);
}

static void refuses_other_pem_blocks(void **state)
{
    char twice[4000];
    const struct {
        const char *pem, *why;
    } bad[] = {
        {"", "no PEM block"},
        {"hello", "no PEM block"},
        {pem_private, "private key"},
        {pem_rsa1024, "2048"},
        {pem_k256, "none of P-256"},
        {twice, "chain"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot read"},
        {"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw\n", "block 1 is damaged"},
        {"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "block 1 is damaged"},
        {"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "only PUBLIC KEY"},
    };

    (void)state;
    snprintf(twice, sizeof twice, "%s%s", pem_certificate, pem_certificate);
    for (size_t i = 0; i < countof(bad); i++) {
        assert_false(add_pem(bad[i].pem, ""));
        assert_finding("jwks.pem", DIAG_ERROR, bad[i].why);
        assert_int_equal(jwks_count(set), 0);
    }
}

static void reads_files_of_both_kinds(void **state)
{
    char *dir = unit_dir(), path[300];

    (void)state;
    unit_write(dir, "a.pem", pem_ed);
    unit_write(dir, "b.json", " \n{\"keys\":[{" OCT16 "}]}\n");
    snprintf(path, sizeof path, "%s/a.pem", dir);
    assert_true(jwks_add_file(set, path, &diag));
    snprintf(path, sizeof path, "%s/b.json", dir);
    assert_true(jwks_add_file(set, path, &diag));
    assert_int_equal(jwks_count(set), 2);
    assert_false(jwks_add_file(set, dir, &diag));
    assert_finding("jwks.file", DIAG_ERROR, "cannot be read");
    snprintf(path, sizeof path, "%s/none", dir);
    assert_false(jwks_add_file(set, path, &diag));
    assert_finding("jwks.file", DIAG_ERROR, "No such file");
    assert_string_equal(diag.list[diag.count - 1].file, path);
    unit_rm(dir);
}

/* --- sharing ---------------------------------------------------------------------------------- */

static void versions_are_never_the_same(void **state)
{
    CLEANUP(jwks_freep) struct jwks *other = jwks_new();

    (void)state;
    assert_true(jwks_version(set) > 0);
    assert_true(jwks_version(other) > jwks_version(set));
}

enum { ROUNDS = 2000 };

static void *hold_and_let_go(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        jwks_unref(jwks_ref(arg));
    return arg;
}

static void counts_references_of_all_threads(void **state)
{
    pthread_t threads[3];

    (void)state;
    assert_null(jwks_ref(NULL));
    assert_null(jwks_unref(NULL));
    assert_true(add("{" ED "}", JWKS_OF_FILE));
    for (size_t i = 0; i < countof(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, set), 0);
    for (size_t i = 0; i < countof(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(jwks_count(set), 1);
}

static void names_of_algorithms_are_exact(void **state)
{
    enum jws_alg alg;

    (void)state;
    for (int i = 0; i < JWS_ALG_COUNT; i++) {
        assert_true(jws_alg_parse(str_of(jws_alg_name((enum jws_alg)i)), &alg));
        assert_int_equal(alg, i);
    }
    assert_int_equal(JWS_ALGS_RSA, JWS_ALG(JWS_RS256) | JWS_ALG(JWS_RS384) | JWS_ALG(JWS_RS512) |
                                       JWS_ALG(JWS_PS256) | JWS_ALG(JWS_PS384) |
                                       JWS_ALG(JWS_PS512));
    assert_false(jws_alg_parse(S("none"), &alg));
    assert_false(jws_alg_parse(S(""), &alg));
    assert_false(jws_alg_parse(S("EDDSA"), &alg));
}

int main(void)
{
#define TT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TT(takes_sound_keys_and_says_why_not),
        TT(one_bad_key_does_not_spoil_the_set),
        TT(a_kid_is_shown_with_care),
        TT(refuses_documents_that_are_no_key_sets),
        TT(a_single_key_is_a_set),
        TT(a_published_secret_is_none),
        TT(warns_of_a_private_half),
        TT(holds_64_keys),
        TT(weighs_a_secret),
        TT(takes_public_keys_and_one_certificate),
        TT(refuses_other_pem_blocks),
        TT(reads_files_of_both_kinds),
        TT(versions_are_never_the_same),
        TT(counts_references_of_all_threads),
        TT(names_of_algorithms_are_exact),
    };
    return RUN(tests);
}
