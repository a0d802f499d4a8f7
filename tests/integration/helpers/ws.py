"""A WebSocket of MIG frames (RFC 6455, mig-core.md 6 and 11.4): what a client sends, what comes back."""
import base64
import json
import os
import struct

from .http import Raw, strict_json

TEXT, CLOSE, PING = 1, 8, 9


class Socket:
    """An open connection, or .status >= 400 and the .reply that refused it."""

    def __init__(self, address, headers=None, raw=None):
        self.raw = raw or Raw(address)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
                 "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **(headers or {})}
        self.raw.send("GET /mig/v0.1/stream HTTP/1.1\r\n" +
                      "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None) + "\r\n")
        head = self.raw.until(b"\r\n\r\n")
        self.status = int(head.split(b" ")[1])
        self.reply = None
        if self.status != 101:
            self.raw.buffer = head + self.raw.buffer
            self.reply = self.raw.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.raw.close()

    def send(self, frame):
        """A dict becomes JSON; bytes and text go as they are."""
        data = json.dumps(frame) if isinstance(frame, dict) else frame
        data = data.encode() if isinstance(data, str) else data
        n = len(data)
        size = bytes([0x80 | n]) if n < 126 else \
            struct.pack("!BH", 0x80 | 126, n) if n < 65536 else struct.pack("!BQ", 0x80 | 127, n)
        mask = os.urandom(4)
        self.raw.send(bytes([0x80 | TEXT]) + size + mask +
                      bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
        return self

    def request(self, capability, payload=None, stream_id="s", tenant="acme", preference=None,
                kind="request", **header):
        meta = {"meta": {"mig.stream_preference": preference}} if preference else {}
        tenant = {"tenant_id": tenant} if tenant else {}
        return self.send({"header": {**tenant, **meta, **header}, "stream_id": stream_id,
                          "capability": capability, "kind": kind, "payload": payload or {}})

    def control(self, action, stream_id="c", tenant="acme", header=None, **payload):
        tenant = {"tenant_id": tenant} if tenant else {}
        return self.send({"header": {**tenant, **(header or {})}, "stream_id": stream_id,
                          "kind": "control", "payload": {"action": action, **payload}})

    def next(self, timeout=10):
        """The next frame; a close frame is {"close": code}. Pings are passed over."""
        self.raw.sock.settimeout(timeout)
        while True:
            first, second = self.raw.exactly(2)
            n = second & 127
            n = struct.unpack("!H", self.raw.exactly(2))[0] if n == 126 else \
                struct.unpack("!Q", self.raw.exactly(8))[0] if n == 127 else n
            data = self.raw.exactly(n)
            if first & 15 == CLOSE:
                return {"close": struct.unpack("!H", data[:2])[0] if data else None}
            if first & 15 == TEXT:
                return strict_json(data)

    def until(self, is_it, timeout=10):
        """The first frame that is_it() accepts."""
        while True:
            frame = self.next(timeout)
            assert "close" not in frame, frame
            if is_it(frame):
                return frame

    def last(self, stream_id="s"):
        """The terminal frame of a stream."""
        return self.until(lambda f: f.get("stream_id") == stream_id and f.get("end_stream"))
