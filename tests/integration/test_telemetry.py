"""Metrics, traces and audit (mig-core.md 14.2 and 15)."""
import csv
import hashlib
import io
import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from helpers.collector import Collector
from helpers.daemon import SLOW
from helpers.http import eventually
from helpers.metrics import metrics
from helpers.sse import Events

SHARED = {"plugins": ["pool_sleep"]}

INFER = "observatory.models.infer"
SLEEP, HASTY, FAIL, MIRROR, RELAY = ("test.pool." + n for n in
                                     ("sleep", "hasty", "fail", "mirror", "relay"))
RUNNING = "mig_gateway_inflight_invocations"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
INVOCATIONS, REQUESTS = "mig_gateway_invocations_total", "mig_gateway_http_requests_total"


@pytest.fixture
def daemon(migd, plugins):
    """daemon(settings, ...): with the sleeping plugin."""
    return lambda settings=None, **more: migd(settings, drop=[plugins("pool_sleep")], **more)


def export(client, query="", **headers):
    r = client.request("GET", "/pro/v0.1/audit/export" + query, headers=headers)
    assert r.status == 200, r
    return r


def records(client, query=""):
    return export(client, query).json["records"]


def lines_of(path):
    return [json.loads(l) for l in path.read_text().splitlines()]


def start_call(d, capability, payload, **header):
    """A call in a thread of its own; .join() and .reply."""
    class Call(threading.Thread):
        def run(self):
            client = d.client()
            self.reply = client.invoke(capability, payload, **header)
            client.close()

    call = Call()
    call.start()
    return call


def cancelled_call(d, message_id="to-cancel"):
    call = start_call(d, SLEEP, {"ms": 20000}, message_id=message_id)
    eventually(lambda: metrics(d.http).get(RUNNING, capability=SLEEP) == 1)
    assert d.http.cancel(message_id).json["status"] == "cancelled"
    call.join()
    assert call.reply.status == 504
    return call.reply


# --- metrics ----------------------------------------------------------------------------------------

def test_invocations_are_counted_by_outcome(daemon):
    d = daemon()
    for _ in range(3):
        assert d.http.invoke(INFER, {"input": "x"}).status == 200
    d.http.invoke(FAIL, {"code": 8}, tenant="other-one")
    d.http.invoke(FAIL, {"code": 3})
    d.http.invoke(FAIL, {"code": 11})
    d.http.invoke(HASTY, {"ms": 5000})
    d.http.invoke("no.such.thing", {})
    d.http.post("/mig/v0.1/invoke/" + INFER, "{")
    cancelled_call(d)
    m = metrics(d.http)
    rows = [(INFER, "acme", "success", "MIG_OK", 3),
            (FAIL, "other-one", "rate_limited", "MIG_RATE_LIMITED", 1),
            (FAIL, "acme", "denied", "MIG_FORBIDDEN", 1), (FAIL, "acme", "error", "MIG_INTERNAL", 1),
            (HASTY, "acme", "timeout", "MIG_TIMEOUT", 1),
            ("unknown", "acme", "error", "MIG_UNSUPPORTED_CAPABILITY", 1),
            ("unknown", "unknown", "error", "MIG_INVALID_REQUEST", 1),
            (SLEEP, "acme", "cancelled", "MIG_TIMEOUT", 1)]
    for capability, tenant, outcome, code, n in rows:
        assert m.get(INVOCATIONS, capability=capability, tenant=tenant, outcome=outcome,
                     code=code) == n, (capability, outcome)
    assert m.get(INVOCATIONS) == sum(r[4] for r in rows)
    assert m.get("mig_gateway_invocation_duration_seconds_count", capability=INFER) == 3
    assert m.get("mig_gateway_invocation_duration_seconds_bucket", capability=INFER,
                 le="+Inf") == 3
    slow = m.get("mig_gateway_invocation_duration_seconds_sum", capability=HASTY)
    assert 0.14 < slow < 3 * SLOW
    assert m.get("mig_gateway_invocation_duration_seconds_bucket", capability=HASTY,
                 le="0.1") == 0
    assert m.get("mig_gateway_deadline_exceeded_total", capability=HASTY) == 1
    assert m.get("mig_gateway_deadline_exceeded_total") == 1
    assert m.get("mig_gateway_cancellations_total", binding="http", status="cancelled") == 1
    assert m.get("mig_gateway_cancellations_total", binding="http", status="pending") >= 0


