"""INVOKE and CANCEL over HTTP (mig-core.md 2, 3, 5.3, 5.6, 8.1, 8.2, 10)."""
import re
import threading
import time
import uuid

import pytest
from helpers.daemon import SLOW
from helpers.http import eventually

SHARED = {"plugins": ["pool_sleep"], "settings": {
    "loops": 2, "workers": 16, "mig.max_inflight": 40, "mig.max_inflight_tenant": 12,
    "mig.max_deadline_ms": 60000}}

INFER = "observatory.models.infer"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def new_id():
    return "m-" + uuid.uuid4().hex


def in_background(shared, *args, **more):
    """Starts an invocation in a thread; returns a function that waits for its reply."""
    box = {}

    def run():
        client = shared.client()
        try:
            box["began"] = time.monotonic()
            box["reply"] = client.invoke(*args, **more)
            box["ended"] = time.monotonic()
        except OSError as e:
            box["error"] = e
        finally:
            client.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join():
        thread.join(20)
        assert "reply" in box, f"no reply: {box.get('error')!r}"
        return box["reply"]

    join.box = box
    return join


def started(http):
    return http.result("test.pool.status")["started"]


def wait_started(http, before, n=1):
    eventually(lambda: started(http) >= before + n, what="the handler runs")


# --- the answer -------------------------------------------------------------------------------------

def test_the_default_capability_answers(http):
    r = http.invoke(INFER, {"input": "hello"})
    assert r.status == 200 and r.headers["Content-Type"] == "application/json"
    body = r.json
    assert list(body) == ["header", "capability", "payload", "result_schema_uri"]
    assert body["capability"] == INFER
    assert body["payload"] == {"result": "ok", "echo": {"input": "hello"}, "capability": INFER,
                               "delivery_qos": "at_least_once"}
    assert body["result_schema_uri"] == "schema://observatory/models/infer-output/v1"


def test_the_header_of_an_answer_is_complete(http):
    header = http.invoke(INFER, {"input": "x"}).json["header"]
    assert header["mig_version"] == "0.1" and header["tenant_id"] == "acme"
    assert UUID.match(header["message_id"]) and RFC3339.match(header["timestamp"])
    assert header["deadline_ms"] == 30000
    assert "session_id" not in header and "idempotency_key" not in header
    assert header["meta"] == {"idg.principal_subject": "anonymous", "idg.principal_scopes": [],
                              "idg.product_tier": "core",
                              "idg.meter_key": "invocations_capability_tier", "mig.binding": "http"}


