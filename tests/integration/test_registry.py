"""Schemas and capabilities that operators register: rules, effect, restarts (mig-core.md 9.4, 14.1)."""
import threading
from urllib.parse import quote

import pytest
from test_identity import SECRET, bearer, token

INFER = "observatory.models.infer"
URI = "schema://acme/order/v1"
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}}


def put(http, uri=URI, schema=OBJECT, **more):
    return http.admin("schemas", "POST", {"uri": uri, "schema": schema, **more})


def lookup(http, uri, headers=None, tenant="acme"):
    return http.request("GET", "/mig/v0.1/schemas?uri=" + quote(uri, safe=""),
                        headers={"X-Tenant-ID": tenant, **(headers or {})})


def capability(id="made.by.hand", **more):
    return {"descriptor": {"id": id, "version": "1.0.0", "input_schema_uri": URI,
                           "output_schema_uri": "schema://acme/none/v1", **more}}


# --- rules ------------------------------------------------------------------------------------------

def test_changes_are_named(migd):
    d = migd()
    assert put(d.http).json == {"uri": URI, "compatibility": "identical"}, "a first one breaks nobody"
    for schema, compatibility in [
            (OBJECT, "identical"),
            ({"properties": {"a": {"type": "integer"}}, "type": "object"}, "identical"),
            ({"type": "object", "properties": {"a": {"type": "number"}}}, "backward_compatible"),
            ({"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}, "breaking"),
            (OBJECT, "breaking")]:
        r = put(d.http, schema=schema)
        assert (r.status, r.json) == (201, {"uri": URI, "compatibility": compatibility}), schema
        assert d.http.admin("schemas?uri=" + quote(URI, safe="")).json == {"uri": URI, "schema": schema}
    uris = [s["uri"] for s in d.http.admin("schemas").json["schemas"]]
    assert uris == sorted(set(uris)) and URI in uris
    assert "schema://observatory/models/infer-input/v1" in uris, "those of providers are there too"
    assert d.http.admin("schemas?uri=schema://no").code == "MIG_NOT_FOUND"


@pytest.mark.parametrize("body,message,reason", [
    ({}, "uri is required", "uri_required"),
    ({"uri": ""}, "uri is required", "uri_required"),
    ({"uri": 5, "schema": {}}, "uri is required", "uri_required"),
    ({"uri": URI}, "schema is required", "schema_required"),
    ({"uri": URI, "schema": None}, "schema is required", "schema_required"),
    ({"uri": URI, "schema": "{}"}, None, "invalid_schema"),
    ({"uri": URI, "schema": []}, None, "invalid_schema"),
    ({"uri": "no-scheme", "schema": {}}, None, "invalid_uri"),
    ({"uri": "a:b#c", "schema": {}}, None, "invalid_uri"),
    ({"uri": "a:" + "b" * 511, "schema": {}}, None, "invalid_uri"),
    ({"uri": URI, "schema": {"type": "sideways"}}, None, "invalid_schema"),
    ({"uri": URI, "schema": {"$ref": "https://example.com/other.json"}}, None, "invalid_schema"),
    ({"uri": URI, "schema": {"properties": {"a": {"pattern": "("}}}}, None, "invalid_schema"),
])
def test_what_cannot_be_registered(http, body, message, reason):
    r = http.admin("schemas", "POST", body)
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", reason), r
    if message:
        assert r.error["message"] == message
    assert URI not in [s["uri"] for s in http.admin("schemas").json["schemas"]]


def test_the_fault_is_pointed_at(http):
    r = put(http, schema={"properties": {"a": {"type": "sideways"}}})
    assert r.status == 400 and "/properties/a/type" in r.error["details"]["pointer"]


def test_immutable(migd):
    d = migd(env={"MIGD_SCHEMA_IMMUTABLE": "true"})
    assert put(d.http).status == 201 and put(d.http).json["compatibility"] == "identical"
    r = put(d.http, schema={})
    assert (r.status, r.code, r.reason) == (409, "MIG_INVALID_REQUEST", "schema_immutable")
    assert d.http.admin("schemas?uri=" + URI).json["schema"] == OBJECT


def test_those_of_providers_are_read_only(http):
    uri = "schema://observatory/models/infer-input/v1"
    have = http.admin("schemas?uri=" + uri).json["schema"]
    assert have["required"] == ["input"]
    assert put(http, uri, have).json["compatibility"] == "identical"
    r = put(http, uri, {})
    assert (r.status, r.reason) == (409, "schema_provided")


# --- effect -----------------------------------------------------------------------------------------

def test_a_capability_is_checked_with_what_is_registered(migd):
    d = migd()
    assert d.http.admin("capabilities", "POST", capability()).status == 201
    assert d.http.invoke("made.by.hand", {"a": "x"}).status == 200, "nothing is known of it yet"
    assert lookup(d.http, URI).code == "MIG_NOT_FOUND"
    put(d.http)
    r = d.http.invoke("made.by.hand", {"a": "x"})
    assert (r.status, r.reason) == (400, "schema_violation")
    assert d.http.invoke("made.by.hand", {"a": 1}).status == 200
    put(d.http, schema={"type": "object", "properties": {"a": {"type": "string"}}})
    assert d.http.invoke("made.by.hand", {"a": "x"}).status == 200


def test_schemas_refer_to_each_other(migd):
    d = migd()
    put(d.http, "schema://acme/id", {"type": "string", "minLength": 2})
    put(d.http, schema={"properties": {"a": {"$ref": "schema://acme/id"}}})
    d.http.admin("capabilities", "POST", capability())
    assert d.http.invoke("made.by.hand", {"a": "x"}).reason == "schema_violation"
    assert d.http.invoke("made.by.hand", {"a": "xy"}).status == 200
    put(d.http, "schema://acme/id", {"type": "string"})
    assert d.http.invoke("made.by.hand", {"a": "x"}).status == 200


def test_many_at_once_all_arrive(migd):
    d = migd()

    def work(n):
        client = d.client()
        for i in range(5):
            assert put(client, f"schema://acme/{n}/{i}").status == 201
            assert client.admin("capabilities", "POST", capability(f"made.n{n}.i{i}")).status == 201

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    uris = [s["uri"] for s in d.http.admin("schemas").json["schemas"]]
    assert len([u for u in uris if u.startswith("schema://acme/") and u.count("/") == 4]) == 20
    assert len([i for i in d.http.ids() if i.startswith("made.")]) == 20


# --- lookup by clients ------------------------------------------------------------------------------

def test_lookup(http):
    uri = "schema://observatory/models/infer-output/v1"
    r = lookup(http, uri)
    assert r.status == 200 and set(r.json) == {"header", "uri", "schema"}
    assert r.json["uri"] == uri and r.json["schema"]["required"] == ["result"]
    r = http.get("/mig/v0.1/schemas", **{"X-Tenant-ID": "acme"})
    assert (r.status, r.error["message"]) == (400, "uri is required")
    assert lookup(http, "schema://no").code == "MIG_NOT_FOUND"
    assert lookup(http, uri, tenant="").status == 400


def test_lookup_shows_what_the_caller_may_invoke(migd):
    d = migd({"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET}})
    uri = "schema://observatory/models/infer-input/v1"
    assert lookup(d.http, uri, bearer(token())).status == 200
    assert lookup(d.http, uri, bearer(token(scopes=["other"]))).status == 404
    assert lookup(d.http, uri).status == 401


# --- restarts ---------------------------------------------------------------------------------------

def restart(d):
    d.signal(15)
    d.wait()
    d.lines.clear()
    for c in d.clients:
        c.close()
    return d.start()


@pytest.mark.parametrize("how", [15, 9])
def test_what_was_registered_survives(migd, tmp_path, how):
    d = migd({"mig.data_dir": str(tmp_path / "data")}, exit_code=-9 if how == 9 else 0)
    put(d.http)
    d.http.admin("capabilities", "POST", capability())
    second = capability()
    second["descriptor"]["version"] = "2.0.0"
    d.http.admin("capabilities", "POST", second)
    d.http.admin("capabilities", "POST", capability("made.and.gone"))
    assert d.http.delete("/admin/v0.1/capabilities/made.and.gone").status == 204
    d.signal(how)
    d.wait()
    e = migd({"mig.data_dir": str(tmp_path / "data")})
    assert e.http.admin("schemas?uri=" + URI).json["schema"] == OBJECT
    assert e.http.invoke("made.by.hand", {"a": "x"}).reason == "schema_violation"
    have = [c["descriptor"] if "descriptor" in c else c for c in e.http.admin("capabilities").json["capabilities"]]
    assert [c["version"] for c in have if c["id"] == "made.by.hand"] == ["2.0.0", "1.0.0"]
    assert "made.and.gone" not in e.http.ids() and INFER in e.http.ids()


def test_the_default_capability_stays_deleted(migd, tmp_path):
    data = {"mig.data_dir": str(tmp_path / "data")}
    d = migd(data)
    assert INFER in d.http.ids()
    assert d.http.delete("/admin/v0.1/capabilities/" + INFER).status == 204
    assert INFER not in d.http.ids()
    d.signal(15)
    d.wait()
    assert INFER not in migd(data).http.ids()


def test_without_a_data_directory_each_start_is_the_first(migd):
    d = migd()
    d.http.delete("/admin/v0.1/capabilities/" + INFER)
    assert INFER not in d.http.ids()
    assert INFER in restart(d).http.ids()


def test_the_policy_is_stored_with_its_capability(migd, tmp_path):
    data = {"mig.data_dir": str(tmp_path / "data")}
    policy = {"require_idempotency_key": True, "billing_tier": "pro"}
    d = migd(data)
    r = d.http.admin("capabilities", "POST", {**capability(), "policy": policy})
    assert r.status == 201 and r.json["policy"] == policy, r.json
    for _ in range(2):
        assert d.http.admin("capabilities/made.by.hand").json["policy"] == policy
        assert d.http.invoke("made.by.hand").reason == "idempotency_key_required"
        listed = {c["id"]: c for c in d.http.admin("capabilities").json["capabilities"]}
        assert listed["made.by.hand"]["policy"] == policy and "policy" not in listed[INFER]
        d.signal(15)
        d.wait()
        d = migd(data)


# --- who may ----------------------------------------------------------------------------------------

def test_plain_tokens_read_what_is_their_tenants_and_nothing_else(migd):
    d = migd({"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET, "admin_api_key": "k"}})

    def get(path, t):
        return d.http.request("GET", "/admin/v0.1/" + path, headers=bearer(t))

    for path in ("capabilities", "capabilities/" + INFER, "connections", "health/detailed",
                 "health/conformance"):
        assert get(path, token()).status == 200, path
    for path in ("schemas", "generations", "plugins", "plugins/echo", "instances", "loops", "config"):
        r = get(path, token())
        assert (r.status, r.code) == (403, "MIG_FORBIDDEN"), path
        assert get(path, token(scopes=["mig:viewer"])).status == 200, path
    assert get("capabilities", token(scopes=[])).json["capabilities"] == []
    assert get("capabilities/" + INFER, token(scopes=[])).status == 404
    r = d.http.request("POST", "/admin/v0.1/schemas", {"uri": URI, "schema": {}}, bearer(token()))
    assert r.status == 403
    for path in ("/pro/v0.1/audit/export", "/pro/v0.1/quotas", "/cloud/v0.1/usage"):
        assert d.http.request("GET", path, headers=bearer(token())).status == 200, path
    for path in ("/metrics", "/cloud/v0.1/orgs", "/cloud/v0.1/tenants", "/cloud/v0.1/gateways"):
        r = d.http.request("GET", path, headers=bearer(token()))
        assert (r.status, r.reason) == (403, "operators_only"), path
        assert d.http.request("GET", path, headers=bearer(token(scopes=["mig:viewer"]))).status == 200, path