def test_errors_are_counted_by_operation(http):
    before = metrics(http)
    http.mig("hello", {"supported_versions": ["9.9"]})
    http.mig("cancel/x", {"reason": 1})
    http.post("/mig/v0.1/publish/nodots", {"header": {"tenant_id": "acme"}, "payload": {}})
    http.post("/mig/v0.1/hello", "")
    http.request("DELETE", "/admin/v0.1/capabilities/none.such")
    http.get("/admin/v0.1/generations", Origin="http://evil.example")
    after = metrics(http)

    def grown(**labels):
        name = "mig_gateway_errors_total"
        return after.get(name, **labels) - before.get(name, **labels)

    assert grown(operation="hello", code="MIG_VERSION_MISMATCH") == 1
    assert grown(operation="hello", code="MIG_INVALID_REQUEST") == 1
    assert grown(operation="cancel", code="MIG_INVALID_REQUEST") == 1
    assert grown(operation="publish", code="MIG_INVALID_REQUEST") == 1
    assert grown(operation="admin", code="MIG_NOT_FOUND") == 1
    assert grown(operation="auth", code="MIG_FORBIDDEN") == 1
    assert grown() == 6


def test_requests_are_counted_by_route_method_and_status(http):
    before = metrics(http)
    http.invoke(INFER, {"input": "x"})
    http.invoke("no.such.thing", {})
    for path in ("/a/b", "/a/c", "/mig/v0.1/nope"):
        http.get(path)
    http.request("PUT", "/mig/v0.1/hello")
    http.request("HEAD", "/health")
    after = metrics(http)

    def grown(**labels):
        return after.get(REQUESTS, **labels) - before.get(REQUESTS, **labels)

    invoke = "/mig/v0.1/invoke/{capability}"
    assert grown(method="POST", path=invoke, status="200") == 1
    assert grown(method="POST", path=invoke, status="404") == 1
    assert grown(method="GET", path="other", status="404") == 3
    assert grown(method="PUT", path="other", status="405") == 1
    assert grown(method="HEAD", path="/health", status="200") == 1
    assert after.get("mig_gateway_http_request_duration_seconds_count", path=invoke) == \
        after.get(REQUESTS, path=invoke)
    bounds = [r["le"] for r in after.rows("mig_gateway_http_request_duration_seconds_bucket")
              if r["path"] == invoke]
    assert bounds == ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5",
                      "10", "+Inf"]


def test_malformed_requests_are_counted_as_other(http, shared):
    before = metrics(http).get(REQUESTS, path="other", status="400")
    with shared.raw() as raw:
        raw.send("GET / HTTP/1.1\r\nno colon\r\n\r\n").reply()
    assert metrics(http).get(REQUESTS, path="other", status="400") == before + 1


def test_what_runs_is_a_gauge(daemon):
    d = daemon()
    assert metrics(d.http).get(RUNNING, capability=SLEEP) == 0
    calls = [start_call(d, SLEEP, {"ms": int(600 * SLOW)}) for _ in range(4)]
    eventually(lambda: metrics(d.http).get(RUNNING, capability=SLEEP) == 4)
    for c in calls:
        c.join()
    assert metrics(d.http).get(RUNNING, capability=SLEEP) == 0


def test_series_are_capped(daemon):
    d = daemon({"mig.metrics_max_series": 20})
    for i in range(60):
        assert d.http.invoke(INFER, {"input": "x"}, tenant=f"tenant-{i}").status == 200
    m = metrics(d.http)
    pairs = {(r["capability"], r["tenant"]) for r in m.rows(INVOCATIONS)}
    assert len(pairs) <= 20 and (INFER, "tenant-0") in pairs and (INFER, "other") in pairs
    assert m.get(INVOCATIONS, capability=INFER) == 60
    again = metrics(d.http)
    assert again.get(INVOCATIONS, tenant="other") == m.get(INVOCATIONS, tenant="other")
    assert {r["tenant_id"] for r in records(d.http)} >= {f"tenant-{i}" for i in range(60)}


