"""Who calls: tokens, keys, scopes, and what follows from them (mig-core.md sections 3 and 4)."""
import base64
import hashlib
import hmac
import json
import subprocess
import time

import pytest
from helpers.daemon import BUILD
from helpers.sse import Events

SECRET = "0123456789abcdef0123456789abcdef"
INFER = "observatory.models.infer"
SHARED = {"settings": {"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET}}}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims=None, secret=SECRET, alg="HS256", **more):
    head = b64(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    body = b64(json.dumps({"sub": "alice", "tenant_id": "acme", "scopes": ["capability:infer"],
                           **(claims or {}), **more}).encode())
    mac = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{b64(mac) if alg != 'none' else ''}"


def bearer(t):
    return {"Authorization": f"Bearer {t}"}


@pytest.fixture
def d(shared):
    return shared


def invoke(http, t=None, tenant=None, headers=None, payload=None):
    return http.invoke(INFER, payload or {"input": "x"}, tenant=tenant,
                       headers={**(bearer(t) if t else {}), **(headers or {})})


def test_no_token(http):
    for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}):
        r = invoke(http, headers=headers)
        assert (r.status, r.code) == (401, "MIG_UNAUTHORIZED")
        assert r.error["message"] == "missing bearer token"
        assert r.headers["WWW-Authenticate"] == "Bearer"


def test_a_good_token(http):
    r = invoke(http, token())
    assert r.status == 200, r
    meta = r.json["header"]["meta"]
    assert meta["idg.principal_subject"] == "alice"
    assert meta["idg.principal_scopes"] == ["capability:infer"]
    assert r.json["header"]["tenant_id"] == "acme"
    for _ in range(3):  # now from the cache
        assert invoke(http, token()).status == 200


@pytest.mark.parametrize("name,t", [
    ("alg none", token(alg="none")),
    ("another secret", token(secret="x" * 32)),
    ("HS384 is not HS256", token(alg="HS384")),
    ("expired", token(exp=time.time() - 60)),
    ("not yet", token(nbf=time.time() + 3600)),
    ("exp is text", token(exp="never")),
    ("scopes of numbers", token(scopes=[1])),
    ("two parts", token().rsplit(".", 1)[0]),
    ("garbage", "a.b.c"),
    ("16 KiB", token(pad="x" * 17000)),
    ("empty signature", token().rsplit(".", 1)[0] + "."),
])
def test_bad_tokens(http, name, t):
    r = invoke(http, t) if len(t) < 15000 else None
    if r is None:  # the head of a request has its own limit
        r = http.post(f"/mig/v0.1/invoke/{INFER}", {"payload": {"input": "x"}}, bearer(t))
        assert r.status in (401, 431)
        return
    assert (r.status, r.code, r.error["message"]) == (401, "MIG_UNAUTHORIZED",
                                                      "invalid bearer token"), name


def test_times_have_thirty_seconds_of_leeway(http):
    assert invoke(http, token(exp=int(time.time()) - 10)).status == 200
    assert invoke(http, token(nbf=int(time.time()) + 10)).status == 200


def test_tenants(http):
    assert invoke(http, token({"tenant_id": None})).error["message"] == \
        "token is missing tenant claim"
    r = invoke(http, token({"tenant_id": None, "tenant": "beta"}))
    assert r.status == 200 and r.json["header"]["tenant_id"] == "beta"
    r = invoke(http, token(tenant="other"))  # tenant_id goes first
    assert r.json["header"]["tenant_id"] == "acme"
    r = invoke(http, token(), headers={"X-Tenant-ID": "other"})
    assert (r.status, r.error["message"]) == (403, "tenant header does not match token tenant")
    r = invoke(http, token(), tenant="other")
    assert (r.status, r.code) == (403, "MIG_FORBIDDEN")
    assert r.error["message"] == "tenant_id does not match authenticated principal"
    assert invoke(http, token(), tenant="mcp-adapter").json["header"]["tenant_id"] == "acme"


def test_x_actor_counts_for_nothing(http):
    r = invoke(http, token(), headers={"X-Actor": "root"})
    assert r.json["header"]["meta"]["idg.principal_subject"] == "alice"


def test_scopes(http):
    r = invoke(http, token(scopes=["other"]))
    assert (r.status, r.code, r.error["message"]) == (403, "MIG_FORBIDDEN",
                                                      "insufficient capability scope")
    assert invoke(http, token(scopes=[], scope="a capability:infer b")).status == 200
    seen = http.mig("discover", tenant=None, headers=bearer(token(scopes=[])))
    assert [c["id"] for c in seen.json["capabilities"]] == []
    seen = http.mig("discover", tenant=None, headers=bearer(token()))
    assert INFER in [c["id"] for c in seen.json["capabilities"]]


def test_only_the_invoker_cancels(http, d):
    slow = Events(d.address, f"/mig/v0.1/invoke/{INFER}", "POST",
                  {"header": {"message_id": "long"}, "stream_preference": "server_stream",
                   "payload": {"input": "x", "stream_chunks": 100, "delay_ms": 100}},
                  {**bearer(token()), "Accept": "text/event-stream"})
    slow.next()
    cancel = lambda t: http.mig("cancel/long", tenant=None, headers=bearer(t))
    assert cancel(token(sub="bob")).status == 403
    assert cancel(token(sub="bob", tenant_id="other")).json["status"] == "pending"
    assert cancel(token(sub="root", scopes=["mig:admin"])).json["status"] == "cancelled"
    slow.close()


def test_topics_that_capabilities_guard(http, d):
    topic = "observatory.inference.completed"
    publish = lambda t, name: http.mig(f"publish/{name}", {"payload": {}}, tenant=None, headers=bearer(t))
    assert publish(token(), topic).status == 200
    assert publish(token(scopes=[]), topic).code == "MIG_FORBIDDEN"
    assert publish(token(scopes=[]), "any.topic").status == 200
    with Events(d.address, f"/mig/v0.1/subscribe/{topic}", headers=bearer(token(scopes=[]))) as s:
        assert s.status == 403
    with Events(d.address, f"/mig/v0.1/subscribe/{topic}?tenant_id=other", headers=bearer(token())) as s:
        assert s.named("mig-event").json["header"]["tenant_id"] == "acme"


def test_public_routes_ask_nobody(http):
    assert http.get("/admin/v0.1/health/live").status == 200


def test_operators(http):
    assert http.admin("generations").status == 401
    get = lambda path, t: http.get("/admin/v0.1/" + path, **bearer(t))
    assert get("generations", token(scopes=["mig:viewer"])).status == 200
    assert http.post("/admin/v0.1/reload", headers=bearer(token(scopes=["mig:viewer"]))).code == \
        "MIG_FORBIDDEN"
    assert http.post("/admin/v0.1/reload", headers=bearer(token())).code == "MIG_FORBIDDEN"
    assert http.post("/admin/v0.1/reload", headers=bearer(token(scopes=["mig:admin"]))).status == 200


def test_a_reload_keeps_who_is_known(http, d):
    t = token()
    assert invoke(http, t).status == 200
    assert http.post("/admin/v0.1/reload", headers=bearer(token(scopes=["mig:admin"]))).status == 200
    assert invoke(http, t).status == 200


def test_a_reload_reads_key_files_anew(migd, tmp_path):
    def put(secret):
        file.write_text(json.dumps({"keys": [{"kty": "oct", "k": b64(secret.encode())}]}))
        return d.http.post("/admin/v0.1/reload", headers={"X-Admin-API-Key": "k"})

    file, old, new = tmp_path / "keys.json", "o" * 32, "n" * 32
    file.write_text(json.dumps({"keys": [{"kty": "oct", "k": b64(old.encode())}]}))
    d = migd({"mig.auth_mode": "jwt", "mig.jwt_key_files": [str(file)], "mig.admin_api_key": "k"})
    both = lambda: [invoke(d.http, token(secret=s)).status for s in (old, new)]
    assert both() == [200, 401]
    assert put(new).status == 200 and both() == [401, 200]
    file.write_text("nonsense")
    r = d.http.post("/admin/v0.1/reload", headers={"X-Admin-API-Key": "k"})
    finding, = [f for f in r.error["details"]["findings"] if f["level"] == "error"]
    assert r.status == 422 and finding["file"] == str(file) and "JSON" in finding["message"], finding
    assert both() == [401, 200], "what was good stays"
    file.unlink()
    r = d.http.post("/admin/v0.1/reload", headers={"X-Admin-API-Key": "k"})
    assert r.status == 422 and "cannot be read" in json.dumps(r.json)
    p = subprocess.run([BUILD / "migd", "--check", "--config", d.config], capture_output=True, text=True,
                       timeout=20, env=d.env)
    assert p.returncode == 2 and str(file) in p.stdout
    d.write_settings(**{"mig.jwt_key_files": None, "mig.jwt_hs256_secret": old})
    assert d.http.post("/admin/v0.1/reload", headers={"X-Admin-API-Key": "k"}).status == 200
    assert both() == [200, 401]


def test_settings(tmp_path):
    def check(**mig):
        (tmp_path / "migd.yaml").write_text(json.dumps({"mig": mig}))
        return subprocess.run([BUILD / "migd", "--config", tmp_path / "migd.yaml"],
                              capture_output=True, text=True, timeout=20)
    p = check(auth_mode="jwt")
    assert p.returncode == 2 and "mode jwt needs" in p.stderr
    p = check(auth_mode="jwt", jwt_hs256_secret="short", addr="127.0.0.1:0")
    assert p.returncode != 0 and "16" in p.stderr, p.stderr
