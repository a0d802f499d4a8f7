"""PUBLISH and SUBSCRIBE: order, cursors, refusals, and the stream (mig-core.md 5.4, 5.5, 7, 11.3)."""
import json
import signal
import socket
import threading

import pytest
from helpers.daemon import SLOW
from helpers.events import (Flock, fill, is_silent, messages, parallel, publish, sequences,
                            subscribe)
from helpers.http import eventually, post_text

SHARED = {"settings": {"loops": 4}}


# --- one event --------------------------------------------------------------------------------------

def test_an_event_is_acknowledged_and_delivered(shared):
    with subscribe(shared, "one.event") as s:
        assert s.next().name == "retry"
        r = publish(shared, "one.event", {"a": [1, "x"]}, message_id="p-1").json
        assert r["topic"] == "one.event" and r["sequence"] == 1 and r["accepted"] is True
        assert r["header"]["message_id"] == "p-1" and r["header"]["tenant_id"] == "acme"
        e = s.next()
    assert (e.name, e.id) == ("mig-event", "1")
    m = e.json
    assert set(m) == {"header", "topic", "event_id", "sequence", "payload", "published_at", "replay"}
    assert m["event_id"] == r["event_id"] and m["topic"] == "one.event" and m["sequence"] == 1
    assert m["payload"] == {"a": [1, "x"]} and m["replay"] is False
    assert m["published_at"].endswith("Z") and len(m["published_at"]) == 24


def test_the_header_is_the_publishers_and_has_a_cursor(shared):
    r = publish(shared, "one.header", {}, message_id="h-1", session_id="s-1", deadline_ms=-5,
                timestamp="2026-01-02T03:04:05Z",
                meta={"x.y": {"z": 1}, "idg.principal_subject": "root", "mig.cursor": "99"},
                envelope={"key": 'k "1"\nü'}).json
    with subscribe(shared, "one.header", resume_cursor=0) as s:
        h = messages(s, 1)[0]["header"]
    meta = h.pop("meta")
    sent = dict(r["header"])
    sent.pop("meta")
    assert h == sent and h["message_id"] == "h-1" and h["session_id"] == "s-1"
    assert h["deadline_ms"] == 30000 and h["tenant_id"] == "acme"
    assert meta["mig.cursor"] == "1" and meta["mig.event_key"] == 'k "1"\nü'
    assert meta["x.y"] == {"z": 1} and meta["idg.principal_subject"] != "root"


def test_empty_meta_with_line_breaks(shared):
    body = '{"header":{"tenant_id":"acme","meta":{\r\n}},"payload":{}}'
    shared.http.post("/mig/v0.1/publish/one.meta", body)
    with subscribe(shared, "one.meta") as s:
        assert messages(s, 1)[0]["header"]["meta"]["mig.cursor"] == "1"


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_there_is_no_event_key(shared, key):
    topic = f"one.nokey{key is None}"
    publish(shared, topic, envelope={"key": key})
    with subscribe(shared, topic) as s:
        assert "mig.event_key" not in messages(s, 1)[0]["header"]["meta"]


def test_what_a_client_claims_of_key_and_cursor_does_not_count(shared):
    publish(shared, "one.claims", meta={"mig.cursor": "7", "mig.event_key": "mine"},
            envelope={"key": "theirs"})
    with subscribe(shared, "one.claims") as s:
        meta = messages(s, 1)[0]["header"]["meta"]  # strict: no member comes twice
    assert meta["mig.cursor"] == "1" and meta["mig.event_key"] == "theirs"


@pytest.mark.parametrize("body", ["{}", '{"payload":null}', '{"payload":{}}', '{"header":null}'])
def test_no_payload_is_an_empty_one(shared, body):
    topic = "one.empty"
    r = shared.http.post("/mig/v0.1/publish/" + topic, body, {"X-Tenant-ID": "acme"})
    assert r.status == 200, r
    with subscribe(shared, topic, resume_cursor=r.json["sequence"] - 1) as s:
        assert messages(s, 1)[0]["payload"] == {}


PRETTY = '{\n  "header": {"tenant_id": "acme",\r\n "meta": {\n"a.b": [1,\n2]}},\n  "payload": {\r\n' \
         '\t"text": "gr\u00fc\u00df \u2028 \U0001f600 \\n",\n\t"list": [\n1 ,\r2\n]\n}\n}'


