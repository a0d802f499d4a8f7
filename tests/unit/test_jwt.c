#include "unit.h"
#include "core/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

/* --- keys and tokens made by PyJWT 2.15.1, all with the same claims --------------------------- */

static const char key_set[] =
    "{\"keys\":["
    "{\"kid\":\"rsa\",\"use\":\"sig\",\"kty\":\"RSA\",\"n\":\"07d6stK0XrTouCW68e34YwvBfq4c3i_"
    "V76QzK3Dh6f"
    "zQa-k-mQs5wakoKDu-Me4mc5w58AOz2sQrYDWsNt_olTD9sAZbLdYk8FMIKA2hlffuKANs_x_PsFXAnGRnNI"
    "LRVtxteo9BypXPWChIsi3bnOASPQye5wcvjC3Y5fUVbljt8pslW6JmrcXXLHFnTCUJywR6Qp2IJHowREsHCQ"
    "EXszgiTqgD9tI-pvErFxE1_XTLV_IeEvq7VuhBK44psCiCzfp8KpEokmNdf4DUg8jktDJoqJdje1RcFNZdzQ"
    "A7ZqJjseOeqt-rkE4H0ZJ12UR6cmQkjezPAw78dAp2yxWzfw\",\"e\":\"AQAB\"}"
    ","
    "{\"kid\":\"p256\",\"use\":\"sig\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"Zp-"
    "FSW73ycjCOwLdJJbsee9MVohh"
    "rjVueq20zi_ePgE\",\"y\":\"ADOKbne5EKegn63DerpBEneWZjoOxEvlcX5NulhFkk4\"}"
    ","
    "{\"kid\":\"p384\",\"use\":\"sig\",\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"nI_"
    "JZdj2FjRl9ySJaQlLnwiDnDUT"
    "bmayz5loQxxF6WFUWX4M4y1Cxcx26-Ltj0x_\",\"y\":\"xjnxvCwr5B3eW9NRrva8ZeX0Xw_tQegw3BxqPuqaI"
    "jdJ_NF0h4eeMWmYCM0HWcO5\"}"
    ","
    "{\"kid\":\"p521\",\"use\":\"sig\",\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AEA74_"
    "l2QIPb3BFY2QumZYdiP8q7"
    "R5KRTlsV46bBIeN5NEexvdLcEdpEA0QhEY96Xre1CjJGREGm4DNbsT8OhFaO\",\"y\":\"Aeh9Arz5WXZjebXUV"
    "v-EwH5Nd2DiMJmUhUkr0623dXFMSmhNOxXuBbYJsBbuU3muev9eHVjZZ_y-kxStvBx-3O7t\"}"
    ","
    "{\"kid\":\"ed\",\"use\":\"sig\",\"x\":\"YNirCGeu1EEN4qsq2DQq9liMFabYYbGUkK3fbuZuaio\",\"kty\":"
    "\"OKP"
    "\",\"crv\":\"Ed25519\"}"
    ","
    "{\"kid\":\"hs\",\"kty\":\"oct\",\"k\":"
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg"
    "5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg\"}"
    "]}";

static const char rsa_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA07d6stK0XrTouCW68e34\n"
                              "YwvBfq4c3i/V76QzK3Dh6fzQa+k+mQs5wakoKDu+Me4mc5w58AOz2sQrYDWsNt/o\n"
                              "lTD9sAZbLdYk8FMIKA2hlffuKANs/x/PsFXAnGRnNILRVtxteo9BypXPWChIsi3b\n"
                              "nOASPQye5wcvjC3Y5fUVbljt8pslW6JmrcXXLHFnTCUJywR6Qp2IJHowREsHCQEX\n"
                              "szgiTqgD9tI+pvErFxE1/XTLV/IeEvq7VuhBK44psCiCzfp8KpEokmNdf4DUg8jk\n"
                              "tDJoqJdje1RcFNZdzQA7ZqJjseOeqt+rkE4H0ZJ12UR6cmQkjezPAw78dAp2yxWz\n"
                              "fwIDAQAB\n"
                              "-----END PUBLIC KEY-----\n";

