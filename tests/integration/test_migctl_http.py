"""How migctl speaks: TLS, HTTP/2, tokens, event streams, WebSocket. Most of it against a small gateway in
Python; what the daemon serves too is tried against the daemon as well."""
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
from helpers.daemon import migctl
from helpers.fake_gateway import FakeGateway
from helpers.http import eventually

SHARED = {}
INFER = "observatory.models.infer"


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """ca.pem, and server.pem and client.pem signed by it, with their keys."""
    d = tmp_path_factory.mktemp("pki")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=test ca", "-keyout", "ca.key", "-out", "ca.pem", cwd=d)
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=d)
        (d / "ext").write_text("subjectAltName=IP:127.0.0.1\n" if name == "server" else "")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "ext", "-out", f"{name}.pem", cwd=d)
    return d


@pytest.fixture
def secure(pki):
    made = []

    def make(wants_client=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.pem", pki / "server.key")
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pki / "ca.pem")
        made.append(FakeGateway(tls=context))
        return made[-1].url

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture(scope="module")
def fake():
    gateway = FakeGateway()
    yield gateway
    gateway.close()


@pytest.fixture(scope="module", params=["fake", "daemon"])
def evented(request, fake, shared):
    """The address of a gateway with events: the daemon when it has the route."""
    if request.param == "daemon" and \
            shared.http.mig("publish/probe.topic", {"payload": {}}).status == 404:
        pytest.skip("the daemon has no PUBLISH")
    return fake.url if request.param == "fake" else shared.url


# --- TLS, HTTP/2, tokens

def test_https_trusts_whom_it_is_told_to(secure, pki):
    url = secure()
    r = migctl("hello", url=url)
    assert r.returncode == 1 and "certificate" in r.stderr
    r = migctl("hello", "--ca", pki / "ca.pem", url=url)
    assert r.returncode == 0, r.stderr
    assert migctl("hello", "--insecure", url=url).returncode == 0
    wrong_name = url.replace("127.0.0.1", "localhost")
    assert migctl("hello", "--ca", pki / "ca.pem", url=wrong_name).returncode == 1


def test_https_with_a_certificate_of_its_own(secure, pki):
    url = secure(wants_client=True)
    trust = ["--ca", pki / "ca.pem"]
    assert migctl("hello", *trust, url=url).returncode == 1
    r = migctl("hello", *trust, "--cert", pki / "client.pem", "--cert-key", pki / "client.key", url=url)
    assert r.returncode == 0, r.stderr
    both = pki / "both.pem"
    both.write_text((pki / "client.pem").read_text() + (pki / "client.key").read_text())
    assert migctl("hello", *trust, "--cert", both, url=url).returncode == 0


def test_websocket_and_event_streams_over_tls(secure, pki):
    url = secure()
    r = migctl("conformance", "--json", "--only", "ws.unary,ws.fragments,ws.ping,ws.close,stream.order,"
               "subscribe.order,subscribe.live", "--ca", pki / "ca.pem", url=url)
    checks = json.loads(r.stdout)["checks"]
    assert r.returncode == 0 and len(checks) == 7, r.stdout