def test_data_is_one_line_of_utf8_whatever_was_published(shared):
    raw = shared.raw()
    raw.send("GET /mig/v0.1/subscribe/one.line HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: acme\r\n\r\n")
    raw.until(b"retry: 3000\n\n")
    assert shared.http.post("/mig/v0.1/publish/one.line", PRETTY).status == 200
    text = raw.until(b"\n\n").split(b"\r\n", 2)[2].decode()
    lines = text.strip("\n").split("\n")
    assert lines[:2] == ["id: 1", "event: mig-event"] and len(lines) == 3
    assert "\r" not in text and "\\ufffd" not in text
    payload = json.loads(lines[2].removeprefix("data: "))["payload"]
    assert payload == {"text": "gr\u00fc\u00df \u2028 \U0001f600 \n", "list": [1, 2]}
    raw.close()


def test_a_large_event_comes_whole(shared):
    blob = "x" * 3_500_000
    with subscribe(shared, "one.large") as s:
        publish(shared, "one.large", {"blob": blob})
        live = messages(s, 1)[0]
    with subscribe(shared, "one.large", resume_cursor=0) as s:
        again = messages(s, 1)[0]
    assert live["payload"]["blob"] == blob and again["replay"] is True
    assert {**again, "replay": False} == live


# --- order ------------------------------------------------------------------------------------------

def test_numbers_have_no_gaps_and_all_readers_see_one_order(shared):
    """64 publishers at a time, readers on every loop."""
    each, publishers = 10, 64
    total = each * publishers
    streams = [subscribe(shared, "order.all", timeout=60) for _ in range(8)]
    given, seen = [[] for _ in range(publishers)], [None] * len(streams)

    def write(i):
        client = shared.client(timeout=60)
        for n in range(each):
            r = publish(shared, "order.all", {"from": i, "n": n}, client=client)
            assert r.status == 200, r
            given[i].append((r.json["sequence"], r.json["event_id"]))
        client.close()

    def read(i):
        seen[i] = messages(streams[i], total, timeout=60)

    parallel([lambda i=i: write(i) for i in range(publishers)] +
             [lambda i=i: read(i) for i in range(len(streams))])
    assert all(g == sorted(g) for g in given)
    by_number = dict(p for g in given for p in g)
    assert sorted(by_number) == list(range(1, total + 1))
    for events in seen:
        assert sequences(events) == list(range(1, total + 1))
        assert [e["event_id"] for e in events] == [by_number[n] for n in range(1, total + 1)]
    for i in range(publishers):  # and every publisher's own order
        assert [e["payload"]["n"] for e in seen[0] if e["payload"]["from"] == i] == list(range(each))
    assert sum(l["accepted"] > 0 for l in shared.http.admin("loops").json["loops"]) > 1
    [s.close() for s in streams]


def test_topics_are_numbered_apart(shared):
    assert fill(shared, "order.a", 3) == [1, 2, 3]
    assert fill(shared, "order.b", 2) == [1, 2]
    assert fill(shared, "order.a", 1) == [4]


def test_five_hundred_subscribers_get_a_hundred_events_in_order(shared):
    flock = Flock(shared, "order.many", 500)
    thread = threading.Thread(target=fill, args=(shared, "order.many", 100))
    thread.start()
    flock.read(lambda: all(len(s) >= 100 for s in flock.seen), 40 * SLOW)
    thread.join()
    assert all(s == list(range(1, 101)) for s in flock.seen)
    flock.close()


# --- cursors ----------------------------------------------------------------------------------------

def start(d, topic, expected, headers=None, **query):
    """What is replayed, and that live events follow it."""
    head = fill(d, topic, 1)[0] - 1
    expected = [n for n in expected] + [head + 1]
    with subscribe(d, topic, headers=headers, **query) as s:
        old = messages(s, len(expected))
        assert sequences(old) == expected and all(e["replay"] for e in old)
        after = fill(d, topic, 1)[0]
        new = messages(s, 1)[0]
        assert new["sequence"] == after == head + 2 and new["replay"] is False


@pytest.mark.parametrize("n, cursor, expected", [
    (0, None, range(1, 6)), (1, "", range(1, 6)), (2, "0", range(1, 6)), (3, "3", [4, 5]),
    (4, "4", [5]), (5, "5", []), (6, "0004", [5])])
def test_where_a_cursor_begins(shared, n, cursor, expected):
    topic = f"cursor.t{n}"
    fill(shared, topic, 5)
    start(shared, topic, expected, resume_cursor=cursor)


@pytest.mark.parametrize("n, cursor", list(enumerate(["latest", "5", "6", "1000000",
                                                      "18446744073709551615"])))
def test_at_the_head_and_beyond_it_is_live_only(shared, n, cursor):
    topic = f"cursor.live{n}"
    fill(shared, topic, 5)
    with subscribe(shared, topic, resume_cursor=cursor) as s:
        assert s.next().name == "retry"
        fill(shared, topic, 3)
        live = messages(s, 3)
    assert sequences(live) == [6, 7, 8] and not any(e["replay"] for e in live)


