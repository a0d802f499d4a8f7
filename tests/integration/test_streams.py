"""Streaming calls through the ABI: a test binding writes frames as lines (tests/plugins)."""
import json
import threading
import time

import pytest
from helpers.daemon import IS_ASAN, SLOW
from helpers.http import Client, eventually, post_text, strict_json

SHARED = {"plugins": ["streamer", "stream_binding", "hostile"], "settings": {"loops": 2}}

KINDS = ["pool", "loop"]


def text_of(capability, mode, payload=None, messages=(), query="", message_id=None, **header):
    head = {"tenant_id": "acme", **({"message_id": message_id} if message_id else {}), **header}
    lines = [json.dumps({"header": head, "payload": payload or {}, "stream_preference": mode}),
             *[json.dumps(m) for m in messages]]
    return post_text(f"/test/stream/{capability}{query}", "\n".join(lines))


def stream(d, capability, mode, payload=None, messages=(), **more):
    """The frames and the last envelope."""
    with d.raw(30) as raw:
        r = raw.send(text_of(capability, mode, payload, messages, **more)).reply()
    lines = [strict_json(line) for line in r.body.split(b"\n") if line]
    return lines[:-1], lines[-1], r


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 3, 64, 65, 1000])
def test_server_stream(shared, kind, n):
    frames, last, r = stream(shared, f"test.stream.count_{kind}", "server_stream", {"n": n})
    assert [f["n"] for f in frames] == list(range(n))
    assert last["payload"]["sent"] == n and last["capability"] == f"test.stream.count_{kind}"
    assert r.status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_large_frames_arrive_whole(shared, kind):
    frames, last, _ = stream(shared, f"test.stream.count_{kind}", "server_stream",
                             {"n": 40, "size": 100_000})
    assert [len(f["pad"]) for f in frames] == [100_000] * 40 and last["payload"]["sent"] == 40


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_larger_than_the_credit_passes_alone(shared, kind):
    frames, last, _ = stream(shared, f"test.stream.count_{kind}", "server_stream",
                             {"n": 3, "size": 1_000_000})
    assert [len(f["pad"]) for f in frames] == [1_000_000] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_reader_holds_the_provider_back(shared, kind):
    """Hundred megabytes for a client that reads nothing at first: memory stays where it was."""
    before = shared.rss_kib()
    with shared.raw(60) as raw:
        raw.send(text_of(f"test.stream.count_{kind}", "server_stream", {"n": 3000, "size": 32_000}))
        raw.until(b"\r\n\r\n")
        last, quiet = -1, 0
        while quiet < 20:  # until its memory is still
            now = shared.rss_kib()
            quiet = quiet + 1 if now == last else 0
            last = now
            time.sleep(0.005)
        assert last - before < 12_000 * SLOW, "frames pile up in memory"
        body = b""
        while b'"sent"' not in body[-600:]:
            got = raw.sock.recv(1 << 20)
            assert got
            body = body[-1000:] + got
        assert b'"sent":3000' in body
        if kind == "loop":
            assert b'"again":0' not in body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 16, 17, 500])
def test_client_stream(shared, kind, n):
    frames, last, _ = stream(shared, f"test.stream.sum_{kind}", "client_stream",
                             messages=[{"v": i} for i in range(n)])
    assert frames == [] and last["payload"] == {"sum": n * (n - 1) // 2, "count": n}


def test_a_slow_handler_holds_the_client_back(shared):
    _, last, _ = stream(shared, "test.stream.sum_pool", "client_stream", {"nap_ms": 2},
                        [{"v": 1}] * 60)
    assert last["payload"]["count"] == 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 100])
def test_bidi_stream(shared, kind, n):
    frames, last, _ = stream(shared, f"test.stream.bidi_{kind}", "bidi_stream",
                             messages=[{"v": i, "t": "x" * 50} for i in range(n)])
    assert [f["got"]["v"] for f in frames] == list(range(n)) and last["payload"]["count"] == n


def test_streams_side_by_side(shared):
    """Each gets its own frames, whichever kind it is."""
    results, errors = {}, []

    def run(i):
        try:
            kind = KINDS[i % 2]
            if i % 3 == 0:
                frames, last, _ = stream(shared, f"test.stream.count_{kind}", "server_stream",
                                         {"n": 50 + i})
                results[i] = len(frames) == last["payload"]["sent"] == 50 + i
            elif i % 3 == 1:
                _, last, _ = stream(shared, f"test.stream.sum_{kind}", "client_stream",
                                    messages=[{"v": i}] * 40)
                results[i] = last["payload"] == {"sum": 40 * i, "count": 40}
            else:
                frames, _, _ = stream(shared, f"test.stream.bidi_{kind}", "bidi_stream",
                                      messages=[{"v": i}] * 40)
                results[i] = [f["got"]["v"] for f in frames] == [i] * 40
        except Exception as e:
            errors.append((i, repr(e)))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(18)]
    [t.start() for t in threads]
    [t.join(30) for t in threads]
    assert not errors and all(results[i] for i in range(18)), (results, errors)