def test_counters_survive_a_reload(daemon):
    d = daemon()
    d.http.invoke(INFER, {"input": "x"})
    d.http.reload()
    d.http.invoke(INFER, {"input": "x"})
    m = metrics(d.http)
    assert m.get(INVOCATIONS, capability=INFER) == 2
    assert m.get(REQUESTS, path="/mig/v0.1/invoke/{capability}") == 2


def test_events_and_streams(daemon):
    d = daemon()
    topic = "test.telemetry"
    for _ in range(3):
        d.http.mig("publish/" + topic, {"payload": {"n": 1}})
    with Events(d.address, f"/mig/v0.1/subscribe/{topic}?consumer_id=c1&tenant_id=acme") as s:
        for _ in range(3):
            s.named("mig-event", 10)
        d.http.mig("publish/" + topic, {"payload": {"n": 2}})
        s.named("mig-event", 10)
        m = eventually(lambda: (m := metrics(d.http)).get("mig_gateway_events_delivered_total") == 4
                       and m)
        labels = {"tenant": "acme", "topic": topic}
        assert m.get("mig_gateway_events_published_total", **labels) == 4
        assert m.get("mig_gateway_events_delivered_total", **labels) == 4
        assert m.get("mig_gateway_events_replayed_total", **labels) == 3
        assert m.get("mig_gateway_active_streams", type="sse") == 1
        assert m.get("mig_gateway_event_lag", consumer="c1", **labels) == 0
    eventually(lambda: metrics(d.http).get("mig_gateway_active_streams", type="sse") == 0)
    d.http.mig("publish/" + topic, {"payload": {"n": 3}})
    m = metrics(d.http)
    assert m.get("mig_gateway_event_lag", consumer="c1", **labels) == 1
    assert {r["queue"] for r in m.rows("mig_gateway_queue_depth")} == \
        {"workers", "loops", "store_writes", "store_reads"}
    assert m.get("mig_gateway_pending_acks", queue="events") == 0


def test_streamed_invocations_are_open_streams(migd, plugins):
    d = migd(drop=[plugins("streamer")])
    gauge = "mig_gateway_active_streams"
    body = {"header": {"tenant_id": "acme"}, "payload": {}, "stream_preference": "server_stream"}
    with Events(d.address, "/mig/v0.1/invoke/test.stream.forever", "POST", body,
                {"Accept": "text/event-stream"}) as s:
        s.next(10)
        assert metrics(d.http).get(gauge, type="invoke_sse") == 1
    eventually(lambda: metrics(d.http).get(gauge, type="invoke_sse") == 0)


def test_a_full_node_is_back_pressure(daemon):
    d = daemon({"mig.max_inflight": 1})
    call = start_call(d, SLEEP, {"ms": int(700 * SLOW)})
    eventually(lambda: metrics(d.http).get(RUNNING) == 1)
    assert d.http.invoke(INFER, {"input": "x"}).status == 429
    call.join()
    m = metrics(d.http)
    assert m.get("mig_gateway_backpressure_total", channel="invoke") == 1
    assert m.get(INVOCATIONS, outcome="rate_limited", code="MIG_BACKPRESSURE") == 1


def test_who_was_let_in(daemon):
    d = daemon({"mig.admin_api_key": "k", "mig.metrics_auth": "open",
                "mig.require_tenant_header": True})
    d.http.invoke(INFER, {"input": "x"}, headers={"X-Tenant-ID": "acme"})
    d.http.invoke(INFER, {"input": "x"})
    d.http.admin("generations")
    d.http.get("/admin/v0.1/generations", **{"X-Admin-API-Key": "wrong"})
    d.http.get("/admin/v0.1/generations", **{"X-Admin-API-Key": "k"})
    m = metrics(d.http)
    name = "mig_gateway_auth_decisions_total"
    for decision, reason in [("allow", "anonymous"), ("deny", "tenant_header_required"),
                             ("deny", "authentication_required"), ("allow", "admin_key"),
                             ("deny", "authentication_failed")]:
        assert m.get(name, decision=decision, reason=reason) >= 1, reason