@pytest.mark.parametrize("cursor", ["0", "latest", "17", None])
def test_a_topic_without_events_is_live_only(shared, cursor):
    topic = f"cursor.new{cursor}"
    with subscribe(shared, topic, resume_cursor=cursor) as s:
        assert s.next().name == "retry"
        fill(shared, topic, 2)
        assert sequences(messages(s, 2)) == [1, 2]


@pytest.mark.parametrize("cursor", ["-1", "+1", "1.5", "1e3", " 1", "1 ", "0x1", "abc", "LATEST",
                                    "latest ", "1,2", "null", "\u0661"])
def test_bad_cursors(shared, cursor):
    with subscribe(shared, "cursor.bad", resume_cursor=cursor) as s:
        assert s.status == 400 and not s.is_stream
        error = s.json["error"]
    assert error["code"] == "MIG_INVALID_REQUEST" and error["retryable"] is False
    assert error["message"] == "resume_cursor must be a non-negative integer"


def test_last_event_id_is_a_cursor_when_there_is_no_other(shared):
    fill(shared, "cursor.header", 5)
    start(shared, "cursor.header", [4, 5], headers={"Last-Event-ID": "3"})
    start(shared, "cursor.header", [5, 6, 7], headers={"Last-Event-ID": "1"}, resume_cursor="4")
    start(shared, "cursor.header", [8, 9], headers={"Last-Event-ID": "7"}, resume_cursor="")
    with subscribe(shared, "cursor.header", headers={"Last-Event-ID": "x"}) as s:
        assert s.status == 400
        assert s.json["error"]["message"] == "resume_cursor must be a non-negative integer"


def test_the_default_cursor_may_be_latest(migd):
    d = migd({"mig.subscribe_default_cursor": "latest"})
    fill(d, "cursor.default", 3)
    with subscribe(d, "cursor.default") as s, subscribe(d, "cursor.default", resume_cursor=0) as all_:
        assert s.next().name == "retry"
        fill(d, "cursor.default", 1)
        assert sequences(messages(s, 1)) == [4]
        assert sequences(messages(all_, 4)) == [1, 2, 3, 4]


def test_replay_and_live_meet_without_a_seam(shared):
    """Subscribers that come while events are being published."""
    total = 400
    writer = threading.Thread(target=fill, args=(shared, "cursor.seam", total))
    writer.start()
    for _ in range(6):
        with subscribe(shared, "cursor.seam", resume_cursor=0, timeout=60) as s:
            got = messages(s, 60, timeout=60)
        assert sequences(got) == list(range(1, 61))
        flags = [e["replay"] for e in got]
        assert flags == sorted(flags, reverse=True), "old ones first"
    with subscribe(shared, "cursor.seam", resume_cursor=0, timeout=60) as s:
        assert sequences(messages(s, total, timeout=60)) == list(range(1, total + 1))
    writer.join()


# --- refusals ---------------------------------------------------------------------------------------

TOPICS = [("orders", "topic_namespace"), ("a..b", "invalid_member"), (".a", "invalid_member"),
          ("a.", "invalid_member"), (".", "invalid_member"), ("a.b c", "invalid_member"),
          ("a.b/c", "invalid_member"), ("a.\u00e4", "invalid_member"), ("a.b\n", "invalid_member"),
          ("a." + "b" * 199, "invalid_member"), ("a.*", "invalid_member"), ("a.>", "invalid_member")]


@pytest.mark.parametrize("topic, reason", TOPICS)
def test_topics_must_be_names(shared, topic, reason):
    r = publish(shared, topic)
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST"), r
    if topic.isprintable():
        assert r.reason == reason, r
    with subscribe(shared, topic) as s:
        assert s.status == 400 and not s.is_stream
        error = s.json["error"]
    assert error["code"] == r.code and error["details"] == r.error["details"]
    assert reason != "topic_namespace" or error["message"] == "topic names must be namespaced"


def test_the_longest_topic(shared):
    assert publish(shared, "a." + "b" * 198).status == 200


@pytest.mark.parametrize("envelope, reason", [
    ({"topic": "other.topic"}, "topic_mismatch"), ({"topic": 5}, "invalid_member"),
    ({"payload": [1]}, "invalid_payload"), ({"payload": "x"}, "invalid_payload"),
    ({"payload": 5}, "invalid_payload"), ({"payload": True}, "invalid_payload"),
    ({"key": 5}, "invalid_member"), ({"key": "k" * 256}, "invalid_member")])