static const struct {
    enum jws_alg alg;
    const char *token;
} from_pyjwt[] = {
    {JWS_HS256,
     "eyJhbGciOiJIUzI1NiIsImtpZCI6ImhzIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5l"
     "eGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiYWNt"
     "ZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzIjpb"
     "InRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwfQ.M"
     "c6LQEDmz6VFEj6mk1xI6OdLBfD2XR1JkbENh8yZO6A"},
    {JWS_RS256,
     "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5"
     "leGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiYWN"
     "tZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzIjp"
     "bInRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwfQ."
     "JhTqjogPW-OjCSY-Li0MYfkxXXp_Ch3tz4rWr2XsdFM_IE7hhSgX1xrO5B20J6eKh0XOfVXAXjR8A_b6XSfc"
     "i3SHp1701A1XNj6WZ2P8PAtkEjN12aldUguCcvTSDAK5Vbjw3BBL-w57xYRCjsk4W8q3mGtLdsAGK4e0HQka"
     "3bG2zq-uueTtWmtXNH5WgC_BSG58HJW1fJWc5Z8LE8MHRiqaFRCVEnvrwBXKOqXY3RoAYTDANzcL5LpCN5L3"
     "rdlkbf1rgeDDsiC9kD8UDdQ6QGHVDp89q5X53xcd6NYi1QpEzLnUZGMrPZmrrSX1e3Z8Myu32tb0E5JYw8hF"
     "PWIcUw"},
    {JWS_PS256,
     "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5"
     "leGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiYWN"
     "tZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzIjp"
     "bInRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwfQ."
     "tntdWpTUOX9Cr-8ogekayOJbvqHMb9UOVbxmTxclVzLLReN_hDFor3UFXCLWfwzWuQdEXhBUGJ9XVtg6U-AE"
     "Al9hL75HAvRcdmsi30nrdNsWJjHFx74cXlx_iNRmsNSg2VidfJtaRx9Ya7o1q_2rtLS8BOkz8sdc9A1zYPO5"
     "ZFtB9AFr1lMYuzOQwRUsDlL8IRUWhIG9Pr-pBoWDYj1_V2jYwXS0cWuKizNfKxvOcYBirxYWc96N7AYpsGn7"
     "c0rDDAf8Sr42GsvcvtKkkSgbWBeFCAG8J-FyO2PvDGMY6tIzS_2-rmHaBd3-QNGIYgFEJIK9l5ppYkSYUyyZ"
     "opebnw"},
    {JWS_ES256,
     "eyJhbGciOiJFUzI1NiIsImtpZCI6InAyNTYiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlc"
     "i5leGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiY"
     "WNtZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzI"
     "jpbInRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwf"
     "Q.1RBB2tFH9yoGwptGXgsXXiaN-IwI0UC2O64jrI6NiqZHNy_aWtYf9uqrQXNAGNahvDHm4Iv_T3Hv1f1RIv"
     "P0jA"},
    {JWS_ES384,
     "eyJhbGciOiJFUzM4NCIsImtpZCI6InAzODQiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlc"
     "i5leGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiY"
     "WNtZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzI"
     "jpbInRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwf"
     "Q.rmYnDzBlvUkrYXT_MREV9sug_T4LD-QQfbaqRAloyG5nLi6qHNoEo3vszSN0K0dBMiFwfjnjF1nuiq2YHG"
     "q-rPubRGlgxpUaow9RCQv1knI0G4OWhzJIfaeODj32ktjO"},
    {JWS_ES512,
     "eyJhbGciOiJFUzUxMiIsImtpZCI6InA1MjEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlc"
     "i5leGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiY"
     "WNtZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzI"
     "jpbInRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwf"
     "Q.AaiOh3jgSZVdQ7ksVEx6xF4ygenOPfgEPaxtcaQdGToWoqYGCspKnosd9ebczFswOK-XkLkIkOw6A4dd0M"
     "tzc94tAe2Xw-7huUHCis4BDFh7Oab1ZlONbbP-beNSqfre2PTaezZad50Q17AdcW_Fy_MIrAfFN3c4hsTcCt"
     "jj0kAi_R4g"},
    {JWS_EDDSA,
     "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5l"
     "eGFtcGxlIiwiYXVkIjpbIm90aGVyIiwibWlnZCJdLCJzdWIiOiJhZ2VudC03IiwidGVuYW50X2lkIjoiYWNt"
     "ZSIsInRlbmFudCI6Imdsb2JleCIsInNjb3BlIjoidG9vbHM6cmVhZCBtaWc6dmlld2VyIiwic2NvcGVzIjpb"
     "InRvb2xzOmNhbGwiLCJ0b29sczpyZWFkIl0sIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxOTAwMDAwMDAwfQ.n"
     "b7eL5bqwpeuQTyqcSZZUFeNz8DxVpiK8u_zX2Dj8aO52G92Wb-yfW5Ms3dbvTQbN3fnk7lLwzi8OWq-nuLuD"
     "A"},
};

enum { NOW = 1800000000 };
static const str secret = S("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");

static struct arena_pool pool;
static struct arena *a;
static struct diag diag;
static struct jwks *all; /* key_set */

static struct jwks *set_of(const char *json)
{
    struct jwks *s = jwks_new();
    assert_true(jwks_add_json(s, str_of(json), JWKS_OF_FILE, (struct diag_at){0}, &diag));
    return s;
}

