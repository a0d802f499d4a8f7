"""Topics: publishing, reading streams of events one by one, or hundreds of them at once."""
import re
import selectors
import socket
import threading
import time
from urllib.parse import quote, urlencode

from .sse import Events


def subscribe(d, topic, tenant="acme", headers=None, timeout=20, **query):
    """An open stream (or its refusal). Query members that are None are left out."""
    given = urlencode({k: v for k, v in query.items() if v is not None})
    path = f"/mig/v0.1/subscribe/{quote(topic, safe='')}" + ("?" + given if given else "")
    sent = {**({"X-Tenant-ID": tenant} if tenant is not None else {}), **(headers or {})}
    return Events(d.address, path, headers=sent, timeout=timeout)


def publish(d, topic, payload=None, tenant="acme", client=None, envelope=None, **header):
    """The reply; .json has sequence and event_id."""
    envelope = {"payload": {} if payload is None else payload, **(envelope or {})}
    return (client or d.http).mig("publish/" + quote(topic, safe=""), envelope, tenant, **header)


def fill(d, topic, count, payload=None, first=1, **more):
    """Publishes count events with {"n": number}; returns the sequences."""
    got = []
    for n in range(first, first + count):
        r = publish(d, topic, {"n": n, **(payload or {})}, **more)
        assert r.status == 200, r
        got.append(r.json["sequence"])
    return got


def messages(stream, count, timeout=20, may_lag=False):
    """The next count events, with nothing between them but notices of being slow, if it may."""
    got = []
    while len(got) < count:
        e = stream.next(timeout)
        assert e is not None, f"the stream ended after {got}"
        if e.name == "retry" or (may_lag and e.name == "mig-backpressure"):
            continue
        assert e.name == "mig-event", e
        assert e.id == str(e.json["sequence"])
        got.append(e.json)
    return got


def sequences(events):
    return [e["sequence"] for e in events]


def is_silent(stream, seconds=0.3):
    """Nothing comes. The stream cannot be read afterwards."""
    try:
        e = stream.next(seconds)
        while e is not None and e.name == "retry":
            e = stream.next(seconds)
        return False
    except TimeoutError:
        return True


def parallel(jobs):
    """Runs functions in threads of their own; the first error is raised here."""
    errors = []

    def guard(job):
        try:
            job()
        except BaseException as e:  # noqa: BLE001 - raised again below
            errors.append(e)

    threads = [threading.Thread(target=guard, args=(j,)) for j in jobs]
    [t.start() for t in threads]
    [t.join() for t in threads]
    if errors:
        raise errors[0]


class Slow:
    """A subscriber with a small receive buffer that reads when it is told to."""

    def __init__(self, d, topic, tenant="acme", **query):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(20)
        self.sock.connect(d.address)
        self.sock.sendall(f"GET /mig/v0.1/subscribe/{topic}?{urlencode(query)} HTTP/1.0\r\n"
                          f"Host: x\r\nX-Tenant-ID: {tenant}\r\n\r\n".encode())
        self.file = self.sock.makefile("rb")
        head = []
        while (line := self.file.readline().strip()):
            head.append(line)
        assert b" 200 " in head[0], head
        self.reply, self.conn, self.comments, self.last_id = self.file, self.sock, [], None

    __enter__, __exit__, close = Events.__enter__, Events.__exit__, Events.close
    next, named, rest = Events.next, Events.named, Events.rest

    def until(self, sequence):
        """All that comes up to that event."""
        got = []
        while not got or got[-1].id != str(sequence):
            e = self.next(20)
            assert e is not None, got[-1:]
            if e.name != "retry":
                got.append(e)
        return got


class Flock:
    """Many subscribers in one thread; notes only the ids of the events that come."""

    ID = re.compile(rb"id: (\d+)\nevent: mig-event\n")

    def __init__(self, d, topic, count, tenant="acme"):
        self.selector = selectors.DefaultSelector()
        self.seen = [[] for _ in range(count)]
        self.rest = [b""] * count
        request = (f"GET /mig/v0.1/subscribe/{topic} HTTP/1.1\r\nHost: x\r\n"
                   f"X-Tenant-ID: {tenant}\r\n\r\n").encode()
        self.socks = [socket.create_connection(d.address, 20) for _ in range(count)]
        for i, s in enumerate(self.socks):
            s.sendall(request)
            self.selector.register(s, selectors.EVENT_READ, i)
        self.read(lambda: all(b"retry: 3000" in r for r in self.rest), 30)

    def read(self, is_enough, within):
        end = time.monotonic() + within
        while not is_enough():
            assert time.monotonic() < end, sorted(map(len, self.seen))[:20]
            for key, _ in self.selector.select(0.5):
                got = key.fileobj.recv(65536)
                assert got, f"subscriber {key.data} was cut off"
                self._take(key.data, got)

    def _take(self, i, got):
        text = self.rest[i] + got
        found = list(self.ID.finditer(text))
        self.seen[i] += [int(m.group(1)) for m in found]
        self.rest[i] = text[found[-1].end():] if found else text

    def close(self):
        [s.close() for s in self.socks]
        self.selector.close()