def test_metrics_ask_for_the_key_unless_they_are_open(migd):
    inherit = migd({"mig.admin_api_key": "k"})
    assert inherit.http.get("/metrics").status == 401
    assert inherit.http.get("/metrics", **{"X-Admin-API-Key": "k"}).status == 200
    opened = migd({"mig.admin_api_key": "k", "mig.metrics_auth": "open"})
    assert opened.http.get("/metrics").status == 200
    assert opened.http.admin("generations").status == 401
    none = migd({"mig.enable_metrics": False})
    assert none.http.get("/metrics").status == 404


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool (package prometheus)")
def test_promtool_finds_nothing(daemon):
    d = daemon()
    d.http.invoke(INFER, {"input": "x"})
    d.http.mig("publish/a.b", {"payload": {}})
    d.http.mig("cancel/x")
    d.http.get("/nowhere")
    text = d.http.get("/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


# --- traces -----------------------------------------------------------------------------------------

def test_the_callers_trace_goes_on_in_the_provider(http):
    r = http.invoke(MIRROR, {}, traceparent=PARENT)
    assert r.json["header"]["traceparent"] == PARENT
    trace, span, flags = TRACEPARENT.fullmatch(r.payload["traceparent"]).groups()
    assert trace == PARENT[3:35] and span != PARENT[36:52] and flags == "01"
    again = http.invoke(MIRROR, {}, headers={"traceparent": PARENT})
    assert again.json["header"]["traceparent"] == PARENT
    assert again.payload["traceparent"] != r.payload["traceparent"]


STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"


def test_the_tracestate_goes_with_it(http):
    assert http.invoke(MIRROR, {}, traceparent=PARENT, tracestate=STATE).payload["tracestate"] == STATE
    both = {"traceparent": PARENT, "tracestate": STATE.replace(",", " , ")}
    assert http.invoke(MIRROR, {}, headers=both).payload["tracestate"] == STATE
    r = http.invoke(RELAY, {"capability": MIRROR, "payload": {}}, headers=both)
    assert r.payload["tracestate"] == STATE, "and to nested calls"


@pytest.mark.parametrize("header", [{"tracestate": STATE},
                                    {"tracestate": STATE, "traceparent": "nonsense"},
                                    {"tracestate": "Nonsense", "traceparent": PARENT},
                                    {"tracestate": 5, "traceparent": PARENT}])
def test_a_tracestate_that_does_not_count(http, header):
    r = http.invoke(MIRROR, {}, **header)
    assert r.status == 200 and r.payload["tracestate"] == ""


def test_a_trace_begins_here_when_the_caller_has_none(http):
    seen = set()
    for _ in range(20):
        r = http.invoke(MIRROR, {})
        assert "traceparent" not in r.json["header"]
        trace, span, flags = TRACEPARENT.fullmatch(r.payload["traceparent"]).groups()
        assert flags == "00" and int(trace, 16) and int(span, 16)
        seen |= {trace, span}
    assert len(seen) == 40


def test_a_nested_call_is_a_span_below(http):
    r = http.invoke(RELAY, {"capability": MIRROR, "payload": {}}, traceparent=PARENT)
    trace, span, _ = TRACEPARENT.fullmatch(r.payload["traceparent"]).groups()
    assert trace == PARENT[3:35] and span != PARENT[36:52]


def test_log_lines_of_a_call_name_it(daemon):
    d = daemon()
    r = d.http.invoke(FAIL, {"code": 11}, traceparent=PARENT, message_id="logged-1")
    assert r.status == 500
    line = d.wait_log(lambda l: l.get("event") == "call.internal")
    assert (line["trace_id"], line["message_id"], line["tenant"]) == (PARENT[3:35], "logged-1",
                                                                      "acme")


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.close()


def test_spans_are_exported(daemon, collector):
    d = daemon({"mig.otlp_endpoint": collector.url, "mig.server_id": "node-7"})
    d.http.invoke(RELAY, {"capability": MIRROR, "payload": {}}, traceparent=PARENT,
                  message_id="m-1")
    d.http.invoke(FAIL, {"code": 10}, traceparent=PARENT, message_id="m-2")
    d.http.invoke(INFER, {"input": "x"})  # not sampled
    d.http.mig("publish/a.b", {"payload": {}}, traceparent=PARENT, tracestate=STATE)
    spans = collector.wait(4)
    assert [s.get("traceState") for s in spans].count(STATE) == 1
    assert collector.resource["service.name"] == "migd"
    assert collector.resource["service.instance.id"] == "node-7"
    by_name = {s["name"]: s for s in spans}
    assert set(by_name) == {"invoke " + RELAY, "invoke " + MIRROR, "invoke " + FAIL, "publish"}
    assert {s["traceId"] for s in spans} == {PARENT[3:35]}
    relay, mirror, fail = (by_name["invoke " + n] for n in (RELAY, MIRROR, FAIL))
    assert relay["parentSpanId"] == PARENT[36:52] == fail["parentSpanId"]
    assert mirror["parentSpanId"] == relay["spanId"]
    want = {"mig.capability": RELAY, "mig.tenant_id": "acme", "mig.outcome": "success",
            "mig.code": "MIG_OK", "mig.binding": "http", "mig.message_id": "m-1",
            "mig.operation": "invoke"}
    assert want.items() <= relay["attributes"].items()
    assert fail["status"] == {"code": 2, "message": "MIG_UNAVAILABLE"}
    eventually(lambda: metrics(d.http).get("mig_spans_sent_total") == 4)


def test_the_ratio_decides_when_the_caller_does_not(daemon, collector):
    d = daemon({"mig.otlp_endpoint": collector.url, "mig.trace_ratio": 1})
    for _ in range(5):
        d.http.invoke(INFER, {"input": "x"})
    d.http.invoke(INFER, {"input": "x"}, traceparent=PARENT[:-2] + "00")
    assert len(collector.wait(5)) == 5
    d.write_settings(**{"mig.trace_ratio": 0.5})
    d.http.reload()
    for _ in range(200):
        d.http.invoke(INFER, {"input": "x"})
    eventually(lambda: len(collector.spans) > 50)
    time.sleep(0.5)
    assert 50 < len(collector.spans) < 150


def test_the_exporter_repeats_and_gives_up(daemon, collector):
    collector.answers = [503, 200, 400]
    d = daemon({"mig.otlp_endpoint": collector.url})
    d.http.invoke(INFER, {"input": "x"}, traceparent=PARENT)
    collector.wait(1)
    assert len(collector.requests) == 2  # the first was refused for now
    d.wait_log(lambda l: l.get("event") == "otlp.failed")
    d.http.invoke(INFER, {"input": "x"}, traceparent=PARENT)
    d.wait_log(lambda l: l.get("event") == "otlp.dropped")
    m = metrics(d.http)
    assert m.get("mig_spans_sent_total") == 1 and m.get("mig_spans_dropped_total") == 1
    assert m.get("mig_spans_failures_total") == 2


def test_spans_leave_before_the_daemon_does(daemon, collector):
    d = daemon({}, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/",
                        "OTEL_SERVICE_NAME": "edge",
                        "OTEL_EXPORTER_OTLP_HEADERS": "x-token=abc"})
    d.http.invoke(INFER, {"input": "x"}, traceparent=PARENT)
    d.signal(signal.SIGTERM)
    assert d.wait(20 * SLOW) == 0
    collector.wait(1)
    assert collector.resource["service.name"] == "edge"
    assert collector.requests[0][1]["x-token"] == "abc"