static int set_up(void **state)
{
    (void)state;
    diag_init(&diag);
    a = arena_new(&pool, 4 << 20);
    all = set_of(key_set);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jwks_unref(all);
    arena_unref(a);
    arena_pool_deinit(&pool);
    diag_deinit(&diag);
    return 0;
}

static const struct jwt_rules any = {.leeway_s = JWT_LEEWAY_S, .algorithms = JWS_ALGS_ALL};
static struct jwt_claims claims;

/* "ok" or the reason. */
static const char *verify_by(const struct jwks *keys, str token, const struct jwt_rules *rules,
                             uint64_t now_s)
{
    const char *reason = "ok";
    const struct jwt_claims untouched = {.scope_count = 4711};

    claims = untouched;
    mig_status status = jwt_verify(keys, token, rules, now_s, a, &claims, &reason);
    assert_int_equal(status, strcmp(reason, "ok") == 0       ? MIG_OK
                             : strcmp(reason, "memory") == 0 ? MIG_BACKPRESSURE
                                                             : MIG_UNAUTHORIZED);
    if (status)
        assert_memory_equal(&claims, &untouched, sizeof claims);
    return reason;
}

static const char *verify(const char *token)
{
    return verify_by(all, str_of(token), &any, NOW);
}

static void encode(char *out, const void *bytes, size_t n)
{
    int len = EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);

    while (len && out[len - 1] == '=')
        out[--len] = 0;
    for (int i = 0; i < len; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
}

/* Any header over any claims, with an HMAC of any key: what an attacker can send. In the arena. */
static const char *make_with(str key, const char *header, const char *body)
{
    size_t room = 2 * (strlen(header) + strlen(body)) + 100;
    char *out = arena_alloc(a, room);
    unsigned char mac[32];

    assert_non_null(out);
    encode(out, header, strlen(header));
    strcat(out, ".");
    encode(out + strlen(out), body, strlen(body));
    HMAC(EVP_sha256(), key.ptr, (int)key.len, (unsigned char *)out, strlen(out), mac, NULL);
    strcat(out, ".");
    encode(out + strlen(out), mac, sizeof mac);
    return out;
}

static const char *make(const char *body)
{
    return make_with(secret, "{\"alg\":\"HS256\"}", body);
}

/* --- good ones -------------------------------------------------------------------------------- */

static void takes_what_pyjwt_signs(void **state)
{
    static const char *const scopes[] = {"mig:viewer", "tools:call", "tools:read"};
    const struct jwt_rules strict = {.issuer = S("https://issuer.example"),
                                     .audience = S("migd"),
                                     .require_exp = true,
                                     .algorithms = JWS_ALGS_ALL};

    (void)state;
    for (size_t i = 0; i < countof(from_pyjwt); i++) {
        assert_string_equal(verify_by(all, str_of(from_pyjwt[i].token), &strict, NOW), "ok");
        assert_str(claims.subject, "agent-7");
        assert_str(claims.tenant, "acme"); /* tenant_id before tenant */
        assert_int_equal(claims.expires_s, 1900000000);
        assert_int_equal(claims.scope_count, countof(scopes));
        for (size_t s = 0; s < countof(scopes); s++)
            assert_str(claims.scopes[s], scopes[s]);
        struct jwt_rules others = strict;
        others.algorithms &= ~JWS_ALG(from_pyjwt[i].alg);
        assert_string_equal(verify_by(all, str_of(from_pyjwt[i].token), &others, NOW),
                            "alg_refused");
    }
}

#define JOE                                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

/* RFC 7515 A.1 to A.3, RFC 8037 A.4. */
static const struct {
    const char *key, *token, *outcome;
} from_rfcs[] = {
    {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4h"
     "cgUuTwjAzZr1Z9CAow\"}",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
     "ok"},
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W2"
     "6mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47s"
     "oMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQ"
     "Y4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9g"
     "b54h4FRWyuXpoQ\"}",
     "eyJhbGciOiJSUzI1NiJ9." JOE
     ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp"
     "5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHl"
     "b1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9Q"
     "OYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
     "ok"},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9." JOE
     ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     "ok"},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
     "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
     "malformed"}, /* well signed, but a sentence and no claims */
};

static void takes_the_examples_of_the_rfcs(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(from_rfcs); i++) {
        CLEANUP(jwks_freep) struct jwks *s = set_of(from_rfcs[i].key);
        str token = str_of(from_rfcs[i].token);
        const char *last = i == 3 ? "malformed" : "expired";
        assert_string_equal(verify_by(s, token, &any, 1300819379), from_rfcs[i].outcome);
        assert_string_equal(verify_by(s, token, &any, 1300819380 + JWT_LEEWAY_S), last);
        assert_string_equal(verify_by(all, token, &any, 1300819379), "bad_signature");
    }
}

