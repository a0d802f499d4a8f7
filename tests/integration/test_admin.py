"""The operator's API (mig-core.md 14.1, issue: Admin)."""
import json

import pytest
from helpers.daemon import ROOT
from helpers.http import Raw, eventually, post_text

SHARED = {"plugins": ["counter", "pool_sleep"]}

READS = ["generations", "plugins", "plugins/counter", "instances", "capabilities",
         "capabilities/test.counter.get", "connections", "loops", "config", "health/detailed"]
PUBLIC = ["/health", "/admin/v0.1/health/live", "/admin/v0.1/health/ready"]
FIVE = ROOT / "tests/data/manifests/bad-five.yaml"


# --- what the routes say ----------------------------------------------------------------------------

@pytest.mark.parametrize("path", READS)
def test_reads(http, path):
    r = http.admin(path)
    assert r.status == 200 and r.headers["Content-Type"] == "application/json"
    assert r.headers["Cache-Control"] == "no-store" and isinstance(r.json, dict)


def test_generations(http):
    body = http.generations()
    assert body["current"] == 1
    g, = body["generations"]
    assert g["state"] == "current" and g["capabilities"] == 12 and g["instances"] == 7
    assert len(g["pins"]) == 2 and g["created_at"].endswith("Z")


def test_plugins(http):
    body = http.admin("plugins").json
    assert body["total_plugins"] == 7
    assert set(body["plugins"]) == {"counter", "pool_sleep", "http", "ws", "admin", "pro", "echo"}
    p = body["plugins"]["counter"]
    assert (p["id"], p["version"], p["source"]) == ("org.test.counter", "1.0.0", "counter.so")
    assert p["status"] == "serving" and p["capabilities"]["tools_count"] == 2
    assert body["plugins"]["http"]["routes_count"] == 8


def test_one_plugin(http):
    p = http.admin("plugins/pool_sleep").json
    tool = next(t for t in p["tools"] if t["name"] == "test.pool.sleep")
    assert tool["version"] == "1.0.0" and tool["descriptor"]["modes"] == ["unary"]
    routes = http.admin("plugins/http").json["routes"]
    assert {"method": "POST", "pattern": "/mig/v0.1/hello"} in routes
    r = http.admin("plugins/nobody")
    assert (r.status, r.code) == (404, "MIG_NOT_FOUND")


def test_instances(http):
    http.result("test.counter.get")
    i, = http.instance("counter")
    assert i["plugin"] == "org.test.counter" and i["state"] == "serving" and i["debt"] == 0
    assert i["calls"] >= 1 and i["generations"] == 1
    http.invoke("test.pool.fail", {"code": 4})
    assert http.instance("pool_sleep")[0]["errors"] >= 1
    body = http.instances()
    assert body["abandoned"] == 0 and body["retired_modules"] == 0


def test_the_oldest_call_of_an_instance_is_named(http, shared):
    from test_invoke import in_background
    call = in_background(shared, "test.pool.sleep", {"ms": 20000}, message_id="oldest-1")
    i = eventually(lambda: next((i for i in http.instance("pool_sleep") if i["debt"]), None))
    assert i["oldest_call"]["capability"] == "test.pool.sleep"
    assert i["oldest_call"]["message_id"] == "oldest-1" and i["oldest_call"]["age_ms"] >= 0
    http.cancel("oldest-1")
    assert call().status == 504


def test_capabilities(http):
    caps = http.admin("capabilities").json["capabilities"]
    ids = [c["id"] for c in caps]
    assert ids == sorted(ids) and "observatory.models.infer" in ids
    assert all(c["provider"]["plugin"] for c in caps)
    assert http.admin("capabilities/test.counter.get").json["id"] == "test.counter.get"
    r = http.admin("capabilities/no.such")
    assert (r.status, r.code) == (404, "MIG_NOT_FOUND")


def test_connections(http):
    body = http.admin("connections").json
    assert set(body) >= {"generated_at", "summary", "connections"}
    assert body["summary"]["total"] == 0 and body["connections"] == []
    assert set(body["summary"]) == {"total", "by_protocol", "by_kind", "by_tenant",
                                    "nats_binding_active"}


def test_loops(http):
    loops = http.admin("loops").json["loops"]
    assert [l["loop"] for l in loops] == [0, 1]
    assert all(l["stalls"] >= 0 and l["inbox"] >= 0 for l in loops)
    before = sum(l["requests"] for l in loops)
    http.mig("hello")
    assert sum(l["requests"] for l in http.admin("loops").json["loops"]) >= before + 2


