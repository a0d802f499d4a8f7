"""Talking to the daemon: a strict client for tests that mean well, raw sockets for those that do not."""
import http.client
import json
import select
import socket
import time
from urllib.parse import quote


def strict_json(text):
    """JSON without duplicate members and without NaN: what every answer must be."""
    def pairs(items):
        keys = [k for k, _ in items]
        assert len(keys) == len(set(keys)), f"duplicate members in an answer: {keys}"
        return dict(items)

    def refuse(word):
        raise ValueError(f"{word} is not JSON")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return strict_json(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def payload(self):
        assert self.status == 200, self
        return self.json["payload"]

    @property
    def code(self):
        return self.error["code"]

    @property
    def reason(self):
        return self.error["details"].get("reason")

    @property
    def findings(self):
        return self.error["details"]["findings"]

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


class Client:
    """One keep-alive connection. Not for several threads."""

    def __init__(self, address, timeout=20, headers=None):
        self.address, self.timeout = address, timeout
        self.headers = headers or {}
        self.conn = None

    def close(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def request(self, method, path, body=None, headers=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if self.conn is None:
            self.conn = http.client.HTTPConnection(*self.address, timeout=self.timeout)
        sent = {**self.headers, **(headers or {})}
        try:
            self.conn.request(method, path, body, sent)
            answer = self.conn.getresponse()
            reply = Reply(answer.status, answer.headers, answer.read())
        except Exception:
            self.close()
            raise
        if answer.will_close:
            self.close()
        assert reply.headers.get("MIG-Message-ID"), f"{method} {path}: no MIG-Message-ID: {reply}"
        return reply

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None, headers=None):
        return self.request("POST", path, body, headers)

    def delete(self, path):
        return self.request("DELETE", path)

    # MIG
    def mig(self, operation, envelope=None, tenant="acme", headers=None, **header):
        envelope = dict(envelope or {})
        if tenant is not None:
            header.setdefault("tenant_id", tenant)
        if header:
            envelope["header"] = {**header, **envelope.get("header", {})}
        return self.post(f"/mig/v0.1/{operation}", envelope, headers)

    def invoke(self, capability, payload=None, tenant="acme", headers=None, envelope=None, **header):
        envelope = {"payload": {} if payload is None else payload, **(envelope or {})}
        return self.mig("invoke/" + quote(capability, safe=""), envelope, tenant, headers, **header)

    def result(self, capability, payload=None, **more):
        return self.invoke(capability, payload, **more).payload

    def cancel(self, message_id, tenant="acme", **envelope):
        return self.mig("cancel/" + quote(message_id, safe=""), envelope, tenant)

    # operators
    def admin(self, path, method="GET", body=None):
        reply = self.request(method, "/admin/v0.1/" + path, body)
        return reply

    def reload(self, query=""):
        return self.admin("reload" + query, "POST")

    def instances(self):
        return self.admin("instances").json

    def instance(self, name):
        return [i for i in self.instances()["instances"] if i["name"] == name]

    def generations(self):
        return self.admin("generations").json

    def ids(self):
        return [c["id"] for c in self.mig("discover").json["capabilities"]]


class Raw:
    """Bytes in, bytes out."""

    def __init__(self, address, timeout=10):
        self.sock = socket.create_connection(address, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def _more(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b""
        self.buffer += got
        return bool(got)

    def until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise EOFError(f"closed before {mark!r}: {self.buffer[:400]!r}")
        at = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:at], self.buffer[at:]
        return found

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self._more():
                raise EOFError(f"closed after {len(self.buffer)} of {n} bytes")
        found, self.buffer = self.buffer[:n], self.buffer[n:]
        return found

    def reply(self, is_head=False):
        """One response, framed by its own head."""
        head = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {k.strip().lower(): v.strip() for k, v in (h.split(":", 1) for h in head[1:] if h)}
        if is_head or status in (100, 204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.until(b"\r\n"), 16)
                body += self.exactly(size)
                assert self.until(b"\r\n") == b"\r\n"
                if not size:
                    break
        elif "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        else:
            while self._more():
                pass
            body, self.buffer = self.buffer, b""
        return Reply(status, headers, body)

    def is_closed(self, within=5.0):
        """The server has closed, and said nothing more."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if select.select([self.sock], [], [], 0.05)[0]:
                try:
                    got = self.sock.recv(65536)
                except ConnectionResetError:
                    return True
                if not got:
                    return True
                self.buffer += got
        return False


def post_text(path, body, *headers, host="localhost", connection=None):
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers]
    if connection:
        lines.append(f"Connection: {connection}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


def eventually(look, within=10.0, every=0.01, what=None):
    """The first true value of look(); fails when there is none in time. Waits on a condition only."""
    end = time.monotonic() + within
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what or look}; last: {value!r}")
        time.sleep(every)
