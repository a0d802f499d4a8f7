"""Streaming INVOKE over HTTP: event streams, or one answer with all frames (mig-core.md 6.1, 11.2)."""
import time

import pytest
from helpers.http import eventually
from helpers.sse import Events

INFER = "observatory.models.infer"
SHARED = {"plugins": ["streamer", "hostile"], "settings": {"mig": {"stream_stall_ms": 400}}}


def events(d, capability=INFER, payload=None, accept="text/event-stream", preference="server_stream",
           **header):
    return Events(d.address, f"/mig/v0.1/invoke/{capability}", "POST",
                  {"header": {"tenant_id": "acme", **header},
                   "payload": {"input": "x"} if payload is None else payload,
                   **({"stream_preference": preference} if preference else {})},
                  {"Accept": accept} if accept else {})


def check_frames(frames, stream_id, capability=INFER):
    for n, f in enumerate(frames, 1):
        assert f["header"]["meta"]["mig.frame_seq"] == n
        assert f["stream_id"] == stream_id and f["capability"] == capability
        assert bool(f.get("end_stream")) == (n == len(frames))
    assert [f["kind"] for f in frames[:-1]] == ["response"] * (len(frames) - 1)


@pytest.mark.parametrize("chunks", [1, 3, 300])
def test_an_event_stream_of_frames(shared, chunks):
    with events(shared, payload={"input": "x", "stream_chunks": chunks}, message_id=f"m-{chunks}") as s:
        assert s.status == 200 and s.headers["Content-Type"].startswith("text/event-stream")
        assert s.headers["Cache-Control"] == "no-cache" and s.headers["X-Accel-Buffering"] == "no"
        assert s.headers["Connection"] == "keep-alive" and s.headers["MIG-Message-ID"]
        all_ = s.rest()
    assert {e.name for e in all_} == {"mig-frame"}
    frames = [e.json for e in all_]
    check_frames(frames, f"stream-m-{chunks}")
    assert [f["payload"]["chunk"] for f in frames[:-1]] == list(range(1, chunks + 1))
    assert frames[-1]["kind"] == "response" and frames[-1]["payload"]["result"] == "ok"
    assert frames[-1]["header"]["message_id"] == f"m-{chunks}"


def test_frames_come_one_by_one_and_not_at_the_end(shared):
    began = time.monotonic()
    with events(shared, payload={"input": "x", "stream_chunks": 3, "delay_ms": 150}) as s:
        head = time.monotonic() - began
        s.next()
        first = time.monotonic() - began
        s.rest()
        whole = time.monotonic() - began
    assert head < 0.14 and first < whole - 0.2


def test_without_that_accept_the_frames_are_gathered(shared):
    r = shared.http.invoke(INFER, {"input": "x", "stream_chunks": 4},
                           envelope={"stream_preference": "server_stream"})
    assert r.status == 200
    assert [f["chunk"] for f in r.payload["frames"]] == [1, 2, 3, 4]
    assert r.payload["result"] == "ok" and r.json["result_schema_uri"]


def test_a_unary_call_that_would_take_events_gets_json(shared):
    for preference in (None, "unary", ""):
        with events(shared, preference=preference) as s:
            assert not s.is_stream and s.json["payload"]["result"] == "ok"


def test_refusals_before_the_stream_are_ordinary_errors(shared):
    with events(shared, capability="no.such") as s:
        assert s.status == 404 and s.json["error"]["code"] == "MIG_UNSUPPORTED_CAPABILITY"
    with events(shared, preference="bidi_stream") as s:
        assert s.status == 400 and s.json["error"]["details"]["reason"] == "mode_not_supported"
    with events(shared, message_id="bad id") as s:
        assert s.status == 400 and not s.is_stream


def test_the_deadline_covers_the_stream(shared):
    with events(shared, payload={"input": "x", "stream_chunks": 50, "delay_ms": 50},
                deadline_ms=220) as s:
        frames = [e.json for e in s.rest()]
    check_frames(frames, frames[0]["stream_id"])
    assert 2 <= len(frames) <= 6
    assert frames[-1]["kind"] == "error" and frames[-1]["error"]["code"] == "MIG_TIMEOUT"
    assert frames[-1]["error"]["retryable"] is True


def test_cancel_ends_the_stream(shared):
    with events(shared, payload={"input": "x", "stream_chunks": 500, "delay_ms": 50},
                message_id="s-cancel") as s:
        assert s.next().json["kind"] == "response"
        assert shared.http.cancel("s-cancel").json["status"] == "cancelled"
        began = time.monotonic()
        last = [e.json for e in s.rest()][-1]
    assert time.monotonic() - began < 2
    assert last["kind"] == "error" and last["end_stream"] is True
    assert last["error"]["code"] == "MIG_TIMEOUT" and last["error"]["retryable"] is False
    assert last["error"]["details"]["reason"] == "cancelled"
    assert shared.http.cancel("s-cancel").json["status"] == "completed"


def test_a_client_that_leaves_cancels_its_stream(shared):
    with events(shared, payload={"input": "x", "stream_chunks": 500, "delay_ms": 50},
                message_id="s-leaves") as s:
        s.next()
    eventually(lambda: shared.http.cancel("s-leaves").json["status"] == "completed")


def test_a_reader_that_takes_nothing_is_told_and_then_dropped(shared):
    """Queue over 75 %: a notice; no progress for stream_stall_ms: the terminal frame (6.3)."""
    with events(shared, "test.stream.count_loop", {"n": 20000, "size": 20000}) as s:
        time.sleep(1.5)
        frames = [e.json for e in s.rest()]
    last = frames[-1]
    assert last["kind"] == "error" and last["error"]["code"] == "MIG_BACKPRESSURE"
    assert last["error"]["retryable"] is True and len(frames) < 20000
    assert last["error"]["details"]["reason"] == "stream_stalled"
    seqs = [f["header"]["meta"]["mig.frame_seq"] for f in frames]
    assert seqs == list(range(1, len(frames) + 1))


def test_a_slow_reader_is_told_of_backpressure_and_of_its_end(migd, plugins):
    d = migd(drop=[plugins("streamer")])
    with events(d, "test.stream.count_loop", {"n": 3000, "size": 15000}) as s:
        time.sleep(0.5)
        frames = [e.json for e in s.rest()]
    notices = [f["payload"] for f in frames if f["kind"] == "control"]
    assert notices[0]["action"] == "backpressure" and notices[0]["limit"] == 256
    assert notices[0]["queued"] >= 192 and notices[-1]["action"] == "resumed"
    assert [n["action"] for n in notices] == ["backpressure", "resumed"] * (len(notices) // 2)
    numbers = [f["payload"]["n"] for f in frames if f["kind"] == "response" and not f.get("end_stream")]
    assert numbers == list(range(3000))