def test_http_2(fake, tmp_path):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        pytest.skip("no nginx to speak HTTP/2 with")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}
        http {{ log_format f "$server_protocol $request_uri"; access_log {tmp_path}/access.log f;
          client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;
          uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s; client_body_buffer_size 8m;
          client_max_body_size 64m;
          server {{ listen 127.0.0.1:{port} http2;
            location / {{ proxy_pass {fake.url}; proxy_buffering off; proxy_http_version 1.1; }} }} }}""")
    server = subprocess.Popen([nginx, "-c", tmp_path / "nginx.conf", "-p", tmp_path])
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: migctl("hello", "--http2", url=url).returncode == 0)
        r = migctl("invoke", INFER, '{"input":"x"}', "--http2", url=url)
        assert r.returncode == 0 and json.loads(r.stdout)["result"] == "ok"
        r = migctl("conformance", "--profile", "core", "--json", "--http2", "--only",
                   "header,hello,discover,cancel,stream.order", url=url)
        bad = [c for c in json.loads(r.stdout)["checks"] if c["result"] == "FAIL"]
        assert bad == [] and r.returncode == 0
    finally:
        server.terminate()
        server.wait(10)
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert len(lines) > 60 and all(line.startswith("HTTP/2.0 ") for line in lines)


def test_tokens_come_from_the_flag_a_file_or_the_environment(tmp_path):
    gateway = FakeGateway(tokens={"secret-a": "acme"})
    file = tmp_path / "token"
    file.write_text("secret-a\nsecond line\n")
    try:
        r = migctl("hello", url=gateway.url)
        assert r.returncode == 1 and "MIG_UNAUTHORIZED" in r.stderr
        assert migctl("hello", "--token", "secret-a", url=gateway.url).returncode == 0
        assert migctl("hello", "--token", f"@{file}", url=gateway.url).returncode == 0
        assert migctl("hello", url=gateway.url, env={"MIGD_TOKEN": "secret-a"}).returncode == 0
        assert migctl("hello", url=gateway.url, env={"MIGD_TOKEN": f"@{file}"}).returncode == 0
        assert migctl("hello", "--token", "wrong", url=gateway.url,
                      env={"MIGD_TOKEN": "secret-a"}).returncode == 1
        for bad in (f"@{tmp_path}/missing", f"@{tmp_path}", "a\nX-Admin-API-Key: k"):
            r = migctl("hello", "--token", bad, url=gateway.url)
            assert r.returncode == 2 and "--token" in r.stderr
    finally:
        gateway.close()


def test_the_actor_is_told(fake):
    assert migctl("invoke", INFER, "{}", "--actor", "ada", "--message-id", "actor-1",
                  url=fake.url).returncode == 0
    assert [r["actor"] for r in fake.audit if r["message_id"] == "actor-1"] == ["ada"]


@pytest.mark.parametrize("url", ["ftp://x", "http://x?y", "https://", "http://a b"])
def test_an_address_that_is_none_is_2(url):
    r = migctl("hello", url=url)
    assert r.returncode == 2 and "--url" in r.stderr


def server_of(answer):
    """A server that sends this to each connection and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            with s:
                s.recv(65536)
                s.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
                                    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                                    b"Content-Length: 0\r\n\r\n"])
def test_what_is_no_answer_is_1(answer):
    listener, url = server_of(answer)
    with listener:
        for args in (["hello"], ["subscribe", "a.b"], ["invoke", INFER, "{}", "--stream"]):
            r = migctl(*args, url=url)
            assert r.returncode == 1 and r.stderr and not r.stdout, args


def test_the_timeout_is_kept():
    with socket.create_server(("127.0.0.1", 0)) as s:  # accepts, says nothing
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
        began = time.monotonic()
        r = migctl("hello", "--timeout", "0.5", url=url)
    assert r.returncode == 1 and "no answer in time" in r.stderr and time.monotonic() - began < 5


# --- events

def test_publish_and_subscribe(evented):
    topic = "ctl.events.basic"
    r = migctl("publish", topic, '{"n":1}', "--key", "k1", url=evented)
    assert r.returncode == 0 and r.stdout.split()[:2] == [topic, "1"]
    assert migctl("publish", topic, "-", stdin='{"n":2}', url=evented).returncode == 0
    assert json.loads(migctl("publish", topic, "--json", url=evented).stdout)["sequence"] == 3
    r = migctl("subscribe", topic, "--cursor", "0", "--max", "3", "--json", url=evented)
    events = [json.loads(line) for line in r.stdout.splitlines()]
    assert r.returncode == 0 and [e["payload"] for e in events] == [{"n": 1}, {"n": 2}, {}]
    assert events[0]["header"]["meta"]["mig.event_key"] == "k1"
    r = migctl("subscribe", topic, "--cursor", "1", "--max", "1", url=evented)
    number, at, payload = r.stdout.split()
    assert number == "2" and at.endswith("Z") and json.loads(payload) == {"n": 2}