def test_a_collector_that_hangs_holds_nobody_up(daemon):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        d = daemon({"mig.otlp_endpoint": "http://127.0.0.1:%d" % deaf.getsockname()[1]})
        for _ in range(50):
            assert d.http.invoke(INFER, {"input": "x"}, traceparent=PARENT).status == 200
        time.sleep(0.5)
        began = time.monotonic()
        d.signal(signal.SIGTERM)
        assert d.wait(20 * SLOW) == 0
        assert time.monotonic() - began < 6 * SLOW


# --- audit ------------------------------------------------------------------------------------------

def test_every_outcome_has_its_record(daemon):
    d = daemon({"mig.audit_log_path": "audit.jsonl"})
    path = d.dir / "audit.jsonl"
    d.http.invoke(INFER, {"input": "x"}, message_id="ok", traceparent=PARENT,
                  headers={"X-Actor": "alice"})
    d.http.invoke(FAIL, {"code": 10}, message_id="unavailable")
    d.http.invoke(FAIL, {"code": 3}, message_id="forbidden")
    d.http.invoke(FAIL, {"code": 8}, message_id="limited")
    d.http.invoke(HASTY, {"ms": 5000}, message_id="late")
    cancelled_call(d, "cancelled")
    d.http.invoke("no.such.thing", {}, message_id="none", tenant="umbrella")
    d.http.invoke(RELAY, {"capability": MIRROR, "payload": {}}, message_id="outer")
    d.http.invoke(INFER, {"input": "x"}, tenant=None, headers={"X-Tenant-ID": "a b"})
    wanted = {"ok": "success", "unavailable": "error", "forbidden": "denied",
              "limited": "rate_limited", "late": "timeout", "cancelled": "cancelled",
              "none": "error", "outer": "success"}
    found = records(d.http)
    by_id = {r["message_id"]: r for r in found}
    assert {k: by_id[k]["outcome"] for k in wanted} == wanted
    ok = by_id["ok"]
    assert (ok["actor"], ok["tenant_id"], ok["capability"]) == ("alice", "acme", INFER)
    assert (ok["operation"], ok["binding"], ok["decision"]) == ("invoke", "http", "allow")
    assert ok["traceparent"] == PARENT and "error_code" not in ok
    assert re.fullmatch(r"127\.0\.0\.1:\d+", ok["remote_addr"]) and ok["duration_ms"] >= 0
    assert by_id["late"]["error_code"] == "MIG_TIMEOUT" and by_id["late"]["duration_ms"] > 100
    assert by_id["forbidden"]["decision"] == "deny"
    assert by_id["none"]["capability"] == "no.such.thing"
    nested = [r for r in found if r["capability"] == MIRROR]
    assert [r["binding"] for r in nested] == ["internal"]
    times = [r["timestamp"] for r in found]
    assert times == sorted(times)
    eventually(lambda: len(lines_of(path)) == len(found))
    assert lines_of(path) == found
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


