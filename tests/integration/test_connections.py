"""Who is connected, and ending it (mig-core.md 14.1); sessions that fall silent (5.7)."""
import base64
import os
import re
import time

import pytest
from helpers.daemon import SLOW
from helpers.http import Raw, eventually
from helpers.sse import Events
from test_identity import SECRET, bearer, token

INFER = "observatory.models.infer"


def subscribe(d, topic="a.topic", query="", tenant="acme", **headers):
    return Events(d.address, f"/mig/v0.1/subscribe/{topic}{query}",
                  headers={"X-Tenant-ID": tenant, **headers})


def websocket(d, tenant="acme"):
    raw = Raw(d.address)
    key = base64.b64encode(os.urandom(16)).decode()
    raw.send(f"GET /mig/v0.1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
             + (f"X-Tenant-ID: {tenant}\r\n" if tenant else "") + "\r\n")
    assert b" 101 " in raw.until(b"\r\n\r\n").split(b"\r\n")[0]
    return raw


def streaming(d, tenant="acme", **header):
    return Events(d.address, f"/mig/v0.1/invoke/{INFER}", "POST",
                  {"header": {"tenant_id": tenant, **header}, "stream_preference": "server_stream",
                   "payload": {"input": "x", "delay_ms": 1000, "stream_chunks": 50}},
                  {"Accept": "text/event-stream", "X-Actor": "bob"})


def listed(d, query="", headers=None):
    r = d.http.request("GET", "/admin/v0.1/connections" + query, headers=headers)
    assert r.status == 200, r
    return r.json


def test_nothing_long_lived_nothing_listed(migd):
    d = migd()
    told = listed(d)
    assert told["connections"] == [] and told["summary"] == {
        "total": 0, "by_protocol": {}, "by_kind": {}, "by_tenant": {}, "nats_binding_active": False}
    assert set(told) == {"generated_at", "summary", "connections"}


def test_kinds_and_filters(migd):
    d = migd()
    with subscribe(d, "a.topic", "?resume_cursor=0") as one, subscribe(d, "b.topic", tenant="other") as two, \
            websocket(d), websocket(d, tenant=None), streaming(d) as three:
        assert (one.status, two.status, three.status) == (200, 200, 200)
        told = listed(d)
        assert told["summary"] == {
            "total": 5, "by_protocol": {"http": 3, "websocket": 2},
            "by_kind": {"sse_subscribe": 2, "ws_stream": 2, "invoke_sse": 1},
            "by_tenant": {"acme": 3, "other": 1, "unknown": 1}, "nats_binding_active": False}
        started = [c["started_at"] for c in told["connections"]]
        assert started == sorted(started, reverse=True)
        assert len({c["id"] for c in told["connections"]}) == 5
        for c in told["connections"]:
            assert re.fullmatch(r"conn-[0-9a-f]{12}", c["id"])
            assert re.fullmatch(r"127\.0\.0\.1:\d+", c["remote_addr"]) and c["actor"]
        by = {(c["kind"], c["tenant_id"]): c for c in told["connections"]}
        assert by["sse_subscribe", "acme"]["meta"] == {"topic": "a.topic", "resume_cursor": "0"}
        assert by["sse_subscribe", "other"]["meta"] == {"topic": "b.topic", "resume_cursor": ""}
        assert by["ws_stream", "acme"]["meta"] == {"path": "/mig/v0.1/stream"}
        assert by["invoke_sse", "acme"]["actor"] == "bob"
        told = listed(d, "?tenant_id=acme&kind=sse_subscribe&protocol=http")
        assert told["summary"]["total"] == 1 and len(told["connections"]) == 1
        assert (told["filter_tenant"], told["filter_kind"], told["filter_protocol"]) == (
            "acme", "sse_subscribe", "http")
        assert listed(d, "?tenant_id=nobody")["summary"]["total"] == 0
        assert listed(d, "?kind=ws%5Fstream")["summary"]["total"] == 2
    eventually(lambda: listed(d)["summary"]["total"] == 0, what="those that left are gone")


def close(d, kind):
    id = listed(d, "?kind=" + kind)["connections"][0]["id"]
    r = d.http.delete("/admin/v0.1/connections/" + id)
    assert (r.status, r.json) == (202, {"id": id, "status": "closing"})
    eventually(lambda: not listed(d, "?kind=" + kind)["connections"])
    assert d.http.delete("/admin/v0.1/connections/" + id).status == 404


def test_closing_ends_with_a_record(migd):
    d = migd()
    with subscribe(d) as s:
        assert s.next().name == "retry"
        close(d, "sse_subscribe")
        last = s.next(5)
        assert (last.name, last.json["type"], last.json["reason"]) == (
            "mig-control", "closing", "closed_by_operator")
        assert s.next(5) is None
    with streaming(d) as s:
        close(d, "invoke_sse")
        while (event := s.next(5)).json["kind"] != "error":
            pass
        assert event.json["end_stream"] is True and s.next(5) is None
    with websocket(d) as raw:
        close(d, "ws_stream")
        frame = raw.exactly(4)
        assert frame[0] == 0x88 and int.from_bytes(frame[2:4], "big") == 1001