static void takes_what_libjwt_signs(void **state)
{
    CLEANUP(str_freep) char *token = jwt_sign_hs256(secret, S("{\"sub\":\"tool\",\"n\":[1,{}]}"));

    (void)state;
    assert_non_null(token);
    assert_string_equal(verify(token), "ok");
    assert_str(claims.subject, "tool");
    assert_null(jwt_sign_hs256(secret, S("[1]")));
    assert_null(jwt_sign_hs256(secret, S("{")));
    assert_null(jwt_sign_hs256(S(""), S("{}")));
}

/* --- shape ------------------------------------------------------------------------------------ */

static void refuses_what_is_not_three_parts_of_base64url(void **state)
{
    static const char *const bad[] = {
        ".",       "..",        "a",         "e30",       "e30.e30",   "e30..e30",
        ".e30.",   "e30.e30.a", "e30.e30.=", "e30.e30. ", "e30=.e30.", "e30.e3.e3",
        "e 0.e30", "e31.e30.",  "e30.e31.",  "\n.e30.",   "e30.e+0.",  "e30.e30.e30.e30.e30",
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_string_equal(verify(bad[i]), "malformed");
    assert_string_equal(verify(""), "missing");
    assert_string_equal(verify_by(all, (str){0}, &any, NOW), "missing");
    assert_string_equal(verify_by(all, (str){"e30.\0e30.e30", 12}, &any, NOW), "malformed");
}

static void a_good_token_has_one_spelling(void **state)
{
    const char *good = make("{\"sub\":\"x\"}");
    char other[1000];

    (void)state;
    assert_string_equal(verify(good), "ok");
    snprintf(other, sizeof other, "%s=", good);
    assert_string_equal(verify(other), "malformed");
    snprintf(other, sizeof other, " %s", good);
    assert_string_equal(verify(other), "malformed");
    snprintf(other, sizeof other, "%s\n", good);
    assert_string_equal(verify(other), "malformed");
    snprintf(other, sizeof other, "%s", good);
    other[strlen(other) - 1]++; /* 32 bytes are 42 2/3 characters: the last has two bits to spare */
    assert_string_equal(verify(other), "malformed");
}

static void takes_16_kib_and_not_a_byte_more(void **state)
{
    (void)state;
    for (int pad = 12180; pad < 12260; pad++) {
        char *body = arena_alloc(a, (size_t)pad + 20);
        assert_non_null(body);
        snprintf(body, (size_t)pad + 20, "{\"p\":\"%0*d\"}", pad, 0);
        const char *token = make(body);
        assert_string_equal(verify(token), strlen(token) <= JWT_TOKEN_MAX ? "ok" : "too_large");
        if (strlen(token) > JWT_TOKEN_MAX + 4)
            return;
    }
    fail();
}

/* --- header ----------------------------------------------------------------------------------- */

static const struct {
    const char *header, *outcome;
} headers[] = {
    {"{\"alg\":\"HS256\"}", "ok"},
    {"{\"alg\":\"HS256\",\"typ\":7,\"cty\":\"x\",\"jku\":\"http://evil\",\"jwk\":{}}", "ok"},
    {"{\"alg\":\"HS256\",\"kid\":\"hs\"}", "ok"},
    {"{\"alg\":\"none\"}", "alg_refused"},
    {"{\"alg\":\"None\"}", "alg_refused"},
    {"{\"alg\":\"\"}", "alg_refused"},
    {"{\"alg\":\"hs256\"}", "alg_refused"},
    {"{\"alg\":\"HS256 \"}", "alg_refused"},
    {"{\"alg\":\"HS256\\u0000\"}", "alg_refused"},
    {"{\"alg\":\"ES256K\"}", "alg_refused"},
    {"{\"alg\":\"HS256\",\"kid\":\"rsa\"}", "alg_refused"},
    {"{\"alg\":\"RS256\",\"kid\":\"hs\"}", "alg_refused"},
    {"{\"alg\":\"ES256\",\"kid\":\"p384\"}", "alg_refused"}, /* wrong curve */
    {"{\"alg\":\"ES384\",\"kid\":\"p256\"}", "alg_refused"},
    {"{\"alg\":\"EdDSA\",\"kid\":\"p256\"}", "alg_refused"},
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\"}", "bad_signature"},
    {"{\"alg\":\"PS256\",\"kid\":\"rsa\"}", "bad_signature"},
    {"{\"alg\":\"ES512\",\"kid\":\"p521\"}", "bad_signature"},
    {"{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", "bad_signature"},
    {"{\"alg\":\"HS256\",\"kid\":\"\"}", "unknown_key"},
    {"{\"alg\":\"HS256\",\"kid\":\"HS\"}", "unknown_key"},
    {"{\"alg\":\"HS256\",\"kid\":\"hs\\u0000\"}", "unknown_key"},
    {"{\"alg\":\"HS256\",\"kid\":\"../../../dev/null\"}", "unknown_key"},
    {"{\"alg\":\"HS256\",\"kid\":\"' OR 1=1 --\"}", "unknown_key"},
    {"{\"alg\":\"HS256\",\"kid\":\"%s%n\"}", "unknown_key"},
    {"{\"alg\":\"HS256\",\"kid\":null}", "malformed"},
    {"{\"alg\":\"HS256\",\"kid\":1}", "malformed"},
    {"{\"alg\":\"HS256\",\"crit\":[]}", "malformed"},
    {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "malformed"},
    {"{\"alg\":\"HS256\",\"crit\":null}", "malformed"},
    {"{\"alg\":\"HS256\",\"alg\":\"none\"}", "malformed"},
    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "malformed"},
    {"{\"alg\":\"HS256\",\"kid\":\"hs\",\"kid\":\"hs\"}", "malformed"},
    {"{\"alg\":\"HS256\",\"x\":{\"y\":1,\"y\":1}}", "malformed"},
    {"{\"alg\":[\"HS256\"]}", "malformed"},
    {"{\"alg\":null}", "malformed"},
    {"{\"kid\":\"hs\"}", "malformed"},
    {"[\"HS256\"]", "malformed"},
    {"\"HS256\"", "malformed"},
    {"{\"alg\":\"HS256\"} ,", "malformed"},
    {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "malformed"},
};