def test_what_operators_do_is_recorded(daemon):
    d = daemon({"mig.admin_api_key": "k"})
    key = {"X-Admin-API-Key": "k", "X-Actor": "root@laptop"}
    d.http.request("POST", "/admin/v0.1/reload", headers=key)
    d.http.request("GET", "/admin/v0.1/generations", headers=key)
    d.http.request("DELETE", "/admin/v0.1/capabilities/none.such", headers=key)
    d.http.get("/admin/v0.1/generations")
    found = export(d.http, **{"X-Admin-API-Key": "k"}).json["records"]
    seen = [(r["operation"], r["target"], r["outcome"], r["decision"]) for r in found]
    assert seen == [
        ("admin", "POST /admin/v0.1/reload", "success", "allow"),
        ("admin", "DELETE /admin/v0.1/capabilities/none.such", "error", "allow"),
        ("admin", "GET /admin/v0.1/generations", "denied", "deny")]
    assert found[0]["actor"] == "root@laptop" and found[2]["error_code"] == "MIG_UNAUTHORIZED"
    assert all(r["message_id"] and r["remote_addr"] for r in found)


def test_denials_of_other_operations_are_recorded(daemon):
    d = daemon({"mig.require_tenant_header": True})
    d.http.mig("publish/a.b", {"payload": {}}, message_id="p")
    d.http.mig("discover", message_id="d")
    d.http.mig("hello", headers={"X-Tenant-ID": "acme"}, message_id="fine")
    assert [(r["operation"], r["message_id"], r["outcome"]) for r in records(d.http)] == [
        ("publish", "p", "denied"), ("discover", "d", "denied")]