def test_subscribe_waits_for_what_is_new(evented):
    topic, out = "ctl.events.live", []
    reader = threading.Thread(target=lambda: out.append(
        migctl("subscribe", topic, "--cursor", "0", "--max", "2", "--json", url=evented)))
    reader.start()
    for n in range(2):
        assert migctl("publish", topic, json.dumps({"n": n}), url=evented).returncode == 0
    reader.join(20)
    assert out[0].returncode == 0
    assert [json.loads(line)["payload"]["n"] for line in out[0].stdout.splitlines()] == [0, 1]


def test_subscribe_ends_when_the_time_is_over(evented):
    began = time.monotonic()
    r = migctl("subscribe", "ctl.events.quiet", "--timeout", "0.7", url=evented)
    assert r.returncode == 0 and r.stdout == "" and 0.6 < time.monotonic() - began < 5


def test_a_consumer_goes_on(evented):
    topic = "ctl.events.consumer"
    for n in (1, 2):
        assert migctl("publish", topic, json.dumps({"n": n}), url=evented).returncode == 0
    how = ["subscribe", topic, "--consumer", "c1", "--json"]
    assert len(migctl(*how, "--timeout", "1", url=evented).stdout.splitlines()) == 2
    assert migctl("publish", topic, '{"n":3}', url=evented).returncode == 0
    lines = migctl(*how, "--timeout", "1", url=evented).stdout.splitlines()
    assert json.loads(lines[-1])["payload"] == {"n": 3} and len(lines) <= 2  # the last may come again


def test_a_repeated_publish_is_one_event(evented):
    how = ["publish", "ctl.events.once", "{}", "--idempotency-key", "same"]
    first, second = (migctl(*how, url=evented).stdout for _ in range(2))
    assert first == second and first


def test_refusals_of_events_are_1(evented):
    for args in (["publish", "nodot", "{}"], ["subscribe", "nodot"], ["subscribe", "a.b", "--cursor", "x"]):
        r = migctl(*args, url=evented)
        assert r.returncode == 1 and "MIG_INVALID_REQUEST" in r.stderr and not r.stdout, args


@pytest.mark.parametrize("args", [["publish"], ["publish", "a.b", "{bad"], ["subscribe"],
                                  ["subscribe", "a.b", "--max", "0"], ["subscribe", "a.b", "--max", "x"]])
def test_wrong_usage_of_events_is_2(fake, args):
    r = migctl(*args, url=fake.url)
    assert r.returncode == 2 and r.stderr


# --- frames

@pytest.fixture(params=["fake", "daemon"])
def streaming(request, fake, shared):
    if request.param == "daemon" and \
            shared.http.invoke(INFER, {"input": "x"},
                               envelope={"stream_preference": "server_stream"}).status != 200:
        pytest.skip("the daemon has no streams over HTTP")
    return fake.url if request.param == "fake" else shared.url


def test_invoke_stream_prints_frames(streaming):
    body = '{"input":"x","stream_chunks":3}'
    r = migctl("invoke", INFER, body, "--stream", url=streaming)
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    assert r.returncode == 0 and [l.get("chunk") for l in lines] == [1, 2, 3, None]
    assert lines[3]["result"] == "ok"
    r = migctl("invoke", INFER, body, "--stream", "--json", url=streaming)
    frames = [json.loads(line) for line in r.stdout.splitlines()]
    assert [f["header"]["meta"]["mig.frame_seq"] for f in frames] == [1, 2, 3, 4]
    assert frames[3]["end_stream"] is True


def test_an_error_frame_is_1(streaming):
    r = migctl("invoke", INFER, '{"input":"x","delay_ms":400,"stream_chunks":9}', "--stream", "--timeout",
               "0.6", url=streaming)
    assert r.returncode == 1 and "MIG_TIMEOUT" in r.stderr
    r = migctl("invoke", "no.such", "--stream", url=streaming)
    assert r.returncode == 1 and "MIG_UNSUPPORTED_CAPABILITY" in r.stderr and not r.stdout


def test_a_stream_without_its_end_is_1(fake):
    fake.fault = "stream.no_end"
    r = migctl("invoke", INFER, '{"input":"x","stream_chunks":1}', "--stream", url=fake.url)
    fake.fault = None
    assert r.returncode == 1 and "ended the stream" in r.stderr