def test_health(http):
    assert http.get("/admin/v0.1/health/live").json == {"status": "alive"}
    for path in ("/health", "/admin/v0.1/health/ready"):
        body = http.get(path).json
        assert body["ready"] is True and body["status"] == "healthy" and body["version"]
    body = http.admin("health/detailed").json
    assert body["bugs"] == 0 and body["abandoned"] == 0 and 0 <= body["load_factor"] <= 1


def test_metrics(http):
    r = http.get("/metrics")
    assert r.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    values = {}
    for line in r.body.decode().splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in values, f"twice: {name}"
            values[name] = float(value)
    assert values["mig_generation"] == 1 and values["mig_bugs_total"] == 0
    assert values["process_resident_memory_bytes"] > 1e6


def test_config_never_shows_secrets(migd):
    d = migd({"mig.admin_api_key": "hush-hush-hush"})
    r = d.http.request("GET", "/admin/v0.1/config", headers={"X-Admin-API-Key": "hush-hush-hush"})
    assert r.status == 200 and b"hush" not in r.body


# --- who may ----------------------------------------------------------------------------------------

def test_a_key_is_asked_for(migd):
    d = migd({"mig.admin_api_key": "k"})
    for path in READS[:1] + READS[4:5] + ["health/detailed"]:
        r = d.http.admin(path)
        assert (r.status, r.code) == (401, "MIG_UNAUTHORIZED")
        assert r.headers["WWW-Authenticate"]
        assert d.http.request("GET", "/admin/v0.1/" + path,
                              headers={"X-Admin-API-Key": "wrong"}).status == 401
        assert d.http.request("GET", "/admin/v0.1/" + path,
                              headers={"X-Admin-API-Key": ""}).status == 401
    good = {"X-Admin-API-Key": "k"}
    assert d.http.request("GET", "/admin/v0.1/generations", headers=good).status == 200
    assert d.http.reload().status == 401
    assert d.http.request("POST", "/admin/v0.1/reload", headers=good).status == 200
    for path in PUBLIC:
        assert d.http.get(path).status == 200
    assert d.http.get("/metrics").status == 401
    assert d.http.invoke("observatory.models.infer", {"input": "x"}).status == 200


def test_the_key_comes_from_the_environment(migd):
    d = migd(env={"MIGD_ADMIN_API_KEY": "k", "MIGD_ADMIN_API_HEADER": "X-Ops"})
    assert d.http.admin("generations").status == 401
    assert d.http.request("GET", "/admin/v0.1/generations", headers={"X-Ops": "k"}).status == 200


def test_with_a_key_other_hosts_and_origins_are_fine(migd):
    d = migd({"mig.admin_api_key": "k"})
    r = d.http.request("GET", "/admin/v0.1/generations", headers={
        "X-Admin-API-Key": "k", "Host": "gateway.example", "Origin": "https://ops.example"})
    assert r.status == 200


