"""HTTP/2 against clients that others wrote (curl, nghttp, h2load), and by hand where they are too polite."""
import json
import shutil
import socket
import struct
import subprocess
import threading

import pytest
from test_tls import certificate

CAPABILITY = "observatory.models.infer"
ENVELOPE = json.dumps({"header": {"tenant_id": "acme"}})
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, GOAWAY = 4, 7

needs_nghttp = pytest.mark.skipif(not shutil.which("h2load"), reason="no nghttp2-client")


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    certificate(folder, "one")
    return folder


@pytest.fixture
def both(migd, certs):
    """A daemon with a plain and a TLS listener; its two base URLs, and how curl shall speak."""
    d = migd({"tls.addr": "127.0.0.1:0", "tls.cert_file": str(certs / "one.pem"),
              "tls.key_file": str(certs / "one.key")})
    tls = d.wait_log(lambda l: l.get("event") == "migd.ready")["tls"]
    d.ways = {"h2c": (d.url, ["--http2-prior-knowledge"]),
              "h2": ("https://" + tls.replace("127.0.0.1", "localhost"),
                     ["--http2", "--cacert", str(certs / "one.pem")])}
    return d


def curl(url, *args, body=None):
    """(protocol version, status, headers, body)"""
    data = ["--data-binary", "@-", "-H", "Content-Type: application/json"] if body is not None else []
    r = subprocess.run(["curl", "-sS", "-i", "--max-time", "20", *args, *data, url], timeout=60,
                       input=body.encode() if body is not None else None, capture_output=True)
    assert r.returncode == 0, r.stderr
    head, _, rest = r.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/2 100"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    version, status = lines[0].split()[:2]
    return version, int(status), dict(l.lower().split(": ", 1) for l in lines[1:]), rest


@pytest.mark.parametrize("way", ["h2c", "h2"])
def test_all_kinds_of_requests(both, way):
    url, how = both.ways[way]
    assert curl(url + "/health", *how)[:2] == ("HTTP/2", 200)
    version, status, headers, body = curl(url + "/mig/v0.1/hello", *how, body=ENVELOPE)
    assert (version, status) == ("HTTP/2", 200) and headers["mig-message-id"]
    assert json.loads(body)["header"]["mig_version"] == "0.1"
    envelope = json.dumps({"header": {"tenant_id": "acme"}, "payload": {"input": "b" * 100000}})
    _, status, headers, body = curl(f"{url}/mig/v0.1/invoke/{CAPABILITY}", *how, body=envelope)
    assert status == 200 and int(headers["content-length"]) == len(body) > 100000
    assert curl(url + "/nowhere", *how)[1] == 404
    _, status, headers, body = curl(url + "/health", "-I", *how)
    assert status == 200 and int(headers["content-length"]) > 0 and not body
    assert curl(url + "/health", "-X", "DELETE", *how)[1] == 405


@pytest.mark.parametrize("way", ["h2c", "h2"])
def test_bodies_have_their_limit(both, way):
    url, how = both.ways[way]
    both.write_settings(**{"mig.max_body_bytes": 5000})
    assert both.http.reload().status == 200
    _, status, _, body = curl(f"{url}/mig/v0.1/invoke/{CAPABILITY}", *how, body="x" * 3000000)
    assert status == 413 and json.loads(body)["error"]["details"]["reason"] == "body_too_large"


@needs_nghttp
@pytest.mark.parametrize("way", ["h2c", "h2"])
def test_no_request_is_lost_by_reloads(both, way):
    url, _ = both.ways[way]
    n = 4000
    load = subprocess.Popen(["h2load", f"-n{n}", "-c4", "-m16", url + "/health"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while load.poll() is None:
        assert both.http.reload().status == 200
    out = load.stdout.read()
    assert f"{n} succeeded, 0 failed, 0 errored" in out and f"{n} 2xx" in out, out


@needs_nghttp
def test_nghttp_multiplexes(both):
    url, _ = both.ways["h2c"]
    r = subprocess.run(["nghttp", "-ns", *[f"{url}/health?{i}" for i in range(20)]], capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == 0 and r.stdout.count(" 200 ") == 20, r.stdout


# --- by hand ------------------------------------------------------------------------------------------

def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def field(name, value):
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def request(path, method="GET"):
    return b"".join(field(*f) for f in ((":method", method), (":scheme", "http"), (":path", path),
                                        (":authority", "x")))


class Frames:
    def __init__(self, d):
        self.sock = socket.create_connection(d.address, timeout=10)
        self.sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.data = b""

    def send(self, *frames):
        try:
            self.sock.sendall(b"".join(frames))
        except OSError:
            pass  # it may have hung up: what it said tells why

    def next(self):
        """(type, flags, stream, payload); None: closed."""
        while len(self.data) < 9 or len(self.data) < 9 + int.from_bytes(self.data[:3], "big"):
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.data += more
        n = 9 + int.from_bytes(self.data[:3], "big")
        one, self.data = self.data[:n], self.data[n:]
        return one[3], one[4], int.from_bytes(one[5:9], "big"), one[9:]

    def until(self, kind):
        while True:
            f = self.next()
            assert f is not None, f"closed before frame {kind}"
            if f[0] == kind:
                return f

    def close(self):
        self.sock.close()


def test_a_stop_sends_goaway(migd):
    d = migd()
    c = Frames(d)
    c.send(frame(1, 5, 1, request("/health")))
    assert c.until(0)[2] == 1
    d.signal(15)
    last, code = struct.unpack("!II", c.until(GOAWAY)[3][:8])
    assert (last, code) == (1, 0)
    while c.next():
        pass
    c.close()
    assert d.wait() == 0


FLOODS = {
    "resets": lambda i: frame(1, 5, 2 * i + 1, request("/mig/v0.1/hello", "POST")) +
        frame(3, 0, 2 * i + 1, b"\0\0\0\x08"),
    "pings": lambda i: frame(6, 0, 0, b"12345678"),
    "settings": lambda i: frame(4, 0, 0, b"\0\4\0\1\0\0"),
    "continuations": lambda i: frame(1 if i == 0 else 9, 0, 1, field("x-a", "b")),
    "empty data": lambda i: (frame(1, 4, 1, request("/health", "POST")) if i == 0 else b"") + frame(0, 0, 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_answered_and_others_served(migd, name):
    d = migd()
    c = Frames(d)
    stop = threading.Event()

    def flood():
        for start in range(0, 20000, 100):
            if stop.is_set():
                break
            c.send(*[FLOODS[name](i) for i in range(start, start + 100)])

    t = threading.Thread(target=flood)
    t.start()
    last, code = struct.unpack("!II", c.until(GOAWAY)[3][:8])
    stop.set()
    t.join()
    assert code == 11  # ENHANCE_YOUR_CALM
    c.close()
    assert d.http.get("/health").status == 200
    assert sum(l["http2_floods"] for l in d.http.admin("loops").json["loops"]) == 1


def test_http_1_upgrade_to_h2c_is_ignored(migd):
    """RFC 9113 has dropped it: the request is served as HTTP/1.1."""
    d = migd()
    with d.raw() as raw:
        r = raw.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                     "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n").reply()
        assert r.status == 200