def test_export_filters(daemon):
    d = daemon()
    for i in range(4):
        d.http.invoke(INFER, {"input": "x"}, tenant="acme" if i % 2 else "umbrella",
                      message_id=f"m{i}")
    d.http.invoke(FAIL, {"code": 10}, message_id="bad")

    def ids(query):
        return [r["message_id"] for r in records(d.http, query)]

    assert ids("") == ["m0", "m1", "m2", "m3", "bad"]
    assert ids("?tenant_id=acme") == ["m1", "m3", "bad"]
    assert ids("?tenant_id=umbrella") == ["m0", "m2"]
    assert ids("?tenant_id=nobody") == []
    assert ids("?outcome=error&tenant_id=acme") == ["bad"]
    assert ids("?limit=2") == ["m0", "m1"]
    assert ids("?since=2100-01-01T00:00:00Z") == [] and ids("?until=2000-01-01T00:00:00Z") == []
    assert len(ids("?since=2000-01-01T00:00:00%2B01:00&until=2100-01-01T00:00:00.5Z")) == 5
    middle = records(d.http)[2]["timestamp"]
    assert ids("?since=" + middle)[-3:] == ["m2", "m3", "bad"]
    for query in ("?outcome=good", "?limit=0", "?limit=x", "?format=xml", "?since=yesterday",
                  "?until=2026-13-01T00:00:00Z"):
        r = d.http.get("/pro/v0.1/audit/export" + query)
        assert r.status == 400 and r.reason == query[1:].split("=")[0]
    assert d.http.request("POST", "/pro/v0.1/audit/export").status == 405


def test_export_formats(daemon):
    d = daemon()
    d.http.invoke(INFER, {"input": "x"}, headers={"X-Actor": '=cmd|" /C calc"!A1'})
    d.http.invoke(INFER, {"input": "x"}, headers={"X-Actor": "a,b\"c"})
    d.http.invoke(INFER, {"input": "x"}, headers={"X-Actor": "Zoë".encode()})
    found = records(d.http)
    assert [r["actor"] for r in found] == ['=cmd|" /C calc"!A1', 'a,b"c', "Zoë"]
    nd = export(d.http, "?format=ndjson")
    assert nd.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(l) for l in nd.body.decode().splitlines()] == found
    sheet = export(d.http, "?format=csv")
    assert sheet.headers["Content-Type"].startswith("text/csv")
    text = sheet.body.decode()
    assert text.count("\r\n") == 4 and "\n" not in text.replace("\r\n", "")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [r["actor"] for r in rows] == ["'=cmd|\" /C calc\"!A1", 'a,b"c', "Zoë"]
    for row, record in zip(rows, found):
        assert row["message_id"] == record["message_id"] and row["outcome"] == "success"


def test_memory_keeps_the_last_ones(daemon):
    d = daemon({"mig.audit_max": 10})
    for i in range(25):
        d.http.invoke(INFER, {"input": "x"}, message_id=f"m{i}")
    assert [r["message_id"] for r in records(d.http)] == [f"m{i}" for i in range(15, 25)]
    assert metrics(d.http).get("mig_audit_memory_records") == 10
    d.write_settings(**{"mig.audit_max": 0})
    d.http.reload()
    d.http.invoke(INFER, {"input": "x"})
    assert records(d.http) == []
    assert metrics(d.http).get("mig_audit_memory_records") == 0


def check_chain(paths):
    before = "0" * 64
    count = 0
    for path in paths:
        for line in path.read_bytes().splitlines():
            assert json.loads(line)["prev"] == before
            before = hashlib.sha256(line).hexdigest()
            count += 1
    return count


def test_the_chain_holds_over_rotation_and_restart(daemon):
    settings = {"mig.audit_log_path": "audit.jsonl", "mig.audit_chain": True,
                "mig.audit_max_bytes": 4096, "mig.audit_keep": 50}
    d = daemon(settings)
    for i in range(40):
        d.http.invoke(INFER, {"input": "x"}, message_id=f"m{i}")
    d.signal(signal.SIGTERM)
    assert d.wait(20 * SLOW) == 0
    d.lines.clear()
    d.start()
    for i in range(40, 50):
        d.http.invoke(INFER, {"input": "x"}, message_id=f"m{i}")
    d.signal(signal.SIGTERM)
    assert d.wait(20 * SLOW) == 0
    files = sorted(d.dir.glob("audit.jsonl.*"), key=lambda p: -int(p.suffix[1:]))
    assert len(files) >= 3 and all(f.stat().st_size <= 4096 for f in files)
    assert check_chain([*files, d.dir / "audit.jsonl"]) == 50