@pytest.mark.parametrize("headers,status", [
    ({"Host": "localhost:8080"}, 200), ({"Host": "127.0.0.1"}, 200), ({"Host": "[::1]:80"}, 200),
    ({"Host": "evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
    ({"Host": "localhost", "Origin": "http://localhost"}, 200),
    ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
    ({"Host": "localhost", "Origin": "null"}, 403), ({"Host": "localhost", "Origin": ""}, 403),
])
def test_pages_of_others_cannot_operate_the_gateway(http, headers, status):
    for method, path in (("GET", "generations"), ("POST", "reload?dry_run=true")):
        r = http.request(method, "/admin/v0.1/" + path, headers=headers)
        assert r.status == status, r
        if status == 403:
            assert r.code == "MIG_FORBIDDEN" and r.reason == "origin"


def test_cross_origin_calls_are_answered_without_cors(http):
    r = http.mig("hello", headers={"Origin": "http://evil.example"})
    assert r.headers["Access-Control-Allow-Origin"] is None


def test_without_a_key_only_this_machine(migd):
    import socket
    me = socket.gethostbyname(socket.gethostname())
    if me.startswith("127."):
        pytest.skip("this machine has loopback only")
    d = migd({"mig.addr": "0.0.0.0:0", "insecure": True})
    port = d.address[1]
    with Raw((me, port)) as raw:
        r = raw.send(f"GET /admin/v0.1/generations HTTP/1.1\r\nHost: {me}\r\n\r\n").reply()
        assert r.status == 403 and r.reason == "loopback_only"
        r = raw.send(f"GET /health HTTP/1.1\r\nHost: {me}\r\n\r\n").reply()
        assert r.status == 200


def test_beyond_loopback_wants_insecure(build, migd):
    import subprocess
    d = migd(start=False)
    d.write_settings(**{"mig.addr": "0.0.0.0:0"})
    r = subprocess.run([build / "migd", "--config", d.config], capture_output=True, text=True,
                       env=d.env, timeout=20)
    assert r.returncode == 2 and "insecure" in r.stderr


# --- findings ---------------------------------------------------------------------------------------

def test_five_mistakes_are_five_findings_with_positions(http):
    r = http.admin("manifests", "POST", FIVE.read_text())
    assert (r.status, r.code, r.reason) == (422, "MIG_INVALID_REQUEST", "invalid_configuration")
    found = r.findings
    assert len([f for f in found if f["level"] in ("error", "warning")]) >= 5
    lines = FIVE.read_text().splitlines()
    marked = [n + 1 for n, l in enumerate(lines) if "#" in l and l.split("#")[1][:3].strip()[:1].isdigit()]
    assert len(marked) == 5 and set(marked) <= {f["line"] for f in found}, found
    assert all(f["column"] >= 1 and f["message"] for f in found if f["line"] in marked)
    assert http.generations()["current"] == 1


# --- capabilities by hand ---------------------------------------------------------------------------

def descriptor(id="made.by.hand", version="1.0.0", **more):
    return {"id": id, "version": version, "input_schema_uri": "schema://in",
            "output_schema_uri": "schema://out", **more}


def test_a_capability_is_put_and_deleted(migd):
    d = migd()
    given = {"descriptor": descriptor(modes=["unary"]), "provider": {"type": "echo"}}
    r = d.http.admin("capabilities", "POST", given)
    assert r.status == 201 and r.json["id"] == "made.by.hand" and r.json["modes"] == ["unary"]
    assert d.http.result("made.by.hand", {"a": 1})["echo"] == {"a": 1}
    c = next(c for c in d.http.mig("discover").json["capabilities"] if c["id"] == "made.by.hand")
    assert c["auth_scopes"] == [] and c["event_topics"] == [] and c["qos"] == {}
    r = d.http.admin("capabilities", "POST",
                     {"descriptor": descriptor(qos={"max_payload_bytes": 10})})
    assert r.status == 201
    assert d.http.invoke("made.by.hand", {"a": "long enough"}).reason == "payload_too_large"
    d.http.reload()
    assert d.http.invoke("made.by.hand", {}).status == 200, "it outlives reloads"
    r = d.http.delete("/admin/v0.1/capabilities/made.by.hand")
    assert r.status == 204 and r.body == b""
    assert d.http.invoke("made.by.hand").status == 404
    assert d.http.delete("/admin/v0.1/capabilities/made.by.hand").status == 404


def test_modes_default_to_unary(migd):
    d = migd()
    r = d.http.admin("capabilities", "POST", {"descriptor": descriptor()})
    assert r.json["modes"] == ["unary"]


@pytest.mark.parametrize("body,message", [
    ({}, "descriptor.id and descriptor.version are required"),
    ({"descriptor": {"id": "a.b"}}, "descriptor.id and descriptor.version are required"),
    ({"descriptor": {"id": "a.b", "version": "1.0.0"}}, "schema URIs are required"),
    ({"descriptor": descriptor(), "provider": {"type": "pigeon"}}, None),
    ({"descriptor": descriptor(id="a b")}, None), ({"descriptor": descriptor(version="x")}, None),
    ({"descriptor": descriptor(id=5)}, None), ({"descriptor": descriptor(modes=["sideways"])}, None),
    ({"descriptor": descriptor(modes=[])}, None), ({"descriptor": descriptor(modes="unary")}, None),
    ({"descriptor": descriptor(qos={"max_payload_bytes": -1})}, None),
    ({"descriptor": descriptor(auth_scopes="x")}, None),
])
def test_bad_capabilities_are_refused(http, body, message):
    r = http.admin("capabilities", "POST", body)
    if r.status == 201:
        http.delete("/admin/v0.1/capabilities/made.by.hand")
    assert r.status in (400, 422) and r.code == "MIG_INVALID_REQUEST", r
    if message:
        assert (r.status, r.error["message"]) == (400, message)
    assert "made.by.hand" not in http.ids()


def test_the_capability_of_a_provider_cannot_be_deleted(http):
    r = http.delete("/admin/v0.1/capabilities/test.counter.get")
    assert (r.status, r.code) == (403, "MIG_FORBIDDEN") and "test.counter.get" in http.ids()


def test_a_capability_of_a_provider_cannot_be_taken_over(http):
    r = http.admin("capabilities", "POST", {"descriptor": descriptor("test.counter.get")})
    assert r.status == 422 and http.result("test.counter.get")["version"] == "1"