@pytest.mark.parametrize("id", ["conn-000000000000", "conn-00000000000g", "conn-1", "x", "conn-" + "0" * 40])
def test_no_such_connection(http, id):
    r = http.delete("/admin/v0.1/connections/" + id)
    assert (r.status, r.code, r.reason) == (404, "MIG_NOT_FOUND", "connection_not_found")


def test_plain_tokens_see_their_tenant(migd):
    d = migd({"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET, "admin_api_key": "k"}})
    mine, other = bearer(token()), bearer(token(tenant_id="other"))
    with Events(d.address, "/mig/v0.1/subscribe/a.topic", headers=mine) as s:
        assert s.status == 200
        assert listed(d, headers=mine)["summary"]["by_tenant"] == {"acme": 1}
        assert listed(d, headers=other)["summary"]["total"] == 0
        assert listed(d, "?tenant_id=acme", headers=other)["connections"] == []
        id = listed(d, headers=mine)["connections"][0]["id"]
        assert d.http.request("DELETE", "/admin/v0.1/connections/" + id, headers=mine).status == 403
        assert d.http.request("DELETE", "/admin/v0.1/connections/" + id,
                              headers={"X-Admin-API-Key": "k"}).status == 202


# --- sessions ---------------------------------------------------------------------------------------

def beat(d, session, tenant="acme"):
    assert d.http.mig("heartbeat", {"interval_ms": 1000}, tenant, session_id=session).status == 200


def test_a_silent_session_loses_its_streams(migd):
    d = migd({"mig.heartbeat_action": "close", "mig.heartbeat_missed_limit": 1})
    beat(d, "s1"), beat(d, "s1", "other")
    began = time.monotonic()
    with subscribe(d, **{"MIG-Session-ID": "s1"}) as mine, subscribe(d) as free, \
            streaming(d, session_id="s1") as call:
        while (event := call.next(10)).json["kind"] != "error":
            pass
        assert time.monotonic() - began > 0.9, "not before its time"
        assert "heartbeat" in event.json["error"]["message"]
        assert mine.next().name == "retry"
        assert mine.next(5).name == "mig-error" and mine.next(5) is None
        assert listed(d)["summary"]["total"] == 1, "streams without that session go on"
        assert free.next().name == "retry"


def test_heartbeats_keep_it(migd):
    d = migd({"mig.heartbeat_action": "close", "mig.heartbeat_missed_limit": 2})
    beat(d, "s1")
    with subscribe(d, **{"MIG-Session-ID": "s1"}) as mine:
        end = time.monotonic() + 3.5 * SLOW
        while time.monotonic() < end:
            beat(d, "s1")
            time.sleep(0.3)
        assert listed(d)["summary"]["total"] == 1 and mine.next().name == "retry"


def test_without_the_action_nothing_is_closed(migd):
    d = migd({"mig.heartbeat_missed_limit": 1})
    beat(d, "s1")
    with subscribe(d, **{"MIG-Session-ID": "s1"}):
        d.wait_log(lambda l: l.get("event") == "session.missing", 10 * SLOW)
        assert listed(d)["summary"]["total"] == 1


# --- what it declares -------------------------------------------------------------------------------

def test_the_node_checks_itself(migd):
    d = migd()
    told = d.http.admin("health/conformance").json
    assert told["core"] and told["streaming"] and told["evented"], told
    names = [c["name"] for c in told["checks"]]
    assert len(names) == len(set(names)) and {"invoke", "stream.cancel", "subscribe", "metrics"} <= set(names)
    metrics = d.http.get("/metrics").body
    counted = all(b"\nmig_gateway_%s_total{" % name in metrics for name in (b"invocations", b"errors"))
    assert all(c["ok"] is (c["name"] != "metrics" or counted) for c in told["checks"]), told
    assert told["full"] is counted and told["profile"] == ("full" if counted else "streaming")
    assert d.http.admin("health/conformance").json == told, "kept for five seconds"
    assert listed(d)["summary"]["total"] == 0


def test_the_checks_tell_when_something_does_not_work(migd):
    """A capability that takes nothing of what they send."""
    d = migd()
    strict = {"uri": "schema://strict/v1", "schema": {"type": "object", "required": ["something else"]}}
    assert d.http.admin("schemas", "POST", strict).status == 201
    descriptor = d.http.admin("capabilities/observatory.models.infer").json
    descriptor["input_schema_uri"] = strict["uri"]
    assert d.http.admin("capabilities", "POST", {"descriptor": descriptor}).status == 201
    told = d.http.admin("health/conformance").json
    assert (told["core"], told["full"], told["profile"]) == (False, False, "none"), told
    bad = {c["name"]: c["message"] for c in told["checks"] if not c["ok"]}
    assert {"invoke", "stream"} <= set(bad) and "hello" not in bad and bad["invoke"]


@pytest.mark.parametrize("settings", [
    {"mig.require_tenant_header": True, "mig.bootstrap": False}, {"mig.unbound_provider": "unavailable"}])
def test_what_cannot_be_checked_is_left_out(migd, settings):
    told = migd(settings).http.admin("health/conformance").json
    assert told["core"] and told["streaming"] and told["evented"], told
    assert "left out" in next(c["message"] for c in told["checks"] if c["name"] == "invoke")