static void reads_the_header_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(headers); i++) {
        const char *outcome = verify(make_with(secret, headers[i].header, "{\"sub\":\"x\"}"));
        if (strcmp(outcome, headers[i].outcome) != 0)
            print_error("%s: %s\n", headers[i].header, outcome);
        assert_string_equal(outcome, headers[i].outcome);
    }
}

static void none_is_refused_with_and_without_a_signature(void **state)
{
    const char *token = make_with(secret, "{\"alg\":\"none\"}", "{}");

    (void)state;
    str bare = {token, (size_t)(strrchr(token, '.') - token) + 1};
    assert_string_equal(verify_by(all, bare, &any, NOW), "alg_refused");
    assert_string_equal(verify(make_with(secret, "{\"alg\":\"HS256\"}", "{}")), "ok");
    token = make("{}");
    bare = (str){token, (size_t)(strrchr(token, '.') - token) + 1};
    assert_string_equal(verify_by(all, bare, &any, NOW), "bad_signature");
}

/* --- signature -------------------------------------------------------------------------------- */

/* The key that everybody knows, used as the secret (dependencies.md 6.3, 1). */
static void a_public_key_is_no_secret(void **state)
{
    CLEANUP(jwks_freep) struct jwks *s = jwks_new();
    str pem = str_of(rsa_pem);

    (void)state;
    assert_true(jwks_add_pem(s, pem, S(""), (struct diag_at){0}, &diag));
    assert_true(jwks_add_pem(s, pem, S("rsa"), (struct diag_at){0}, &diag));
    const char *forged = make_with(pem, "{\"alg\":\"HS256\"}", "{}");
    assert_string_equal(verify_by(s, str_of(forged), &any, NOW), "alg_refused");
    assert_string_equal(verify_by(all, str_of(forged), &any, NOW), "bad_signature");
    forged = make_with(pem, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", "{}");
    assert_string_equal(verify_by(s, str_of(forged), &any, NOW), "alg_refused");
    assert_string_equal(verify_by(all, str_of(forged), &any, NOW), "alg_refused");
    assert_false(jwks_add_secret(s, pem, (struct diag_at){0}, &diag));
}

/* Each character of the signature matters, and so does its length. */
static void a_changed_signature_is_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(from_pyjwt); i++) {
        char *token = strdup(from_pyjwt[i].token), *signature = strrchr(token, '.') + 1;
        size_t len = strlen(signature);
        for (size_t at = 0; at + 1 < len; at += 7) {
            char was = signature[at];
            signature[at] = was == 'A' ? 'B' : 'A';
            assert_string_equal(verify(token), "bad_signature");
            signature[at] = was;
        }
        signature[len / 4 * 4 - 4] = 0;
        assert_string_equal(verify(token), "bad_signature");
        signature[0] = 0;
        assert_string_equal(verify(token), "bad_signature");
        free(token);
    }
}

static void a_changed_payload_is_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(from_pyjwt); i++) {
        char *token = strdup(from_pyjwt[i].token), *body = strchr(token, '.') + 1;
        body[8] = body[8] == 'A' ? 'B' : 'A';
        assert_string_equal(verify(token), "bad_signature");
        free(token);
    }
}

