"""The eleven codes where an INVOKE can fail: as a plain answer, in an event stream, among gathered frames, over
WebSocket; and what else a WebSocket or a subscription is refused for (mig-core.md 5.3, 6, 7, 10)."""
import threading
import uuid

import pytest
from helpers.daemon import SLOW, Daemon
from helpers.errors import CODES, SHAPES, STATUS, check_envelope, check_reply, invoke_in
from helpers.events import fill, subscribe
from helpers.http import eventually
from helpers.ws import Socket
from test_identity import SECRET, bearer, token

INFER, RUN = "observatory.models.infer", "test.tally.run"
ALWAYS = 10**9
SHARED = {"plugins": ["tally", "hostile", "streamer"], "settings": {
    "loops": 2, "mig.max_inflight_tenant": 2, "mig.replay_quota": 5, "mig.heartbeat_action": "close",
    "mig.heartbeat_missed_limit": 1}}


@pytest.fixture(scope="module")
def d(shared):
    http = shared.http
    fill(shared, "matrix.replayed", 9)
    http.post("/pro/v0.1/quotas", {"tenant_id": "spent", "max_invocations": 1})
    assert http.invoke(INFER, {"input": "x"}, tenant="spent").status == 200
    for id in ("held-1", "held-2"):
        client = shared.client()
        threading.Thread(target=client.invoke, args=(INFER, {"input": "x", "delay_ms": 60000}), daemon=True,
                         kwargs={"tenant": "full", "message_id": id, "deadline_ms": 120000}).start()
    eventually(lambda: http.admin("health/detailed").json["inflight"] == 2)
    yield shared
    for id in ("held-1", "held-2"):
        http.cancel(id, tenant="full")


