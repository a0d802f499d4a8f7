"""P8: what an idle stream keeps in memory (goals.md W9), of each carrier."""
import base64
import os
import re
import socket
import ssl
import struct
import tempfile
import time

import clients
import servers
from report import goal, say
from servers import TENANT

STREAMS, WARM = 10_000, 200
PER_H2 = 100  # streams of a connection that has many
PLAIN_BYTES, TLS_BYTES = 4096, 18 * 1024
TOPIC = "/mig/v0.1/subscribe/bench.idle?resume_cursor=latest"
SETTINGS = ("http.max_connections=20000", "mig.stream_stall_ms=600000")


# --- opening streams: a function of the port each, that returns what must be kept ---------------------

def _until(sock, mark):
    got = b""
    while mark not in got:
        more = sock.recv(65536)
        if not more:
            raise SystemExit(f"bench: no {mark!r} in {got[:300]!r}")
        got += more
    return got


def _dial(port):
    return socket.create_connection(("127.0.0.1", port), 20)


def sse(port, wrap=lambda s: s):
    s = wrap(_dial(port))
    s.sendall(f"GET {TOPIC} HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: {TENANT}\r\n\r\n".encode())
    _until(s, b"retry: ")
    return s


def tls_sse():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return lambda port: sse(port, lambda s: context.wrap_socket(s, server_hostname="localhost"))


def _ws_text(text):
    """A masked frame; the mask is zero."""
    return bytes([0x81, 0xFE]) + struct.pack("!H", len(text)) + bytes(4) + text


def ws(port):
    """A socket that has made a call, and subscribes to nothing."""
    s = _dial(port)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(f"GET /mig/v0.1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
              f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
              f"X-Tenant-ID: {TENANT}\r\n\r\n".encode())
    _until(s, b"\r\n\r\n")
    s.sendall(_ws_text(b'{"header":{"tenant_id":"acme"},"kind":"request","payload":{"input":"x"},'
                       b'"capability":"observatory.models.infer","stream_id":"one"}' + b" " * 20))
    _until(s, b'"ok"')
    return s


def ws_subscribed(port):
    s = ws(port)
    s.sendall(_ws_text(b'{"header":{"tenant_id":"acme"},"kind":"control","stream_id":"two","payload":'
                       b'{"action":"subscribe","topic":"bench.idle","resume_cursor":"latest"}}'))
    _until(s, b'"accepted":true')
    return s


def _h2_frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack("!I", stream)
            + payload)


def _h2_field(name, value):
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def h2(streams):
    """A function that opens a connection with so many streams."""
    head = b"".join(_h2_field(*f) for f in (
        (":method", "GET"), (":scheme", "http"), (":path", TOPIC), (":authority", "x"),
        ("x-tenant-id", TENANT)))

    def connect(port):
        s = _dial(port)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _h2_frame(4, 0, 0) + _h2_frame(4, 1, 0)
                  + b"".join(_h2_frame(1, 5, 2 * i + 1, head) for i in range(streams)))
        got = b""
        while got.count(b"retry: ") < streams:
            more = s.recv(65536)
            if not more:
                raise SystemExit("bench: an HTTP/2 connection was closed")
            got += more
        return s
    return connect


# --- measuring ----------------------------------------------------------------------------------------

def slab_kb():
    with open("/proc/meminfo") as f:
        return int(re.search(r"Slab:\s+(\d+)", f.read()).group(1))


def certificate(folder):
    """The settings of a listener with TLS."""
    pem, key = os.path.join(folder, "bench.pem"), os.path.join(folder, "bench.key")
    servers.make_certificate(pem, key)
    return (f"tls.cert_file={pem}", f"tls.key_file={key}")


def _open(connect, port, streams, each):
    return [connect(port) for _ in range(streams // each)]


def _measure(build, connect, each, streams, settings=()):
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder, settings=SETTINGS + tuple(settings))
        for s in _open(connect, server.port, max(WARM, each), each):
            s.close()
        time.sleep(0.5)
        rss, slab = servers.rss_kb(server.pid), slab_kb()
        held = _open(connect, server.port, streams, each)
        time.sleep(1.0)
        rss, slab = servers.rss_kb(server.pid) - rss, slab_kb() - slab
        for s in held:
            s.close()
        server.stop()
    return {"streams": streams, "bytes_each": rss * 1024 / streams,
            "slab_each": slab * 1024 / streams}


def measure(build, opts):
    """Kernel slab is of both ends of the connections: client and server share the machine."""
    out = []
    streams = min(1000 if opts.quick else STREAMS, clients.raise_files() - 500)
    say(f"idle: {streams} streams of each kind")
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(servers.LOAD_CORE)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            kinds = [
                ("SSE", sse, 1, PLAIN_BYTES, ()),
                ("WebSocket", ws, 1, PLAIN_BYTES, ()),
                ("WebSocket, subscribed", ws_subscribed, 1, PLAIN_BYTES, ()),
                (f"HTTP/2, {PER_H2} per connection", h2(PER_H2), PER_H2, PLAIN_BYTES, ()),
                ("HTTP/2, one per connection", h2(1), 1, None, ()),
                ("SSE over TLS", tls_sse(), 1, TLS_BYTES, certificate(folder)),
            ]
            for name, connect, each, limit, settings in kinds:
                r = _measure(build, connect, each, streams, settings)
                goal(out, "P8", f"{name}: {r['bytes_each']:.0f} bytes of RSS per stream, kernel slab "
                     f"{r['slab_each']:.0f} (both ends)", f"at most {limit}" if limit else "",
                     r["bytes_each"] <= limit if limit else None, kind=name, **r)
    finally:
        os.sched_setaffinity(0, mine)
    return {"goals": out}