static void a_signature_with_something_behind_it_is_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(from_pyjwt); i++) {
        char token[2000], bytes[600];
        size_t len = strlen(strrchr(from_pyjwt[i].token, '.') + 1);
        snprintf(token, sizeof token, "%s", from_pyjwt[i].token);
        char *signature = strrchr(token, '.') + 1;
        unsigned n = (unsigned)len * 3 / 4;
        memset(bytes, 0, sizeof bytes);
        strcat(token, len % 4 == 2 ? "==" : len % 4 == 3 ? "=" : "");
        for (char *c = signature; *c; c++)
            *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
        EVP_DecodeBlock((unsigned char *)bytes, (unsigned char *)signature, (int)strlen(signature));
        encode(signature, bytes, n);
        assert_string_equal(token, from_pyjwt[i].token); /* so we can write it */
        for (unsigned more = 1; more <= 4; more++) {
            encode(signature, bytes, n + more);
            assert_string_equal(verify(token), "bad_signature");
        }
    }
}

static void shape_comes_before_all_else(void **state)
{
    const char *good = make("{}");
    str two = {good, (size_t)(strrchr(good, '.') - good)};
    char more[1000];

    (void)state;
    assert_string_equal(verify_by(all, two, &any, NOW), "malformed");
    snprintf(more, sizeof more, "%sAA", good); /* 45 characters are no whole bytes */
    assert_string_equal(verify(more), "malformed");
    snprintf(more, sizeof more, "%s.", good);
    assert_string_equal(verify(more), "malformed");
}

/* r = s = 0 passed in more than one library. */
static void zeros_are_no_signature(void **state)
{
    static const char *const algs[][2] = {{"ES256", "p256"}, {"ES384", "p384"}, {"ES512", "p521"},
                                          {"EdDSA", "ed"},   {"RS256", "rsa"},  {"PS256", "rsa"}};
    static const size_t sizes[] = {64, 96, 132, 64, 256, 256};

    (void)state;
    for (size_t i = 0; i < countof(algs); i++) {
        char header[100], token[2000];
        const unsigned char zeros[256] = {0};
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}", algs[i][0], algs[i][1]);
        snprintf(token, sizeof token, "%s", make_with(secret, header, "{}"));
        encode(strrchr(token, '.') + 1, zeros, sizes[i]);
        assert_string_equal(verify(token), "bad_signature");
    }
}

static void keys_without_a_name_stand_behind_any_kid(void **state)
{
    CLEANUP(jwks_freep) struct jwks *s = jwks_new();
    const char *named = make_with(secret, "{\"alg\":\"HS256\",\"kid\":\"2026-11\"}", "{}");

    (void)state;
    assert_string_equal(verify_by(s, str_of(named), &any, NOW), "unknown_key");
    assert_string_equal(verify_by(NULL, str_of(named), &any, NOW), "unknown_key");
    assert_string_equal(verify_by(s, str_of(make("{}")), &any, NOW), "unknown_key");
    assert_true(jwks_add_secret(s, secret, (struct diag_at){0}, &diag));
    assert_string_equal(verify_by(s, str_of(named), &any, NOW), "ok");
    named = make_with(S("something else, also long enough"),
                      "{\"alg\":\"HS256\",\"kid\":\"2026-11\"}", "{}");
    assert_string_equal(verify_by(s, str_of(named), &any, NOW), "bad_signature");
    assert_true(jwks_add_set(s, all)); /* now there are names, and this is none of them */
    assert_string_equal(verify_by(s, str_of(named), &any, NOW), "unknown_key");
}

static void tries_few_keys_for_a_token_without_kid(void **state)
{
    CLEANUP(jwks_freep) struct jwks *s = jwks_new();
    const char *token = make("{}");

    (void)state;
    for (int i = 0; i < 4; i++) {
        char other[48];
        snprintf(other, sizeof other, "a secret of some other issuer %d", i);
        assert_true(jwks_add_secret(s, str_of(other), (struct diag_at){0}, &diag));
        if (i == 2) {
            CLEANUP(jwks_freep) struct jwks *four = jwks_new();
            assert_true(jwks_add_set(four, s));
            assert_true(jwks_add_secret(four, secret, (struct diag_at){0}, &diag));
            assert_string_equal(verify_by(four, str_of(token), &any, NOW), "ok");
        }
    }
    assert_true(jwks_add_secret(s, secret, (struct diag_at){0}, &diag));
    assert_string_equal(verify_by(s, str_of(token), &any, NOW), "bad_signature");
}

/* --- claims ----------------------------------------------------------------------------------- */

