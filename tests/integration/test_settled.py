"""Event streams that have settled (mig.http/1, release_request): a moment after the subscription stands
the memory of its request goes, and what is said of the stream later rests on what was moved. Over
HTTP/1.1 and HTTP/2, plain and with TLS."""
import re
import signal
import socket
import struct
import subprocess
import time

import pytest
from helpers.collector import Collector
from helpers.daemon import BUILD, IS_ASAN, SLOW
from helpers.errors import check_envelope
from helpers.events import Flock, Slow, fill, messages, parallel, publish, sequences, subscribe
from helpers.http import eventually, post_text
from helpers.metrics import metrics
from helpers.sse import Events
from test_connections import beat, close, listed
from test_events_durable import superseded
from test_events_limits import judge_notices
from test_http2 import Frames, certs, field, frame, request  # noqa: F401 - certs is a fixture
from test_identity import SECRET, bearer, token
from test_manners import lines
from test_reload import lua, one_generation

T, PATH = "settled.topic", "/mig/v0.1/subscribe/"
TENANT, TRACE = {"X-Tenant-ID": "acme"}, "4bf92f3577b34da6a3ce929d0e0e4736"
TELLS = {**TENANT, "X-Request-ID": "r-1", "MIG-Message-ID": "m-1", "User-Agent": 'odd "agent"',
         "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
WAYS = {"http1": ("http", "--http1.1"), "https": ("https", "--http1.1"),
        "h2c": ("http", "--http2-prior-knowledge"), "h2": ("https", "--http2")}
SHARED = {"settings": {"loops": 2, "mig.event_max_per_topic": 10000}}
HAS_SHADOW = IS_ASAN or (BUILD / "migd").exists() and b"__tsan_init" in (BUILD / "migd").read_bytes()


def settle():
    """Nobody is told of it: it happens a millisecond after the subscription stands."""
    time.sleep(0.1 * SLOW)


class Curl:
    """A subscriber that others wrote. Read like Events."""

    def __init__(self, url, how, headers):
        self.conn = subprocess.Popen(["curl", "-sikN", "--max-time", "40", how, url] +
                                     [f"-H{k}: {v}" for k, v in headers.items()], stdout=subprocess.PIPE)
        self.reply, self.comments, self.last_id = self.conn.stdout, [], None
        head = [l.decode() for l in iter(lambda: self.reply.readline().strip(), b"")]
        assert " 200" in head[0], head
        self.headers = dict(l.lower().split(": ", 1) for l in head[1:])

    def close(self):
        self.conn.kill()
        self.conn.wait()
        self.reply.close()

    def next(self, _=None):
        return Events.next(self)  # curl has the patience

    __enter__, __exit__, named = Events.__enter__, Events.__exit__, Events.named


@pytest.fixture(params=WAYS)
def way(request, migd, certs):  # noqa: F811
    """way(settings) is a daemon; its .settled(...) is a stream that has settled."""
    (scheme, how), file = WAYS[request.param], lambda name: str(certs / name)

    def start(settings=None):
        d = migd({"tls.addr": "127.0.0.1:0", "tls.cert_file": file("one.pem"),
                  "tls.key_file": file("one.key"), **(settings or {})})
        ready = d.wait_log(lambda l: l.get("event") == "migd.ready")
        url = d.url if scheme == "http" else "https://" + ready["tls"]

        def settled(query="", **headers):
            s = Curl(url + PATH + T + query, how, headers or TENANT)
            settle()
            return s

        d.settled, d.is_tls = settled, scheme == "https"
        return d
    return start


def ended(log):
    """Lines of the access log: they come when streams end."""
    return [e for e in lines(log) if e["path"].startswith(PATH)]


def closing(stream, reason):
    last = stream.named("mig-control")
    assert (last.json["type"], last.json["reason"], stream.next()) == ("closing", reason, None)


def gauge(d):
    return metrics(d.http).get("mig_gateway_active_streams", type="sse")


# --- what goes on -----------------------------------------------------------------------------------

def test_events_come_in_order_and_again(way):
    d = way()
    with d.settled() as s:
        for first in (1, 4, 7):
            fill(d, T, 3)
            assert sequences(messages(s, 3)) == [first, first + 1, first + 2]
            settle()
    fill(d, T, 1)
    with d.settled(**TENANT, **{"Last-Event-ID": s.last_id}) as s:
        fill(d, T, 1)
        assert [(e["sequence"], e["replay"]) for e in messages(s, 2)] == [(10, True), (11, False)]


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_a_reader_that_sleeps_misses_nothing(shared, seconds):
    """It settles before the flood, in it, or when there is room again."""
    topic, n, kib = f"settled.slow{seconds}", 3000, {"blob": "x" * 1024}
    with Slow(shared, topic, max_inflight=7) as slow:
        time.sleep(seconds)
        parallel([lambda: fill(shared, topic, n // 3, kib, client=shared.client())] * 3)
        judge_notices(slow.until(n), 7)
        settle()
        fill(shared, topic, 2)
        assert sequences(messages(slow, 2)) == [n + 1, n + 2]


def test_streams_settle_while_events_come(shared):
    """At every moment of their first milliseconds."""
    many, streams, n = [], [], 500
    parallel([lambda: fill(shared, T, n, client=shared.client()),
              lambda: many.append(Many(shared, T, 60)),
              lambda: streams.extend(subscribe(shared, T, resume_cursor=0) for _ in range(60))])
    assert all(sequences(messages(s, n, may_lag=True)) == list(range(1, n + 1)) for s in streams)
    many[0].all_have(b"id: %d\n" % n)
    for text in many[0].got.values():
        assert [int(id) for id in re.findall(rb"id: (\d+)", text)] == list(range(1, n + 1))
    [s.close() for s in many + streams]


def test_those_that_could_not_settle_do_at_the_next_keepalive(migd, tmp_path):
    """Much has to be said before they rest; over HTTP/2 also by others, before their own head."""
    d, log = migd({"http.access_log": str(tmp_path / "log")}), tmp_path / "log"
    fill(d, T, 1000, {"blob": "x" * 8000})
    many = Many(d, "settled.few", 1)
    many.open(T, [3])
    with Slow(d, T, resume_cursor=0) as slow:
        settle()
        many.open("settled.few", [5])
        settle()
        slow.until(1000)
        many.all_have(b"id: 1000\n", but=[1, 5])
        while b"keepalive" not in slow.file.readline():
            pass
        many.all_have(b": keepalive\n")
        settle()
        fill(d, T, 1), fill(d, "settled.few", 1)
        assert sequences(messages(slow, 1, may_lag=True)) == [1001]
        many.all_have(b"id: 1001\n", but=[1, 5])
        many.all_have(b"id: 1\n")
        many.close()
    told = {e.get("request_id"): e for e in eventually(lambda: len(ended(log)) == 4 and ended(log))}
    assert set(told) == {None, "r-1", "r-3", "r-5"}
    assert all(e["tenant"] == "acme" and e["status"] == 200 for e in told.values())
    assert min(told[None]["bytes"], told["r-3"]["bytes"]) > 1000 * 8000


def test_reloads_pass_it_by(way):
    d = way()
    with d.settled() as s:
        for n in range(1, 4):
            d.drop(lua(n), "script.lua")
            assert d.http.reload().status == 200
            fill(d, T, 1)
            assert sequences(messages(s, 1)) == [n]
        one_generation(d)


# --- what is said of it -----------------------------------------------------------------------------

@pytest.mark.parametrize("tells", [True, False])
def test_the_access_log_has_all_of_it(way, tmp_path, tells):
    log = tmp_path / "log"
    d = way({"http.access_log": str(log), "http.trusted_proxies": ["127.0.0.0/8"] if tells else []})
    sent = {**TELLS, "X-Forwarded-For": "203.0.113.9"} if tells else {**TENANT, "User-Agent": ""}
    with d.settled(**sent) as s:
        fill(d, T, 3)
        messages(s, 3)
        assert not ended(log)
    e, = eventually(lambda: ended(log))
    assert e.pop("bytes") > 600 and 90 < e.pop("duration_ms") < 20000 * SLOW and e.pop("ts")
    assert tells or e.pop("remote").startswith("127.0.0.1:")
    more = {"message_id": "m-1", "request_id": "r-1", "trace_id": TRACE, "user_agent": 'odd "agent"',
            "remote": "203.0.113.9"} if tells else {"message_id": s.headers["mig-message-id"]}
    assert e == {"method": "GET", "path": PATH + T, "route": PATH + "{topic}", "status": 200,
                 "tls": d.is_tls, "tenant": "acme", "subject": "anonymous", **more}


def test_operators_see_it_and_end_it(way, tmp_path):
    d = way({"http.access_log": str(tmp_path / "log")})
    with d.settled("?resume_cursor=0", **TENANT, **{"X-Actor": "bob"}) as s:
        c, = listed(d, "?tenant_id=acme")["connections"]
        assert (c["actor"], c["kind"], c["protocol"]) == ("bob", "sse_subscribe", "http")
        assert c["meta"] == {"topic": T, "resume_cursor": "0"}
        close(d, "sse_subscribe")
        closing(s, "closed_by_operator")
    e, = eventually(lambda: ended(tmp_path / "log"))
    assert (e["remote"], e["status"]) == (c["remote_addr"], 200) and ":" in e["remote"]


def test_tokens_are_remembered(way, tmp_path):
    log, plain, end = tmp_path / "log", bearer(token()), int(time.time()) + 3
    d = way({"http.access_log": str(log), "mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET}})
    mine = bearer(token(scopes=["capability:infer", "topic:" + "s" * 300, "x"], exp=end))
    with d.settled(**mine) as s, d.settled(**bearer(token(tenant_id="other"))):
        eventually(lambda: time.time() > end + 0.1)  # it was good when the stream began
        publish(d, T, client=d.client(headers=plain))
        assert messages(s, 1)[0]["header"]["tenant_id"] == "acme"
        c, = listed(d, headers=plain)["connections"]
        assert (c["actor"], c["tenant_id"]) == ("alice", "acme")
    eventually(lambda: len(ended(log)) == 2 and not listed(d, headers=plain)["connections"])
    assert {(e["subject"], e["tenant"]) for e in ended(log)} == {("alice", "acme"), ("alice", "other")}


def test_metrics_and_spans(way):
    collector, requests = Collector(), "mig_gateway_http_requests_total"
    d = way({"mig.otlp_endpoint": collector.url})
    asked = lambda: metrics(d.http).get(requests, path=PATH + "{topic}", method="GET", status="200")
    with d.settled(**TELLS), d.settled():
        assert (gauge(d), asked()) == (2, 0)
    eventually(lambda: gauge(d) == 0)
    with d.settled():
        assert gauge(d) == 1
        close(d, "sse_subscribe")
        eventually(lambda: gauge(d) == 0 and asked() == 3)
    assert metrics(d.http).get("mig_gateway_errors_total", operation="subscribe") == 0, "such is usual"
    span, = collector.wait(1)
    assert (span["traceId"], span["parentSpanId"]) == (TRACE, "00f067aa0ba902b7")
    assert {"mig.tenant_id": "acme", "mig.message_id": "m-1"}.items() <= span["attributes"].items()
    collector.close()


# --- how it ends ------------------------------------------------------------------------------------

def test_another_connection_takes_over(way):
    d = way()
    with d.settled("?consumer_id=c") as s:
        fill(d, T, 2)
        messages(s, 2)
        with d.settled("?consumer_id=c") as second:
            superseded(s)
            fill(d, T, 1)
            assert second.named("mig-event").id in ("2", "3"), "the last one may come twice"
            with d.settled("?consumer_id=c"):
                superseded(second)


def test_a_stop_ends_them_with_a_record(way):
    d = way()
    streams = [d.settled() for _ in range(4)]
    d.http.close()
    d.signal(signal.SIGTERM)
    [closing(s, "stopping") for s in streams]
    assert d.wait(10 * SLOW) == 0
    [s.close() for s in streams]


def test_a_silent_session_loses_it(way):
    d = way({"mig.heartbeat_action": "close", "mig.heartbeat_missed_limit": 1})
    beat(d, "s1")
    with d.settled(**TELLS, **{"MIG-Session-ID": "s1"}) as s, d.settled() as free:
        last = s.named("mig-error").json
        check_envelope(last, "MIG_TIMEOUT", "heartbeat_missed", retryable=False, message_id="m-1")
        assert s.next() is None
        fill(d, T, 1)
        assert sequences(messages(free, 1)) == [1]


def test_the_connection_serves_on(migd):
    """What was sent behind the request lies in the connection, and waits."""
    d, pad = migd(), "x" * 3000
    hello = post_text("/mig/v0.1/hello", '{"header": {"tenant_id": "acme", "message_id": "behind"}}')
    with d.raw() as raw:
        for _ in range(3):
            raw.send(f"GET {PATH}{T} HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: acme\r\nX-Pad: {pad}\r\n\r\n")
            raw.send(hello[:30])
            raw.until(b"retry: 3000\n\n")
            settle()
            raw.send(hello[30:])
            close(d, "sse_subscribe")
            assert b"closed_by_operator" in raw.until(b"\r\n0\r\n\r\n")
            assert raw.reply().json["header"]["message_id"] == "behind"


def test_those_that_leave_are_forgotten(migd):
    """With an end, and with a reset, while events come."""
    d = migd()
    streams = [subscribe(d, T, consumer_id=f"c{i}") for i in range(30)]
    settle()
    for s in streams[::2]:
        s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    parallel([lambda: fill(d, T, 20, client=d.client()), lambda: [s.close() for s in streams]])
    eventually(lambda: gauge(d) == 0 and listed(d)["summary"]["total"] == 0)
    eventually(lambda: d.http.instance("http")[0]["debt"] == 0)


# --- many of one connection, and what they cost -----------------------------------------------------

class Many(Frames):
    """Streams of one HTTP/2 connection: what came of each, and whether it has ended."""

    def __init__(self, d, topic, count):
        super().__init__(d)
        self.got, self.ended, room = {}, set(), 1 << 24
        self.send(frame(4, 0, 0, struct.pack("!HI", 4, room)), frame(8, 0, 0, struct.pack("!I", room)))
        self.open(topic, range(1, 2 * count, 2))
        self.all_have(b"retry: 3000\n\n")
        settle()

    def open(self, topic, ids):
        for id in ids:
            more = field("x-tenant-id", "acme") + field("x-request-id", f"r-{id}")
            self.send(frame(1, 5, id, request(PATH + topic) + more))
            self.got[id] = b""

    def all_have(self, text, but=()):
        while any(text not in data for id, data in self.got.items() if id not in but):
            kind, flags, id, payload = self.next()
            assert kind not in (3, 7), (kind, id, payload)
            if kind == 0:
                self.got[id] += payload
                self.ended |= {id} if flags & 1 else set()


def test_a_hundred_streams_of_one_connection(migd, tmp_path):
    d, log = migd({"http.access_log": str(tmp_path / "log")}), tmp_path / "log"
    c = Many(d, T, 100)
    fill(d, T, 2)
    c.all_have(b"id: 2\n")
    c.send(frame(3, 0, 51, b"\0\0\0\x08"))
    eventually(lambda: listed(d)["summary"]["total"] == 99)
    fill(d, T, 1)
    c.all_have(b"id: 3\n", but=[51])
    assert b"id: 3\n" not in c.got[51] and not c.ended
    assert all(t.count(b"id: 1\n") == 1 for t in c.got.values())
    e, = eventually(lambda: ended(log))
    assert (e["request_id"], e["tenant"], e["status"]) == ("r-51", "acme", 200)
    assert d.http.delete("/admin/v0.1/connections/" + listed(d)["connections"][0]["id"]).status == 202
    fill(d, T, 1)
    closed = int(eventually(lambda: ended(log)[1:])[0]["request_id"][2:])
    c.all_have(b"id: 4\n", but=[51, closed])
    assert c.ended == {closed} and b"closed_by_operator" in c.got[closed]
    c.close()
    eventually(lambda: listed(d)["summary"]["total"] == gauge(d) == 0)
    eventually(lambda: len(ended(log)) == len({e["request_id"] for e in ended(log)}) == 100)


@pytest.mark.skipif(HAS_SHADOW, reason="a sanitizer's memory is not ours")
@pytest.mark.parametrize("kind", [Flock, Many])
def test_what_they_cost(migd, kind):
    """Twenty by twenty: what one has given back, the next one takes."""
    d, open_ = migd(), []

    def more(count):
        for _ in range(count // 20):
            open_.append(kind(d, T, 20))
            settle()
        return int(open(f"/proc/{d.process.pid}/statm").read().split()[1]) * 4

    grown = -more(40) + more(300)
    assert gauge(d) == 340 and grown < 300 * 8, f"{grown / 300:.1f} KiB each"
    [c.close() for c in open_]
