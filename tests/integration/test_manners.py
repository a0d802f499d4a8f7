"""What the edge does beside the meaning of a request: codings, CORS, names, clients behind proxies, the
access log, request ids, timing."""
import base64
import gzip
import json
import os
import shutil
import signal
import subprocess
import zlib

import pytest
from helpers.http import eventually, post_text, strict_json

ECHO = "/mig/v0.1/invoke/observatory.models.infer"
APP = "https://app.example.org"
SHARED = {"plugins": ["pool_sleep"], "settings": {
    "loops": 1, "http.cors_origins": [APP, "http://localhost:3000"], "mig.max_body_bytes": 65536}}
has_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="no zstd program")


def call(size, word="word "):
    return json.dumps({"header": {"tenant_id": "acme"}, "payload": {"input": word * (size // len(word))}})


def unzstd(data):
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout


def zstd(data):
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


def ask(http, size=5000, accept=None, **headers):
    if accept is not None:
        headers["Accept-Encoding"] = accept
    else:  # http.client would say identity
        headers["Accept-Encoding"] = "identity"
    return http.post(ECHO, call(size), headers)


# --- answers ----------------------------------------------------------------------------------------

def test_gzip(http):
    plain = ask(http)
    assert plain.headers["Content-Encoding"] is None
    r = ask(http, accept="gzip")
    assert r.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in r.headers["Vary"]
    assert int(r.headers["Content-Length"]) == len(r.body) < len(plain.body) / 5
    assert strict_json(gzip.decompress(r.body))["payload"] == plain.payload


@has_zstd
def test_zstd_is_ours_among_equals(http):
    r = ask(http, accept="gzip, deflate, br, zstd")
    assert r.headers["Content-Encoding"] == "zstd"
    assert strict_json(unzstd(r.body))["payload"] == ask(http).payload


@pytest.mark.parametrize("accept,coding", [
    ("gzip;q=1, zstd;q=0.5", "gzip"), ("gzip;q=0, *;q=0.1", "zstd"), ("*;q=0", None), ("", None),
    ("identity;q=0, gzip;q=0.2", "gzip"), ("identity, gzip;q=0.5", None), ("gzip;q=nonsense", None),
    ("br", None)])
def test_the_client_chooses(http, accept, coding):
    assert ask(http, accept=accept).headers["Content-Encoding"] == coding


def test_small_answers_stay(http):
    r = ask(http, size=100, accept="gzip")
    assert r.headers["Content-Encoding"] is None and r.payload["echo"]
    assert "Accept-Encoding" in r.headers["Vary"]


def test_errors_and_many_in_a_row(http):
    for i in range(50):
        size = 3000 + 4000 * (i % 7)
        r = ask(http, size, accept=["gzip", "gzip;q=0.1"][i % 2])
        body = json.loads(gzip.decompress(r.body))
        assert len(body["payload"]["echo"]["input"]) == size // 5 * 5
    r = http.post("/mig/v0.1/invoke/nobody.has.it", call(100), {"Accept-Encoding": "gzip"})
    assert r.status == 404 and r.headers["Content-Encoding"] is None and r.error


def test_head_says_what_get_would(shared):
    with shared.raw() as raw:
        for path in ("/metrics", "/mig/v0.1/schemas?uri=x", "/health"):
            ask = f"{{}} {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
            get = raw.send(ask.format("GET")).reply()
            head = raw.send(ask.format("HEAD")).reply(is_head=True)
            assert head.status == get.status
            assert "Accept-Encoding" in get.headers.get("vary", "")
            for name in ("content-encoding", "vary", "content-type"):
                assert head.headers.get(name) == get.headers.get(name), (path, name)


def test_metrics_are_coded(http):
    r = http.get("/metrics", **{"Accept-Encoding": "gzip"})
    assert r.headers["Content-Encoding"] == "gzip"
    assert b"mig_access_log_dropped_total 0" in gzip.decompress(r.body)


def test_streams_stay_as_they_are(http):
    body = json.dumps({"header": {"tenant_id": "acme"}, "payload": {"input": "x" * 5000},
                       "stream_preference": "server_stream"})
    r = http.post(ECHO, body, {"Accept": "text/event-stream", "Accept-Encoding": "gzip"})
    assert r.headers["Content-Type"].startswith("text/event-stream")
    assert r.headers["Content-Encoding"] is None and b"event: mig-frame" in r.body


def test_off(migd):
    d = migd({"http.compress": False})
    r = ask(d.http, accept="gzip")
    assert r.headers["Content-Encoding"] is None and r.headers["Vary"] is None and r.payload


def test_a_large_answer(migd):
    d = migd({"mig.max_body_bytes": 8 << 20})
    for size in (100_000, 400_000, 900_000):  # the echo says it twice
        r = ask(d.http, size, accept="gzip")
        body = gzip.decompress(r.body) if r.headers["Content-Encoding"] else r.body
        assert (r.headers["Content-Encoding"] == "gzip") == (len(body) <= 1 << 20)
        assert len(json.loads(body)["payload"]["echo"]["input"]) == size // 5 * 5


# --- requests ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("coding,pack", [
    ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", gzip.compress),
    pytest.param("zstd", zstd, marks=has_zstd), ("identity", lambda b: b)])
def test_coded_requests(http, coding, pack):
    r = http.post(ECHO, pack(call(20000).encode()), {"Content-Encoding": coding})
    assert r.payload["echo"]["input"] == "word " * 4000


@pytest.mark.parametrize("coding,body", [
    ("br", b"x"), ("gzip, gzip", b"x"), ("deflate", zlib.compress(b"{}")), ("gzip", b"{}"),
    ("zstd", b"{}"), ("gzip", gzip.compress(b"{}")[:-3]), ("gzip", gzip.compress(b"{}") + b"x"),
    ("gzip", b"")])
def test_broken_codings_are_refused(http, coding, body):
    r = http.post(ECHO, body, {"Content-Encoding": coding})
    assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", "content_encoding")
    assert ask(http).status == 200


def test_two_lines_of_codings_are_refused(shared):
    with shared.raw() as raw:
        r = raw.send(post_text(ECHO, call(100), "Content-Encoding: identity",
                               "Content-Encoding: gzip")).reply()
        assert r.status == 400 and r.reason == "content_encoding"


@pytest.mark.parametrize("coding,pack", [
    ("gzip", gzip.compress), pytest.param("zstd", zstd, marks=has_zstd)])
def test_bombs_hit_the_limit_of_the_body(http, coding, pack):
    bomb = pack(b" " * 10_000_000)
    assert len(bomb) < 65536
    r = http.post(ECHO, bomb, {"Content-Encoding": coding})
    assert (r.status, r.reason) == (413, "body_too_large")
    fits = call(100).encode()
    r = http.post(ECHO, pack(fits + b" " * (65536 - len(fits))), {"Content-Encoding": coding})
    assert r.status == 200
    r = http.post(ECHO, pack(fits + b" " * (65537 - len(fits))), {"Content-Encoding": coding})
    assert r.status == 413


# --- CORS -------------------------------------------------------------------------------------------

def test_a_listed_origin_may_read(http):
    r = ask(http, Origin=APP)
    assert r.headers["Access-Control-Allow-Origin"] == APP
    assert "Origin" in r.headers["Vary"]
    assert "MIG-Message-ID" in r.headers["Access-Control-Expose-Headers"]
    assert r.headers["Access-Control-Allow-Credentials"] is None
    r = http.request("POST", "/nowhere", "{}", {"Origin": APP})
    assert r.status == 404 and r.headers["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize("origin", [None, "https://evil.test", "null", APP + ".evil.test", ""])
def test_others_may_not(http, origin):
    r = ask(http, **({} if origin is None else {"Origin": origin}))
    assert r.status == 200 and r.headers["Access-Control-Allow-Origin"] is None
    assert r.headers["Vary"] == "Origin"


def preflight(http, path=ECHO, origin=APP, **more):
    return http.request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-tenant-id", **more})


def test_preflight(http):
    r = preflight(http)
    assert r.status == 204 and r.body == b""
    assert r.headers["Access-Control-Allow-Origin"] == APP
    assert r.headers["Access-Control-Allow-Methods"] == "POST"
    assert r.headers["Access-Control-Allow-Headers"] == "content-type,x-tenant-id"
    assert r.headers["Access-Control-Max-Age"] == "600"
    assert "Origin" in r.headers["Vary"]
    assert preflight(http, "/health").headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert preflight(http, "/nowhere").status == 404


def test_preflight_of_others_and_plain_options(http):
    r = preflight(http, origin="https://evil.test")
    assert r.status == 204 and not any(h.startswith("Access-Control") for h in r.headers)
    r = http.request("OPTIONS", ECHO)
    assert r.status == 204 and r.headers["Allow"] == "POST"
    assert not any(h.startswith("Access-Control") for h in r.headers)


def test_preflight_needs_no_token(migd):
    d = migd({"mig.auth_mode": "jwt", "mig.jwt_hs256_secret": "0123456789abcdef0123456789abcdef",
              "http.cors_origins": [APP]})
    assert preflight(d.http).status == 204
    r = d.http.post(ECHO, call(10), {"Origin": APP})
    assert r.status == 401 and r.headers["Access-Control-Allow-Origin"] == APP


def test_every_origin(migd):
    d = migd({"http.cors_origins": ["*"]})
    r = ask(d.http, Origin="https://any.test")
    assert r.headers["Access-Control-Allow-Origin"] == "*" and r.headers["Vary"] is None
    assert preflight(d.http, origin="null").headers["Access-Control-Allow-Origin"] == "*"


def shake(d, origin):
    with d.raw() as raw:
        key = base64.b64encode(os.urandom(16)).decode()
        raw.send("GET /mig/v0.1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                 f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                 + (f"Origin: {origin}\r\n" if origin else "") + "\r\n")
        return int(raw.until(b"\r\n").split()[1])


def test_sockets_take_the_same_list(shared):
    assert shake(shared, None) == 101
    assert shake(shared, "http://localhost") == 101
    assert shake(shared, APP) == 101
    assert shake(shared, "https://evil.test") == 403


# --- our names --------------------------------------------------------------------------------------

def test_requests_for_other_names_are_misdirected(migd):
    d = migd({"http.hosts": ["api.example.org", "*.example.net", "127.0.0.1"]})
    for host, status in (("api.example.org", 200), ("API.example.org:8080", 200),
                         ("a.b.example.net", 200), ("127.0.0.1:1", 200), ("example.net", 421),
                         ("localhost", 421), ("api.example.org.evil.test", 421)):
        with d.raw() as raw:
            r = raw.send(post_text(ECHO, call(10), host=host)).reply()
            assert r.status == status, host
            if status == 421:
                assert r.reason == "misdirected" and r.headers["mig-message-id"]
    d.write_settings(**{"http.hosts": []})
    assert d.http.reload().status == 200
    with d.raw() as raw:
        assert raw.send(post_text(ECHO, call(10), host="other")).reply().status == 200


# --- the access log and who the client is --------------------------------------------------------------

def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_access_log(migd, tmp_path):
    log = tmp_path / "access.log"
    d = migd({"http.access_log": str(log), "http.trusted_proxies": ["127.0.0.0/8"]})
    d.http.invoke("observatory.models.infer", {"input": "x"}, message_id="m1", headers={
        "X-Tenant-ID": "acme", "X-Forwarded-For": "6.6.6.6, 203.0.113.9",
        "X-Forwarded-Proto": "https", "User-Agent": 'odd "agent"', "X-Request-ID": "r-1",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    d.http.get("/health?secret=1")
    d.http.request("POST", "/nowhere", "{}")
    got = eventually(lambda: len(lines(log)) >= 3 and lines(log))
    e = got[0]
    assert e.pop("ts").endswith("Z") and 0 < e.pop("duration_ms") < 5000 and e.pop("bytes") > 50
    assert e == {"remote": "203.0.113.9", "method": "POST", "path": ECHO,
                 "route": "/mig/v0.1/invoke/{capability}", "status": 200, "tenant": "acme",
                 "subject": "anonymous", "message_id": "m1", "request_id": "r-1",
                 "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "user_agent": 'odd "agent"',
                 "tls": True}
    assert got[1]["path"] == "/health" and got[1]["remote"].startswith("127.0.0.1:")
    assert got[2]["status"] == 404 and "route" not in got[2]
    assert "secret" not in log.read_text()


def test_access_log_of_what_ends_otherwise(migd, tmp_path, plugins):
    log = tmp_path / "access.log"
    d = migd({"http.access_log": str(log), "http.max_url_bytes": 1000, "mig.max_body_bytes": 4096},
             drop=[plugins("pool_sleep")])
    with d.raw() as raw:  # leaves before the answer
        raw.send(post_text("/mig/v0.1/invoke/test.pool.sleep", json.dumps(
            {"header": {"tenant_id": "a"}, "payload": {"ms": 200}})))
    assert shake(d, None) == 101
    with d.raw() as raw:
        assert raw.send(post_text(ECHO, call(9000))).reply().status == 413
    found = eventually(lambda: {e["status"] for e in lines(log)} >= {499, 101, 413} and lines(log))
    assert len(found) == 3


def test_access_log_is_reopened_and_loses_nothing(migd, tmp_path):
    log = tmp_path / "access.log"
    d = migd({"http.access_log": str(log)})
    for number, name in ((signal.SIGUSR1, "1"), (signal.SIGHUP, "2")):
        for _ in range(50):
            ask(d.http, 100)
        eventually(lambda: len(lines(log)) == 50)
        log.rename(tmp_path / name)
        d.signal(number)
        eventually(log.exists)
    for _ in range(50):
        ask(d.http, 100)
    d.signal(signal.SIGTERM)
    d.wait()
    assert [len(lines(p)) for p in (tmp_path / "1", tmp_path / "2", log)] == [50] * 3


def test_access_log_on_standard_output(migd):
    d = migd({"http.access_log": "-"})
    ask(d.http, 100)
    assert d.wait_log(lambda l: l.get("route") == "/mig/v0.1/invoke/{capability}")["status"] == 200


def test_a_log_that_cannot_be_opened_stops_the_start(migd, tmp_path):
    d = migd({"http.access_log": "/nowhere/x.log"}, start=False, exit_code=1, leaks=True)
    with pytest.raises(AssertionError, match="cannot open"):
        d.start()
    assert d.wait() == 1


def test_a_client_behind_a_proxy_is_not_this_machine(migd):
    d = migd({"http.trusted_proxies": ["127.0.0.1"]})
    assert d.http.admin("generations").status == 200
    r = d.http.get("/admin/v0.1/generations", **{"X-Forwarded-For": "203.0.113.9"})
    assert r.status == 403 and r.reason == "loopback_only"
    # what the client itself put in front does not help
    r = d.http.get("/admin/v0.1/generations", **{"X-Forwarded-For": "127.0.0.1, 203.0.113.9"})
    assert r.status == 403


# --- request ids and timing -----------------------------------------------------------------------------

def test_request_ids(http, migd):
    assert ask(http, **{"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert ask(http).headers["X-Request-ID"] is None
    assert ask(http, **{"X-Request-ID": "x" * 129}).headers["X-Request-ID"] is None
    assert ask(http, **{"X-Request-ID": "a b"}).headers["X-Request-ID"] is None
    d = migd({"http.request_ids": True})
    assert len(ask(d.http).headers["X-Request-ID"]) == 36
    assert ask(d.http, **{"X-Request-ID": "mine"}).headers["X-Request-ID"] == "mine"


@pytest.mark.parametrize("how", [{"settings": {"http.server_timing": True}}, {"args": ["--dev"]}])
def test_server_timing(migd, how):
    d = migd(**how)
    entries = dict(e.split(";dur=") for e in ask(d.http).headers["Server-Timing"].split(", "))
    assert 0 <= float(entries["handler"]) <= float(entries["total"]) < 5000


def test_no_server_timing_by_default(http):
    assert ask(http).headers["Server-Timing"] is None


# --- settings -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("key,item", [
    ("http.cors_origins", "app.example.org"), ("http.cors_origins", "https://app.example.org/"),
    ("http.trusted_proxies", "10.0.0.0/33"), ("http.trusted_proxies", "proxy.local"),
    ("http.hosts", "example.org:80"), ("http.hosts", "a.*.org")])
def test_bad_items_are_told(build, tmp_path, key, item):
    file = tmp_path / "migd.yaml"
    file.write_text(json.dumps({key: [item]}))
    r = subprocess.run([build / "migd", "--check", "--config", file], capture_output=True, text=True)
    assert r.returncode == 2 and "setting.value" in r.stdout and item in r.stdout, r.stdout