static const struct {
    const char *body, *outcome;
} bodies[] = {
    {"{}", "ok"},
    {"{\"exp\":1799999971}", "ok"}, /* leeway of 30 s */
    {"{\"exp\":1799999970}", "expired"},
    {"{\"exp\":1799999970.5}", "ok"},
    {"{\"exp\":1.7e9}", "expired"},
    {"{\"exp\":0}", "expired"},
    {"{\"exp\":-1}", "expired"},
    {"{\"exp\":-1e300}", "expired"},
    {"{\"exp\":1e300}", "ok"},
    {"{\"exp\":18446744073709551616}", "ok"},
    {"{\"exp\":9223372036854775808}", "ok"},
    {"{\"exp\":1e999}", "malformed"},
    {"{\"exp\":NaN}", "malformed"},
    {"{\"exp\":\"1900000000\"}", "claims"},
    {"{\"exp\":null}", "claims"},
    {"{\"exp\":true}", "claims"},
    {"{\"exp\":[1900000000]}", "claims"},
    {"{\"exp\":{}}", "claims"},
    {"{\"nbf\":1800000030}", "ok"},
    {"{\"nbf\":1800000031}", "not_yet_valid"},
    {"{\"nbf\":1800000030.5}", "not_yet_valid"},
    {"{\"nbf\":1e300}", "not_yet_valid"},
    {"{\"nbf\":-5}", "ok"},
    {"{\"nbf\":\"0\"}", "claims"},
    {"{\"nbf\":null}", "claims"},
    {"{\"iat\":\"nonsense\"}", "ok"},
    {"{\"iat\":1e300}", "ok"},
    {"{\"exp\":1,\"exp\":1900000000}", "malformed"},
    {"{\"sub\":1}", "claims"},
    {"{\"sub\":\"a\\u0000b\"}", "claims"},
    {"{\"sub\":\"a\\r\\nX: y\"}", "claims"},
    {"{\"sub\":null,\"tenant_id\":null,\"tenant\":null,\"scope\":null,\"scopes\":null}", "ok"},
    {"{\"tenant_id\":7,\"tenant\":\"acme\"}", "claims"},
    {"{\"tenant_id\":\"acme\",\"tenant\":7}", "claims"},
    {"{\"tenant_id\":\"a\\u007f\"}", "claims"},
    {"{\"scope\":[\"a\"]}", "claims"},
    {"{\"scope\":\"a\\tb\"}", "claims"},
    {"{\"scopes\":\"a b\"}", "claims"},
    {"{\"scopes\":[1]}", "claims"},
    {"{\"scopes\":[null]}", "claims"},
    {"{\"scopes\":{\"a\":1}}", "claims"},
    {"[]", "malformed"},
    {"null", "malformed"},
    {"{\"sub\":\"x\"", "malformed"},
    {"eyJhbGciOiJIUzI1NiJ9.e30.", "malformed"}, /* a token in a token */
};

static void reads_the_claims_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bodies); i++) {
        const char *outcome = verify(make(bodies[i].body));
        if (strcmp(outcome, bodies[i].outcome) != 0)
            print_error("%s: %s\n", bodies[i].body, outcome);
        assert_string_equal(outcome, bodies[i].outcome);
    }
}

static void says_when_it_expires(void **state)
{
    struct jwt_rules must_expire = any;

    (void)state;
    assert_string_equal(verify(make("{}")), "ok");
    assert_true(claims.expires_s == JWT_NEVER);
    assert_string_equal(verify(make("{\"exp\":1900000000.9}")), "ok");
    assert_int_equal(claims.expires_s, 1900000000);
    assert_string_equal(verify(make("{\"exp\":1e300}")), "ok");
    assert_true(claims.expires_s > 1u << 31 && claims.expires_s != JWT_NEVER);
    must_expire.require_exp = true;
    assert_string_equal(verify_by(all, str_of(make("{}")), &must_expire, NOW), "exp_required");
    assert_string_equal(verify_by(all, str_of(make("{\"exp\":1900000000}")), &must_expire, NOW),
                        "ok");
}

static const struct {
    const char *body, *issuer, *audience, *outcome;
} parties[] = {
    {"{\"iss\":\"a\",\"aud\":\"b\"}", "", "", "ok"},
    {"{\"iss\":7,\"aud\":{}}", "", "", "ok"},
    {"{\"iss\":\"a\"}", "a", "", "ok"},
    {"{\"iss\":\"A\"}", "a", "", "issuer"},
    {"{\"iss\":\"a/\"}", "a", "", "issuer"},
    {"{\"iss\":\"a\\u0000\"}", "a", "", "issuer"},
    {"{\"iss\":[\"a\"]}", "a", "", "issuer"},
    {"{}", "a", "", "issuer"},
    {"{\"aud\":\"b\"}", "", "b", "ok"},
    {"{\"aud\":[\"x\",\"b\"]}", "", "b", "ok"},
    {"{\"aud\":[7,\"b\"]}", "", "b", "ok"},
    {"{\"aud\":[\"x\"]}", "", "b", "audience"},
    {"{\"aud\":[[\"b\"]]}", "", "b", "audience"},
    {"{\"aud\":[]}", "", "b", "audience"},
    {"{\"aud\":\"x b\"}", "", "b", "audience"},
    {"{\"aud\":{\"b\":\"b\"}}", "", "b", "audience"},
    {"{}", "", "b", "audience"},
    {"{\"iss\":\"x\",\"aud\":\"x\"}", "a", "b", "issuer"},
    {"{\"exp\":1,\"iss\":\"x\"}", "a", "b", "expired"},
};

