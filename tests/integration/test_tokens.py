"""Tokens that are not what they say: refused wherever a request can enter, the same everywhere; and a token is of
one tenant (mig-core.md 3 and 4). What the verifier says of each is in tests/unit/test_jwt.c."""
import hashlib
import hmac
import json
import subprocess
import time

import pytest
from helpers.daemon import Daemon
from helpers.errors import KEYS, check_envelope, check_reply, key_pair
from helpers.http import Reply
from helpers.sse import Events
from helpers.ws import Socket
from test_identity import INFER, SECRET, b64, bearer, token

ISSUER, AUDIENCE = "https://issuer.example", "migd"
WHO = {"iss": ISSUER, "aud": AUDIENCE}
LONG = 16 << 10


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Certificates; their keys sign no token here, but everybody knows the public halves."""
    folder = tmp_path_factory.mktemp("keys")
    return [key_pair(folder, kind) for kind in KEYS]


@pytest.fixture(scope="module")
def d(tmp_path_factory, keys):
    d = Daemon(tmp_path_factory.mktemp("tokens") / "migd", {
        "http.max_header_bytes": 65536, "mig": {
            "auth_mode": "jwt", "jwt_hs256_secret": SECRET, "jwt_key_files": [str(k) for k in keys], "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE}})
    d.start()
    yield d
    assert not d.faults()


def good(claims=None, **more):
    return token({**WHO, **(claims or {})}, **more)


def signed(head, claims, secret=SECRET, digest=hashlib.sha256):
    """Of texts as they stand."""
    text = b64(head.encode()) + "." + b64(claims.encode())
    return text + "." + b64(hmac.new(secret.encode(), text.encode(), digest).digest())


# --- where a token is shown --------------------------------------------------------------------------

def by_invoke(d, headers):
    return d.http.invoke(INFER, {"input": "x"}, tenant=None, headers=headers)


def by_subscribe(d, headers):
    with Events(d.address, "/mig/v0.1/subscribe/token.topic", headers=headers) as s:
        return Reply(s.status, s.headers, s.body)


def by_websocket(d, headers):
    with Socket(d.address, headers) as s:
        if s.status == 101:
            return Reply(101, {}, b"")
        headers = {"Content-Type": s.reply.headers["content-type"],
                   "MIG-Message-ID": s.reply.headers["mig-message-id"],
                   "WWW-Authenticate": s.reply.headers.get("www-authenticate")}
        return Reply(s.status, headers, s.reply.body)


def by_admin(d, headers):
    return d.http.get("/admin/v0.1/connections", **headers)


ENTRIES = {"invoke": by_invoke, "subscribe": by_subscribe, "websocket": by_websocket, "admin": by_admin}
everywhere = pytest.mark.parametrize("entry", ENTRIES)


@everywhere
@pytest.mark.parametrize("claims", [{}, {"aud": ["else", AUDIENCE]}, {"exp": time.time() + 3600},
                                    {"iat": time.time() + 9999}, {"tenant_id": None, "tenant": "acme"}])
def test_good_tokens(d, entry, claims):
    assert ENTRIES[entry](d, bearer(good(claims))).status in (200, 101)


CLAIMS = {
    "expired": {"exp": time.time() - 60},
    "expired long ago": {"exp": 0},
    "not yet": {"nbf": time.time() + 3600},
    "exp is text": {"exp": "never"},
    "exp is null": {"exp": None},
    "another issuer": {"iss": "https://other.example"},
    "no issuer": {"iss": None},
    "a list of issuers": {"iss": [ISSUER]},
    "another audience": {"aud": "else"},
    "other audiences": {"aud": ["else", "others"]},
    "no audience": {"aud": None},
    "a list of tenants": {"tenant_id": ["acme", "other"]},
    "a tenant that is a number": {"tenant_id": 5},
    "scopes of numbers": {"scopes": [1]},
}


@everywhere
@pytest.mark.parametrize("name", CLAIMS)
def test_claims_that_do_not_hold(d, entry, name):
    refused(ENTRIES[entry](d, bearer(good(CLAIMS[name]))))


def refused(reply):
    check_reply(reply, "MIG_UNAUTHORIZED", "invalid_token")
    assert reply.error["message"] == "invalid bearer token", "and not why"


BODY = json.dumps({"sub": "alice", "tenant_id": "acme", **WHO})
FORGED = {
    **{f"alg {alg}": lambda alg=alg: good(alg=alg) for alg in ("HS384", "HS512", "RS256", "ES256", "PS256", "x")},
    **{f"alg {alg} without a signature": lambda alg=alg: good(alg=alg).rsplit(".", 1)[0] + "."
       for alg in ("none", "None", "NONE", "nOnE")},
    "alg none with a signature": lambda: signed('{"alg":"none"}', BODY),
    "a true HS384": lambda: signed('{"alg":"HS384"}', BODY, digest=hashlib.sha384),
    "a true HS512": lambda: signed('{"alg":"HS512"}', BODY, digest=hashlib.sha512),
    "no alg": lambda: signed('{"typ":"JWT"}', BODY),
    "two algs": lambda: signed('{"alg":"none","alg":"HS256"}', BODY),
    "crit": lambda: signed('{"alg":"HS256","crit":["exp"],"exp":1}', BODY),
    "an embedded key": lambda: signed('{"alg":"HS256","jwk":{"kty":"oct","k":"' + b64(b"x" * 32) + '"}}', BODY,
                                      "x" * 32),
    "two tenants in one claim": lambda: signed('{"alg":"HS256"}', BODY[:-1] + ',"tenant_id":"other"}'),
    "another secret": lambda: good(secret="x" * 32),
    "an empty secret": lambda: good(secret=""),
    "changed claims": lambda: ".".join([good().split(".")[0], good(sub="root").split(".")[1], good().split(".")[2]]),
    "a cut signature": lambda: good()[:-4],
    "two parts": lambda: good().rsplit(".", 1)[0],
    "four parts": lambda: good() + ".x",
    "no parts": lambda: "x",
    "padding": lambda: good() + "=",
    "claims that are no object": lambda: signed('{"alg":"HS256"}', '["acme"]'),
}


@everywhere
@pytest.mark.parametrize("name", FORGED)
def test_forged_tokens(d, entry, name):
    refused(ENTRIES[entry](d, bearer(FORGED[name]())))


@everywhere
@pytest.mark.parametrize("kind", range(len(KEYS)), ids=KEYS)
def test_a_public_key_is_no_secret(d, entry, keys, kind):
    """HS256 keyed with the text of what verifies other algorithms: the classic confusion."""
    public = subprocess.run(["openssl", "x509", "-in", keys[kind], "-noout", "-pubkey"], capture_output=True,
                            text=True, check=True, timeout=20).stdout
    for text in (keys[kind].read_text(), public, public.strip()):
        for alg in ("HS256", "RS256", "ES256"):
            refused(ENTRIES[entry](d, bearer(good(secret=text, alg=alg))))


@everywhere
def test_large_tokens(d, migd, entry):
    pad = LONG - len(good(pad="")) - 200
    large = good(pad="x" * (pad * 3 // 4))
    assert LONG - 400 < len(large) <= LONG
    assert ENTRIES[entry](d, bearer(large)).status in (200, 101)
    for size in (LONG, 30000):
        too_large = good(pad="x" * size)
        refused(ENTRIES[entry](d, bearer(too_large)))


@everywhere
def test_tokens_beyond_the_head_of_a_request(migd, entry):
    d = migd({"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET}})
    r = ENTRIES[entry](d, bearer(token(pad="x" * 17000)))
    check_reply(r, "MIG_INVALID_REQUEST", "headers_too_large", status=431)
    assert ENTRIES[entry](d, bearer(token())).status in (200, 101)


# --- one token, one tenant --------------------------------------------------------------------------

@everywhere
def test_a_token_is_of_one_tenant(d, entry):
    ask = lambda t, **headers: ENTRIES[entry](d, {**bearer(t), **headers})
    assert ask(good(), **{"X-Tenant-ID": "acme"}).status in (200, 101)
    assert ask(good(tenant="other"), **{"X-Tenant-ID": "acme"}).status in (200, 101), "tenant_id goes first"
    check_reply(ask(good(tenant="other"), **{"X-Tenant-ID": "other"}), "MIG_FORBIDDEN", "tenant_mismatch")
    check_reply(ask(good({"tenant_id": None})), "MIG_FORBIDDEN", "tenant_claim")
    check_reply(ask(good({"tenant_id": ""})), "MIG_FORBIDDEN", "tenant_claim")


def test_frames_speak_for_the_tenant_of_the_handshake(d):
    with Socket(d.address, bearer(good())) as s:
        s.request(INFER, {"input": "x"}, tenant=None)
        assert s.last()["header"]["tenant_id"] == "acme"
        s.request(INFER, {"input": "x"}, tenant="other")
        check_envelope(s.last(), "MIG_FORBIDDEN", "tenant_mismatch")
        s.request(INFER, {"input": "x"}, tenant="mcp-adapter")
        assert s.last()["header"]["tenant_id"] == "acme"
        s.control("subscribe", tenant="other", topic="a.b")
        check_envelope(s.until(lambda f: f["kind"] == "error"), "MIG_FORBIDDEN", "tenant_mismatch")


def test_two_sockets_two_tenants(d):
    with Socket(d.address, bearer(good())) as a, Socket(d.address, bearer(good({"tenant_id": "beta"}))) as b:
        for s, tenant in ((a, "acme"), (b, "beta")):
            s.control("subscribe", stream_id="sub", tenant=None, topic="two.tenants")
            assert s.next()["payload"] == {"accepted": True}
        for t in (good(), good({"tenant_id": "beta"})):
            r = d.http.mig("publish/two.tenants", {"payload": {}}, tenant=None, headers=bearer(t))
            assert r.json["sequence"] == 1
        for s, tenant in ((a, "acme"), (b, "beta")):
            event = s.next()
            assert event["kind"] == "event" and event["header"]["tenant_id"] == tenant
            with pytest.raises(TimeoutError):
                s.next(0.3)
