"""HELLO, DISCOVER, HEARTBEAT (mig-core.md 5.1, 5.2, 5.7)."""
import pytest

SHARED = {"plugins": ["pool_sleep", "counter"], "settings": {"mig.server_id": "test-1"}}

INFER = "observatory.models.infer"


# --- HELLO ------------------------------------------------------------------------------------------

def test_hello(http):
    r = http.mig("hello", {"supported_versions": ["0.1"], "requested_bindings": ["http"],
                           "requested_features": ["cancel"]})
    assert r.status == 200
    body = r.json
    assert set(body) == {"header", "selected_version", "selected_binding", "enabled_features",
                         "server_id"}
    assert (body["selected_version"], body["selected_binding"], body["server_id"]) == (
        "0.1", "http", "test-1")
    assert body["enabled_features"] == ["cancel"]
    assert body["header"]["meta"]["mig.profile"]


@pytest.mark.parametrize("versions,ok", [
    ([], True), (None, True), (["0.1"], True), ([" 0.1 "], True), (["9.9", "0.1", "1.0"], True),
    (["0.2"], False), (["1.0", "0.2"], False), (["0.10"], False), ([""], False)])
def test_versions(http, versions, ok):
    r = http.mig("hello", {"supported_versions": versions})
    if ok:
        assert r.json["selected_version"] == "0.1"
    else:
        assert (r.status, r.code, r.error["message"]) == (400, "MIG_VERSION_MISMATCH",
                                                         "no compatible MIG version")


@pytest.mark.parametrize("bindings", [["http"], ["HTTP"], [" Http "], ["grpc", "http"], ["nats"],
                                      ["carrier-pigeon"], [], None])
def test_bindings_that_are_not_enabled_are_never_selected(http, bindings):
    assert http.mig("hello", {"requested_bindings": bindings}).json["selected_binding"] == "http"


def test_features_keep_the_order_asked_without_repeats(http):
    asked = ["heartbeat", "teleport", "cancel", "heartbeat", "websocket", "cancel"]
    enabled = http.mig("hello", {"requested_features": asked}).json["enabled_features"]
    assert enabled[:2] == ["heartbeat", "cancel"] and len(enabled) == len(set(enabled))
    assert "teleport" not in enabled and enabled[2] == "websocket"
    asked = ["telemetry", "schema-registry", "idempotency"]
    assert http.mig("hello", {"requested_features": asked}).json["enabled_features"] == asked


def test_hello_is_deterministic(http):
    ask = {"supported_versions": ["0.1"], "requested_features": ["cancel", "heartbeat"]}
    answers = [http.mig("hello", ask, message_id="h", timestamp="2026-01-01T00:00:00Z").body
               for _ in range(5)]
    assert len(set(answers)) == 1


@pytest.mark.parametrize("member", ["supported_versions", "requested_bindings",
                                    "requested_features"])
@pytest.mark.parametrize("value", ["0.1", 1, {}, [1], [None], [["0.1"]]])
def test_wrong_types_in_hello(http, member, value):
    r = http.mig("hello", {member: value})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")


# --- DISCOVER ---------------------------------------------------------------------------------------

def test_discover(http):
    caps = http.mig("discover").json["capabilities"]
    ids = [c["id"] for c in caps]
    assert ids == sorted(ids, key=str.encode) and INFER in ids and "test.pool.sleep" in ids
    for c in caps:
        assert set(c) >= {"id", "version", "modes", "input_schema_uri", "output_schema_uri",
                          "event_topics", "auth_scopes", "qos"}
        assert isinstance(c["modes"], list) and c["modes"]
        assert isinstance(c["auth_scopes"], list) and isinstance(c["event_topics"], list)
        assert isinstance(c["qos"], dict)
        assert c["input_schema_uri"] and c["output_schema_uri"]


def test_the_descriptor_of_the_default_capability(http):
    c = next(c for c in http.mig("discover").json["capabilities"] if c["id"] == INFER)
    assert c == {"id": INFER, "version": "1.0.0", "modes": ["unary", "server_stream"],
                 "input_schema_uri": "schema://observatory/models/infer-input/v1",
                 "output_schema_uri": "schema://observatory/models/infer-output/v1",
                 "event_topics": ["observatory.inference.completed"],
                 "auth_scopes": ["capability:infer"],
                 "qos": {"max_payload_bytes": 1048576, "supports_replay": True,
                         "delivery_semantics": "at_least_once", "supports_ordering": True},
                 **{k: c[k] for k in set(c) - {"id", "version", "modes", "input_schema_uri",
                                               "output_schema_uri", "event_topics", "auth_scopes",
                                               "qos"}}}


@pytest.mark.parametrize("query,found", [("INFER", True), ("completed", True), ("models.in", True),
                                         ("", True), (None, True), ("zebra", False)])
def test_query(http, query, found):
    ids = [c["id"] for c in http.mig("discover", {"query": query}).json["capabilities"]]
    assert (INFER in ids) == found
    if query == "INFER":
        assert ids == [INFER]


@pytest.mark.parametrize("refs", [True, False])
@pytest.mark.parametrize("qos", [True, False])
def test_parts_can_be_left_out(http, refs, qos):
    ask = {"include_schema_refs": refs, "include_qos": qos}
    for c in http.mig("discover", ask).json["capabilities"]:
        assert (c["input_schema_uri"] != "") == refs and (c["output_schema_uri"] != "") == refs
        if c["id"] == INFER:
            assert (c["qos"] != {}) == qos


@pytest.mark.parametrize("member,value", [("query", 5), ("query", ["a"]),
                                          ("include_qos", "yes"), ("include_schema_refs", 1)])
def test_wrong_types_in_discover(http, member, value):
    r = http.mig("discover", {member: value})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST")


def test_without_bootstrap_the_default_capability_is_absent(migd):
    d = migd({"mig.bootstrap": False})
    assert d.http.ids() == []
    assert d.http.invoke(INFER, {"input": "x"}).code == "MIG_UNSUPPORTED_CAPABILITY"


# --- HEARTBEAT --------------------------------------------------------------------------------------

@pytest.mark.parametrize("asked,suggested", [
    (None, 5000), (0, 5000), (-1, 5000), (1, 1000), (999, 1000), (1000, 1000), (7777, 7777),
    (60000, 60000), (60001, 60000), (10**12, 60000)])
def test_heartbeat(http, asked, suggested):
    body = http.mig("heartbeat", {} if asked is None else {"interval_ms": asked}).json
    assert body["suggested_interval_ms"] == suggested
    assert 0 <= body["load_factor"] <= 1
    assert set(body) == {"header", "suggested_interval_ms", "load_factor"}


@pytest.mark.parametrize("value", ["5000", 1.5, [], True])
def test_wrong_types_in_heartbeat(http, value):
    assert http.mig("heartbeat", {"interval_ms": value}).status == 400


def test_heartbeat_takes_an_empty_body(http):
    r = http.post("/mig/v0.1/heartbeat", "", {"X-Tenant-ID": "acme"})
    assert r.status == 200 and r.json["suggested_interval_ms"] == 5000


@pytest.mark.parametrize("operation", ["hello", "discover", "heartbeat", "cancel/x"])
def test_every_operation_resolves_the_tenant(http, operation):
    assert http.mig(operation, tenant=None).error["message"] == "tenant_id is required"
    r = http.mig(operation, tenant="a", headers={"X-Tenant-ID": "b"})
    assert (r.status, r.code) == (403, "MIG_FORBIDDEN")
    assert http.mig(operation, mig_version="7").code == "MIG_VERSION_MISMATCH"