def test_the_mode_must_be_offered(shared):
    for capability, mode in (("test.stream.count_pool", "bidi_stream"),
                             ("test.stream.sum_loop", "server_stream"),
                             ("test.stream.count_pool", "unary"),
                             ("observatory.models.infer", "bidi_stream")):
        _, last, r = stream(shared, capability, mode)
        assert (r.status, last["error"]["details"]["reason"]) == (400, "mode_not_supported")


def test_echo_streams_chunks(shared):
    frames, last, _ = stream(shared, "observatory.models.infer", "server_stream",
                             {"input": "x", "stream_chunks": 5})
    assert [(f["chunk"], f["of"]) for f in frames] == [(i, 5) for i in range(1, 6)]
    assert last["payload"]["result"] == "ok"


def test_http_gathers_what_a_client_stream_answers(http):
    """One request is all that an HTTP caller says: its side is closed at once."""
    for kind in KINDS:
        r = http.invoke(f"test.stream.sum_{kind}", envelope={"stream_preference": "client_stream"})
        assert r.payload["frames"] == [] and r.payload["sum"] == 0


# --- how streams end --------------------------------------------------------------------------------

def status(http):
    return http.result("test.stream.status")


def test_cancel_ends_a_stream(shared, http):
    before = status(http)
    with shared.raw() as raw:
        raw.send(text_of("test.stream.forever", "server_stream", message_id="endless-1"))
        raw.until(b"tick")
        assert http.cancel("endless-1", reason="enough").json["status"] == "cancelled"
        body = raw.until(b"0\r\n\r\n")  # the stream has no other end
        assert b'"MIG_TIMEOUT"' in body and b"enough" in body
    eventually(lambda: status(http) == {"running": 0, "cancelled": before["cancelled"] + 1})


def test_a_client_that_leaves_ends_its_stream(shared, http):
    before = status(http)["cancelled"]
    for _ in range(3):
        raw = shared.raw()
        raw.send(text_of("test.stream.forever", "server_stream"))
        raw.until(b"tick")
        raw.close()
    eventually(lambda: status(http) == {"running": 0, "cancelled": before + 3}, 5)


@pytest.mark.parametrize("capability", ["sum_pool", "sum_loop", "bidi_pool", "bidi_loop"])
def test_a_client_that_leaves_while_the_provider_waits_for_it(shared, http, capability):
    mode = "client_stream" if capability.startswith("sum") else "bidi_stream"
    raw = shared.raw()
    raw.send(text_of(f"test.stream.{capability}", mode, messages=[{"v": 1}], query="?open",
                     message_id=f"leaves-{capability}"))
    busy = lambda: http.instance("streamer")[0]["debt"]
    eventually(lambda: busy() >= 1)
    raw.close()
    eventually(lambda: busy() <= 1, 5)  # the look itself is none of its calls


def test_the_deadline_covers_the_whole_stream(shared):
    began = time.monotonic()
    frames, last, _ = stream(shared, "test.stream.forever", "server_stream", deadline_ms=200)
    assert frames and last["error"]["code"] == "MIG_TIMEOUT"
    assert last["error"]["message"] == "deadline exceeded"
    assert time.monotonic() - began > 0.19


@pytest.mark.parametrize("capability,mode", [("sum_pool", "client_stream"),
                                             ("sum_loop", "client_stream"),
                                             ("bidi_pool", "bidi_stream"),
                                             ("bidi_loop", "bidi_stream")])
def test_the_deadline_of_a_stream_that_waits_for_its_client(shared, capability, mode):
    _, last, _ = stream(shared, f"test.stream.{capability}", mode, query="?open", deadline_ms=120)
    assert last["error"]["code"] == "MIG_TIMEOUT"


def test_garbage_frames_end_the_stream_with_an_error(shared, http):
    frames, last, r = stream(shared, "test.hostile.garbage_frame", "server_stream")
    assert frames == [{"frame": 1}]
    assert last["error"]["code"] == "MIG_INTERNAL"
    assert last["error"]["details"]["reason"] == "invalid_provider_output"


def test_many_streams_that_are_left_half_way(shared, http):
    before = shared.rss_kib()
    for i in range(30 if IS_ASAN else 100):
        raw = shared.raw()
        raw.send(text_of(f"test.stream.count_{KINDS[i % 2]}", "server_stream",
                         {"n": 1000, "size": 10_000}))
        raw.exactly(500)
        raw.close()
    eventually(lambda: http.instance("streamer")[0]["debt"] == 0, 10)
    assert shared.rss_kib() - before < (300_000 if IS_ASAN else 20_000)  # ASan keeps what was freed