@pytest.fixture(scope="module")
def jwt(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("jwt") / "migd", {"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET}})
    d.start()
    yield d
    assert not d.faults()


# --- INVOKE -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number, code", list(enumerate(CODES, 1)))
def test_codes_of_providers(d, shape, number, code):
    """A stream has begun by then: three frames went before."""
    mid = uuid.uuid4().hex
    out = invoke_in(shape, d, RUN, {"error": number, "until": ALWAYS}, {"tenant_id": "acme", "message_id": mid})
    check_envelope(out.envelope, code, message_id=mid)
    assert (out.reply is None) == (shape in ("sse", "ws"))
    if out.reply:
        check_reply(out.reply, code, message_id=mid)
    assert (out.envelope["error"]["message"] == "as asked") == (code != "MIG_INTERNAL"), "its text is in the log"
    assert out.envelope["error"]["details"]["why"] == "asked"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("retry, code, expected", [(1, "MIG_NOT_FOUND", True), (2, "MIG_UNAVAILABLE", False)])
def test_a_provider_says_what_may_be_repeated(d, shape, retry, code, expected):
    payload = {"error": CODES.index(code) + 1, "until": ALWAYS, "retry": retry, "after_ms": 2500}
    out = invoke_in(shape, d, RUN, payload, {"tenant_id": "acme"})
    check_envelope(out.envelope, code, retryable=expected)
    assert out.envelope["error"]["details"]["retry_after_ms"] == 2500


X = {"input": "x"}
SLOWLY = {"input": "x", "delay_ms": 500, "stream_chunks": 20}
# What the host refuses or ends: code, reason, capability, payload, header; may the caller try again?
CAUSES = {
    "schema": ("MIG_INVALID_REQUEST", "schema_violation", INFER, {"input": 1}, {}),
    "size": ("MIG_INVALID_REQUEST", "payload_too_large", INFER, {"input": "x" * 1048576}, {}),
    "payload": ("MIG_INVALID_REQUEST", "invalid_payload", INFER, [1], {}),
    "mode": ("MIG_INVALID_REQUEST", "mode_not_supported", "test.stream.sum_pool", {}, {}),
    "key": ("MIG_INVALID_REQUEST", "idempotency_key_required", "test.tally.keyed", {}, {}),
    "member": ("MIG_INVALID_REQUEST", "invalid_member", INFER, X, {"deadline_ms": "soon"}),
    "no tenant": ("MIG_INVALID_REQUEST", "tenant_required", INFER, X, {"tenant_id": "unknown"}),
    "other tenant": ("MIG_FORBIDDEN", "tenant_mismatch", INFER, X, {"tenant_id": "other"}),
    "capability": ("MIG_UNSUPPORTED_CAPABILITY", "capability_not_found", "no.such", X, {}),
    "version": ("MIG_VERSION_MISMATCH", "mig_version", INFER, X, {"mig_version": "9"}),
    "pin": ("MIG_VERSION_MISMATCH", "capability_version", INFER, X, {"meta": {"mig.capability_version": "9.x"}}),
    "deadline": ("MIG_TIMEOUT", "deadline_exceeded", INFER, SLOWLY, {"deadline_ms": 60}),
    "quota": ("MIG_RATE_LIMITED", "tenant_quota", INFER, X, {"tenant_id": "spent"}),
    "inflight": ("MIG_BACKPRESSURE", "max_inflight_tenant", INFER, X, {"tenant_id": "full"}),
    "provider": ("MIG_INTERNAL", "invalid_provider_output", "test.hostile.garbage", {"which": 0}, {}),
}
UNARY_ONLY = {"key", "provider"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cause", CAUSES)
def test_what_the_host_refuses(d, shape, cause):
    code, reason, capability, payload, header = CAUSES[cause]
    mid = uuid.uuid4().hex
    header = {"tenant_id": "acme", "message_id": mid, **header}
    preference = "unary" if cause in UNARY_ONLY or (cause, shape) == ("mode", "ws") else "server_stream"
    headers = {"X-Tenant-ID": "acme"} if cause == "other tenant" else {}
    out = invoke_in(shape, d, capability, payload, header, headers, preference)
    check_envelope(out.envelope, code, reason, message_id=mid)
    if out.reply:
        check_reply(out.reply, code, reason, message_id=mid)


@pytest.mark.parametrize("shape", SHAPES)
def test_cancelled_in_advance(d, shape):
    mid = uuid.uuid4().hex
    assert d.http.cancel(mid).json["status"] == "pending"
    out = invoke_in(shape, d, INFER, X, {"tenant_id": "acme", "message_id": mid})
    check_envelope(out.envelope, "MIG_TIMEOUT", "cancelled", retryable=False, message_id=mid)


@pytest.mark.parametrize("shape", SHAPES)
def test_cancelled_on_the_way(d, shape):
    mid, got = uuid.uuid4().hex, []
    call = threading.Thread(target=lambda: got.append(invoke_in(
        shape, d, INFER, {"input": "x", "delay_ms": 9000, "stream_chunks": 9},
        {"tenant_id": "acme", "message_id": mid})))
    call.start()
    eventually(lambda: d.http.admin("health/detailed").json["inflight"] == 3)
    assert d.http.cancel(mid, reason="enough").json["status"] == "cancelled"
    call.join(10)
    check_envelope(got[0].envelope, "MIG_TIMEOUT", "cancelled", retryable=False, message_id=mid)
    assert got[0].envelope["error"]["details"]["cancel_reason"] == "enough"


@pytest.mark.parametrize("shape", SHAPES)
def test_scopes_and_tokens(jwt, shape):
    for headers, code, reason in (
            ({}, "MIG_UNAUTHORIZED", "missing_token"),
            (bearer("a.b.c"), "MIG_UNAUTHORIZED", "invalid_token"),
            ({**bearer(token()), "X-Tenant-ID": "other"}, "MIG_FORBIDDEN", "tenant_mismatch"),
            (bearer(token({"tenant_id": None})), "MIG_FORBIDDEN", "tenant_claim"),
            (bearer(token(scopes=["x"])), "MIG_FORBIDDEN", "insufficient_scope")):
        out = invoke_in(shape, jwt, INFER, X, {}, headers)
        check_envelope(out.envelope, code, reason)
        assert (out.reply is None) == (shape == "ws" and reason == "insufficient_scope")


def test_every_code_has_a_cause_in_every_shape():
    """Of the host; the provider's are complete by themselves. UNAVAILABLE is the stop's, NOT_FOUND no host's."""
    host = {c[0] for c in CAUSES.values()} | {"MIG_UNAUTHORIZED", "MIG_UNAVAILABLE", "MIG_NOT_FOUND"}
    assert host == set(STATUS)


# --- WebSocket frames -------------------------------------------------------------------------------

CONTROLS = {
    "unknown kind": (lambda s: s.request(INFER, X, kind="song"), "MIG_INVALID_REQUEST", "frame_kind"),
    "no object": (lambda s: s.send("[1]"), "MIG_INVALID_REQUEST", "malformed_frame"),
    "no JSON": (lambda s: s.send("{"), "MIG_INVALID_REQUEST", "malformed_frame"),
    "no capability": (lambda s: s.request("", X), "MIG_INVALID_REQUEST", "capability_required"),
    "unknown action": (lambda s: s.control("sing"), "MIG_INVALID_REQUEST", "control_action"),
    "pause of nothing": (lambda s: s.control("pause"), "MIG_NOT_FOUND", "unknown_stream"),
    "resume of nothing": (lambda s: s.control("resume"), "MIG_NOT_FOUND", "unknown_stream"),
    "cancel of nothing": (lambda s: s.control("cancel", header={"message_id": ""}), "MIG_INVALID_REQUEST",
                          "target_required"),
    "cancel for another": (lambda s: s.control("cancel", tenant="other", target_message_id="x"), "MIG_FORBIDDEN",
                           "tenant_mismatch"),
    "heartbeat for another": (lambda s: s.control("heartbeat", tenant="other"), "MIG_FORBIDDEN", "tenant_mismatch"),
    "heartbeat of another version": (lambda s: s.control("heartbeat", header={"mig_version": "9"}),
                                     "MIG_VERSION_MISMATCH", "mig_version"),
    "heartbeat of text": (lambda s: s.control("heartbeat", interval_ms="x"), "MIG_INVALID_REQUEST",
                          "invalid_member"),
    "subscribe to nothing": (lambda s: s.control("subscribe"), "MIG_INVALID_REQUEST", "topic_required"),
    "subscribe without a dot": (lambda s: s.control("subscribe", topic="nodot"), "MIG_INVALID_REQUEST",
                                "topic_namespace"),
    "subscribe from nowhere": (lambda s: s.control("subscribe", topic="a.b", resume_cursor="x"),
                               "MIG_INVALID_REQUEST", "resume_cursor"),
    "subscribe for another": (lambda s: s.control("subscribe", topic="a.b", tenant="other"), "MIG_FORBIDDEN",
                              "tenant_mismatch"),
    "subscribe for too much": (lambda s: s.control("subscribe", topic="matrix.replayed", consumer_id="c",
                                                   resume_cursor="0"), "MIG_RATE_LIMITED", "replay_quota"),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_frames_that_are_refused(d, name):
    send, code, reason = CONTROLS[name]
    with Socket(d.address, {"X-Tenant-ID": "acme"}) as s:
        send(s)
        frame = s.until(lambda f: f["kind"] == "error")
        check_envelope(frame, code, reason)
        assert frame["end_stream"] is True
        s.request(INFER, X, stream_id="after")
        assert s.last("after")["payload"]["result"] == "ok", "the connection goes on"


def test_stream_ids_and_their_number(migd):
    d = migd({"mig.max_streams_per_conn": 2}, {"providers": {}})
    with Socket(d.address) as s:
        s.request(INFER, {**X, "delay_ms": 5000}, stream_id="a", message_id="a")
        s.request(INFER, X, stream_id="a", message_id="b")
        check_envelope(s.until(lambda f: f["kind"] == "error"), "MIG_INVALID_REQUEST", "duplicate_stream_id")
        s.request(INFER, {**X, "delay_ms": 5000}, stream_id="b", message_id="a")
        check_envelope(s.until(lambda f: f["kind"] == "error"), "MIG_INVALID_REQUEST", "duplicate_message_id")


def test_too_many_streams(d):
    with Socket(d.address) as s:
        for n in range(129):
            s.control("subscribe", stream_id=f"s{n}", topic="matrix.many")
        frame = s.until(lambda f: f["kind"] == "error")
        check_envelope(frame, "MIG_BACKPRESSURE", "max_streams")
        assert frame["stream_id"] == "s128"


def test_ten_malformed_frames_close(d):
    with Socket(d.address, {"X-Tenant-ID": "acme"}) as s:
        for _ in range(9):
            check_envelope(s.send("{").next(), "MIG_INVALID_REQUEST", "malformed_frame")
        f = s.send("{").next()
        assert (f if "close" in f else s.next()) == {"close": 1008}


def test_not_the_invoker(jwt):
    mine, his = bearer(token()), bearer(token(sub="bob"))
    with Socket(jwt.address, mine) as a, Socket(jwt.address, his) as b:
        a.request(INFER, {**X, "delay_ms": 5000}, message_id="mine", tenant=None)
        running = lambda: jwt.http.get("/admin/v0.1/health/detailed", **mine).json["inflight"]
        eventually(lambda: running() == 1)
        b.control("cancel", tenant=None, target_message_id="mine")
        check_envelope(b.next(), "MIG_FORBIDDEN", "not_the_invoker")
        a.control("cancel", tenant=None, target_message_id="mine")
        check_envelope(a.last(), "MIG_TIMEOUT", "cancelled", retryable=False, message_id="mine")


def test_a_stop_finishes_streams_and_refuses_others(migd):
    d = migd()
    with Socket(d.address) as s:
        s.control("subscribe", stream_id="events", topic="stop.topic")
        s.request(INFER, {**X, "delay_ms": 500, "stream_chunks": 3}, preference="server_stream")
        s.until(lambda f: f["kind"] == "response")
        s.control("pause", stream_id="s")
        assert s.until(lambda f: f["kind"] == "control")["payload"] == {"accepted": True}
        d.signal(15)
        check_envelope(s.last("events"), "MIG_UNAVAILABLE", "stopping")
        s.request(INFER, X, stream_id="late", message_id="late")
        check_envelope(s.last("late"), "MIG_UNAVAILABLE", "stopping", message_id="late")
        s.control("resume", stream_id="s")
        assert s.last()["payload"]["result"] == "ok"
        assert s.next() == {"close": 1001}


def test_a_stop_ends_streams_with_an_error(migd):
    d = migd()
    with Socket(d.address) as s:
        s.request(INFER, {**X, "delay_ms": 60000}, message_id="m")
        eventually(lambda: d.http.admin("health/detailed").json["inflight"] == 1)
        d.write_settings(**{"stop.timeout_ms": 300})
        assert d.http.reload().status == 200
        d.signal(15)
        frame = s.next(20 * SLOW)
        check_envelope(frame, "MIG_UNAVAILABLE", "stopping", message_id="m")
        assert s.next() == {"close": 1001}


def test_a_stop_waits_for_last_frames_that_are_not_taken_yet(migd, plugins):
    """The answers are larger than what the system keeps for a client that does not read."""
    d = migd(drop=[plugins("hostile")])
    ids = set("abc")
    with Socket(d.address) as s:
        for id in ids:
            s.request("test.hostile.huge", {"bytes": 8 << 20}, stream_id=id)
        eventually(lambda: d.http.get("/cloud/v0.1/usage").json["total_invocations"] == len(ids))
        d.signal(15)
        d.wait_log(lambda l: l.get("event") == "migd.stopping")
        assert {s.next(20)["stream_id"] for _ in ids} == ids
        assert s.next() == {"close": 1001}


# --- subscriptions ----------------------------------------------------------------------------------

def test_a_session_that_falls_silent_is_told_so(d):
    assert d.http.mig("heartbeat", {"interval_ms": 1000}, session_id="quiet").status == 200
    with subscribe(d, "matrix.session", headers={"MIG-Session-ID": "quiet"}) as s:
        last = s.named("mig-error", 20)
        check_envelope(last.json, "MIG_TIMEOUT", "heartbeat_missed", retryable=False)
        assert s.next(5) is None