def test_bad_publications(shared, envelope, reason):
    r = publish(shared, "bad.publish", envelope=envelope)
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", reason), r
    assert publish(shared, "bad.ok").status == 200


def test_a_topic_in_the_body_that_agrees_is_fine(shared):
    assert publish(shared, "bad.agrees", envelope={"topic": "bad.agrees", "key": "k" * 255}).status == 200


@pytest.mark.parametrize("body", [None, "", "{", "[]", "5"])
def test_publish_needs_a_body(shared, body):
    r = shared.http.post("/mig/v0.1/publish/bad.body", body, {"X-Tenant-ID": "acme"})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST"), r


def test_an_oversized_event_is_refused(shared):
    r = publish(shared, "bad.large", {"blob": "x" * (4 << 20)})
    assert (r.status, r.code) == (413, "MIG_INVALID_REQUEST")
    assert publish(shared, "bad.large").json["sequence"] == 1, "it took no number"


def test_an_event_that_the_store_cannot_hold_is_the_publishers_fault(migd):
    d = migd({"mig.max_body_bytes": 64 << 20})
    r = publish(d, "bad.larger", {"blob": "x" * (17 << 20)})
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", "event_too_large"), r
    assert publish(d, "bad.larger").json["sequence"] == 1


@pytest.mark.parametrize("value", ["0", "1025", "-1", "x", "1.0", "", "99999999999999999999"])
def test_max_inflight_has_bounds(shared, value):
    with subscribe(shared, "bad.inflight", max_inflight=value) as s:
        assert s.status == 400
        details = s.json["error"]["details"]
    assert details["reason"] == "invalid_member" and details["member"] == "max_inflight"


@pytest.mark.parametrize("value", [1, 1024])
def test_max_inflight_at_its_bounds(shared, value):
    with subscribe(shared, "bad.inflight", max_inflight=value) as s:
        assert s.status == 200 and s.is_stream


@pytest.mark.parametrize("consumer", ["c" * 129, "c" * 1000, "a\nb"])
def test_bad_consumers(shared, consumer):
    with subscribe(shared, "bad.consumer", consumer_id=consumer) as s:
        assert s.status == 400 and not s.is_stream
        assert s.json["error"]["details"]["member"] == "consumer_id"


def test_the_longest_consumer(shared):
    with subscribe(shared, "bad.consumer", consumer_id="c" * 128) as s:
        assert s.status == 200


def test_without_a_tenant_there_is_no_stream(shared):
    with subscribe(shared, "bad.tenant", tenant=None) as s:
        assert s.status == 400 and s.json["error"]["message"] == "tenant_id is required"
    with subscribe(shared, "bad.tenant", tenant=None, tenant_id="acme") as s:
        assert s.status == 200
    with subscribe(shared, "bad.tenant", tenant="acme", tenant_id="other") as s:
        assert s.status == 200, "the query only counts without the header"
        publish(shared, "bad.tenant", tenant="acme")
        assert messages(s, 1)[0]["header"]["tenant_id"] == "acme"


def test_other_methods(shared):
    for method in ("POST", "PUT", "DELETE"):
        r = shared.http.request(method, "/mig/v0.1/subscribe/bad.method", "{}")
        assert r.status == 405 and "GET" in r.headers["Allow"]
    r = shared.http.get("/mig/v0.1/publish/bad.method")
    assert r.status == 405 and "POST" in r.headers["Allow"]


def test_head_of_a_subscription_ends(shared):
    with shared.raw(timeout=1) as raw:
        raw.send("HEAD /mig/v0.1/subscribe/bad.head HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: acme\r\n\r\n")
        r = raw.reply(is_head=True)
        assert r.status == 200 and r.headers["content-type"].startswith("text/event-stream")
        publish(shared, "bad.head")
        raw.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.reply().status == 200


# --- tenants ----------------------------------------------------------------------------------------

def test_tenants_do_not_see_each_other(shared):
    topic, both = "tenant.same", ("red", "blue")
    streams = {t: subscribe(shared, topic, tenant=t, consumer_id="c") for t in both}
    for n in range(1, 6):
        for t in both:
            assert publish(shared, topic, {"of": t}, tenant=t).json["sequence"] == n
    for t in both:
        got = messages(streams[t], 5)
        assert sequences(got) == [1, 2, 3, 4, 5]
        assert all(e["payload"] == {"of": t} and e["header"]["tenant_id"] == t for e in got)
    streams["red"].close()
    fill(shared, topic, 1, tenant="red")
    with subscribe(shared, topic, tenant="red", consumer_id="c") as s:
        assert messages(s, 1)[0]["sequence"] in (5, 6)
    fill(shared, topic, 1, tenant="blue")
    assert sequences(messages(streams["blue"], 1)) == [6], "nobody took blue's consumer over"
    with subscribe(shared, topic, tenant="green", resume_cursor=0) as s:
        assert is_silent(s)
    streams["blue"].close()