static void checks_issuer_and_audience_when_configured(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(parties); i++) {
        struct jwt_rules rules = any;
        rules.issuer = str_of(parties[i].issuer);
        rules.audience = str_of(parties[i].audience);
        assert_string_equal(verify_by(all, str_of(make(parties[i].body)), &rules, NOW),
                            parties[i].outcome);
    }
}

static const struct {
    const char *body, *subject, *tenant, *scopes;
} principals[] = {
    {"{}", "unknown", "", ""},
    {"{\"sub\":\"\",\"tenant_id\":\"\"}", "unknown", "", ""},
    {"{\"sub\":\"a\",\"tenant\":\"t\"}", "a", "t", ""},
    {"{\"sub\":\"a\",\"tenant_id\":\"i\",\"tenant\":\"t\"}", "a", "i", ""},
    {"{\"sub\":\"a\",\"tenant_id\":\"\",\"tenant\":\"t\"}", "a", "t", ""},
    {"{\"sub\":\"J\\u00fcrgen\"}", "J\xc3\xbcrgen", "", ""},
    {"{\"scope\":\"b a  b \"}", "unknown", "", "a,b,"},
    {"{\"scopes\":[\"b\",\"a\",\"\",\"b\"]}", "unknown", "", "a,b,"},
    {"{\"scope\":\"c a\",\"scopes\":[\"b\",\"c\",\"d e\"]}", "unknown", "", "a,b,c,d e,"},
};

static void makes_a_principal(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(principals); i++) {
        char scopes[100] = "";
        assert_string_equal(verify(make(principals[i].body)), "ok");
        assert_str(claims.subject, principals[i].subject);
        assert_str(claims.tenant, principals[i].tenant);
        for (size_t s = 0; s < claims.scope_count; s++) {
            strcat(scopes, claims.scopes[s].ptr); /* NUL-terminated, too */
            strcat(scopes, ",");
        }
        assert_string_equal(scopes, principals[i].scopes);
    }
}

static void takes_256_scopes_and_not_one_more(void **state)
{
    (void)state;
    for (int n = 255; n <= 257; n++) {
        char body[8000] = "{\"scope\":\"";
        for (int i = 0; i < n; i++)
            snprintf(body + strlen(body), 20, "s%d %s", i, i % 2 ? "s0 " : "");
        strcat(body, "\"}");
        assert_string_equal(verify(make(body)), n <= JWT_SCOPES_MAX ? "ok" : "claims");
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static void a_full_arena_fails_the_request_alone(void **state)
{
    struct arena_pool own = {0};
    const char *reason = "ok", *token = make("{\"sub\":\"x\",\"scope\":\"a b c\"}");

    (void)state;
    struct arena *small = arena_new(&own, ARENA_CHUNK);
    while (arena_alloc(small, 64))
        ;
    assert_int_equal(jwt_verify(all, str_of(token), &any, NOW, small, &claims, &reason),
                     MIG_BACKPRESSURE);
    assert_string_equal(reason, "memory");
    arena_unref(small);
    arena_pool_deinit(&own);
}

int main(void)
{
#define TT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TT(takes_what_pyjwt_signs),
        TT(takes_the_examples_of_the_rfcs),
        TT(takes_what_libjwt_signs),
        TT(refuses_what_is_not_three_parts_of_base64url),
        TT(a_good_token_has_one_spelling),
        TT(takes_16_kib_and_not_a_byte_more),
        TT(reads_the_header_strictly),
        TT(none_is_refused_with_and_without_a_signature),
        TT(a_public_key_is_no_secret),
        TT(a_changed_signature_is_bad),
        TT(a_changed_payload_is_bad),
        TT(a_signature_with_something_behind_it_is_bad),
        TT(shape_comes_before_all_else),
        TT(zeros_are_no_signature),
        TT(keys_without_a_name_stand_behind_any_kid),
        TT(tries_few_keys_for_a_token_without_kid),
        TT(reads_the_claims_strictly),
        TT(says_when_it_expires),
        TT(checks_issuer_and_audience_when_configured),
        TT(makes_a_principal),
        TT(takes_256_scopes_and_not_one_more),
        TT(a_full_arena_fails_the_request_alone),
    };
    return RUN(tests);
}