def test_only_so_many_files_are_kept(daemon):
    d = daemon({"mig.audit_log_path": "audit.jsonl", "mig.audit_max_bytes": 2048,
                "mig.audit_keep": 2})
    for i in range(60):
        d.http.invoke(INFER, {"input": "x"}, message_id=f"m{i}")
    d.signal(signal.SIGTERM)  # while it moves files, the first one is missing for a moment
    d.wait()
    files = {p.name: p.read_text() for p in d.dir.glob("audit.jsonl*")}
    assert set(files) == {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"}
    assert '"m59"' in files["audit.jsonl"] + files["audit.jsonl.1"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_the_file_is_opened_again(daemon, number):
    d = daemon({"mig.audit_log_path": "audit.jsonl"})
    path, moved = d.dir / "audit.jsonl", d.dir / "moved"
    d.http.invoke(INFER, {"input": "x"}, message_id="before")
    eventually(lambda: path.exists() and "before" in path.read_text())
    path.rename(moved)
    d.signal(number)
    eventually(path.exists)
    d.http.invoke(INFER, {"input": "x"}, message_id="after")
    eventually(lambda: "after" in path.read_text())
    assert "after" not in moved.read_text()


def test_a_failed_write_is_told_and_fails_no_call(daemon):
    d = daemon({"mig.audit_log_path": "/dev/full"})
    for _ in range(3):
        assert d.http.invoke(INFER, {"input": "x"}).status == 200
    line = d.wait_log(lambda l: l.get("event") == "audit.write")
    assert line["level"] == "error" and line["path"] == "/dev/full"
    m = eventually(lambda: (m := metrics(d.http)).get("mig_audit_dropped_total") == 3 and m)
    assert m.get("mig_audit_write_errors_total") >= 1
    assert len(records(d.http)) == 3  # memory has them


def test_required_refuses_calls_until_it_can_write(daemon):
    """A small RLIMIT_FSIZE is a full disk that can be made larger again."""
    d = daemon({"mig.audit_log_path": "audit.jsonl", "mig.audit_required": True,
                "mig.audit_chain": True})
    path = d.dir / "audit.jsonl"
    d.http.invoke(INFER, {"input": "x"}, message_id="first")
    eventually(lambda: "first" in path.read_text())
    pid = d.process.pid

    def limit(n):
        subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={n}"], check=True)

    limit(f"{path.stat().st_size + 100}:unlimited")
    assert d.http.invoke(INFER, {"input": "x"}, message_id="second").status == 200
    eventually(lambda: metrics(d.http).get("mig_audit_blocked") == 1)
    r = d.http.invoke(INFER, {"input": "x"}, message_id="third")
    assert (r.status, r.code, r.reason) == (503, "MIG_UNAVAILABLE", "audit")
    assert len(path.read_text().splitlines()) == 1  # nothing torn
    limit("unlimited:unlimited")
    eventually(lambda: metrics(d.http).get("mig_audit_blocked") == 0)
    assert d.http.invoke(INFER, {"input": "x"}, message_id="fourth").status == 200
    eventually(lambda: len(lines_of(path)) == 4)
    assert [l["message_id"] for l in lines_of(path)] == ["first", "second", "third", "fourth"]
    assert check_chain([path]) == 4


def test_a_file_that_cannot_be_opened_refuses_the_start(daemon):
    d = daemon({"mig.audit_log_path": "/nowhere/audit.jsonl"}, start=False, exit_code=1)
    with pytest.raises(AssertionError):
        d.start(within=5)
    assert any("/nowhere/audit.jsonl" in l.get("text", "") for l in d.lines)


def test_nothing_is_lost_between_many_loops(daemon):
    d = daemon({"mig.audit_log_path": "audit.jsonl", "loops": 4})
    path = d.dir / "audit.jsonl"

    def work(n):
        client = d.client()
        for i in range(100):
            assert client.invoke(INFER, {"input": "x"}, message_id=f"{n}-{i}").status == 200

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    want = {f"{n}-{i}" for n in range(8) for i in range(100)}
    eventually(lambda: len(path.read_text().splitlines()) >= 800)
    assert {l["message_id"] for l in lines_of(path)} == want
    found = records(d.http)
    assert {r["message_id"] for r in found} == want
    assert [r["timestamp"] for r in found] == sorted(r["timestamp"] for r in found)