def test_the_header_given_comes_back_normalized(http):
    sent = {"mig_version": "0.1", "message_id": "invoke-1", "timestamp": "2026-01-02T03:04:05.678Z",
            "session_id": "s-1", "idempotency_key": "k-1", "deadline_ms": 1234,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    header = http.invoke(INFER, {"input": "x"}, **sent).json["header"]
    for name, value in sent.items():
        assert header[name] == value, name


def test_a_header_is_not_needed(http):
    r = http.post("/mig/v0.1/invoke/" + INFER, '{"payload":{"input":"x"}}', {"X-Tenant-ID": "acme"})
    assert r.status == 200 and r.json["header"]["tenant_id"] == "acme"


def test_null_is_the_same_as_absent(http):
    names = ["mig_version", "message_id", "timestamp", "session_id", "traceparent",
             "idempotency_key", "deadline_ms", "meta"]
    r = http.invoke(INFER, {"input": "x"}, **{n: None for n in names})
    assert r.status == 200 and r.json["header"]["deadline_ms"] == 30000


def test_a_null_header_is_the_same_as_none(http):
    r = http.post("/mig/v0.1/invoke/" + INFER, {"header": None, "payload": {"input": "x"}},
                  {"X-Tenant-ID": "acme"})
    assert r.status == 200


def test_empty_strings_are_the_same_as_absent(http):
    header = http.invoke(INFER, {"input": "x"}, mig_version="", message_id="", timestamp="",
                         session_id="", idempotency_key="").json["header"]
    assert UUID.match(header["message_id"]) and "session_id" not in header


@pytest.mark.parametrize("payload", [None, {}])
def test_no_payload_is_an_empty_object(http, payload):
    r = http.mig("invoke/test.pool.mirror", {"payload": payload})
    assert r.status == 200
    assert http.mig("invoke/test.pool.mirror", {}).status == 200


def test_unknown_members_are_ignored(http):
    r = http.invoke(INFER, {"input": "x"}, envelope={"future": [1]}, tomorrow="yes")
    assert r.status == 200


def test_strict_json_refuses_unknown_members(migd):
    d = migd({"mig.strict_json": True})
    r = d.http.invoke(INFER, {"input": "x"}, envelope={"future": [1]})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")
    assert d.http.invoke(INFER, {"input": "x"}).status == 200


def test_strict_json_refuses_unknown_header_members(migd):
    d = migd({"mig.strict_json": True})
    r = d.http.invoke(INFER, {"input": "x"}, tomorrow="yes")
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")


# --- header rules -----------------------------------------------------------------------------------

@pytest.mark.parametrize("member,value,code", [
    ("mig_version", "0.2", "MIG_VERSION_MISMATCH"),
    ("mig_version", "1", "MIG_VERSION_MISMATCH"),
    ("mig_version", 0.1, "MIG_INVALID_REQUEST"),
    ("message_id", 7, "MIG_INVALID_REQUEST"),
    ("message_id", "two words", "MIG_INVALID_REQUEST"),
    ("message_id", "x" * 129, "MIG_INVALID_REQUEST"),
    ("message_id", "caf\u00e9", "MIG_INVALID_REQUEST"),
    ("timestamp", "yesterday", "MIG_INVALID_REQUEST"),
    ("timestamp", 1700000000, "MIG_INVALID_REQUEST"),
    ("timestamp", "2026-13-01T00:00:00Z", "MIG_INVALID_REQUEST"),
    ("timestamp", "2026-01-01 00:00:00Z", "MIG_INVALID_REQUEST"),
    ("timestamp", "2026-01-01T00:00:00", "MIG_INVALID_REQUEST"),
    ("session_id", "s" * 129, "MIG_INVALID_REQUEST"),
    ("session_id", {}, "MIG_INVALID_REQUEST"),
    ("idempotency_key", "k" * 256, "MIG_INVALID_REQUEST"),
    ("idempotency_key", [], "MIG_INVALID_REQUEST"),
    ("deadline_ms", "500", "MIG_INVALID_REQUEST"),
    ("deadline_ms", 1.5, "MIG_INVALID_REQUEST"),
    ("deadline_ms", True, "MIG_INVALID_REQUEST"),
    ("meta", [], "MIG_INVALID_REQUEST"),
    ("meta", "x", "MIG_INVALID_REQUEST"),
    ("meta", {f"k{i}": 1 for i in range(65)}, "MIG_INVALID_REQUEST"),
    ("meta", {"k": "x" * 16400}, "MIG_INVALID_REQUEST"),
    ("tenant_id", 5, "MIG_INVALID_REQUEST"),
])
def test_a_bad_header_member_is_refused(http, member, value, code):
    r = http.invoke(INFER, {"input": "x"}, **{member: value})
    assert (r.status, r.code) == (400, code), r
    assert r.error["retryable"] is False and r.json["header"]["message_id"]


@pytest.mark.parametrize("member,value", [
    ("message_id", "x" * 128), ("message_id", "!~"), ("session_id", "s" * 128),
    ("idempotency_key", "k" * 255), ("timestamp", "2026-01-01T00:00:00+05:30"),
    ("timestamp", "2026-12-31T23:59:60.123456Z"), ("meta", {f"k{i}": i for i in range(64)}),
])
def test_the_limits_of_header_members_are_inclusive(http, member, value):
    if member == "message_id":
        value = (new_id() + value)[:128] if len(value) == 128 else value
    assert http.invoke(INFER, {"input": "x"}, **{member: value}).json["header"][member]


@pytest.mark.parametrize("value", [
    "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", ""])
def test_a_bad_traceparent_is_dropped(http, value):
    r = http.invoke(INFER, {"input": "x"}, traceparent=value)
    assert r.status == 200 and "traceparent" not in r.json["header"]


@pytest.mark.parametrize("tail", ['-"x', '-\\', '-","error":{', "-plain"])
@pytest.mark.parametrize("by_header", [True, False])
def test_a_traceparent_of_a_later_version_comes_back_as_it_is(http, tail, by_header):
    value = "10-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + tail
    if by_header:
        r = http.invoke(INFER, {"input": "x"}, headers={"traceparent": value})
    else:
        r = http.invoke(INFER, {"input": "x"}, traceparent=value)
    assert r.status == 200 and r.json["header"]["traceparent"] == value


@pytest.mark.parametrize("name", ["MIG-Session-ID", "Idempotency-Key", "MIG-Version"])
def test_a_mirror_that_is_no_utf8_is_refused(http, name):
    r = http.invoke(INFER, {"input": "x"}, headers={name: b"a\xff"})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")
    assert r.error["details"]["reason"] == "invalid_member"


def test_a_traceparent_that_is_no_utf8_is_dropped(http):
    value = b"10-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-\xff"
    r = http.invoke(INFER, {"input": "x"}, headers={"traceparent": value})
    assert r.status == 200 and "traceparent" not in r.json["header"]


@pytest.mark.parametrize("given,shown", [(0, 30000), (-5, 30000), (1, 1), (500, 500),
                                         (10**9, 60000), (2**53, 60000)])
def test_the_deadline_shown_is_the_one_in_force(http, given, shown):
    r = http.invoke("test.pool.mirror", deadline_ms=given)
    assert r.json["header"]["deadline_ms"] == shown
    if shown >= 500:
        assert r.payload["left_ms"] <= shown


def test_meta_of_the_client_is_kept_but_idg_is_ours(http):
    meta = {"acme.note": {"a": [1, 2]}, "idg.product_tier": "gold", "idg.other": 1}
    header = http.invoke(INFER, {"input": "x"}, meta=meta).json["header"]
    assert header["meta"]["acme.note"] == {"a": [1, 2]}
    assert header["meta"]["idg.product_tier"] == "core" and "idg.other" not in header["meta"]


def test_meta_that_names_what_the_server_says_is_not_doubled(http):
    r = http.invoke(INFER, {"input": "x"}, meta={"mig.binding": "pigeon", "x": 1})
    assert r.json["header"]["meta"]["mig.binding"] == "http"  # json refuses duplicate members


def test_the_provider_sees_the_normalized_header(http):
    p = http.result("test.pool.mirror", message_id="seen-1", session_id="s", idempotency_key="k",
                    deadline_ms=5000, meta={"idg.x": 1, "a": 1})
    assert p["message_id"] == "seen-1" and p["session"] == "s" and p["key"] == "k"
    assert p["tenant"] == "acme" and p["subject"] == "anonymous" and p["meta"] == {"a": 1}
    assert 4000 < p["left_ms"] <= 5000


# --- mirrors ----------------------------------------------------------------------------------------

MIRRORS = [("MIG-Message-ID", "message_id", "mirror-1", "mirror-2"),
           ("MIG-Session-ID", "session_id", "s1", "s2"),
           ("Idempotency-Key", "idempotency_key", "k1", "k2"),
           ("traceparent", "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
           ("MIG-Deadline-Ms", "deadline_ms", "4321", 1111)]


@pytest.mark.parametrize("name,member,value,other", MIRRORS)
def test_an_http_header_stands_in_for_a_member(http, name, member, value, other):
    r = http.invoke(INFER, {"input": "x"}, headers={name: value})
    assert str(r.json["header"][member]) == value
    r = http.invoke(INFER, {"input": "x"}, headers={name.lower(): value})
    assert str(r.json["header"][member]) == value


@pytest.mark.parametrize("name,member,value,other", MIRRORS)
def test_the_body_wins_over_the_http_header(http, name, member, value, other):
    r = http.invoke(INFER, {"input": "x"}, headers={name: value}, **{member: other})
    assert r.json["header"][member] == other


@pytest.mark.parametrize("name,value,code", [
    ("MIG-Version", "9.9", "MIG_VERSION_MISMATCH"), ("MIG-Message-ID", "a b", "MIG_INVALID_REQUEST"),
    ("MIG-Deadline-Ms", "soon", "MIG_INVALID_REQUEST"), ("MIG-Session-ID", "s" * 200,
                                                          "MIG_INVALID_REQUEST")])
def test_a_bad_mirror_is_refused(http, name, value, code):
    r = http.invoke(INFER, {"input": "x"}, headers={name: value})
    assert (r.status, r.code) == (400, code)


def test_a_good_version_mirror_is_served(http):
    assert http.invoke(INFER, {"input": "x"}, headers={"MIG-Version": "0.1"}).status == 200


def test_every_answer_carries_the_message_id(http):
    for make in (lambda: http.invoke(INFER, {"input": "x"}, message_id="id-1"),
                 lambda: http.invoke("no.such", message_id="id-1"),
                 lambda: http.invoke(INFER, {}, message_id="id-1"),
                 lambda: http.mig("hello", message_id="id-1"),
                 lambda: http.mig("discover", message_id="id-1"),
                 lambda: http.mig("heartbeat", message_id="id-1"),
                 lambda: http.invoke(INFER, {"input": "x"}, message_id="id-1", deadline_ms="x")):
        r = make()
        assert r.headers["MIG-Message-ID"] == r.json["header"]["message_id"] == "id-1"
    for path in ("/nowhere", "/mig/v0.1/hello", "/admin/v0.1/generations", "/health", "/metrics"):
        http.get(path)  # the client refuses answers without the header


# --- tenant, mode none ------------------------------------------------------------------------------

@pytest.mark.parametrize("header,body,status,code,tenant", [
    ("acme", None, 200, None, "acme"),
    (None, "acme", 200, None, "acme"),
    ("acme", "acme", 200, None, "acme"),
    ("acme", "other", 403, "MIG_FORBIDDEN", None),
    (None, None, 400, "MIG_INVALID_REQUEST", None),
    ("", "", 400, "MIG_INVALID_REQUEST", None),
    (None, "unknown", 400, "MIG_INVALID_REQUEST", None),
    ("unknown", None, 400, "MIG_INVALID_REQUEST", None),
    (None, "a.b", 400, "MIG_INVALID_REQUEST", None),
    (None, "-a", 400, "MIG_INVALID_REQUEST", None),
    (None, "a" * 65, 400, "MIG_INVALID_REQUEST", None),
    (None, "a" * 64, 200, None, "a" * 64),
    (None, "_a-B9", 200, None, "_a-B9"),
    (None, "a b", 400, "MIG_INVALID_REQUEST", None),
    ("acme", "mcp-adapter", 200, None, "acme"),
    (None, "mcp-adapter", 200, None, "mcp-adapter"),
    (" acme ", None, 200, None, "acme"),
])
def test_the_tenant(http, header, body, status, code, tenant):
    headers = {} if header is None else {"X-Tenant-ID": header}
    r = http.invoke(INFER, {"input": "x"}, tenant=body, headers=headers)
    assert r.status == status, r
    if status == 200:
        assert r.json["header"]["tenant_id"] == tenant
    else:
        assert r.code == code and r.json["header"]["tenant_id"] == "unknown"


def test_messages_of_tenant_errors_are_those_of_the_contract(http):
    r = http.invoke(INFER, {"input": "x"}, tenant=None)
    assert r.error["message"] == "tenant_id is required"
    r = http.invoke(INFER, {"input": "x"}, tenant="b", headers={"X-Tenant-ID": "a"})
    assert r.error["message"] == "tenant_id does not match authenticated principal"


def test_a_required_tenant_header(migd):
    d = migd({"mig.require_tenant_header": True})
    r = d.http.invoke(INFER, {"input": "x"})
    assert (r.status, r.code, r.error["message"]) == (403, "MIG_FORBIDDEN",
                                                     "tenant header is required")
    assert d.http.invoke(INFER, {"input": "x"}, headers={"X-Tenant-ID": "acme"}).status == 200


def test_placeholder_tenants_are_a_setting(migd):
    d = migd({"mig.placeholder_tenants": ["nobody", "template"]})
    for name in ("nobody", "template"):
        r = d.http.invoke(INFER, {"input": "x"}, tenant=name, headers={"X-Tenant-ID": "acme"})
        assert r.json["header"]["tenant_id"] == "acme"
    r = d.http.invoke(INFER, {"input": "x"}, tenant="mcp-adapter", headers={"X-Tenant-ID": "acme"})
    assert r.status == 403


# --- the order of 5.3 -------------------------------------------------------------------------------

def test_the_capability_of_path_and_body_must_agree(http):
    assert http.invoke(INFER, {"input": "x"}, envelope={"capability": INFER}).status == 200
    r = http.invoke(INFER, {"input": "x"}, envelope={"capability": "other.one"})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")


def test_an_unknown_capability(http):
    r = http.invoke("no.such.thing")
    assert (r.status, r.code, r.error["message"]) == (
        404, "MIG_UNSUPPORTED_CAPABILITY", "capability not found")
    assert r.error["retryable"] is False


def test_capability_ids_are_one_decoded_segment(http):
    assert http.post("/mig/v0.1/invoke/observatory%2Emodels%2einfer",
                     {"header": {"tenant_id": "a"}, "payload": {"input": "x"}}).status == 200
    assert http.post("/mig/v0.1/invoke/observatory/models", {}).status == 404
    assert http.post("/mig/v0.1/invoke/", {}).status == 404
    assert http.post("/mig/v0.1/invoke/a%zz", {}).status == 404


def pin(version):
    return {"meta": {"mig.capability_version": version}}


def test_version_pins(migd):
    d = migd()
    for version in ("1.0.0", "1.2.0", "2.0.0"):
        d.http.admin("capabilities", "POST", {"descriptor": {
            "id": "test.pinned", "version": version, "modes": ["unary"],
            "input_schema_uri": "schema://a", "output_schema_uri": f"schema://out/{version}"}})
    seen = {}
    for text in ("1.0.0", "1.2.0", "2.0.0", "1.x", "2.x", None):
        r = d.http.invoke("test.pinned", **(pin(text) if text else {}))
        seen[text] = r.json["result_schema_uri"].rsplit("/", 1)[1]
    assert seen == {"1.0.0": "1.0.0", "1.2.0": "1.2.0", "2.0.0": "2.0.0", "1.x": "1.2.0",
                    "2.x": "2.0.0", None: "2.0.0"}
    for text in ("3.x", "1.1.0", "x", "1.2", "1", "1.0.0.0"):
        r = d.http.invoke("test.pinned", **pin(text))
        assert (r.status, r.code) == (400, "MIG_VERSION_MISMATCH"), text


@pytest.mark.parametrize("preference,status", [("", 200), ("unary", 200), (None, 200),
                                               ("server_stream", 200), ("bidi_stream", 400),
                                               ("sideways", 400), (7, 400)])
def test_modes(http, preference, status):
    r = http.invoke(INFER, {"input": "x"}, envelope={"stream_preference": preference})
    assert r.status == status, r
    if preference == "bidi_stream":
        assert r.reason == "mode_not_supported"


def test_payloads_are_checked_against_the_schema(http):
    r = http.invoke(INFER, {"text": "x"})
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", "schema_violation")
    errors = r.error["details"]["errors"]
    assert errors and all({"path", "message"} <= set(e) for e in errors)
    assert http.invoke(INFER, {"input": 5}).reason == "schema_violation"
    assert http.invoke("test.pool.strict", {"ms": "1"}).reason == "schema_violation"
    assert http.invoke("test.pool.strict", {"ms": 0}).status == 200


def test_a_payload_over_the_capability_limit(http):
    r = http.invoke(INFER, {"input": "x" * (1 << 20)})
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", "payload_too_large")


@pytest.mark.parametrize("payload", [5, "x", [1], True])
def test_payloads_are_objects(http, payload):
    r = http.invoke(INFER, payload)
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")


def test_the_first_failing_step_answers(http):
    """Each request is wrong from one step of 5.3 on; the earlier step must be named."""
    wrong = {"headers": {"X-Tenant-ID": "other"}, "envelope": {"stream_preference": "bidi_stream"}}
    assert http.invoke("no.such", 5, deadline_ms="x", **wrong).error["details"]["member"] == \
        "header.deadline_ms"
    assert http.invoke("no.such", 5, **wrong).code == "MIG_FORBIDDEN"
    wrong.pop("headers")
    assert http.invoke("no.such", 5, envelope={"capability": "b.c"}).code == "MIG_INVALID_REQUEST"
    assert http.invoke("no.such", 5, **wrong, **pin("9.x")).code == "MIG_UNSUPPORTED_CAPABILITY"
    assert http.invoke(INFER, 5, **wrong, **pin("9.x")).code == "MIG_VERSION_MISMATCH"
    mid = new_id()
    assert http.cancel(mid).json["status"] == "pending"
    assert http.invoke(INFER, {}, message_id=mid, **wrong).reason == "mode_not_supported"
    assert http.invoke(INFER, {}, message_id=mid).reason == "cancelled"
    assert http.invoke(INFER, {"x": "y" * (1 << 20)}).reason == "payload_too_large"


# --- errors -----------------------------------------------------------------------------------------

CODES = [(1, 400, "MIG_INVALID_REQUEST", False), (2, 401, "MIG_UNAUTHORIZED", False),
         (3, 403, "MIG_FORBIDDEN", False), (4, 404, "MIG_NOT_FOUND", False),
         (5, 404, "MIG_UNSUPPORTED_CAPABILITY", False), (6, 400, "MIG_VERSION_MISMATCH", False),
         (7, 504, "MIG_TIMEOUT", True), (8, 429, "MIG_RATE_LIMITED", True),
         (9, 429, "MIG_BACKPRESSURE", True), (10, 503, "MIG_UNAVAILABLE", True),
         (11, 500, "MIG_INTERNAL", False)]


@pytest.mark.parametrize("number,status,name,retryable", CODES)
def test_codes_of_providers(http, number, status, name, retryable):
    r = http.invoke("test.pool.fail", {"code": number})
    assert (r.status, r.code, r.error["retryable"]) == (status, name, retryable)
    assert set(r.error) == {"code", "message", "retryable", "details"}
    if number == 11:
        assert r.error["message"] != "as you wished"  # internals stay in the log
    else:
        assert r.error["message"] == "as you wished" and r.error["details"]["why"] == "test"
    if status in (429, 503):
        assert int(r.headers["Retry-After"]) >= 1
        assert r.error["details"]["retry_after_ms"] >= 1
    else:
        assert r.headers["Retry-After"] is None
    if status == 401:
        assert r.headers["WWW-Authenticate"] == "Bearer"


def test_retry_after_is_what_the_provider_says(http):
    r = http.invoke("test.pool.fail", {"code": 10, "retry_after_ms": 2500})
    assert r.headers["Retry-After"] == "3" and r.error["details"]["retry_after_ms"] == 2500


@pytest.mark.parametrize("path", ["hello", "discover", "invoke/" + INFER])
def test_an_empty_body_is_refused(http, path):
    r = http.post("/mig/v0.1/" + path, "")
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")


def test_errors_of_the_capability_chain_pass_through(http):
    r = http.invoke("test.pool.relay", {"capability": "test.pool.fail", "payload": {"code": 4}})
    assert (r.status, r.code) == (404, "MIG_NOT_FOUND")
    assert http.result("test.pool.relay", {"capability": INFER, "payload": {"input": "n"}})[
        "echo"] == {"input": "n"}
    r = http.invoke("test.pool.relay", {"capability": "no.such", "payload": {}})
    assert r.code == "MIG_UNSUPPORTED_CAPABILITY"


def test_a_chain_of_capabilities_has_an_end(http):
    payload = {"capability": "test.pool.mirror", "payload": {}}
    for _ in range(3):
        payload = {"capability": "test.pool.relay", "payload": payload}
    assert http.result("test.pool.relay", payload)["hops"] == 4
    for _ in range(8):
        payload = {"capability": "test.pool.relay", "payload": payload}
    r = http.invoke("test.pool.relay", payload)
    assert (r.code, r.reason) == ("MIG_INVALID_REQUEST", "hop_limit")


# --- in flight --------------------------------------------------------------------------------------

def test_a_message_id_in_flight_is_refused(http, shared):
    mid, before = new_id(), started(http)
    first = in_background(shared, "test.pool.sleep", {"ms": 5000}, message_id=mid)
    wait_started(http, before)
    r = http.invoke(INFER, {"input": "x"}, message_id=mid)
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", "duplicate_message_id")
    assert http.invoke(INFER, {"input": "x"}, tenant="other", message_id=mid).status == 200
    http.cancel(mid)
    assert first().status == 504
    assert http.invoke(INFER, {"input": "x"}, message_id=mid).status == 200


def test_the_deadline_answers_504(http, shared):
    began = time.monotonic()
    r = http.invoke("test.pool.sleep", {"ms": 3000, "deaf": 1}, deadline_ms=100)
    took = time.monotonic() - began
    assert (r.status, r.code, r.error["message"]) == (504, "MIG_TIMEOUT", "deadline exceeded")
    assert r.error["retryable"] is True and r.json["header"]["deadline_ms"] == 100
    assert 0.09 <= took < 0.1 + 0.15 * SLOW


def test_the_capability_has_its_own_deadline(http):
    r = http.invoke("test.pool.hasty", {"ms": 3000})
    assert r.status == 504 and r.json["header"]["deadline_ms"] == 150


def test_the_deadline_of_a_nested_call_is_what_is_left(http):
    r = http.invoke("test.pool.relay", {"capability": "test.pool.mirror", "payload": {}},
                    deadline_ms=700)
    assert r.payload["left_ms"] <= 700


def test_cancel_of_a_running_call(http, shared):
    mid, before = new_id(), http.result("test.pool.status")
    call = in_background(shared, "test.pool.sleep", {"ms": 5000}, message_id=mid)
    wait_started(http, before["started"])
    asked = time.monotonic()
    ack = http.cancel(mid, reason="changed my mind").json
    assert (ack["accepted"], ack["status"], ack["target_message_id"]) == (True, "cancelled", mid)
    r = call()
    assert call.box["ended"] - asked < 0.1 * SLOW
    assert (r.status, r.code, r.error["retryable"]) == (504, "MIG_TIMEOUT", False)
    assert r.error["message"] == "invocation cancelled: changed my mind"
    assert r.error["details"]["reason"] == "cancelled"
    assert r.error["details"]["cancel_reason"] == "changed my mind"
    eventually(lambda: http.result("test.pool.status")["cancelled"] > before["cancelled"])


def test_cancel_answers_at_once_though_the_provider_is_deaf(http, shared):
    mid, before = new_id(), started(http)
    call = in_background(shared, "test.pool.sleep", {"ms": 800, "deaf": 1}, message_id=mid)
    wait_started(http, before)
    asked = time.monotonic()
    assert http.cancel(mid).json["status"] == "cancelled"
    assert call().status == 504 and call.box["ended"] - asked < 0.1 * SLOW


def test_cancel_reaches_nested_calls(http, shared):
    mid, before = new_id(), http.result("test.pool.status")
    call = in_background(shared, "test.pool.relay", {"capability": "test.pool.sleep",
                                                     "payload": {"ms": 5000}}, message_id=mid)
    wait_started(http, before["started"])
    assert http.cancel(mid).json["status"] == "cancelled"
    assert call().status == 504
    eventually(lambda: http.result("test.pool.status")["cancelled"] > before["cancelled"])


def test_cancel_of_a_call_that_waits_for_its_turn(http, shared):
    before = started(http)
    first = in_background(shared, "test.pool.serial", {"ms": 700}, message_id=new_id())
    wait_started(http, before)
    mid = new_id()
    second = in_background(shared, "test.pool.serial", {"ms": 1}, message_id=mid)
    eventually(lambda: http.get("/admin/v0.1/health/detailed").json["inflight"] >= 2)
    asked = time.monotonic()
    assert http.cancel(mid).json["status"] == "cancelled"
    assert second().status == 504 and second.box["ended"] - asked < 0.1 * SLOW
    assert first().status == 200


def test_cancel_of_a_completed_call(http):
    mid = new_id()
    http.invoke(INFER, {"input": "x"}, message_id=mid)
    assert http.cancel(mid).json["status"] == "completed"
    assert http.invoke(INFER, {"input": "x"}, message_id=mid).status == 200


def test_cancel_in_advance(http):
    mid = new_id()
    ack = http.cancel(mid).json
    assert (ack["accepted"], ack["status"]) == (True, "pending")
    assert http.invoke(INFER, {"input": "x"}, tenant="other", message_id=mid).status == 200
    r = http.invoke(INFER, {"input": "x"}, message_id=mid)
    assert (r.status, r.code, r.reason) == (504, "MIG_TIMEOUT", "cancelled")
    assert r.error["retryable"] is False


def test_one_tenant_cannot_cancel_anothers_call(http, shared):
    mid, before = new_id(), started(http)
    call = in_background(shared, "test.pool.sleep", {"ms": 300}, message_id=mid)
    wait_started(http, before)
    assert http.cancel(mid, tenant="rival").json["status"] == "pending"
    assert call().status == 200


def test_the_target_of_cancel(http):
    r = http.mig("cancel/aa", {"target_message_id": "bb"})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")
    assert http.mig("cancel/cc", {"target_message_id": "cc"}).json["target_message_id"] == "cc"
    r = http.post("/mig/v0.1/cancel/dd", "", {"X-Tenant-ID": "acme"})
    assert r.json["status"] == "pending"
    assert http.mig("cancel/a%20b").status == 400
    assert http.mig("cancel/" + "x" * 129).status == 400


def test_a_client_that_leaves_cancels_its_call(http, shared):
    before = http.result("test.pool.status")
    raw = shared.raw()
    body = '{"header":{"tenant_id":"acme"},"payload":{"ms":20000}}'
    raw.send(f"POST /mig/v0.1/invoke/test.pool.sleep HTTP/1.1\r\nHost: x\r\n"
             f"Content-Length: {len(body)}\r\n\r\n{body}")
    wait_started(http, before["started"])
    raw.close()
    eventually(lambda: http.result("test.pool.status")["cancelled"] > before["cancelled"], 3)


# --- how many at a time -----------------------------------------------------------------------------

def test_the_limit_of_a_tenant(http, shared):
    before = started(http)
    calls = [in_background(shared, "test.pool.sleep", {"ms": 20000}, tenant="crowd",
                           message_id=f"crowd-{i}-{before}") for i in range(12)]
    wait_started(http, before, 12)
    r = http.invoke(INFER, {"input": "x"}, tenant="crowd")
    assert (r.status, r.code, r.reason) == (429, "MIG_BACKPRESSURE", "max_inflight_tenant")
    assert r.error["retryable"] is True and int(r.headers["Retry-After"]) >= 1
    assert http.invoke(INFER, {"input": "x"}, tenant="quiet").status == 200
    load = http.mig("heartbeat").json["load_factor"]
    assert load >= 12 / 40
    for i in range(12):
        http.cancel(f"crowd-{i}-{before}", tenant="crowd")
    assert [c().status for c in calls] == [504] * 12
    assert http.invoke(INFER, {"input": "x"}, tenant="crowd").status == 200


def test_the_limit_of_the_node(migd, plugins):
    d = migd({"mig.max_inflight": 3}, drop=[plugins("pool_sleep")])
    calls = [in_background(d, "test.pool.sleep", {"ms": 20000}, tenant=f"t{i}", message_id="m")
             for i in range(3)]
    eventually(lambda: d.http.get("/admin/v0.1/health/detailed").json["inflight"] == 3)
    r = d.http.invoke(INFER, {"input": "x"}, tenant="last")
    assert (r.status, r.code, r.reason) == (429, "MIG_BACKPRESSURE", "max_inflight")
    for i in range(3):
        d.http.cancel("m", tenant=f"t{i}")
    assert [c().status for c in calls] == [504] * 3
    assert d.http.invoke(INFER, {"input": "x"}, tenant="last").status == 200


def test_a_capability_runs_no_more_calls_than_it_says(http, shared):
    began = time.monotonic()
    calls = [in_background(shared, "test.pool.two", {"ms": 100}, tenant=f"two{i}")
             for i in range(6)]
    assert [c().status for c in calls] == [200] * 6
    assert time.monotonic() - began >= 0.29


def test_the_queue_of_a_provider_has_an_end(migd, plugins):
    d = migd({"instance.max_concurrency": 1, "instance.queue": 1}, drop=[plugins("pool_sleep")])
    calls = []
    for i in range(3):
        calls.append(in_background(d, "test.pool.sleep", {"ms": 20000}, message_id=f"q{i}"))
        eventually(lambda: d.http.get("/admin/v0.1/health/detailed").json["inflight"] == min(i + 1, 2))
    last = eventually(lambda: next((c.box["reply"] for c in calls if "reply" in c.box), None))
    assert (last.status, last.code, last.reason) == (429, "MIG_BACKPRESSURE", "instance_queue")
    assert last.headers["Retry-After"] and last.error["details"]["retry_after_ms"] >= 1
    for i in range(3):
        d.http.cancel(f"q{i}")
    assert sorted(c().status for c in calls) == [429, 504, 504]


def test_pool_calls_run_side_by_side(http, shared):
    began = time.monotonic()
    calls = [in_background(shared, "test.pool.sleep", {"ms": 300}) for _ in range(5)]
    assert [c().status for c in calls] == [200] * 5
    assert time.monotonic() - began < 1.2 * SLOW


def test_loops_do_not_wait_for_blocking_handlers(http, shared):
    calls = [in_background(shared, "test.pool.sleep", {"ms": 400, "deaf": 1}, tenant=f"b{i}")
             for i in range(8)]
    worst = 0
    for _ in range(50):
        began = time.monotonic()
        assert http.invoke(INFER, {"input": "x"}).status == 200
        worst = max(worst, time.monotonic() - began)
    assert worst < 0.2 * SLOW
    assert [c().status for c in calls] == [200] * 8


def test_delay_of_echo(http):
    began = time.monotonic()
    assert http.invoke(INFER, {"input": "x", "delay_ms": 120}).status == 200
    assert 0.11 < time.monotonic() - began < 1 * SLOW
    assert http.invoke(INFER, {"input": "x", "delay_ms": 5000}, deadline_ms=60).status == 504