# --- the stream -------------------------------------------------------------------------------------

def test_the_head_of_the_stream(shared):
    with shared.raw() as raw:
        raw.send("GET /mig/v0.1/subscribe/sse.head HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: acme\r\n"
                 "MIG-Message-ID: sub-1\r\n\r\n")
        head = raw.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        assert head[0] == "HTTP/1.1 200 OK"
        h = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in head[1:] if line)}
        assert h["content-type"].startswith("text/event-stream")
        assert h["cache-control"] == "no-cache" and h["connection"] == "keep-alive"
        assert h["x-accel-buffering"] == "no" and h["mig-message-id"] == "sub-1"
        assert "content-length" not in h
        raw.until(b"retry: 3000\n\n")  # and all of that before the first event
        fill(shared, "sse.head", 1)
        assert b"id: 1\nevent: mig-event\ndata: {" in raw.until(b"\n\n")


def test_the_stream_for_old_http(shared):
    fill(shared, "sse.old", 2)
    with shared.raw() as raw:
        raw.send("GET /mig/v0.1/subscribe/sse.old HTTP/1.0\r\nX-Tenant-ID: acme\r\n\r\n")
        head = raw.until(b"\r\n\r\n")
        assert b"chunked" not in head
        assert raw.until(b"\n\n") == b"retry: 3000\n\n"
        assert raw.until(b"\n\n").startswith(b"id: 1\n") and raw.until(b"\n\n").startswith(b"id: 2\n")


def test_a_client_that_leaves_is_forgotten(migd):
    d = migd()
    streams = [subscribe(d, f"leave.t{i % 3}", consumer_id=f"c{i}" if i % 2 else None)
               for i in range(30)]
    fill(d, "leave.t0", 5)
    open_ = lambda: sum(l["connections"] for l in d.http.admin("loops").json["loops"])
    assert open_() == 31 and d.http.instance("http")[0]["debt"] > 0
    for i, s in enumerate(streams):
        if i % 2:  # with a reset instead of an end
            s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    eventually(lambda: open_() == 1)
    eventually(lambda: d.http.instance("http")[0]["debt"] == 0)
    fill(d, "leave.t0", 5)


def test_a_stop_closes_streams_in_good_order(migd):
    d = migd()
    fill(d, "stop.topic", 3)
    streams = [subscribe(d, "stop.topic", resume_cursor=0) for _ in range(6)]
    [messages(s, 3) for s in streams]
    d.signal(signal.SIGTERM)
    for s in streams:
        last = s.next(10)
        assert last.name == "mig-control" and last.json["type"] == "closing"
        assert last.json["code"] == "MIG_UNAVAILABLE" and last.json["reason"] == "stopping"
        assert s.next(10) is None, "then the stream ends, without a cut"
    assert d.wait(10 * SLOW) == 0


def test_streams_go_on_over_reloads(migd):
    d = migd({"loops": 4})
    lua = ('local mig = require "mig"\nlocal c = mig.capability {{ id = "test.script.get", '
           'version = "1.0.0", summary = "s" }}\nfunction c.invoke(call) return {{ answer = {} }} end\n')
    streams = [subscribe(d, "reload.topic", consumer_id=f"c{i}") for i in range(8)]
    for n in range(1, 9):
        d.drop(lua.format(n), "script.lua")
        r = d.http.reload().json
        assert r["added"] or r["changed"]
        assert d.http.result("test.script.get") == {"answer": n}
        assert fill(d, "reload.topic", 1) == [n]
        assert all(sequences(messages(s, 1)) == [n] for s in streams)
    eventually(lambda: len(d.http.generations()["generations"]) == 1)
    fill(d, "reload.topic", 1)
    assert all(sequences(messages(s, 1)) == [9] for s in streams)
    [s.close() for s in streams]


def test_pipelined_requests_behind_a_stream_do_no_harm(shared):
    with shared.raw() as raw:
        raw.send("GET /mig/v0.1/subscribe/sse.pipe HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: acme\r\n\r\n" +
                 post_text("/mig/v0.1/hello", '{"header":{"tenant_id":"acme"}}'))
        raw.until(b"retry: 3000\n\n")
        fill(shared, "sse.pipe", 1)
        assert b"id: 1\n" in raw.until(b"\n\n")
